"""Streams whose every part is sent when the test says so, and the pieces of such answers."""

from __future__ import annotations

import threading
import time

from .wire import PATIENCE_S, Peer

__all__ = ["HEAD", "StepByStep", "piece"]

# The head of a stream that comes in chunks.
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    """One chunk of a chunked body; of nothing, its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class StepByStep:
    """A stream whose every part is sent when the test says so, and `pause` seconds after that."""

    def __init__(self, *parts: bytes, pause: float = 0.0) -> None:
        self._parts = parts
        self._pause = pause
        self._turns = threading.Semaphore(0)

    def go_on(self) -> None:
        """Send the next part."""
        self._turns.release()

    def __call__(self, peer: Peer) -> None:
        peer.send(HEAD)
        for part in self._parts:
            assert self._turns.acquire(timeout=PATIENCE_S)
            time.sleep(self._pause)
            peer.send(piece(part))
        peer.send(piece(b""))
