"""Blocking requests over the standard library's `http.client`, with a small pool of connections."""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

from ...protocol.transport import (
    DRAIN_BYTES,
    DRAIN_S,
    READ_BYTES,
    Deadlines,
    Head,
    Headers,
    Request,
    TransportError,
)
from ._inflate import Body
from ._socket import Route, TimedSocket, connect
from ._words import bare, words_of
from .proxy import ProxyRule, proxy_for

__all__ = ["MAX_IDLE", "MAX_IDLE_S", "HttpClientTransport"]

# Connections that wait for their next request: how many at most, and for how many seconds.
MAX_IDLE = 64
MAX_IDLE_S = 15.0


class HttpClientTransport:
    """Connections in use are as many as there are callers; at most `MAX_IDLE` are kept when they are done.

    `proxy` says which proxy is asked for what; `ssl_context` stands in place of the standard one.
    """

    def __init__(self, *, proxy: ProxyRule = proxy_for, ssl_context: ssl.SSLContext | None = None) -> None:
        self._proxy = proxy
        self._process = 0
        self._mine()
        self._tls = ssl_context

    def send(self, request: Request, deadlines: Deadlines) -> _Response:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        route = Route.to(request.url, self._proxy)
        while True:
            kept = self._take(route)
            connection = kept or _Connection(route, deadlines, self._tls_context)
            try:
                return connection.exchange(request, deadlines, self._keep)
            except TransportError as error:
                connection.close()
                # A kept connection that was closed before it had taken the whole request: nobody has acted
                # on it, and it is no failure to speak of. Once all is sent nobody knows, and whether to
                # send again is not decided here.
                if kept is None or error.kind != "reset" or connection.sent or connection.socket.received:
                    raise
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._mine():
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _mine(self) -> threading.Lock:
        """The lock of this process. After a fork connections, and perhaps the lock, are held by the parent."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock = threading.Lock()
            self._idle: deque[_Connection] = deque()
        return self._lock

    def _keep(self, connection: _Connection) -> None:
        if connection.socket.process != os.getpid():
            return
        with self._mine():
            self._idle.append(connection)
            surplus = self._idle.popleft() if len(self._idle) > MAX_IDLE else None
        if surplus is not None:
            surplus.close()

    def _take(self, route: Route) -> _Connection | None:
        """A connection that can be used again, the latest used one first."""
        while True:
            with self._mine():
                found = next((kept for kept in reversed(self._idle) if kept.route == route), None)
                if found is None:
                    return None
                self._idle.remove(found)
            if found.is_usable():
                return found
            found.close()

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            self._tls = context
        return self._tls


class _Connection:
    """One connection, for one exchange after the other."""

    def __init__(self, route: Route, deadlines: Deadlines, tls: Callable[[], ssl.SSLContext]) -> None:
        self.route = route
        self._http, self.socket = connect(route, deadlines, tls)
        self.ready = self.idle_since = time.monotonic()
        self.sent = False  # the whole of the present request

    def exchange(
        self, request: Request, deadlines: Deadlines, keep: Callable[[_Connection], None]
    ) -> _Response:
        """Send a request and wait for the head of its answer; `keep` takes the connection back."""
        parts = urlsplit(request.url)
        target = parts._replace(scheme="", netloc="").geturl()
        headers = {"Host": parts.netloc.rpartition("@")[2], **request.headers}
        if self.route.asks_proxy:
            target, headers = request.url, headers | self.route.proxy_headers()
        self.ready = time.monotonic()
        self.sent = False
        self.socket.begin(deadlines)
        try:
            try:
                self._http.request(request.method, target, request.body, headers)
                self.sent = True
            except ConnectionError:
                # A server may refuse a large body before it has read it: its answer is what counts.
                if self.socket.is_quiet():
                    raise
            answer = self._http.getresponse()
            if self.socket.ended:  # http.client takes a head that is cut off for a whole one
                raise http.client.RemoteDisconnected("the connection was closed inside the head")
            if answer.headers.defects:  # and one with lines that are no headers
                raise http.client.HTTPException("the head holds a line that is no header")
        except (OSError, http.client.HTTPException) as error:
            raise _failure(error, self.socket) from bare(error)
        self.socket.read_body()
        return _Response(self, answer, keep)

    def is_usable(self) -> bool:
        """Whether it has not waited too long, and the server has not closed it."""
        return time.monotonic() - self.idle_since < MAX_IDLE_S and self.socket.is_quiet()

    def close(self) -> None:
        """Close it at once."""
        self.socket.shut()


class _Response(Body):
    """An answer whose body is still to be read."""

    def __init__(
        self,
        connection: _Connection,
        answer: http.client.HTTPResponse,
        keep: Callable[[_Connection], None],
    ) -> None:
        version = "1.0" if answer.version == 10 else "1.1"
        self.head = Head(answer.status, Headers(answer.getheaders()), version, connection.ready)
        super().__init__(self.head.headers.get("content-encoding", ""))
        self._connection = connection
        self._answer = answer
        self._keep = keep
        self._closed = False

    def _read(self, by: float | None) -> bytes:
        self._connection.socket.wait(by)
        try:
            data = self._answer.read1(READ_BYTES)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            raise _failure(error, self._connection.socket) from bare(error)
        if data:
            return data
        if self._answer.length:  # http.client takes a body that is too short for a whole one
            self.close()
            raise TransportError("reset", f"{self._answer.length} bytes of the body are missing")
        self._end()
        return b""

    def release(self) -> None:
        """Nothing more is wanted: keep the connection if the body ends within `DRAIN_S`, else close it."""
        self._connection.socket.begin(Deadlines(headers=DRAIN_S))
        left = DRAIN_BYTES
        try:
            while left > 0 and (data := self.read()):
                left -= len(data)
        except TransportError:
            pass
        self.close()

    def close(self) -> None:
        """Leave at once; the connection is closed unless the body had ended."""
        if not self._closed:
            self._closed = True
            self._connection.close()

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            self._answer.close()
            if self._answer.will_close:
                self._connection.close()
            else:
                self._connection.idle_since = time.monotonic()
                self._keep(self._connection)


def _failure(error: Exception, sock: TimedSocket) -> TransportError:
    if isinstance(error, TimeoutError):
        return sock.passed()
    text = words_of(error)
    foreign = isinstance(error, http.client.HTTPException) and not _is_end(error)
    return TransportError("invalid" if foreign else "reset", text)


def _is_end(error: Exception) -> bool:
    return isinstance(error, (http.client.RemoteDisconnected, http.client.IncompleteRead))
