"""Answers that are read only when they are asked for, as they arrive: `with_streaming_response`."""

from __future__ import annotations

import codecs
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypeVar, cast

from ..protocol.codec import loads
from ..protocol.errors import DuologueError
from ..protocol.read import Outcome
from ..protocol.sse import MAX_EVENT_BYTES
from ..protocol.transport import AsyncResponse, Response
from .answer import over_limit
from .call import Opened, some_bytes, whole_body
from .observe import Ending
from .response import KnowsResponse
from .stream import AsyncStream, Stream

__all__ = [
    "AsyncStreamedResponse",
    "AsyncStreamedResponseManager",
    "StreamedResponse",
    "StreamedResponseManager",
]

T = TypeVar("T")
R = TypeVar("R", Response, AsyncResponse)


class _Streamed(KnowsResponse, Generic[T, R]):
    """What both kinds of unread answers know."""

    def __init__(self, opened: Opened[R]) -> None:
        self._opened: Opened[R] = opened
        self._response = opened.response
        self._body: bytes | None = None
        self._begun = False
        self._parsed: Any = None

    def _begin(self) -> None:
        if self._begun:
            raise DuologueError("The body has been read already; it comes only once.")
        self._begun = True

    def _over(self, outcome: Outcome) -> None:
        timings, attempts = self._response.timings, self._opened.attempts
        if timings.duration is None:
            timings.duration = attempts.seconds()
        self._opened.transport.close()
        attempts.over(Ending(outcome, timings.duration, None, self._response))

    def _lines(self) -> _Lines:
        limit = self._opened.call.options.max_event_bytes or MAX_EVENT_BYTES
        return _Lines(limit, lambda data: over_limit(self._response, data, limit))


class StreamedResponse(_Streamed[T, Response]):
    """An answer whose body is read as it is asked for, once: by one of `parse`, `read`, `iter_…`."""

    def parse(self) -> T:
        """What `create` returns: the completion, or the stream. Raises what `create` would."""
        if self._parsed is None:
            answer = self._opened.call.answer
            if answer is None:
                self._begin()
                self._parsed = Stream(self._opened)
            else:
                self._parsed = answer(self._response, self.read())
        return cast("T", self._parsed)

    def read(self) -> bytes:
        """The whole body. Raises `DuologueError` if it has begun to be read in another way."""
        if self._body is None:
            self._begin()
            body: bytes = self._opened.run(whole_body(self._opened))
            self._body = body
            self._over("complete")
        return self._body

    def text(self) -> str:
        """The whole body as text."""
        return self.read().decode("utf-8", "replace")

    def json(self) -> Any:
        """The JSON value of the whole body."""
        return loads(self.read())

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it arrives."""
        self._begin()
        while data := self._opened.run(some_bytes(self._opened)):
            yield data
        self._over("complete")

    def iter_text(self) -> Iterator[str]:
        """The body as it arrives, as text."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for data in self.iter_bytes():
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    def iter_lines(self) -> Iterator[str]:
        """The lines of the body as they arrive, without their ends."""
        lines = self._lines()
        for data in self.iter_bytes():
            yield from lines.feed(data)
        yield from lines.end()

    def close(self) -> None:
        """Leave the answer; does nothing once it has ended."""
        if isinstance(self._parsed, Stream):
            self._parsed.close()
        elif not self.is_closed:
            self._over("cancelled")


class AsyncStreamedResponse(_Streamed[T, AsyncResponse]):
    """An answer whose body is read as it is asked for, once: by one of `parse`, `read`, `iter_…`."""

    async def parse(self) -> T:
        """What `create` returns: the completion, or the stream. Raises what `create` would."""
        if self._parsed is None:
            answer = self._opened.call.answer
            if answer is None:
                self._begin()
                self._parsed = AsyncStream(self._opened)
            else:
                self._parsed = answer(self._response, await self.read())
        return cast("T", self._parsed)

    async def read(self) -> bytes:
        """The whole body. Raises `DuologueError` if it has begun to be read in another way."""
        if self._body is None:
            self._begin()
            body: bytes = await self._opened.run(whole_body(self._opened))
            self._body = body
            self._over("complete")
        return self._body

    async def text(self) -> str:
        """The whole body as text."""
        return (await self.read()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """The JSON value of the whole body."""
        return loads(await self.read())

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        self._begin()
        while data := await self._opened.run(some_bytes(self._opened)):
            yield data
        self._over("complete")

    async def iter_text(self) -> AsyncIterator[str]:
        """The body as it arrives, as text."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async for data in self.iter_bytes():
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    async def iter_lines(self) -> AsyncIterator[str]:
        """The lines of the body as they arrive, without their ends."""
        lines = self._lines()
        async for data in self.iter_bytes():
            for line in lines.feed(data):
                yield line
        for line in lines.end():
            yield line

    async def close(self) -> None:
        """Leave the answer; does nothing once it has ended."""
        if isinstance(self._parsed, AsyncStream):
            await self._parsed.close()
        elif not self.is_closed:
            self._over("cancelled")


class _Lines:
    """Bytes in, whole lines out; a line is at most `limit` characters, else `problem` makes what is raised."""

    def __init__(self, limit: int, problem: Callable[[bytes], Exception]) -> None:
        self._limit = limit
        self._problem = problem
        self._decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")("replace"), translate=True
        )
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        if len(self._rest) > self._limit:
            raise self._problem(self._rest[: self._limit].encode("utf-8", "replace"))
        return lines

    def end(self) -> list[str]:
        *lines, rest = (self._rest + self._decoder.decode(b"", final=True)).split("\n")
        return [*lines, rest] if rest else lines


# What sends the request.
Begin: TypeAlias = Callable[[], StreamedResponse[T]]
AsyncBegin: TypeAlias = Callable[[], Awaitable[AsyncStreamedResponse[T]]]


class StreamedResponseManager(Generic[T]):
    """Sends the request when it is entered, and leaves the answer when it is left."""

    def __init__(self, begin: Begin[T]) -> None:
        self._begin = begin
        self._response: StreamedResponse[T] | None = None

    def __enter__(self) -> StreamedResponse[T]:
        self._response = self._begin()
        return self._response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            self._response.close()


class AsyncStreamedResponseManager(Generic[T]):
    """Sends the request when it is entered, and leaves the answer when it is left."""

    def __init__(self, begin: AsyncBegin[T]) -> None:
        self._begin = begin
        self._response: AsyncStreamedResponse[T] | None = None

    async def __aenter__(self) -> AsyncStreamedResponse[T]:
        self._response = await self._begin()
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.close()
