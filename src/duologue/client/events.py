"""A streamed answer as events: `client.chat.completions.stream(...)`.

The streams are those of `stream`, with events in place of chunks: all that they know and do holds here, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, closing
from inspect import isawaitable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeAlias, TypeVar

from ..protocol.errors import DuologueError
from ..protocol.events import EventMaker
from ..protocol.parsing import Parser
from ..protocol.transport import AsyncResponse, Response
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk
from ..types.chat.chat_completion_stream_event import ChatCompletionStreamEvent
from ..types.chat.parsed_chat_completion import ParsedChatCompletion
from .call import Opened
from .reading import Reading
from .stream import AsyncStream, Stream

__all__ = [
    "AsyncChatCompletionStream",
    "AsyncChatCompletionStreamManager",
    "ChatCompletionStream",
    "ChatCompletionStreamManager",
]


# The type that was asked for; None where none was.
if TYPE_CHECKING:
    import typing_extensions

    T = typing_extensions.TypeVar("T", default=None)
else:
    T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R", Response, AsyncResponse)


class _Telling(Reading[ChatCompletionStreamEvent[V], R], Generic[V, R]):
    """What makes events of chunks, and values of texts."""

    def __init__(self, opened: Opened[R], parser: Parser[V]) -> None:
        super().__init__(opened)  # type: ignore[arg-type]  # the same R
        self._parser = parser
        self._maker = EventMaker(parser)

    @property
    def current_completion_snapshot(self) -> ChatCompletion | None:
        """What the events have told so far; `completion` may know more. None before the first event."""
        return self._maker.accumulator.completion

    def _delivered(self, chunks: list[ChatCompletionChunk]) -> Iterator[ChatCompletionStreamEvent[V]]:
        for chunk in chunks:
            yield from self._maker.take(chunk)

    def _text(self, item: ChatCompletionStreamEvent[V]) -> str:
        return item.delta if item.type == "content.delta" and not item.choice_index else ""

    def _problem(self) -> DuologueError | None:
        problem, whole = super()._problem(), self.completion
        if problem is not None or whole is None or self.outcome != "complete":
            return problem
        cut = self._parser.cut(self._known(whole))
        if cut is not None:
            cut.completion = self._parser.parsed(whole)
        return cut

    def _result(self) -> ParsedChatCompletion[V]:
        return self._parser.finished(super()._result())


class ChatCompletionStream(_Telling[T, Response], Stream[ChatCompletionStreamEvent[T]]):
    """The events of a completion as they happen: an iterator and a context manager.

    A loop that is left by `break` leaves the stream, too, as with `Stream`.
    """

    def get_final_completion(self) -> ParsedChatCompletion[T]:
        """Read to the end and return the whole, with its values. Raises what went wrong.

        That is `StreamCancelledError` if it was left, and `LengthFinishReasonError` or
        `ContentFilterFinishReasonError` if it was cut and a value had been asked for.
        """
        for _ in self:
            pass
        return self._result()

    def until_done(self) -> Self:
        """Read to the end. Raises what went wrong."""
        for _ in self:
            pass
        return self


class AsyncChatCompletionStream(_Telling[T, AsyncResponse], AsyncStream[ChatCompletionStreamEvent[T]]):
    """The events of a completion as they happen: an asynchronous iterator and context manager.

    A loop that is left by `break` leaves the stream, too, as with `AsyncStream`.
    """

    async def get_final_completion(self) -> ParsedChatCompletion[T]:
        """Read to the end and return the whole, with its values. Raises what went wrong.

        That is `StreamCancelledError` if it was left, and `LengthFinishReasonError` or
        `ContentFilterFinishReasonError` if it was cut and a value had been asked for.
        """
        async for _ in self:
            pass
        return self._result()

    async def until_done(self) -> Self:
        """Read to the end. Raises what went wrong."""
        async for _ in self:
            pass
        return self


# What sends the request.
Begin: TypeAlias = Callable[[], ChatCompletionStream[T]]
AsyncBegin: TypeAlias = Callable[[], Awaitable[AsyncChatCompletionStream[T]]]


class ChatCompletionStreamManager(Generic[T]):
    """Sends the request when it is entered, and closes the stream when it is left."""

    def __init__(self, begin: Begin[T]) -> None:
        self._begin = begin
        self._stream: ChatCompletionStream[T] | None = None

    def __enter__(self) -> ChatCompletionStream[T]:
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
        data: Callable[[ChatCompletionStreamEvent[T]], object],
        error: Callable[[DuologueError], object] | None = None,
        finish: Callable[[ParsedChatCompletion[T]], object] | None = None,
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

    def _items(self) -> Generator[ChatCompletionStreamEvent[T] | DuologueError]:
        """The events, and last what went wrong."""
        try:
            with self as stream:
                yield from stream
        except DuologueError as error:
            yield error


class AsyncChatCompletionStreamManager(Generic[T]):
    """Sends the request when it is entered, and closes the stream when it is left."""

    def __init__(self, begin: AsyncBegin[T]) -> None:
        self._begin = begin
        self._stream: AsyncChatCompletionStream[T] | None = None

    async def __aenter__(self) -> AsyncChatCompletionStream[T]:
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
        data: Callable[[ChatCompletionStreamEvent[T]], object],
        error: Callable[[DuologueError], object] | None = None,
        finish: Callable[[ParsedChatCompletion[T]], object] | None = None,
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

    async def _items(self) -> AsyncGenerator[ChatCompletionStreamEvent[T] | DuologueError]:
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
