"""`--reload`: the code is loaded again when it changes, and nobody who asks is refused or cut short."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duologue.protocol.errors import DuologueError
from duologue.run import serve_reloading
from support.legal import check_stream
from support.raw import ask, opened, wait_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the process is ended by a signal")

CODE = """
import time

def answer(request):
    for number in range(4):
        yield "first "
        time.sleep(0.2)
"""
WHERE: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "api_key": None, "profile": "strict"}


class Reloading:
    """`duologue serve --reload` on a free port, and what it prints."""

    def __init__(self, folder: Path) -> None:
        self.code = folder / "reloaded_agent.py"
        self.write(CODE)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "duologue", "serve", "reloaded_agent:answer", "--port", "0", "--reload"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert wait_for(lambda: self.said("Serving"), 20), self.lines
        found = re.search(r"http://127.0.0.1:(\d+)/v1", self.said("Serving")[0])
        assert found
        self.url = found[0]
        self.port = int(found[1])

    def write(self, code: str) -> None:
        self.code.write_text(code)

    def said(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        finally:
            self.process.kill()
            self._reader.join(5)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


@pytest.fixture
def server(tmp_path) -> Iterator[Reloading]:
    server = Reloading(tmp_path)
    yield server
    server.close()


def texts(body: bytes) -> str:
    chunks, error = check_stream(body)
    assert error is None
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def test_a_change_is_served_and_a_running_answer_is_finished(server):
    """The old code says all it had to say; whoever asks next waits for the new code."""
    with opened(server.url, model="answer", stream=True) as answer:
        first = answer.readline()
        server.write(CODE.replace("first", "second"))
        assert wait_for(lambda: server.said("Reloading"), 10), server.lines
        assert texts(first + answer.read()) == "first " * 4
    assert wait_for(lambda: len(server.said("Serving")) == 2, 20), server.lines
    assert ask(server.url, model="answer").json["choices"][0]["message"]["content"] == "second " * 4


def test_nobody_is_refused_in_between(server):
    """The port is open from the first to the last process."""
    server.write("import time; time.sleep(0.3)\n" + CODE)
    answers = 0
    while len(server.said("Serving")) < 2:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5):
            answers += 1
        time.sleep(0.01)
    assert answers > 10


def test_code_that_is_wrong_is_told_and_waited_for(server):
    """The server is there again with the next change."""
    server.write(CODE.replace("answer", "anwser"))
    assert wait_for(lambda: server.said("Did you mean 'anwser'?"), 20), server.lines
    server.write("def answer(request:\n")
    assert wait_for(lambda: server.said("SyntaxError"), 20), server.lines
    assert not server.said("importlib")
    assert wait_for(lambda: len(server.said("Waiting for a change.")) == 2, 5), server.lines
    server.write(CODE.replace("first", "third"))
    assert wait_for(lambda: len(server.said("Serving")) == 2, 20), server.lines
    assert ask(server.url, model="answer").json["choices"][0]["message"]["content"].startswith("third")


@pytest.mark.parametrize("targets", [(), ("echo",), ("a=echo", "model.gguf"), ("hf:owner/name:file.gguf",)])
def test_it_is_for_code(targets):
    """Nothing else changes while it is served."""
    with pytest.raises(DuologueError, match=r"duologue serve my_agent:answer --reload"):
        serve_reloading(targets, {}, **WHERE)


def test_what_is_refused_is_refused_at_once():
    """Not in the process that is started again."""
    with pytest.raises(DuologueError, match="--api-key"):
        serve_reloading(("my_agent:answer",), {}, **{**WHERE, "host": "0.0.0.0"})
