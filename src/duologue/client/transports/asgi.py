"""Requests to an ASGI application in this process, without sockets.

The answer streams: what the application sends is there for the reader at once, and an application that is
`MAX_AHEAD` parts ahead of its reader waits. A reader that leaves is seen as a disconnect. There are no
lifespan events. What an application raises before its answer is whole reaches the caller as the cause of
the client's exception; what it raises later is logged.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from ...protocol.transport import DRAIN_S, AsyncResponse, Deadlines, Head, Headers, Request, TransportError
from ._loop import JOIN_S, LoopThread, soon
from ._watch import Watch, drain, loop_time

__all__ = ["MAX_AHEAD", "ASGIApp", "AsgiTransport", "ThreadedAsgiTransport"]

# How many parts of the body an application may be ahead of its reader.
MAX_AHEAD = 16

Message = MutableMapping[str, Any]
ASGIApp = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

_log = logging.getLogger("duologue.client")


class AsgiTransport:
    """Runs the application as a task beside its caller."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself would not keep them alive

    async def send(self, request: Request, deadlines: Deadlines) -> _Response:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        exchange = _Exchange(request, deadlines)
        task = asyncio.create_task(exchange.run(self._app), name="duologue-asgi")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout_at(loop_time(deadlines, "headers")):
                return _Response(await exchange.begun(), exchange, task)
        except TimeoutError:
            exchange.close()
            raise deadlines.passed("headers", time.monotonic()) from None
        except BaseException:
            exchange.close()
            raise

    async def close(self) -> None:
        """End what still runs on this event loop; what does not end within `JOIN_S` is left alone."""
        loop = asyncio.get_running_loop()
        mine = [task for task in self._tasks if task.get_loop() is loop]
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine, timeout=JOIN_S)


class _Exchange:
    """One request and its answer, between the application's `receive` and `send` and its reader."""

    def __init__(self, request: Request, deadlines: Deadlines) -> None:
        self._request = request
        self._connected = time.monotonic()
        self._head: Head | None = None
        self._unread = True  # the application has not received the request
        self._parts: deque[bytes] = deque()
        self._failure: TransportError | None = None
        self._whole = False  # the application has sent all of the body
        self._left = False  # the reader has gone
        self._over = asyncio.Event()  # one of the two
        self._news = asyncio.Event()  # for the reader
        self._room = asyncio.Event()  # for the application
        self._watch = Watch(deadlines, self._fail)

    # --- the application's side ---

    async def run(self, app: ASGIApp) -> None:
        """Run the application to its end."""
        try:
            await app(self._scope(), self._receive, self._send)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # SystemExit, too: it would end the loop on which the caller waits
            if not (self._whole or self._left):
                failure = TransportError("app", f"{type(error).__name__}: {error}")
                failure.__cause__ = error
                self._fail(failure)
            elif not isinstance(error, OSError):  # a disconnect is no news
                _log.exception("The application raised an exception after its answer had ended")
        finally:
            if not self._whole:
                self._fail(TransportError("reset", "the application returned before its answer was whole"))

    def _scope(self) -> Message:
        url = urlsplit(self._request.url)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self._request.headers.items()]
        port = url.port or (443 if url.scheme == "https" else 80)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": unquote(url.path),
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": "",
            "headers": [(b"host", url.netloc.rpartition("@")[2].encode()), *headers],
            "client": ("127.0.0.1", 0),
            "server": (url.hostname, port),
            "state": {},
        }

    async def _receive(self) -> Message:
        if self._unread:
            self._unread = False
            return {"type": "http.request", "body": self._request.body or b"", "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left or self._failure is not None:
            raise ConnectionResetError("the client has left")
        if message["type"] == "http.response.start":
            fields = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message.get("headers", ())
            ]
            self._head = Head(message["status"], Headers(fields), "1.1", self._connected)
            self._news.set()
        elif message["type"] == "http.response.body":
            await self._add(message.get("body", b""))
            if not message.get("more_body", False):
                self._whole = True
                self._over.set()
                self._news.set()

    async def _add(self, part: bytes) -> None:
        if part:
            self._parts.append(bytes(part))
            self._news.set()
        while len(self._parts) >= MAX_AHEAD and not self._left and self._failure is None:
            self._room.clear()
            await self._room.wait()

    # --- the reader's side ---

    async def begun(self) -> Head:
        """Wait for the head. Raises `TransportError`."""
        while self._head is None:
            if self._failure is not None:
                raise self._failure
            await self._wait()
        return self._head

    async def read(self, by: float | None = None) -> bytes:
        """The next bytes as they arrive, `b""` at the end; given up at `by`. Raises `TransportError`."""
        if by != self._watch.by:
            self._watch.expect(by)
        while not self._parts:
            if self._whole or self._left:
                self._watch.stop()
                return b""
            if self._failure is not None:
                raise self._failure
            await self._wait()
        self._room.set()
        return self._parts.popleft()

    def close(self) -> None:
        """The reader leaves: the application is told, and what it sends goes nowhere."""
        self._left = True
        self._parts.clear()
        self._watch.stop()
        for event in (self._over, self._room, self._news):
            event.set()

    async def _wait(self) -> None:
        self._news.clear()
        self._watch.since = time.monotonic()
        try:
            await self._news.wait()
        finally:
            self._watch.since = None

    def _fail(self, failure: TransportError) -> None:
        self._failure = self._failure or failure
        self._news.set()
        self._room.set()


