"""What a stream knows at any moment, and what its reads mean: all of it but the waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast
from weakref import finalize, ref

from ..protocol.dialect import Deviation
from ..protocol.errors import (
    APIError,
    APIStatusError,
    DuologueError,
    StreamTimeoutError,
    StreamTruncatedError,
)
from ..protocol.read import Outcome, StreamReader
from ..protocol.response import APIResponse, Timings
from ..protocol.retry import Failure
from ..protocol.sse import MAX_EVENT_BYTES
from ..protocol.transport import AsyncResponse, Response, TransportError
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk
from ..types.completion_usage import CompletionUsage
from .answer import ERROR_BODY_BYTES, media_of, not_events, why_given_up
from .call import Opened, Plan
from .observe import Ending

__all__ = ["Reading", "StreamResponse"]

# What is delivered: chunks, `Stream[ChatCompletionChunk]`, or the events that a class below makes of them.
T = TypeVar("T")
R = TypeVar("R", Response, AsyncResponse)


class StreamResponse(APIResponse):
    """The HTTP side of a streamed answer, which can be closed, as in openai-python."""

    _stream: ref[Reading[Any, Any]]

    def of(self, stream: Reading[Any, Any]) -> None:
        """Belong to a stream; it may be gone before this is."""
        self._stream = ref(stream)

    def close(self) -> None:
        """Leave the stream; does nothing once it has ended."""
        stream = self._stream()
        if stream is not None and not stream._ended:
            stream._left()

    async def aclose(self) -> None:
        """The same, to be awaited."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return APIResponse, tuple(self)


