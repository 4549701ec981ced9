"""The seam between the client and whatever carries its bytes: types and values only.

A transport sends one request and hands back an answer: its head at once, its body as it arrives. That is
all it decides; retries, the meaning of an answer and the outcome of a stream are the client's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

__all__ = [
    "DRAIN_BYTES",
    "DRAIN_S",
    "READ_BYTES",
    "AsyncResponse",
    "AsyncTransport",
    "Deadlines",
    "Head",
    "Headers",
    "Kind",
    "Phase",
    "Request",
    "Response",
    "Transport",
    "TransportError",
    "is_header_name",
]

# What is read of a body at once, at most.
READ_BYTES = 64 * 1024

# A stream says [DONE] before its body ends. How long `release` waits for that end, and how much it reads,
# so that the connection can be used again.
DRAIN_S = 0.1
DRAIN_BYTES = 64 * 1024

# By how much a timer may ring too early.
EARLY_S = 0.01

# What a transport can fail at:
#   connect      no connection came about
#   certificate  the server's certificate is not to be trusted
#   reset        the connection broke, or the body ended before its stated length
#   timeout      a deadline passed; `phase` says which
#   invalid      what answers does not speak HTTP/1.1
#   app          the ASGI application raised an exception
Kind = Literal["connect", "certificate", "reset", "timeout", "invalid", "app"]
Phase = Literal["connect", "headers", "idle", "idle_content", "total"]


class TransportError(Exception):
    """Why there is no answer, or no more of it. `seconds` is the deadline that passed."""

    def __init__(
        self, kind: Kind, text: str = "", *, phase: Phase | None = None, seconds: float | None = None
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.phase = phase
        self.seconds = seconds


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_header_name(name: str) -> bool:
    """Whether a header may be called so (RFC 9110, 5.6.2)."""
    return _TOKEN.fullmatch(name) is not None


class Headers(Mapping[str, str]):
    """Header fields, found by name in any case; a repeated field is one value, joined by commas."""

    __slots__ = ("_values",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in fields:
            name = name.lower()
            self._values[name] = f"{self._values[name]}, {value}" if name in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._values)})"  # names only: a value may be a key


class Request(NamedTuple):
    """One request, ready to be sent. `url` is absolute and encoded."""

    method: str
    url: str
    headers: Headers
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.headers!r}>"


class Head(NamedTuple):
    """The head of an answer. `connected` is when its connection was ready, on the monotonic clock."""

    status: int
    headers: Headers
    http_version: str
    connected: float


class Deadlines(NamedTuple):
    """How long each wait of one exchange may last, in seconds; None is for ever.

    `until` is the moment on the monotonic clock at which the whole call, allowed `total` seconds, is given
    up. It goes before any other. `idle_content` is told to a transport with each read, as the moment `by`
    which the next chunk must have come: what is a chunk, it does not know.
    """

    connect: float | None = None
    headers: float | None = None
    idle: float | None = None
    total: float | None = None
    until: float | None = None
    idle_content: float | None = None

    def moment(self, phase: Phase, since: float, by: float | None = None) -> float | None:
        """When a wait in `phase` that began at `since` is given up; None for never."""
        seconds = self._seconds(phase)
        moments = (None if seconds is None else since + seconds, self.until, by)
        return min((moment for moment in moments if moment is not None), default=None)

    def passed(self, phase: Phase, now: float, by: float | None = None) -> TransportError:
        """The error of a wait in `phase` that has been given up at `now`."""
        if self.until is not None and now >= self.until - EARLY_S:
            phase = "total"
        elif by is not None and now >= by - EARLY_S:
            phase = "idle_content"
        return TransportError("timeout", phase=phase, seconds=self._seconds(phase))

    def _seconds(self, phase: Phase) -> float | None:
        match phase:
            case "connect":
                return self.connect
            case "headers":
                return self.headers
            case "idle":
                return self.idle
            case "idle_content":
                return self.idle_content
            case "total":
                return self.total


class Response(Protocol):
    """An answer whose body is still to be read."""

    head: Head

    def read(self, by: float | None = None) -> bytes:
        """The next bytes as they arrive, `b""` at the end. Raises `TransportError` once all are read.

        `by` is the moment on the monotonic clock at which to give up, whatever may be coming
        (`idle_content`).
        """
        ...

    def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        ...

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended. Never raises, never waits."""
        ...


class Transport(Protocol):
    """Carries requests for `Client`; used by many threads at once."""

    def send(self, request: Request, deadlines: Deadlines) -> Response:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class AsyncResponse(Protocol):
    """`Response` for an event loop."""

    head: Head

    async def read(self, by: float | None = None) -> bytes:
        """The next bytes as they arrive, `b""` at the end. Raises `TransportError` once all are read.

        `by` is the moment on the monotonic clock at which to give up, whatever may be coming
        (`idle_content`).
        """
        ...

    async def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        ...

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended. Never raises, never waits."""
        ...


class AsyncTransport(Protocol):
    """Carries requests for `AsyncClient`; used by many tasks at once, on any event loop."""

    async def send(self, request: Request, deadlines: Deadlines) -> AsyncResponse:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