class _Response:
    """An answer whose body is still to be read."""

    def __init__(self, head: Head, exchange: _Exchange, task: asyncio.Task[None]) -> None:
        self.head = head
        self._task = task  # the transport may be gone before this
        self.read = exchange.read
        self._exchange = exchange
        self._dropped = weakref.finalize(self, soon, asyncio.get_running_loop(), exchange.close)

    async def release(self) -> None:
        """Nothing more is wanted: let the application come to its end if it does so within `DRAIN_S`."""
        await drain(self)

    def close(self) -> None:
        """Leave at once: the application is told, and what it sends goes nowhere."""
        self._dropped.detach()
        self._exchange.close()


class ThreadedAsgiTransport:
    """The same for blocking callers: the application runs on an event loop in a thread of its own.

    The thread lives as long as this transport or one of its open answers. A forked child has another.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._inner = AsgiTransport(app)
        self._lock = threading.Lock()
        self._loop: LoopThread | None = None

    def send(self, request: Request, deadlines: Deadlines) -> _ThreadedResponse:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        with self._lock:
            if self._loop is None or not self._loop.here:
                self._loop = LoopThread()
            loop = self._loop
        moment = deadlines.moment("headers", time.monotonic())
        try:
            answer = loop.run(self._inner.send(request, deadlines), moment)
        except TimeoutError:
            raise deadlines.passed("headers", time.monotonic()) from None
        return _ThreadedResponse(answer, loop, deadlines)

    def close(self) -> None:
        """End what still runs, and the thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and loop.here:
            with suppress(TimeoutError):  # the application blocks the thread
                loop.run(self._inner.close(), time.monotonic() + JOIN_S)
            loop.stop()


class _ThreadedResponse:
    """An answer whose body is still to be read."""

    def __init__(self, inner: AsyncResponse, loop: LoopThread, deadlines: Deadlines) -> None:
        self.head = inner.head
        self._deadlines = deadlines
        self._inner = inner
        self._loop: LoopThread | None = loop  # None when closed

    def read(self, by: float | None = None) -> bytes:
        """The next bytes as they arrive, `b""` at the end; given up at `by`. Raises `TransportError`."""
        loop = self._loop
        if loop is None:
            return b""
        try:
            return loop.run(self._inner.read(by), self._deadlines.moment("idle", time.monotonic(), by))
        except TimeoutError:
            self.close()
            raise self._deadlines.passed("idle", time.monotonic(), by) from None

    def release(self) -> None:
        """Nothing more is wanted: let the application come to its end if it does so within `DRAIN_S`."""
        loop = self._loop
        if loop is not None:
            with suppress(TimeoutError):
                loop.run(self._inner.release(), time.monotonic() + DRAIN_S)
            self.close()

    def close(self) -> None:
        """Leave at once: the application is told, and what it sends goes nowhere."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.soon(self._inner.close)
