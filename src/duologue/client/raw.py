"""Answers as they came over HTTP: `with_raw_response`, and the way to `with_streaming_response`.

Both raise what `create` raises for an answer that is no success; `parse()` raises for one that cannot be read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, cast

from ..protocol.errors import DuologueError
from ..protocol.response import APIResponse
from .aio import AsyncClient, AsyncCompletions
from .call import Call, perform
from .response import KnowsResponse
from .stream import AsyncStream, Stream
from .sync import Client, Completions
from .unread import (
    AsyncStreamedResponse,
    AsyncStreamedResponseManager,
    StreamedResponse,
    StreamedResponseManager,
)

__all__ = [
    "AsyncRawCompletions",
    "AsyncStreamedCompletions",
    "RawCompletions",
    "RawResponse",
    "StreamedCompletions",
]

P = ParamSpec("P")
T = TypeVar("T")


class RawResponse(KnowsResponse, Generic[T]):
    """An answer whose body has been read; of a stream only the head has come."""

    def __init__(self, response: APIResponse, body: bytes | None, parse: Callable[[], T]) -> None:
        self._response = response
        self._body = body
        self._parse = parse
        self._parsed: T | None = None

    def parse(self) -> T:
        """What `create` returns: the completion, or the stream. Raises what `create` would."""
        if self._parsed is None:
            self._parsed = self._parse()
        return self._parsed

    @property
    def content(self) -> bytes:
        """The body. A stream has none: `parse()` reads it, or `with_streaming_response` gives its bytes."""
        if self._body is None:
            raise DuologueError(
                "The body of a stream is not read at once; read it by parse(), or use with_streaming_response."
            )
        return self._body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")


def _kept(call: Call) -> Call:
    """The call, with the answer handed over as it came."""
    make = call.answer
    assert make is not None
    return call._replace(
        answer=lambda response, body: RawResponse(response, body, lambda: make(response, body))
    )


class _Raw(Completions):
    def _answer(self, call: Call) -> Any:
        run = self._client._run
        if call.answer is not None:
            return run(perform(_kept(call), run))
        opened = run(perform(call, run))
        return RawResponse(opened.response, None, lambda: Stream(opened))


class _AsyncRaw(AsyncCompletions):
    async def _answer(self, call: Call) -> Any:
        run = self._client._run
        if call.answer is not None:
            return await run(perform(_kept(call), run))
        opened = await run(perform(call, run))
        return RawResponse(opened.response, None, lambda: AsyncStream(opened))


class _Unread(Completions):
    def _answer(self, call: Call) -> Any:
        run = self._client._run
        return StreamedResponse(run(perform(call._replace(opened=True), run)))


class _AsyncUnread(AsyncCompletions):
    async def _answer(self, call: Call) -> Any:
        run = self._client._run
        return AsyncStreamedResponse(await run(perform(call._replace(opened=True), run)))


# Below, the signatures of `create` with other results: at run time the functions are the same.


def _raw(create: Callable[P, T]) -> Callable[P, RawResponse[T]]:
    same: Any = create
    raw: Callable[P, RawResponse[T]] = same
    return raw


def _async_raw(create: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[RawResponse[T]]]:
    same: Any = create
    raw: Callable[P, Awaitable[RawResponse[T]]] = same
    return raw


def _managed(create: Callable[P, T]) -> Callable[P, StreamedResponseManager[T]]:
    return lambda *args, **kwargs: StreamedResponseManager(cast("Any", partial(create, *args, **kwargs)))


def _async_managed(create: Callable[P, Awaitable[T]]) -> Callable[P, AsyncStreamedResponseManager[T]]:
    return lambda *args, **kwargs: AsyncStreamedResponseManager(cast("Any", partial(create, *args, **kwargs)))


class RawCompletions:
    """`client.chat.completions.with_raw_response`."""

    def __init__(self, client: Client) -> None:
        self.create = _raw(_Raw(client).create)


class AsyncRawCompletions:
    """`client.chat.completions.with_raw_response`."""

    def __init__(self, client: AsyncClient) -> None:
        self.create = _async_raw(_AsyncRaw(client).create)


class StreamedCompletions:
    """`client.chat.completions.with_streaming_response`."""

    def __init__(self, client: Client) -> None:
        self.create = _managed(_Unread(client).create)


class AsyncStreamedCompletions:
    """`client.chat.completions.with_streaming_response`."""

    def __init__(self, client: AsyncClient) -> None:
        self.create = _async_managed(_AsyncUnread(client).create)
