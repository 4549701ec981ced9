"""Asynchronous requests over aiohttp."""

from __future__ import annotations

import asyncio
import io
import ssl
import time
import weakref
from collections.abc import AsyncGenerator, Mapping
from typing import cast

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ...protocol.transport import Deadlines, Head, Headers, Kind, Phase, Request, TransportError
from ._content import Content
from ._inflate import AsyncBody
from ._loop import soon
from ._session import Answer, life_of_session
from ._watch import Watch, drain, loop_time
from ._words import bare, distrust, first_line, words_of
from .proxy import ProxyRule, by_way_of, proxy_for

__all__ = ["AiohttpTransport"]

# aiohttp warns of larger bodies unless they come in pieces.
_WHOLE_BYTES = 1024 * 1024

# What aiohttp raises. RuntimeError: the session was closed meanwhile. HttpProcessingError: its parser's.
_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError)

# The kind of a failure, by the first line that fits; the others are "invalid".
_KINDS: Mapping[Kind, tuple[type[BaseException], ...]] = {
    "connect": (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL),
    "reset": (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError, RuntimeError),
}

# Errors whose text and values hold the request: its URL with the query, its headers with the key.
_TELLTALE = (aiohttp.ClientResponseError, aiohttp.InvalidURL)


class AiohttpTransport:
    """One session for each event loop that it is used on.

    Cookies are ignored, redirects are not followed, and of the environment only the proxy is read (by
    `proxy_for`, not by aiohttp, which would read passwords from netrc, too). `ssl_context` stands in place
    of the standard one.
    """

    def __init__(self, *, proxy: ProxyRule = proxy_for, ssl_context: ssl.SSLContext | None = None) -> None:
        self._proxy = proxy
        self._tls = ssl_context
        self._lives: dict[asyncio.AbstractEventLoop, AsyncGenerator[aiohttp.ClientSession]] = {}
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def send(self, request: Request, deadlines: Deadlines) -> _Response:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        # Twice round the loop: what has come is read now, so that a connection which the server has closed
        # is not used again. One that it closes later may have brought it the request: that is a failure
        # like any other, and whether to send again is not decided here.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        proxy = self._proxy(request.url)
        attempt = _Attempt(request, deadlines, proxy)
        try:
            answer, connected = await attempt.run(await self._session())
        except _ERRORS as error:
            raise _failure(error, proxy) from _cause(error)
        return _Response(answer, deadlines, connected, self)

    async def close(self) -> None:
        """Close the connections of this event loop, those in use as well."""
        loop = asyncio.get_running_loop()
        if loop in self._lives:
            del self._sessions[loop]
            await self._lives.pop(loop).aclose()

    async def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            await self._forget_closed_loops()
            life = self._lives[loop] = life_of_session(self._tls)
            session = self._sessions[loop] = await anext(life)
        return session

    async def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._lives if loop.is_closed()]:
            del self._lives[loop]
            await self._sessions.pop(loop).close()  # most often its loop has done so


class _Attempt:
    """One request on its way to an answer, and which deadline it is under."""

    def __init__(self, request: Request, deadlines: Deadlines, proxy: str | None) -> None:
        self._request = request
        self._deadlines = deadlines
        self._proxy = proxy
        self._phase: Phase = "connect"
        self._connected = 0.0
        self._timeout = asyncio.timeout_at(loop_time(deadlines, "connect"))

    async def run(self, session: aiohttp.ClientSession) -> tuple[Answer, float]:
        """The answer once its head has come, and when it was connected.

        Raises `TransportError`, and aiohttp's own errors.
        """
        body = self._request.body
        try:
            async with self._timeout:
                answer = await session.request(
                    self._request.method,
                    URL(self._request.url, encoded=True),
                    data=io.BytesIO(body) if body is not None and len(body) > _WHOLE_BYTES else body,
                    headers=dict(self._request.headers),
                    allow_redirects=False,
                    proxy=self._proxy,
                    trace_request_ctx=self,
                )
        except TimeoutError:
            raise self._deadlines.passed(self._phase, time.monotonic()) from None
        return cast("Answer", answer), self._connected

    def connected(self) -> None:
        """The connection stands: now the answer is waited for."""
        self._phase = "headers"
        self._connected = time.monotonic()
        self._timeout.reschedule(loop_time(self._deadlines, "headers"))


class _Response:
    """An answer whose body is still to be read; who drops it leaves."""

    def __init__(
        self,
        answer: Answer,
        deadlines: Deadlines,
        connected: float,
        transport: AiohttpTransport,
    ) -> None:
        version = "1.1" if answer.version is None else f"{answer.version.major}.{answer.version.minor}"
        self.head = Head(answer.status, Headers(answer.headers.items()), version, connected)
        body = self._body = _Body(answer, deadlines, transport)
        self.read = body.read if body.compressed else body._read  # a step less for each chunk
        self._dropped = weakref.finalize(self, soon, asyncio.get_running_loop(), body.close)

    async def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        if not self._body.content.at_eof():
            await drain(self)
        self.close()

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended."""
        self._dropped.detach()
        self._body.close()


class _Body(AsyncBody):
    """What is still to be read.

    Until it is closed it holds its transport: a session ends when nobody holds it, and a stream goes on
    when its client is dropped.
    """

    def __init__(self, answer: Answer, deadlines: Deadlines, transport: AiohttpTransport) -> None:
        super().__init__(answer.headers.get("Content-Encoding", ""))
        content = self.content = answer.content
        self._take = content.take if isinstance(content, Content) else content.readany
        self._failed = False
        self._answer = answer
        self._transport: AiohttpTransport | None = transport
        self._watch = Watch(deadlines, answer.content.set_exception)

    async def _read(self, by: float | None = None) -> bytes:
        watch = self._watch
        watch.since = time.monotonic()
        if by != watch.by:
            watch.expect(by)
        try:
            return await self._take()
        except (*_ERRORS, TransportError) as error:
            # Once only: a server that goes on sending must not put the end off.
            if not self._failed:
                self._failed = True
                arrived = self._arrived(error)
                if arrived:
                    return arrived
            self.close()
            if isinstance(error, TransportError):
                raise
            raise _failure(error) from _cause(error)
        finally:
            watch.since = None

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended."""
        self._watch.stop()
        self._answer.close()
        carrier = self._answer.carrier
        if carrier is not None and carrier.is_closing():
            carrier.abort()  # what is not sent of a refused upload must not keep it open
        self._transport = None

    def _arrived(self, error: BaseException) -> bytes:
        """What had come before `error`: aiohttp raises before it hands that out."""
        content = self.content
        content.set_exception(None)  # type: ignore[arg-type] # the way to take one back
        try:
            return content.read_nowait()
        finally:
            content.set_exception(error)


def _failure(error: BaseException, proxy: str | None = None) -> TransportError:
    reason = distrust(error)
    if reason is not None:
        return TransportError("certificate", reason)
    for kind, types in _KINDS.items():
        if isinstance(error, types):
            return TransportError(kind, _words(error) + (by_way_of(proxy) if kind == "connect" else ""))
    return TransportError("invalid", _words(error))


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with status {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):  # its status is an invention of the parser
        return first_line(error.message)
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL cannot be used"
    if isinstance(error, aiohttp.ServerDisconnectedError):  # its text may be all that had come
        return "the server closed the connection"
    return words_of(error)


def _cause(error: BaseException) -> BaseException | None:
    """What may be shown of `error` in a traceback: what the system said, or nothing where it holds secrets."""
    return None if isinstance(error, _TELLTALE) else bare(getattr(error, "os_error", error))
