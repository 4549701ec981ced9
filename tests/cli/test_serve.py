"""`duologue serve` as a user types it: several targets, `--reload`, and what can be mistyped."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from duologue import Client
from duologue.cli import main


def test_help_shows_each_way() -> None:
    """An example of each kind of target, and what a reload does to answers."""
    shown = CliRunner().invoke(main, ["serve", "--help"]).output
    for text in (
        "my_agent:answer --reload",
        "small=model.gguf agent=my_agent:answer",
        "hf:owner/repo:file.gguf",
    ):
        assert text in shown
    assert "10 s to finish" in " ".join(shown.split())


def test_several_targets_are_one_endpoint(tmp_path: Path) -> None:
    """Each by its name."""
    (tmp_path / "my_agent.py").write_text("def answer(request):\n    return 'from a file'\n")
    command = [sys.executable, "-m", "duologue", "serve", "agent=my_agent:answer", "echo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.fullmatch(r"Serving agent, echo at (http://\S+/v1)\n", line)
        assert found, line
        with Client(base_url=found[1]) as client:
            messages = [{"role": "user", "content": "Hi"}]
            said = [
                client.chat.completions.create(model=model.id, messages=messages).text
                for model in client.models.list()
            ]
        server.terminate()
    assert said == ["from a file", "Hi"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["ehco"], "did you mean 'echo'", id="misspelt"),
        pytest.param(["json:dump"], "must take one argument, the request", id="two-arguments"),
        pytest.param(["json:laods"], "Did you mean 'loads'", id="misspelt-attribute"),
        pytest.param(["echo", "echo"], "other=echo", id="twice"),
        pytest.param(["small="], "write name=TARGET", id="half"),
        pytest.param(["echo", "--reload"], "my_agent:answer --reload", id="reload-of-nothing"),
        pytest.param(["echo", "--host", "127.0.0.1:80"], "--port 80", id="host-with-port"),
        pytest.param(["echo", "--slots", "2"], "--slots is for a model file", id="no-model-file"),
        pytest.param(["gone.gguf"], "gone.gguf", id="no-such-file"),
    ],
)
def test_what_is_mistyped_is_one_line_with_the_remedy(arguments: list[str], says: str) -> None:
    """No traceback, and exit status 1."""
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--port", "99999"], "0<=x<=65535", id="port"),
        pytest.param(["--profile", "loose"], "'strict', 'lenient', 'mock'", id="profile"),
        pytest.param(["--relaod"], "--reload", id="option"),
        pytest.param(["--api-key", ""], "'--api-key'.* Leave it out for a server without a key", id="no-key"),
        pytest.param(["--api-key", "k "], "white space around it", id="key-with-white-space"),
    ],
)
def test_what_an_option_cannot_be_is_told(arguments: list[str], says: str) -> None:
    """With the usage, and exit status 2."""
    result = CliRunner().invoke(main, ["serve", "echo", *arguments])
    assert result.exit_code == 2
    assert re.search(says, result.stderr)


@pytest.mark.parametrize(
    ("code", "begins"),
    [
        pytest.param("import json\njson.loads('')\n", "Traceback (most recent call last):", id="raises"),
        pytest.param("def answer(:\n", '  File "{file}", line 1', id="no-python"),
    ],
)
def test_an_error_of_the_users_code_is_shown_from_there_on(tmp_path: Path, code: str, begins: str) -> None:
    """The first file that is named is theirs; exit status 1."""
    file = tmp_path / "broken_of_test.py"
    file.write_text(code)
    result = subprocess.run(
        [sys.executable, "-m", "duologue", "serve", "broken_of_test:answer"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(begins.format(file=file))
    assert re.findall('File "(.*?)"', result.stderr)[0] == str(file)
    assert "importlib" not in result.stderr
    assert "Error: " in result.stderr.splitlines()[-1]
