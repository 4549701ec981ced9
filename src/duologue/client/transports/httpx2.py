"""Requests over an httpx2 client that its user has made: for HTTP/2, SOCKS, or hooks of their own.

Pool, proxies, TLS, headers and hooks are that client's; deadlines and everything about the answer are those
of this package. Redirects are not followed. Whoever made the client closes it, and an asynchronous one is
for one event loop only.

While it connects httpx2 keeps the time: each address may take what is left of `connect`. What bounds a head as a
whole, and a body (`total` and `idle_content`), is kept in blocking calls by a thread that closes the connection;
over HTTP/2, where other answers share it, they are looked at when bytes come.
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

import httpx2

from ...protocol.errors import DuologueError
from ...protocol.transport import (
    DRAIN_BYTES,
    DRAIN_S,
    Deadlines,
    Head,
    Headers,
    Kind,
    Phase,
    Request,
    TransportError,
)
from ._alarm import Alarm
from ._inflate import AsyncBody, Body
from ._loop import soon
from ._watch import at_loop_time, drain, loop_time
from ._way import Way, is_past, left_until, shut, socket_of, stands, timeouts_of
from ._words import bare, distrust, first_line, words_of

__all__ = ["AsyncHttpx2Transport", "Httpx2Transport"]

# RuntimeError: the client or the stream was closed meanwhile.
# The last is anyio's, of a connection that breaks while it is made on an event loop of uvloop.
_ERRORS = (httpx2.RequestError, httpx2.InvalidURL, OSError, RuntimeError, AttributeError)
_CONNECT = (httpx2.ConnectError, httpx2.ProxyError)
_BROKEN = (httpx2.NetworkError, OSError, RuntimeError)

# An end in a wrong place and a wrong word are one class in httpx2; these words tell the first.
_CUT = ("server disconnected", "peer closed", "connectionterminated")


class Httpx2Transport:
    """Over an `httpx2.Client`."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def send(self, request: Request, deadlines: Deadlines) -> _Response:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        way = Way(deadlines)
        asked = _request(self._client, request, {"timeout": way.timeouts, "trace": way.trace})
        try:
            answer = self._client.send(asked, stream=True, follow_redirects=False)
        except _ERRORS as error:
            if isinstance(error, httpx2.TimeoutException) or way.is_over:
                raise way.passed() from None
            raise _failure(error, way.phase) from bare(error)
        finally:
            way.alarm.stop()
        if way.is_over:  # and the alarm may have rung
            answer.close()
            raise way.passed()
        return _Response(answer, deadlines, way)

    def close(self) -> None:
        """Nothing: closing the client is for who made it."""


