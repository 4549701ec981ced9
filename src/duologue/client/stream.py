"""A streamed answer, read by blocking and by asynchronous callers.

What a stream knows and decides is in `Reading`; `Stream` and `AsyncStream` only read, release and close.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Self, TypeVar

from ..protocol.errors import APIError
from ..protocol.transport import AsyncResponse, Response, TransportError
from ..types.chat.chat_completion import ChatCompletion
from .call import Plan
from .reading import Reading

__all__ = ["AsyncStream", "Stream"]

T = TypeVar("T")


class Stream(Reading[T, Response]):
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
                    self._check(by)
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


class AsyncStream(Reading[T, AsyncResponse]):
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
                    self._check(by)
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
