"""What is known of an answer besides its body."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from ..types.chat.chat_completion_chunk import ChatCompletionChunk, ChoiceDelta
from ..types.completion_usage import CompletionUsage
from .dialect import Deviation
from .ratelimits import RateLimits, rate_limits
from .transport import Headers

__all__ = ["MAX_MOMENTS", "APIResponse", "RequestInfo", "Timings"]

# How many moments of a stream are kept: it may go on for ever.
MAX_MOMENTS = 4096


class RequestInfo(NamedTuple):
    """What was asked. Neither headers nor the URL's query are kept: they may hold keys."""

    method: str
    url: str


class Timings:
    """When things happened, in seconds since `create()` was called; None for what has not.

    Retries and their waits are part of it: it is what the caller waited. `connect` is when the connection
    of the answering attempt stood, `headers` when the answer began, `first_byte` when its body did;
    `duration` ends with the outcome. Of a stream, `chunks` counts its chunks; `first_chunk` is the first of any
    kind, `first_token` the first that brought something the model has made (text, reasoning, a refusal, a call,
    audio), `first_content` the first with text to be shown: content or a refusal.

    `moments` are when reads brought chunks, the last `MAX_MOMENTS` of them; several chunks may come at one
    moment. `tokens` is what the server says that it made.
    """

    __slots__ = (
        *("chunks", "connect", "duration", "first_byte", "first_chunk", "first_content"),
        *("first_token", "headers", "moments", "tokens"),
    )

    def __init__(self, *, connect: float | None = None, headers: float | None = None) -> None:
        self.connect = connect
        self.headers = headers
        self.first_byte: float | None = None
        self.first_chunk: float | None = None
        self.first_token: float | None = None
        self.first_content: float | None = None
        self.duration: float | None = None
        self.moments: deque[float] = deque(maxlen=MAX_MOMENTS)
        self.chunks = 0
        self.tokens: int | None = None

    @property
    def last_chunk(self) -> float | None:
        """When the last chunk came."""
        return self.moments[-1] if self.moments else None

    @property
    def gaps(self) -> list[float]:
        """The seconds from each of `moments` to the next."""
        return [later - earlier for earlier, later in pairwise(self.moments)]

    @property
    def longest_gap(self) -> float | None:
        """The longest of `gaps`; None before there is one."""
        return max(self.gaps, default=None)

    @property
    def chunks_per_second(self) -> float | None:
        """The pace between the first and the last chunk; None before two have come apart from each other."""
        return _pace(self.chunks, self.first_chunk, self.last_chunk)

    @property
    def tokens_per_second(self) -> float | None:
        """The pace of a stream from its first token to its last chunk, the first token not counted.

        It is one over the time per output token. None without `tokens`.
        """
        return None if self.tokens is None else _pace(self.tokens, self.first_token, self.last_chunk)

    def look(self, chunks: Iterable[ChatCompletionChunk], now: float) -> None:
        """Chunks have come, and none before them had content."""
        if self.first_chunk is None:
            self.first_chunk = now
        for chunk in chunks:
            for choice in chunk.choices:
                shown = bool(choice.delta.content or choice.delta.refusal)
                if self.first_token is None and (shown or _is_made(choice.delta)):
                    self.first_token = now
                if shown:
                    self.first_content = now
                    return

    def end(self, now: float, usage: CompletionUsage | None) -> None:
        """There is an outcome."""
        self.duration = now
        if usage is not None:
            self.tokens = usage.completion_tokens

    def __repr__(self) -> str:
        names = (name for name in (*self.__slots__, "last_chunk") if name != "moments")
        values = ((name, getattr(self, name)) for name in names)
        shown = (f"{name}={value:.6g}" for name, value in values if value is not None)
        return f"Timings({', '.join(shown)})"


class APIResponse(NamedTuple):
    """The HTTP side of an answer: `completion.response`, `stream.response`, `error.response`.

    Header names are in any case. `retries_taken` counts the attempts before the one that was answered.
    `deviations` is what the server did otherwise than the protocol says. `received_at` is when the head came,
    in Unix seconds.
    """

    status_code: int
    headers: Headers
    request: RequestInfo
    timings: Timings
    received_at: float
    http_version: str = "1.1"
    retries_taken: int = 0
    deviations: tuple[Deviation, ...] = ()

    @property
    def request_id(self) -> str | None:
        """The server's name for the exchange (`x-request-id`), which its operators can look up."""
        return self.headers.get("x-request-id")

    @property
    def rate_limits(self) -> RateLimits:
        """What the headers tell of limits, as it was when they came."""
        return rate_limits(self.headers, lambda: self.received_at)


def _is_made(delta: ChoiceDelta) -> bool:
    """Whether a delta that has no text to be shown brings something that the model has made."""
    return bool(
        delta.reasoning_text or delta.tool_calls or delta.function_call or (delta.audio and delta.audio.data)
    )


def _pace(count: int, begin: float | None, end: float | None) -> float | None:
    if count < 2 or begin is None or end is None or end <= begin:
        return None
    return (count - 1) / (end - begin)