class _Response(Body):
    """An answer whose body is still to be read; who drops it leaves."""

    def __init__(self, answer: httpx2.Response, deadlines: Deadlines, way: Way) -> None:
        super().__init__(_encoding(answer))
        self.head = _head(answer, way.connected)
        self._deadlines = deadlines
        self._alarm = Alarm(partial(shut, socket_of(answer)))
        self._alarm.set(deadlines.until)
        way.timeouts["read"] = deadlines.idle  # it is looked at again when the body begins
        self._body = _Parts(answer, self._alarm)
        self._dropped = weakref.finalize(self, self._body.leave)

    def _read(self, by: float | None) -> bytes:
        until = self._deadlines.until
        if by is None and until is None:
            return self._next(None, None)
        moment = min(moment for moment in (by, until) if moment is not None)
        if is_past(moment):
            self.close()
            raise self._deadlines.passed("idle", time.monotonic(), by)
        self._alarm.set(moment)
        try:
            return self._next(moment, by)
        finally:
            self._alarm.set(until)

    def _next(self, moment: float | None, by: float | None) -> bytes:
        try:
            data = self._body.next()
            if data or not is_past(moment):
                return data
            failure = self._deadlines.passed("idle", time.monotonic(), by)  # the end is our own doing
        except _ERRORS as error:
            if isinstance(error, httpx2.TimeoutException) or is_past(moment):
                failure = self._deadlines.passed("idle", time.monotonic(), by)
            else:
                failure = _failure(error)
                failure.__cause__ = bare(error)
        self.close()
        raise failure from failure.__cause__

    def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        self._deadlines = Deadlines(until=time.monotonic() + DRAIN_S)
        left = DRAIN_BYTES
        try:
            while left > 0 and (data := self.read()):
                left -= len(data)
        except TransportError:
            pass
        self.close()

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended."""
        self._dropped.detach()
        self._body.leave()


class _Parts:
    """What is still to be read. Any thread may leave it.

    While another one waits for bytes the connection is only shut down, which wakes it, and that thread
    closes it: the system gives a closed descriptor to the next connection that is opened.
    """

    def __init__(self, answer: httpx2.Response, alarm: Alarm) -> None:
        self._answer = answer
        self._parts = answer.iter_bytes() if answer.is_stream_consumed else answer.iter_raw()
        self._alarm = alarm
        self._sock = socket_of(answer)
        self._process = os.getpid()  # a forked child may let go of it, and no more
        self._busy = False
        self._left = False

    def next(self) -> bytes:
        """The next bytes, `b""` at the end. Raises what httpx2 does."""
        self._busy = True
        try:
            return b"" if self._left else next(self._parts, b"")
        finally:
            self._busy = False
            if self._left:
                self._answer.close()

    def leave(self) -> None:
        """Close the connection unless the body had ended."""
        self._left = True
        self._alarm.stop()
        if not self._answer.is_closed and self._process == os.getpid():
            shut(self._sock)
        if not self._busy or self._sock is None:
            self._answer.close()


class AsyncHttpx2Transport:
    """Over an `httpx2.AsyncClient`."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self._leaving: set[asyncio.Task[None]] = set()  # the loop itself would not keep them alive

    async def send(self, request: Request, deadlines: Deadlines) -> _AsyncResponse:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        phase: Phase = "connect"
        connected = time.monotonic()
        # To be cancelled while it connects makes httpx2 leave the socket open: it has to see to that itself.
        timeouts = timeouts_of(deadlines, phase, connected)
        timeout = asyncio.timeout_at(at_loop_time(deadlines.until))

        async def trace(event: str, info: Any) -> None:
            nonlocal phase, connected
            if "timeout" in info and event.endswith(
                ".started"
            ):  # a step of connecting: it takes what is left
                info["timeout"] = left_until(deadlines.moment(phase, connected))
                timeout.reschedule(at_loop_time(deadlines.until))
            elif event.startswith("http11.send_request_headers.started"):  # a tunnel's, perhaps
                timeout.reschedule(at_loop_time(deadlines.moment(phase, connected)))
            if stands(event, info):
                phase, connected = "headers", time.monotonic()
                timeouts.clear()
                timeout.reschedule(loop_time(deadlines, "headers"))

        asked = _request(self._client, request, {"timeout": timeouts, "trace": trace})
        try:
            async with timeout:
                answer = await self._client.send(asked, stream=True, follow_redirects=False)
        except (TimeoutError, httpx2.TimeoutException):
            raise deadlines.passed(phase, time.monotonic()) from None
        except _ERRORS as error:
            raise _failure(error, phase) from bare(error)
        leave = partial(self._leave, asyncio.get_running_loop())
        return _AsyncResponse(answer, deadlines, connected, leave)

    async def close(self) -> None:
        """Wait until what was left is closed; closing the client is for who made it."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(task for task in self._leaving if task.get_loop() is loop))

    def _leave(
        self, loop: asyncio.AbstractEventLoop, answer: httpx2.Response, parts: AsyncGenerator[bytes]
    ) -> None:
        if not answer.is_closed and not loop.is_closed():
            task = loop.create_task(_aleave(answer, parts))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


class _AsyncResponse(AsyncBody):
    """An answer whose body is still to be read; who drops it leaves."""

    def __init__(
        self,
        answer: httpx2.Response,
        deadlines: Deadlines,
        connected: float,
        leave: Callable[[httpx2.Response, AsyncGenerator[bytes]], None],
    ) -> None:
        super().__init__(_encoding(answer))
        self.head = _head(answer, connected)
        self._parts = answer.aiter_bytes() if answer.is_stream_consumed else answer.aiter_raw()
        self._deadlines = deadlines
        self._leave = partial(leave, answer, self._parts)
        self._dropped = weakref.finalize(self, soon, asyncio.get_running_loop(), self._leave)

    async def _read(self, by: float | None = None) -> bytes:
        moment = self._deadlines.moment("idle", time.monotonic(), by)
        try:
            async with asyncio.timeout_at(at_loop_time(moment)):
                return await anext(self._parts, b"")
        except TimeoutError:
            self.close()
            raise self._deadlines.passed("idle", time.monotonic(), by) from None
        except _ERRORS as error:
            self.close()
            raise _failure(error) from bare(error)

    async def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        await drain(self)

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended."""
        self._dropped.detach()
        self._leave()


def _request(
    client: httpx2.Client | httpx2.AsyncClient, request: Request, extensions: dict[str, Any]
) -> httpx2.Request:
    if client.is_closed:
        raise DuologueError("The http_client is closed; requests can only be sent before.")
    return client.build_request(
        request.method,
        request.url,
        content=request.body,
        headers=dict(request.headers),
        extensions=extensions,
    )


def _head(answer: httpx2.Response, connected: float) -> Head:
    version = answer.http_version.removeprefix("HTTP/")
    return Head(answer.status_code, Headers(answer.headers.multi_items()), version, connected)


def _encoding(answer: httpx2.Response) -> str:
    """What is to be undone: nothing where a hook has read the body, or it was there from the beginning."""
    encoding: str = answer.headers.get("content-encoding", "")
    return "" if answer.is_stream_consumed else encoding


async def _aleave(answer: httpx2.Response, parts: AsyncGenerator[bytes]) -> None:
    for close in (parts.aclose, answer.aclose):
        try:
            await close()
        except _ERRORS:  # the connection was broken anyhow
            pass


def _failure(error: BaseException, phase: Phase = "idle") -> TransportError:
    reason = distrust(error)
    if reason is not None:
        return TransportError("certificate", reason)
    text = str(error) or words_of(error)
    kind: Kind = "invalid"
    if phase == "connect" or isinstance(error, _CONNECT):
        kind = "connect"
    elif isinstance(error, _BROKEN) or any(words in text.lower() for words in _CUT):
        kind = "reset"
    return TransportError(kind, first_line(text))
