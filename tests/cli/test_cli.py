"""The command line, as a user types it: in process where it ends by itself, else as a process of its own."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from duologue import BadRequestError, Client
from duologue._version import __version__
from duologue.cli import main
from duologue.cli._terminal import printable
from duologue.engine import Finish, Reasoning, Refusal, Text, ToolArguments, ToolCall
from duologue.run import run_server
from support.command_page import PAGE, page

COMMAND = [sys.executable, "-m", "duologue"]
# A process started in the background of a shell inherits that SIGINT is ignored; a user's does not.
HEEDING = [
    sys.executable,
    "-c",
    "from signal import *; signal(SIGINT, default_int_handler); from duologue.cli import main; main()",
]


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


async def slowly(request):
    """An engine that goes on until it is stopped."""
    import asyncio

    for number in range(1000):
        yield f"{number} "
        await asyncio.sleep(0.02)


def escape(request):
    """An engine that tries to drive the terminal."""
    return "\x1b[31mred\x07 \x9b2J"


@pytest.fixture(scope="module")
def slow_url() -> Iterator[str]:
    with run_server(slowly) as url:
        yield url


def test_version_and_help() -> None:
    """`--version` names the version; the help of every command has examples and drives no terminal."""
    assert run("--version").output == f"duologue, version {__version__}\n"
    for command in ([], *([name] for name in main.commands)):
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "  duologue " in result.output
        assert result.output == printable(result.output)


def test_the_list_of_commands_is_read_whole() -> None:
    """No line of it is cut on a terminal of usual width."""
    _, _, commands = run("--help").output.partition("Commands:")
    assert len(commands.split("\n")) == len(main.commands) + 2
    assert "..." not in commands


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    """It says what the help of each command says. `PYTHONPATH=tests python -m support.command_page` writes it."""
    assert PAGE.read_text("utf-8") == page()


def test_chat_answers_in_process_and_says_who_answers() -> None:
    """Without an endpoint the built-in model answers; the first line says so, apart from the answer."""
    result = run("chat", "Hello")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == "pocket answers, in this process."
    assert result.stdout.strip()


def test_chat_takes_the_prompt_from_a_pipe() -> None:
    """`-`, or no prompt and no terminal, reads standard input."""
    assert run("chat", "-", stdin="Hello").stdout.strip()
    assert run("chat", stdin="Hello").stdout.strip()


def test_an_empty_prompt_is_not_sent() -> None:
    """An empty argument, or nothing from a pipe, is wrong usage."""
    for result in (run("chat", ""), run("chat", "-", stdin=" \n"), run("chat", stdin="")):
        assert result.exit_code == 2
        assert "The prompt is empty." in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        pytest.param("chat <&-", "Standard input is closed: give the prompt", id="stdin"),
        pytest.param("chat - <&-", "Standard input is closed: give the prompt", id="stdin-named"),
        pytest.param("chat Hi >&-", "Standard output is closed", id="stdout"),
    ],
)
def test_closed_files_are_told(command: str, says: str) -> None:
    """In one line, not as a bug."""
    name, _, rest = command.partition(" ")
    shell = f"exec {shlex.join([*COMMAND, name])} {rest}"
    result = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert result.returncode in (1, 2)
    assert f"Error: {says}" in result.stderr


def test_bytes_that_are_no_text_do_not_end_a_chat() -> None:
    """Neither in the argument nor from a pipe: the rest of the prompt is sent."""

    def parrot(request):
        return request.messages[-1].text

    with run_server(parrot) as url:
        command = [*COMMAND, "chat", "--base-url", url]
        typed = subprocess.run([*command, b"gr\xfc\xdfe"], capture_output=True, timeout=30)
        piped = subprocess.run(command, input=b"gr\xfc\xdfe", capture_output=True, timeout=30)
    assert (typed.returncode, typed.stdout) == (0, b"gr??e\n")
    assert (piped.returncode, piped.stdout.decode()) == (0, "gr\ufffd\ufffde\n")


def test_models_in_process_and_of_an_endpoint(slow_url: str) -> None:
    """One id on a line."""
    assert run("models").output == "pocket\n"
    assert run("models", "--base-url", slow_url).output == "slowly\n"


def test_chat_with_an_endpoint_takes_its_first_model() -> None:
    """Without --model, the endpoint's first one."""

    def parrot(request):
        return request.messages[-1].text

    with run_server(parrot) as url:
        result = run("chat", "Hello", "--base-url", url)
    assert result.stdout == "Hello\n"
    assert result.stderr == f"parrot answers, at {url}.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["serve", "nothing"], "'module:attribute'", id="no-target"),
        pytest.param(["serve", "no_such_module:x"], "Cannot find the module", id="no-module"),
        pytest.param(["serve", "json:nothing"], "has no 'nothing'", id="no-attribute"),
        pytest.param(["serve", "echo", "--host", "0.0.0.0"], "--api-key", id="public-without-key"),
        pytest.param(["serve", "json:dumps", "--profile", "mock"], "echo", id="mock-without-echo"),
        pytest.param(["chat", "Hi", "--base-url", "http://127.0.0.1:1/v1"], "127.0.0.1:1", id="refused"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(arguments: list[str], says: str) -> None:
    """No traceback, exit status 1, and the remedy."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert says in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("events", "shown", "note"),
    [
        pytest.param([Text("one"), Finish("length")], "one\n", "(cut at the token limit)\n", id="limit"),
        pytest.param(
            [Text("one"), Finish("content_filter")], "one\n", "(stopped by the content filter)\n", id="filter"
        ),
        pytest.param([ToolCall("look"), ToolArguments("{}")], "", "(it calls tools, of which", id="tools"),
        pytest.param([Refusal("No.")], "No.\n", "", id="refusal"),
        pytest.param([Reasoning("Hm."), Text("Yes.")], "Yes.\n", "", id="thoughts"),
        pytest.param([], "", "(the answer is empty)\n", id="nothing"),
    ],
)
def test_an_answer_that_is_less_than_one_is_not_taken_for_one(events, shown: str, note: str) -> None:
    """A note apart from the answer says why it ends where it does."""

    def scripted(request):
        yield from events

    with run_server(scripted) as url:
        result = run("chat", "Hi", "--base-url", url)
    assert (result.exit_code, result.stdout) == (0, shown)
    first, _, rest = result.stderr.partition("\n")
    assert first.startswith("scripted answers")
    assert rest.startswith(note)
    assert bool(rest) == bool(note)


def test_an_unknown_model_is_an_error(slow_url: str) -> None:
    """The server's own words reach the user."""
    result = run("chat", "Hi", "--model", "nobody", "--base-url", slow_url)
    assert result.exit_code == 1
    assert "The model 'nobody' does not exist" in result.stderr
    assert result.stdout == ""


def started(line: str) -> str:
    found = re.search(r"http://\S+/v1", line)
    assert found is not None, line
    return found[0]


def test_serve_prints_where_and_stops_on_a_signal(tmp_path: Path) -> None:
    """`--port 0` takes a free port, a file of the current folder is served, SIGTERM ends it cleanly.

    How many threads the user's own numpy takes is left to it.
    """
    agent = "import os\n\ndef answer(request):\n    return os.environ.get('OPENBLAS_NUM_THREADS', 'unset')\n"
    (tmp_path / "my_agent.py").write_text(agent)
    server = subprocess.Popen(
        [*COMMAND, "serve", "my_agent:answer", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"},
    )
    with server:
        assert server.stdout is not None
        line = server.stdout.readline()
        with Client(base_url=started(line)) as client:
            completion = client.chat.completions.create(
                model="answer", messages=[{"role": "user", "content": "Hi"}]
            )
        server.send_signal(signal.SIGTERM)
        status = server.wait(10)
    assert line.startswith("Serving answer at http://127.0.0.1:")
    assert completion.text == "unset"
    assert status in (0, -signal.SIGTERM)


def test_the_key_may_come_from_the_environment() -> None:
    """DUOLOGUE_API_KEY is the key that clients must send, and stands nowhere in the output."""
    environment = {**os.environ, "DUOLOGUE_API_KEY": "sk-secret-of-the-test"}
    server = subprocess.Popen(
        [*COMMAND, "serve", "echo", "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    )
    with server:
        assert server.stdout is not None
        line = server.stdout.readline()
        with Client(base_url=started(line), api_key="sk-secret-of-the-test") as client:
            assert client.models.list().data[0].id == "echo"
        with Client(base_url=started(line), api_key="wrong") as client, pytest.raises(Exception, match="key"):
            client.models.list()
        server.terminate()
    assert "secret" not in line


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_cannot_show_everything(encoding: str) -> None:
    """Names and answers are shown as far as they can be; nothing ends for it."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    given = {"stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([*COMMAND, "serve", "\u6a21=echo", "--port", "0"], **given) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("Serving ? at ")
        asked = [*COMMAND, "chat", "a \u6a21", "--base-url", started(line)]
        answer = subprocess.run(asked, stderr=subprocess.PIPE, **given)
        names = subprocess.run([*COMMAND, "models", "--base-url", started(line)], **given)
        server.terminate()
    assert (answer.returncode, answer.stdout) == (0, "a ?\n")
    assert names.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_one_line(slow_url: str) -> None:
    """An answer that cannot be written ends the command."""
    with Path("/dev/full").open("w") as full:
        asked = [*COMMAND, "chat", "Count", "--base-url", slow_url]
        result = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert result.returncode == 1
    assert result.stderr.splitlines()[1:] == ["Error: There is no space left for the output."]


def test_ctrl_c_keeps_what_came(slow_url: str) -> None:
    """An interrupted answer stands on the terminal, and the exit status says that it was interrupted."""
    chat = subprocess.Popen(
        [*HEEDING, "chat", "Count", "--base-url", slow_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with chat:
        assert chat.stdout is not None
        assert chat.stderr is not None
        begun = chat.stdout.read(6)
        chat.send_signal(signal.SIGINT)
        rest, notes = chat.stdout.read(), chat.stderr.read()
    assert begun == "0 1 2 "
    assert rest.endswith("\n")
    assert "what came is kept" in notes
    assert "Traceback" not in notes
    assert chat.returncode == 130


@pytest.mark.parametrize("command", [["chat", "Hi"], ["models"]], ids=lambda command: command[0])
def test_ctrl_c_while_a_server_is_silent(command: list[str]) -> None:
    """The wait ends at once, with one line and the same exit status."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        waiting = subprocess.Popen(
            [*HEEDING, *command, "--base-url", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with waiting, silent.accept()[0] as connection:
            assert connection.recv(1)  # the request has come: the command waits for its answer
            waiting.send_signal(signal.SIGINT)
            shown, notes = waiting.communicate(timeout=10)
    assert (waiting.returncode, shown, notes) == (130, "", "\nInterrupted.\n")


def test_what_a_server_says_cannot_drive_the_terminal() -> None:
    """Errors and model names are shown without control characters, like answers."""

    class Evil:
        models = ("evil\x1b]0;pwn\x07",)
        supports = {}

        async def generate(self, request):
            raise BadRequestError("no\x1b[2J\u202e way")
            yield

    with run_server(Evil()) as url:
        shown = run("models", "--base-url", url).output + run("chat", "Hi", "--base-url", url).output
    assert "evil]0;pwn" in shown
    assert "no[2J way" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_conversation_at_a_terminal() -> None:
    """Without a prompt, questions and answers in turn; Ctrl-D ends it. The model cannot drive the terminal."""
    with run_server(escape) as url:
        leader, follower = pty.openpty()
        chat = subprocess.Popen(
            [*COMMAND, "chat", "--base-url", url], stdin=follower, stdout=follower, stderr=follower
        )
        os.close(follower)
        screen = read_until(leader, b"> ")
        os.write(leader, b"hello\n")
        screen += read_until(leader, b"> ")
        os.write(leader, b"\x04")
        status = chat.wait(10)
        os.close(leader)
    assert b"escape answers" in screen
    assert b"[31mred 2J" in screen
    assert b"\x1b[31m" not in screen
    assert status == 0


def test_a_question_can_be_edited() -> None:
    """Arrow keys move in the line, and the key up brings the question before."""
    pytest.importorskip("readline")

    def parrot(request):
        return f"<{request.messages[-1].text}>"

    with run_server(parrot) as url:
        leader, follower = pty.openpty()
        chat = subprocess.Popen(
            [*COMMAND, "chat", "--base-url", url], stdin=follower, stdout=follower, stderr=follower
        )
        os.close(follower)
        read_until(leader, b"> ")
        os.write(leader, b"hllo\x1b[D\x1b[D\x1b[De\n")
        first = read_until(leader, b"\n> ")
        os.write(leader, b"\x1b[A\n")
        second = read_until(leader, b"\n> ")
        os.write(leader, b"\x04")
        status = chat.wait(10)
        os.close(leader)
    assert b"<hello>" in first
    assert b"<hello>" in second
    assert status == 0


def read_until(terminal: int, end: bytes, seconds: float = 10.0) -> bytes:
    seen = b""
    deadline = time.monotonic() + seconds
    while not seen.endswith(end):
        assert time.monotonic() < deadline, seen
        seen += os.read(terminal, 4096)
    return seen