class Reading(Generic[T, R]):
    """What a stream knows at any moment, and what its reads mean."""

    def __init__(self, opened: Opened[R]) -> None:
        options = opened.call.options
        self._raises = options.on_truncated == "raise"
        self._idle_content = opened.call.timeout.idle_content
        self._batch: Iterator[T] = iter(())  # what has come and is not delivered yet
        self._ended = False
        self._observed = bool(opened.attempts.observers)
        if self._observed:  # the stream may be dropped without a word
            finalize(self, opened.attempts.drop).atexit = False
        self._begin(opened)

    def _begin(self, opened: Opened[R]) -> None:
        """The head of a good answer has come."""
        options = opened.call.options
        self._opened: Opened[R] = opened
        self._attempts = opened.attempts
        self._transport: R = opened.transport
        self._start = opened.start
        self._response = opened.response
        self._timings = opened.timings
        self._began = opened.began
        self._reader = StreamReader(
            asked=opened.call.asked,
            dialect=options.dialect,
            accumulate=options.accumulate,
            max_event_bytes=options.max_event_bytes or MAX_EVENT_BYTES,
        )
        self._reader.request_id = opened.response.request_id
        if "event-stream" not in opened.response.headers.get("content-type", "").lower():
            self._reader.met("media-type")
        self._before_chunks = bytearray()  # for the words of an answer that is no stream
        self._hopeless = False  # the same server would fail again in the same way
        if self._ended:  # the caller has left meanwhile
            self._left()

    @property
    def completion(self) -> ChatCompletion | None:
        """What has come so far; None before the first chunk, and always with `accumulate=False`."""
        return self._reader.completion

    @property
    def outcome(self) -> Outcome | None:
        """`complete`, `truncated`, `failed` or `cancelled`; None while the stream goes on."""
        return self._reader.outcome

    @property
    def error(self) -> APIError | None:
        """What went wrong, whether it is raised or not."""
        return self._reader.error

    @property
    def usage(self) -> CompletionUsage | None:
        """The last token counts that came. Servers send them last: a stream that was cut or left may have none."""
        return self._reader.usage

    @property
    def usage_estimate(self) -> CompletionUsage | None:
        """What the request and the answer so far have taken, counted here; its `estimated` is true.

        Counted with the tokenizer of the extra `tokenizer` if its vocabulary is on this machine, else four bytes
        to a token. None with `accumulate=False`, which keeps nothing that could be counted.
        """
        from .estimate import usage_estimate

        call = self._opened.call
        return (
            usage_estimate(call.requests[0].body or b"{}", self.completion)
            if call.options.accumulate
            else None
        )

    @property
    def deviations(self) -> list[Deviation]:
        """What the server does otherwise than the protocol says."""
        return self._reader.deviations

    @property
    def timings(self) -> Timings:
        """When things happened, in seconds since the call began."""
        return self._timings

    @property
    def response(self) -> StreamResponse:
        """The HTTP side of the answer: status, headers, request id, rate limits. To close it leaves the stream."""
        response = StreamResponse(*self._http())
        response.of(self)
        return response

    def _http(self) -> APIResponse:
        """The same without a way back to the stream, for what outlives it."""
        return self._response._replace(deviations=tuple(self._reader.deviations))

    @property
    def request_id(self) -> str | None:
        """The server's name for the exchange."""
        return self._response.request_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.outcome or 'open'}, {self._timings.chunks} chunks>"

    def _take(self, data: bytes) -> bool:
        """Take what a read gave, `b""` at the end; whether there are chunks to deliver now."""
        reader, timings = self._reader, self._timings
        now = time.monotonic() - self._began
        if timings.first_byte is None and data:
            timings.first_byte = now
        if not data:
            reader.close()
        chunks = reader.feed(data)
        if reader.outcome is not None:
            timings.end(now, reader.usage)
        if self._observed:
            self._attempts.received(data, len(chunks), now)
        if chunks:
            timings.moments.append(now)
            timings.chunks += len(chunks)
            if timings.first_content is None:
                timings.look(chunks, now)
            self._batch = self._delivered(chunks)
            return True
        if not timings.chunks and len(self._before_chunks) < ERROR_BODY_BYTES:
            self._before_chunks += data[:ERROR_BODY_BYTES]
        return False

    def _delivered(self, chunks: list[ChatCompletionChunk]) -> Iterator[T]:
        """What is delivered of these chunks."""
        return iter(chunks)  # type: ignore[arg-type] # T is the chunk

    def _text(self, item: T) -> str:
        """The content of the first choice in what was delivered."""
        return cast("ChatCompletionChunk", item).text

    def _give_up(self) -> float | None:
        """When a wait for the next chunk that begins now is given up, on the monotonic clock."""
        limit = self._idle_content
        return None if limit is None else time.monotonic() + limit

    def _check(self, by: float | None) -> None:
        """Raises `TransportError` when it is `by`: a transport that has bytes at any time does not see to it."""
        if by is not None and self._reader.outcome is None and time.monotonic() >= by:
            raise TransportError("timeout", phase="idle_content", seconds=self._idle_content)

    def _again(self) -> Plan | None:
        """The steps of another attempt for a stream that has failed; None once a chunk has come."""
        reader, start = self._reader, bytes(self._before_chunks)
        error = reader.error
        if self._ended or self._timings.chunks or error is None or media_of("", start) in ("json", "html"):
            return None
        if isinstance(error, StreamTruncatedError) and error.reason != "unfinished":
            failure = Failure(final=self._hopeless)
        elif isinstance(error, APIStatusError):
            failure = Failure(error.status_code)
        else:
            return None
        plan = self._attempts.another(failure, error)
        if plan is not None:
            self._transport.close()
        return plan

    def _given_up(self, problem: APIError) -> None:
        """None of the attempts brought a chunk."""
        self._reader.outcome, self._reader.error = "failed", problem

    def _broken(self, failure: TransportError) -> None:
        """The transport has no more to give."""
        timed_out = failure.kind == "timeout"
        self._hopeless = failure.kind == "app" or failure.phase == "total"
        self._reader.close("timeout" if timed_out else "reset", why_given_up(failure) if timed_out else "")
        self._timings.end(time.monotonic() - self._began, self._reader.usage)
        error = self._reader.error
        if error is not None:
            error.__cause__ = failure.__cause__
            if isinstance(error, StreamTimeoutError):
                error.phase = failure.phase

    def _left(self) -> None:
        """The caller leaves: nothing more is read."""
        self._ended = True
        self._reader.cancel()
        if self._timings.duration is None:
            self._timings.end(time.monotonic() - self._began, self._reader.usage)
        self._transport.close()
        self._over()

    def _problem(self) -> DuologueError | None:
        """What is raised at the end of the chunks."""
        reader = self._reader
        start = bytes(self._before_chunks)
        if reader.outcome == "truncated" and start and media_of("", start) in ("json", "html"):
            reader.outcome, reader.error = "failed", not_events(self._response, start)
        error = reader.error
        if error is not None:
            error.request, error.response = self._response.request, self._http()
        self._over()
        return error if self._raises or reader.outcome != "truncated" else None

    def _over(self) -> None:
        """Tell the observers of the call what became of it."""
        attempts, reader = self._attempts, self._reader
        if attempts.observers and reader.outcome is not None:
            attempts.over(
                Ending(
                    *(
                        reader.outcome,
                        self._timings.duration or 0.0,
                        reader.error,
                        self._http(),
                        reader.usage,
                    ),
                    lambda: reader.completion or reader.last_chunk,
                )
            )

    def _result(self) -> ChatCompletion:
        if self._reader.outcome == "truncated" and not self._raises:
            partial = self._reader.completion
            if partial is not None:
                return self._known(partial)
        try:
            return self._known(self._reader.result())
        except DuologueError as error:
            error.response = error.response or self._http()
            raise

    def _known(self, completion: ChatCompletion) -> ChatCompletion:
        completion._response = self._http()
        return completion
