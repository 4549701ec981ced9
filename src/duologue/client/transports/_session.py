"""The aiohttp session of one event loop, and its connections."""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
from collections.abc import AsyncGenerator
from typing import Any, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler

from ...protocol.transport import READ_BYTES, TransportError
from ._content import Content

__all__ = ["MAX_CONNECTIONS", "Answer", "life_of_session"]

# Connections on one event loop; a request beyond waits, and `timeout.connect` counts.
MAX_CONNECTIONS = 1000

# How much of a head is kept to find its end; one that is longer is left to aiohttp, which refuses it.
MAX_HEAD_BYTES = 64 * 1024

_BLANK_LINE = b"\r\n\r\n"
_EARLY = re.compile(rb"HTTP/1\.[01] 1(?!01)")  # a head that only announces the answer


async def life_of_session(tls: ssl.SSLContext | None) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that ends with its event loop.

    A loop closes the generators that were begun on it, when it shuts down as when nobody holds them any
    more. So no connection is left behind by a client that is used in one `asyncio.run` after the other, or
    that is just dropped.
    """
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_on_connected)
    trace.on_connection_reuseconn.append(_on_connected)
    connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=True if tls is None else tls)
    memory = memoryview(bytearray(READ_BYTES))
    factory: Any = functools.partial(_Protocol, memory, loop=asyncio.get_running_loop())
    connector._factory = factory
    connector._socket_factory = lambda address: _Socket(*address[:3])  # a parameter only since aiohttp 3.12
    async with aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        trace_configs=[trace],
        response_class=Answer,
    ) as session:
        session._retry_connection = False  # whether to send again is not decided here
        yield session


class _Socket(socket.socket):
    """A socket that never closes what uvloop has closed.

    uvloop closes the connections that it was given by itself, and takes its number from the socket then. It
    forgets to (0.23.0) where the peer resets the connection before its TLS handshake has begun. When such a
    socket is collected it would close whatever has got that number since: a file, somebody else's stream.
    """

    _io_refs: int  # above zero where uvloop has it; asyncio's own loop does not touch it

    def __del__(self) -> None:
        if self._io_refs:
            self.detach()
        super().__del__()  # type: ignore[misc] # typeshed does not list it


class _Protocol(ResponseHandler, asyncio.BufferedProtocol):
    """The connection, as aiohttp's own but for two losses, and for where it reads to.

    When aiohttp's parser gives up, the messages of that packet are dropped. So a head is given to it apart
    from what follows: then there is an answer, and what had come of its body. And the reader of a body that
    is broken inside would wait for its deadline: here the body ends with the connection.

    asyncio's own loop gives a `Protocol` 256 KiB of new memory for each read, which costs more than all the rest
    of a read. All connections of a loop read into the same `memory`, one after the other.
    """

    _head: bytes | None = None  # what has come of a head that is waited for

    def __init__(self, memory: memoryview, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._memory = memory

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._memory[:nbytes]))

    def set_response_params(self, **params: Any) -> None:
        self._head = b""
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            super().data_received(data)
            return
        whole, begin = self._head + data, 0
        told = len(self._head)  # so much of the first head is told already
        while self._head is not None and self.exception() is None:
            end = whole.find(_BLANK_LINE, begin)
            if end < 0:
                self._head = whole[begin:] if len(whole) - begin <= MAX_HEAD_BYTES else None
                break
            end += len(_BLANK_LINE)
            self._head = b"" if _EARLY.match(whole, begin) else None
            super().data_received(whole[max(begin, told) : end])
            begin = end
        if type(self._payload) is aiohttp.StreamReader:
            self._payload.__class__ = Content
        rest = whole[max(begin, told) :]
        if rest and self.exception() is None:
            super().data_received(rest)

    def connection_lost(self, exc: BaseException | None) -> None:
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(TransportError("reset", "the body is broken"))


class Answer(aiohttp.ClientResponse):
    """Remembers what carried it: its connection is given back as soon as the body has ended."""

    carrier: asyncio.Transport | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> Self:
        self.carrier = connection.transport
        await super().start(connection)
        return self


async def _on_connected(_session: Any, context: Any, _params: Any) -> None:
    context.trace_request_ctx.connected()
