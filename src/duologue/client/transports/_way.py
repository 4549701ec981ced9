"""The way of a request through httpx2: the deadline of each of its steps, and the socket that carries it."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

import httpx2

from ...protocol.transport import Deadlines, Phase, TransportError
from ._alarm import Alarm

__all__ = ["Way", "is_past", "left_until", "shut", "socket_of", "stands", "timeouts_of"]


class Way:
    """The way of a blocking request to its answer: which deadline it is under, and what carries it."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.phase: Phase = "connect"
        self.connected = time.monotonic()
        self.timeouts = timeouts_of(deadlines, self.phase, self.connected)
        self.alarm = Alarm(self._ring)
        self._sock: socket.socket | None = None
        self._deadlines = deadlines
        self._moment: float | None = None

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """What httpx2 calls for each of its steps."""
        if "timeout" in info and event.endswith(".started"):  # a step of connecting: it takes what is left
            info["timeout"] = left_until(self._deadlines.moment(self.phase, self.connected))
        if stands(event, info):
            self.phase, self.connected = "headers", time.monotonic()
            self.timeouts.update(timeouts_of(self._deadlines, self.phase, self.connected))
        if event == "http11.send_request_headers.started":
            self._sock = _carrier()
            self._moment = self._deadlines.moment(self.phase, self.connected)
            self.alarm.set(self._moment)

    @property
    def is_over(self) -> bool:
        """Whether the deadline that the alarm was set to has passed."""
        return is_past(self._moment)

    def passed(self) -> TransportError:
        """The error for a deadline that passed."""
        return self._deadlines.passed(self.phase, time.monotonic())

    def _ring(self) -> None:
        shut(self._sock)


def stands(event: str, info: Mapping[str, Any]) -> bool:
    """Whether the connection stands, and the request goes out; the one for a tunnel does not count."""
    return event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT"


def timeouts_of(deadlines: Deadlines, phase: Phase, now: float) -> dict[str, float | None]:
    """What httpx2 is told of the deadlines in a `phase` that began at `now`."""
    return dict.fromkeys(("connect", "pool", "write", "read"), left_until(deadlines.moment(phase, now)))


def left_until(moment: float | None) -> float | None:
    """How many seconds are left until `moment`, for a timeout of httpx2; None for no end."""
    if moment is None:
        return None
    return max(moment - time.monotonic(), 0.001)  # 0 would mean not to wait at all


def is_past(moment: float | None) -> bool:
    """Whether it is `moment`; None never comes."""
    return moment is not None and time.monotonic() >= moment


def socket_of(answer: httpx2.Response) -> socket.socket | None:
    """The socket that carries nothing but this answer; None over HTTP/2, and where there is none."""
    stream = answer.extensions.get("network_stream")
    if stream is None or not answer.http_version.startswith("HTTP/1"):
        return None
    found: socket.socket | None = stream.get_extra_info("socket")
    return found


def _carrier() -> socket.socket | None:
    """The socket over which the caller of the trace is about to send: no event names that of a kept connection."""
    frame: FrameType | None = sys._getframe(1)  # one that looked into itself would keep all the others
    while frame is not None:
        stream = getattr(frame.f_locals.get("self"), "_network_stream", None)
        if stream is not None:
            found: socket.socket | None = stream.get_extra_info("socket")
            return found
        frame = frame.f_back
    return None


def shut(sock: socket.socket | None) -> None:
    """Wake the thread that waits for this socket, which then finds the connection closed."""
    try:
        if sock is not None:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:  # the other side was faster
        pass
