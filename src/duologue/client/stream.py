"""A streamed answer, read by blocking and by asynchronous callers.

What a stream knows and decides is in `_Reading`; `Stream` and `AsyncStream` only read, release and close.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from ..protocol.dialect import Deviation
from ..protocol.errors import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    StreamTimeoutError,
    StreamTruncatedError,
)
from ..protocol.read import Outcome, StreamReader
from ..protocol.retry import Failure
from ..protocol.sse import MAX_EVENT_BYTES
from ..protocol.transport import AsyncResponse, Response, TransportError
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk
from ..types.completion_usage import CompletionUsage
from .answer import ERROR_BODY_BYTES, media_of, not_events, why_given_up
from .call import Opened, Plan
from .response import APIResponse, Timings

__all__ = ["AsyncStream", "Stream"]

# What is delivered: chunks, `Stream[ChatCompletionChunk]`, or the events that a class below makes of them.
T = TypeVar("T")
R = TypeVar("R", Response, AsyncResponse)


class _Reading(Generic[T, R]):
    """What a stream knows at any moment, and what its reads mean."""

    def __init__(self, opened: Opened[R]) -> None:
        options = opened.call.options
        self._raises = options.on_truncated == "raise"
        self._idle_content = opened.call.timeout.idle_content
        self._batch: Iterator[T] = iter(())  # what has come and is not delivered yet
        self._ended = False
        self._begin(opened)

    def _begin(self, opened: Opened[R]) -> None:
        """The head of a good answer has come."""
        options = opened.call.options
        self._opened: Opened[R] = opened
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
        """The last token counts that came."""
        return self._reader.usage

    @property
    def deviations(self) -> list[Deviation]:
        """What the server does otherwise than the protocol says."""
        return self._reader.deviations

    @property
    def timings(self) -> Timings:
        """When things happened, in seconds since the call began."""
        return self._timings

    @property
    def response(self) -> APIResponse:
        """The HTTP side of the answer: status, headers, request id."""
        return self._response

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
            timings.duration = now
        if chunks:
            if not timings.chunks:
                timings.first_chunk = now
            timings.last_chunk = now
            timings.chunks += len(chunks)
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
        plan = self._opened.attempts.another(failure)
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
        self._timings.duration = time.monotonic() - self._began
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
            self._timings.duration = time.monotonic() - self._began
        self._transport.close()

    def _problem(self) -> APIError | None:
        """What is raised at the end of the chunks."""
        reader = self._reader
        start = bytes(self._before_chunks)
        if reader.outcome == "truncated" and start and media_of("", start) in ("json", "html"):
            reader.outcome, reader.error = "failed", not_events(self._response, start)
        error = reader.error
        if error is not None:
            error.request = self._response.request
            if isinstance(error, (APIStatusError, APIResponseValidationError)):
                error.response = self._response
        return error if self._raises or reader.outcome != "truncated" else None

    def _result(self) -> ChatCompletion:
        if self._reader.outcome == "truncated" and not self._raises:
            partial = self._reader.completion
            if partial is not None:
                return partial
        whole = self._reader.result()
        whole._response = self._response._replace(deviations=tuple(self._reader.deviations))
        return whole


class Stream(_Reading[T, Response]):
    """The chunks of a completion as they arrive: an iterator and a context manager.

    A loop that is left by `break` leaves the stream, too: the connection is closed and the outcome is
    `cancelled`. `next(stream)` takes one chunk and leaves it open.
    """

    def __iter__(self) -> Iterator[T]:
        try:
            yield from self._batch
            while self._more():
                yield from self._batch
        finally:
            self.close()

    def __next__(self) -> T:
        while True:
            for chunk in self._batch:
                return chunk
            if not self._more():
                raise StopIteration

    @property
    def text(self) -> Iterator[str]:
        """The pieces of the first choice's content."""
        for item in self:
            if text := self._text(item):
                yield text

    def get_final_completion(self) -> ChatCompletion:
        """Read to the end and return the whole. Raises what went wrong, `StreamCancelledError` if it was left."""
        for _ in self:
            pass
        return self._result()

    def close(self) -> None:
        """Leave the stream; does nothing once it has ended."""
        if not self._ended:
            self._left()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _try(self, plan: Plan) -> None:
        """Carry out the steps of another attempt."""
        try:
            self._begin(self._opened.run(plan))
        except APIError as problem:
            self._given_up(problem)
            raise

    def _more(self) -> bool:
        """Wait for the next chunks; False at the end. Raises what went wrong."""
        data, self._start = self._start, b""
        by = self._give_up()
        try:
            while self._reader.outcome is None:
                try:
                    if self._take(data or self._transport.read(by)):
                        return True
                except TransportError as failure:
                    self._broken(failure)
                data = b""
                plan = None if self._reader.outcome is None else self._again()
                if plan is not None:
                    self._try(plan)
                    data, self._start = self._start, b""
                    by = self._give_up()
            if self._ended:
                return False
            self._ended = True
            if self._reader.outcome == "complete":
                self._transport.release()
        except BaseException:
            self._left()
            raise
        self._transport.close()
        problem = self._problem()
        if problem is not None:
            raise problem
        return False


class AsyncStream(_Reading[T, AsyncResponse]):
    """The chunks of a completion as they arrive: an asynchronous iterator and context manager.

    A task that is cancelled while it waits for a chunk leaves the stream: the connection is closed and the
    outcome is `cancelled`. So does a loop that is left by `break`, as soon as the event loop comes to it.
    `await anext(stream)` takes one chunk and leaves it open.
    """

    async def __aiter__(self) -> AsyncIterator[T]:
        try:
            for chunk in self._batch:
                yield chunk
            while await self._more():
                for chunk in self._batch:
                    yield chunk
        finally:
            if not self._ended:
                self._left()

    async def __anext__(self) -> T:
        while True:
            for chunk in self._batch:
                return chunk
            if not await self._more():
                raise StopAsyncIteration

    @property
    async def text(self) -> AsyncIterator[str]:
        """The pieces of the first choice's content."""
        try:
            async for item in self:
                if text := self._text(item):
                    yield text
        finally:
            await self.close()

    async def get_final_completion(self) -> ChatCompletion:
        """Read to the end and return the whole. Raises what went wrong, `StreamCancelledError` if it was left."""
        async for _ in self:
            pass
        return self._result()

    async def close(self) -> None:
        """Leave the stream; does nothing once it has ended."""
        if not self._ended:
            self._left()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _try(self, plan: Plan) -> None:
        """Carry out the steps of another attempt."""
        try:
            self._begin(await self._opened.run(plan))
        except APIError as problem:
            self._given_up(problem)
            raise

    async def _more(self) -> bool:
        """Wait for the next chunks; False at the end. Raises what went wrong."""
        data, self._start = self._start, b""
        by = self._give_up()
        try:
            while self._reader.outcome is None:
                try:
                    if self._take(data or await self._transport.read(by)):
                        return True
                except TransportError as failure:
                    self._broken(failure)
                data = b""
                plan = None if self._reader.outcome is None else self._again()
                if plan is not None:
                    await self._try(plan)
                    data, self._start = self._start, b""
                    by = self._give_up()
            if self._ended:
                return False
            self._ended = True
            if self._reader.outcome == "complete":
                await self._transport.release()
        except BaseException:
            self._left()
            raise
        self._transport.close()
        problem = self._problem()
        if problem is not None:
            raise problem
        return False
