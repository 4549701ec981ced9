"""Asynchronous requests over aiohttp."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from yarl import URL

from ...protocol.transport import Deadlines, Head, Headers, Phase, Request, TransportError
from ._watch import Watch, drain, loop_time
from ._words import words_of
from .proxy import proxy_for

__all__ = ["MAX_CONNECTIONS", "AiohttpTransport"]

# Connections on one event loop; a request beyond waits, and `timeout.connect` counts.
MAX_CONNECTIONS = 1000

# aiohttp warns of larger bodies unless they come in pieces.
_WHOLE_BYTES = 1024 * 1024

# A connection that was kept may be closed by the server while the request is on its way to it.
_STALE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class AiohttpTransport:
    """One session for each event loop that it is used on.

    Cookies are ignored, redirects are not followed, and of the environment only the proxy is read (by
    `proxy_for`, not by aiohttp, which would read passwords from netrc, too).
    """

    def __init__(self) -> None:
        self._lives: dict[asyncio.AbstractEventLoop, AsyncGenerator[aiohttp.ClientSession]] = {}
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def send(self, request: Request, deadlines: Deadlines) -> _Response:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        session = await self._session()
        proxy = proxy_for(request.url)
        while True:
            attempt = _Attempt(request, deadlines, proxy)
            try:
                return await attempt.run(session)
            except _STALE as error:
                # Then nobody has seen the request, and it is no failure to speak of.
                if not attempt.reused:
                    raise _failure(error) from error
            except (aiohttp.ClientError, OSError) as error:
                raise _failure(error) from error

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
            life = self._lives[loop] = _life_of_session()
            session = self._sessions[loop] = await anext(life)
        return session

    async def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._lives if loop.is_closed()]:
            del self._lives[loop]
            await self._sessions.pop(loop).close()  # most often its loop has done so


async def _life_of_session() -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that ends with its event loop.

    A loop closes the generators that were begun on it, when it shuts down as when nobody holds them any
    more. So no connection is left behind by a client that is used in one `asyncio.run` after the other, or
    that is just dropped.
    """
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_on_connected)
    trace.on_connection_reuseconn.append(_on_reused)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        trace_configs=[trace],
    ) as session:
        yield session


class _Attempt:
    """One request on its way to an answer, and which deadline it is under."""

    def __init__(self, request: Request, deadlines: Deadlines, proxy: str | None) -> None:
        self.reused = False
        self._request = request
        self._deadlines = deadlines
        self._proxy = proxy
        self._phase: Phase = "connect"
        self._connected = 0.0
        self._timeout = asyncio.timeout_at(loop_time(deadlines, "connect"))

    async def run(self, session: aiohttp.ClientSession) -> _Response:
        """Wait for the head of the answer. Raises `TransportError`, and aiohttp's own errors."""
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
        return _Response(answer, self._deadlines, self._connected)

    def connected(self, *, reused: bool) -> None:
        """The connection stands: now the answer is waited for."""
        self.reused = reused
        self._phase = "headers"
        self._connected = time.monotonic()
        self._timeout.reschedule(loop_time(self._deadlines, "headers"))


async def _on_connected(_session: Any, context: Any, _params: Any) -> None:
    context.trace_request_ctx.connected(reused=False)


async def _on_reused(_session: Any, context: Any, _params: Any) -> None:
    context.trace_request_ctx.connected(reused=True)


class _Response:
    """An answer whose body is still to be read."""

    def __init__(self, answer: aiohttp.ClientResponse, deadlines: Deadlines, connected: float) -> None:
        version = "1.1" if answer.version is None else f"{answer.version.major}.{answer.version.minor}"
        self.head = Head(answer.status, Headers(answer.headers.items()), version, connected)
        self._failed = False
        self._answer = answer
        self._content = answer.content
        self._watch = Watch(deadlines, answer.content.set_exception)
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """The next bytes as they arrive, `b""` at the end. Raises `TransportError`."""
        watch = self._watch
        watch.since = time.monotonic()
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError, TransportError) as error:
            # Once only: a server that goes on sending must not put the end off.
            if not self._failed:
                self._failed = True
                arrived = self._arrived(error)
                if arrived:
                    return arrived
            self.close()
            raise error if isinstance(error, TransportError) else _failure(error) from error
        finally:
            watch.since = None

    async def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        if not self._content.at_eof():
            await drain(self)
        self.close()

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended."""
        self._watch.stop()
        self._answer.close()

    def _arrived(self, error: BaseException) -> bytes:
        """What had come before `error`: aiohttp raises before it hands that out."""
        content = self._content
        content.set_exception(None)  # type: ignore[arg-type] # the way to take one back
        try:
            return content.read_nowait()
        finally:
            content.set_exception(error)

    def __del__(self) -> None:
        if not self._answer.closed and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self.close)
            except RuntimeError:  # the loop was closed meanwhile
                pass


def _failure(error: BaseException) -> TransportError:
    text = words_of(error)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError)):
        return TransportError("connect", text)
    if isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError)):
        return TransportError("reset", text)
    return TransportError("invalid", text)
