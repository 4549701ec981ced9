"""The command line where only a part of what it can use is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duologue_pocket
import pytest

SERVE = "pip install 'duologue[serve]'"
GGUF = "pip install 'duologue[serve,gguf]'"


@pytest.mark.parametrize(
    ("absent", "arguments", "remedy"),
    [
        pytest.param("duologue_pocket", ["chat", "Hello"], SERVE, id="chat"),
        pytest.param("duologue_pocket", ["models"], SERVE, id="models"),
        pytest.param("uvicorn", ["serve", "echo", "--port", "0"], SERVE, id="serve"),
        pytest.param("uvicorn", ["serve", "json:loads", "--port", "0", "--reload"], SERVE, id="reload"),
        pytest.param(
            "numpy", ["serve", str(duologue_pocket.path()), "--backend", "numpy"], SERVE, id="numpy"
        ),
        pytest.param("huggingface_hub", ["serve", "hf:owner/repository:file.gguf"], GGUF, id="hub"),
        pytest.param(
            "xllamacpp",
            ["serve", str(duologue_pocket.path()), "--backend", "llama.cpp"],
            GGUF,
            id="llama.cpp",
        ),
    ],
)
def test_what_is_not_installed_is_one_line_with_the_command_that_installs_it(
    absent: str, arguments: list[str], remedy: str, tmp_path: Path
) -> None:
    """Whatever the command, and nothing has begun by then."""
    without = (
        f"import sys; sys.modules[{absent!r}] = None; from duologue.cli import main; main({arguments!r})"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    result = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith(f"{remedy}\n")
    assert result.stderr.count("\n") == 1
