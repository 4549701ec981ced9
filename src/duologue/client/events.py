"""A streamed answer as events: `client.chat.completions.stream(...)`.

The streams are those of `stream`, with events in place of chunks: all that they know and do holds here, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, closing
from inspect import isawaitable
from types import TracebackType
from typing import Self

from ..protocol.errors import DuologueError
from ..protocol.events import EventMaker
from ..protocol.transport import AsyncResponse, Response
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk
from ..types.chat.chat_completion_stream_event import ChatCompletionStreamEvent
from .call import Opened
from .stream import AsyncStream, Stream

__all__ = [
    "AsyncChatCompletionStream",
    "AsyncChatCompletionStreamManager",
    "ChatCompletionStream",
    "ChatCompletionStreamManager",
]


class _Telling:
    """What makes events of chunks."""

    _maker: EventMaker

    @property
    def current_completion_snapshot(self) -> ChatCompletion | None:
        """What the events have told so far; `completion` may know more. None before the first event."""
        return self._maker.accumulator.completion

    def _delivered(self, chunks: list[ChatCompletionChunk]) -> Iterator[ChatCompletionStreamEvent]:
        for chunk in chunks:
            yield from self._maker.take(chunk)

    def _text(self, item: ChatCompletionStreamEvent) -> str:
        return item.delta if item.type == "content.delta" and not item.choice_index else ""


class ChatCompletionStream(_Telling, Stream[ChatCompletionStreamEvent]):
    """The events of a completion as they happen: an iterator and a context manager.

    A loop that is left by `break` leaves the stream, too, as with `Stream`.
    """

    def __init__(self, opened: Opened[Response]) -> None:
        super().__init__(opened)
        self._maker = EventMaker()

    def until_done(self) -> Self:
        """Read to the end. Raises what went wrong."""
        for _ in self:
            pass
        return self


class AsyncChatCompletionStream(_Telling, AsyncStream[ChatCompletionStreamEvent]):
    """The events of a completion as they happen: an asynchronous iterator and context manager.

    A loop that is left by `break` leaves the stream, too, as with `AsyncStream`.
    """

    def __init__(self, opened: Opened[AsyncResponse]) -> None:
        super().__init__(opened)
        self._maker = EventMaker()

    async def until_done(self) -> Self:
        """Read to the end. Raises what went wrong."""
        async for _ in self:
            pass
        return self


# What sends the request.
Begin = Callable[[], ChatCompletionStream]
AsyncBegin = Callable[[], Awaitable[AsyncChatCompletionStream]]


class ChatCompletionStreamManager:
    """Sends the request when it is entered, and closes the stream when it is left."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._stream: ChatCompletionStream | None = None

    def __enter__(self) -> ChatCompletionStream:
        self._stream = self._begin()
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def handle(
        self,
        *,
        data: Callable[[ChatCompletionStreamEvent], object],
        error: Callable[[DuologueError], object] | None = None,
        finish: Callable[[ChatCompletion], object] | None = None,
    ) -> None:
        """Read the stream without a loop: `data` is called with each event, then one of the other two.

        `error` is called with what went wrong, `finish` with the whole completion. Without `error` it is raised,
        as is what a handler raises itself; but with `on_truncated="return"` a stream that was cut is not.
        """
        with closing(self._items()) as items:
            for item in items:
                if not isinstance(item, DuologueError):
                    data(item)
                elif error is None:
                    raise item
                else:
                    error(item)
                    return
        stream = self._stream
        if stream is not None and stream.error is not None:  # cut, and `on_truncated` says not to raise it
            if error is not None:
                error(stream.error)
        elif stream is not None and finish is not None:
            finish(stream.get_final_completion())

    def _items(self) -> Generator[ChatCompletionStreamEvent | DuologueError]:
        """The events, and last what went wrong."""
        try:
            with self as stream:
                yield from stream
        except DuologueError as error:
            yield error


class AsyncChatCompletionStreamManager:
    """Sends the request when it is entered, and closes the stream when it is left."""

    def __init__(self, begin: AsyncBegin) -> None:
        self._begin = begin
        self._stream: AsyncChatCompletionStream | None = None

    async def __aenter__(self) -> AsyncChatCompletionStream:
        self._stream = await self._begin()
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.close()

    async def handle(
        self,
        *,
        data: Callable[[ChatCompletionStreamEvent], object],
        error: Callable[[DuologueError], object] | None = None,
        finish: Callable[[ChatCompletion], object] | None = None,
    ) -> None:
        """Read the stream without a loop: `data` is called with each event, then one of the other two.

        `error` is called with what went wrong, `finish` with the whole completion. Without `error` it is raised,
        as is what a handler raises itself; but with `on_truncated="return"` a stream that was cut is not.
        Handlers may be coroutine functions.
        """
        async with aclosing(self._items()) as items:
            async for item in items:
                if not isinstance(item, DuologueError):
                    await _settled(data(item))
                elif error is None:
                    raise item
                else:
                    await _settled(error(item))
                    return
        stream = self._stream
        if stream is not None and stream.error is not None:  # cut, and `on_truncated` says not to raise it
            if error is not None:
                await _settled(error(stream.error))
        elif stream is not None and finish is not None:
            await _settled(finish(await stream.get_final_completion()))

    async def _items(self) -> AsyncGenerator[ChatCompletionStreamEvent | DuologueError]:
        """The events, and last what went wrong."""
        try:
            async with self as stream:
                async for event in stream:
                    yield event
        except DuologueError as error:
            yield error


async def _settled(answer: object) -> None:
    """Wait for a handler that is a coroutine function."""
    if isawaitable(answer):
        await answer
