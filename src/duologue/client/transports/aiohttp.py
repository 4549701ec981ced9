"""Asynchronous requests over aiohttp."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Self, cast

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ...protocol.transport import Deadlines, Head, Headers, Kind, Phase, Request, TransportError
from ._loop import soon
from ._watch import Watch, drain, loop_time
from ._words import first_line, words_of
from .proxy import proxy_for

__all__ = ["MAX_CONNECTIONS", "AiohttpTransport"]

# Connections on one event loop; a request beyond waits, and `timeout.connect` counts.
MAX_CONNECTIONS = 1000

# aiohttp warns of larger bodies unless they come in pieces.
_WHOLE_BYTES = 1024 * 1024

# What aiohttp raises. RuntimeError: the session was closed meanwhile. HttpProcessingError: its parser's.
_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError)

# The kind of a failure, by the first line that fits; the others are "invalid".
_KINDS: Mapping[Kind, tuple[type[BaseException], ...]] = {
    "connect": (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError),
    "reset": (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError, RuntimeError),
}

# Errors whose text and values hold the request: its URL with the query, its headers with the key.
_TELLTALE = (aiohttp.ClientResponseError, aiohttp.InvalidURL)


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
        # Twice round the loop: what has come is read now, so that a connection which the server has closed
        # is not used again. One that it closes later may have brought it the request: that is a failure
        # like any other, and whether to send again is not decided here.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            answer, connected = await _Attempt(request, deadlines).run(await self._session())
        except _ERRORS as error:
            raise _failure(error) from _cause(error)
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
    trace.on_connection_reuseconn.append(_on_connected)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        trace_configs=[trace],
        response_class=_Answer,
    ) as session:
        yield session


class _Answer(aiohttp.ClientResponse):
    """Remembers what carried it: its connection is given back as soon as the body has ended."""

    carrier: asyncio.Transport | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> Self:
        self.carrier = connection.transport
        await super().start(connection)
        return self


class _Attempt:
    """One request on its way to an answer, and which deadline it is under."""

    def __init__(self, request: Request, deadlines: Deadlines) -> None:
        self._request = request
        self._deadlines = deadlines
        self._proxy = proxy_for(request.url)
        self._phase: Phase = "connect"
        self._connected = 0.0
        self._timeout = asyncio.timeout_at(loop_time(deadlines, "connect"))

    async def run(self, session: aiohttp.ClientSession) -> tuple[_Answer, float]:
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
        return cast("_Answer", answer), self._connected

    def connected(self) -> None:
        """The connection stands: now the answer is waited for."""
        self._phase = "headers"
        self._connected = time.monotonic()
        self._timeout.reschedule(loop_time(self._deadlines, "headers"))


async def _on_connected(_session: Any, context: Any, _params: Any) -> None:
    context.trace_request_ctx.connected()


class _Response:
    """An answer whose body is still to be read.

    Until it is closed it holds its transport: a session ends when nobody holds it, and a stream goes on
    when its client is dropped.
    """

    def __init__(
        self,
        answer: _Answer,
        deadlines: Deadlines,
        connected: float,
        transport: AiohttpTransport,
    ) -> None:
        version = "1.1" if answer.version is None else f"{answer.version.major}.{answer.version.minor}"
        self.head = Head(answer.status, Headers(answer.headers.items()), version, connected)
        self._failed = False
        self._answer = answer
        self._content = answer.content
        self._transport: AiohttpTransport | None = transport
        self._loss = _Loss(answer)
        self._watch = Watch(deadlines, answer.content.set_exception)
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """The next bytes as they arrive, `b""` at the end. Raises `TransportError`."""
        watch = self._watch
        watch.since = time.monotonic()
        try:
            return await self._content.readany()
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

    async def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        if not self._content.at_eof():
            await drain(self)
        self.close()

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended."""
        self._watch.stop()
        self._loss.forget()
        self._answer.close()
        carrier = self._answer.carrier
        if carrier is not None and carrier.is_closing():
            carrier.abort()  # what is not sent of a refused upload must not keep it open
        self._transport = None

    def _arrived(self, error: BaseException) -> bytes:
        """What had come before `error`: aiohttp raises before it hands that out."""
        content = self._content
        content.set_exception(None)  # type: ignore[arg-type] # the way to take one back
        try:
            return content.read_nowait()
        finally:
            content.set_exception(error)

    def __del__(self) -> None:
        if not self._answer.closed:
            soon(self._loop, self.close)


class _Loss:
    """Ends a body whose connection is lost.

    aiohttp does not when its parser gives up inside the body: it closes the connection, and the reader
    would wait until the deadline. (Where that happens in the packet that brought the head, there is no
    response at all: `session.request` raises, and what had come is lost.)
    """

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._content = answer.content
        connection = answer.connection  # None when the body is whole already
        protocol = None if connection is None else connection.protocol
        # Not every release of aiohttp that is supported has it; without it the deadline ends the body.
        self._closed: asyncio.Future[None] | None = getattr(protocol, "closed", None)
        if self._closed is not None:
            # One for each connection, however many answers it brings, and it stays.
            self._closed.remove_done_callback(_heard)
            self._closed.add_done_callback(_heard)
            self._closed.add_done_callback(self._end)

    def forget(self) -> None:
        """The body is of no interest any more."""
        if self._closed is not None:
            self._closed.remove_done_callback(self._end)

    def _end(self, _closed: asyncio.Future[None]) -> None:
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(TransportError("reset", "the body is broken"))


def _heard(closed: asyncio.Future[None]) -> None:
    """Look at the reason, so that asyncio does not log that nobody has."""
    if not closed.cancelled():
        closed.exception()


def _failure(error: BaseException) -> TransportError:
    for kind, types in _KINDS.items():
        if isinstance(error, types):
            return TransportError(kind, _words(error))
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
    return None if isinstance(error, _TELLTALE) else getattr(error, "os_error", error)
