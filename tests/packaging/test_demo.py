"""The demo, in the environment of the tests: what it does when it cannot go on."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "scripts" / "demo.py"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_server_never_outlives_the_demo(name):
    """Ctrl-C, or a request to end, stops the server, too."""
    with subprocess.Popen(
        [sys.executable, DEMO], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout
        port = re.search(r"http://127\.0\.0\.1:(\d+)/v1", demo.stdout.readline())
        assert port
        demo.send_signal(getattr(signal, name))
        _, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) in [(130, "\nInterrupted; the server is stopped.\n"), (0, "")]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port[1])), timeout=5).close()


def test_a_server_that_does_not_start(tmp_path):
    """The demo fails with what the server said."""
    (tmp_path / "duologue_pocket.py").write_text(
        "raise ModuleNotFoundError('gone', name='duologue_pocket')\n"
    )
    demo = subprocess.run(
        [sys.executable, DEMO],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert demo.returncode == 1
    assert demo.stderr.startswith("\nThe demo failed: the server ended at its start:")
    assert "pip install 'duologue[serve]'" in demo.stderr
