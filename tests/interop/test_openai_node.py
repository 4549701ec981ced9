"""The official client for Node.js, where `make interop` has installed it; the tests themselves are JavaScript."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from duologue.engines.echo import EchoEngine
from duologue.run import run_server
from support.scenes import Stage

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / ".interop"
PACKAGES = HOME / "node"
NODE = shutil.which("node", path=os.pathsep.join((str(HOME / "python/bin"), os.environ.get("PATH", ""))))


@pytest.mark.skipif(
    NODE is None or not (PACKAGES / "node_modules/openai").exists(),
    reason="openai-node is not installed; `make interop` does that",
)
@pytest.mark.parametrize(
    ("tests", "engine", "profile", "variable"),
    [
        ("resources", EchoEngine(), "mock", "TEST_API_BASE_URL"),
        ("helpers", Stage(), "strict", "INTEROP_SCENES_URL"),
    ],
    ids=["resources", "helpers"],
)
def test_openai_node(tests: str, engine: Any, profile: Any, variable: str) -> None:
    """Every call of chat completions, and `.stream()`, `.parse()` and `.runTools()`."""
    assert NODE is not None
    with run_server(engine, profile=profile) as url:
        result = subprocess.run(
            (NODE, "--test", HERE / "node" / f"{tests}.test.mjs"),
            env={**os.environ, "INTEROP_NODE": str(PACKAGES), variable: url},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert result.returncode == 0, result.stdout + result.stderr
