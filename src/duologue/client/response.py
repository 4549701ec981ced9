"""What is known of an answer besides its body."""

from __future__ import annotations

from typing import NamedTuple

from ..protocol.dialect import Deviation
from ..protocol.transport import Headers

__all__ = ["APIResponse", "RequestInfo", "Timings"]


class RequestInfo(NamedTuple):
    """What was asked. Neither headers nor the URL's query are kept: they may hold keys."""

    method: str
    url: str


class APIResponse(NamedTuple):
    """The HTTP side of an answer: `stream.response`, `error.response`. Header names are in any case.

    `deviations` is what the server did otherwise than the protocol says; a stream tells its own.
    """

    status_code: int
    headers: Headers
    request: RequestInfo
    http_version: str = "1.1"
    retries_taken: int = 0
    deviations: tuple[Deviation, ...] = ()

    @property
    def request_id(self) -> str | None:
        """The server's name for the exchange (`x-request-id`), which its operators can look up."""
        return self.headers.get("x-request-id")


class Timings:
    """When things happened, in seconds since `create()` was called; None for what has not.

    Retries and their waits are part of it: it is what the caller waited. `connect` is when the connection
    of the answering attempt stood, `headers` when the answer began, `first_byte` when its body did;
    `duration` ends with the outcome. `chunks` counts them.
    """

    __slots__ = ("chunks", "connect", "duration", "first_byte", "first_chunk", "headers", "last_chunk")

    def __init__(self, *, connect: float | None = None, headers: float | None = None) -> None:
        self.connect = connect
        self.headers = headers
        self.first_byte: float | None = None
        self.first_chunk: float | None = None
        self.last_chunk: float | None = None
        self.duration: float | None = None
        self.chunks = 0

    @property
    def chunks_per_second(self) -> float | None:
        """The pace between the first and the last chunk; None before two have come apart from each other."""
        if self.first_chunk is None or self.last_chunk is None or self.last_chunk <= self.first_chunk:
            return None
        return (self.chunks - 1) / (self.last_chunk - self.first_chunk)

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__slots__)
        shown = (f"{name}={value:.6g}" for name, value in values if value is not None)
        return f"Timings({', '.join(shown)})"
