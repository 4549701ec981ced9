"""Says what is wrong with grammars: a process of its own tries them out, for some never compile.

It is started with the first grammar, serves all that follow, and is started again where one has ended it. It
ends when the judge is closed or forgotten, or with this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from ...protocol.errors import InternalServerError

__all__ = ["MAX_CHECK_S", "MAX_START_S", "TOO_COSTLY", "Judge"]

# How long grammars may take to be tried out, those of one request together; generous, as machines are busy.
MAX_CHECK_S = 5.0
# How long the process may take to start, with the vocabulary of a large model on a busy machine.
MAX_START_S = 60.0
TOO_COSTLY = f"it is too costly: it takes more than {MAX_CHECK_S:g} seconds, or too much memory; simplify it"


class Judge:
    """Judges grammars for a vocabulary: the bytes of its tokens, those that are no text, and those that end."""

    def __init__(self, tokens: Sequence[bytes], special: Sequence[int], ends: Sequence[int]) -> None:
        head = {
            "tokens": [token.decode("latin-1") for token in tokens],
            "special": list(special),
            "ends": list(ends),
            "seconds": MAX_CHECK_S + 1,
        }
        self._head = json.dumps(head).encode()
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def check(self, grammar: str, seconds: float) -> tuple[str, float]:
        """What is wrong with a grammar in Lark's syntax, "" for nothing, and the seconds that it took.

        Raises `InternalServerError` where no process can be started.
        """
        if seconds <= 0:
            return TOO_COSTLY, 0.0
        with self._lock:
            process = self._ready()
            start = time.monotonic()
            words = process.ask(json.dumps(grammar).encode(), seconds)
            return TOO_COSTLY if words is None else words, time.monotonic() - start

    def close(self) -> None:
        """End the process, and what it tries out. It is started again with the next grammar."""
        process = self._process
        if process is not None and process.parent == os.getpid():
            process.kill()
            with self._lock:  # whoever waits for its answer has none now, and lets go
                process.end()

    def _ready(self) -> _Process:
        """The process, started if there is none that this one has started and that lives."""
        process = self._process
        if process is None or process.parent != os.getpid() or not process.alive:
            self._process = None
            self._process = process = _Process(self, self._head)
        return process


class _Process:
    """The process behind a judge."""

    def __init__(self, owner: Judge, head: bytes) -> None:
        self.parent = os.getpid()
        self._popen = _start()
        # Not left to the collection of garbage: so nothing of it is left behind at the end of this process.
        self.end = weakref.finalize(owner, _end, self._popen, self.parent)
        if self.ask(head, MAX_START_S) is None:
            raise _no_process()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        """Let it answer nothing more; any thread may say so."""
        self._popen.kill()

    def ask(self, line: bytes, seconds: float) -> str | None:
        """Its answer to a line; None where it gave none in time, and was ended."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        timer = threading.Timer(seconds, self._popen.kill)
        timer.daemon = True
        timer.start()
        answer = b""
        try:
            with contextlib.suppress(OSError):  # it is gone, and there is no answer
                self._popen.stdin.write(line + b"\n")
                self._popen.stdin.flush()
                answer = self._popen.stdout.readline()
        finally:
            timer.cancel()
            if not answer.endswith(b"\n"):
                self.end()
        return str(json.loads(answer)) if answer.endswith(b"\n") else None


def _start() -> subprocess.Popen[bytes]:
    # What has no interpreter of its own would start itself, without an end.
    if not sys.executable or getattr(sys, "frozen", False):
        raise _no_process()
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        return subprocess.Popen(
            (sys.executable, "-P", "-m", f"{__package__}.grammar_check"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    except OSError as error:
        raise _no_process() from error


def _end(process: subprocess.Popen[bytes], parent: int) -> None:
    """End the process and wait for that; nothing in a fork, whose child it is not."""
    if parent != os.getpid():
        return
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _no_process() -> InternalServerError:
    return InternalServerError(
        "Tools, response formats and grammars are tried out in a process of their own, which did not start: "
        "sys.executable must be a Python that can import duologue and llguidance.",
        status_code=501,
        code="constraints_unavailable",
    )
