"""A connected socket whose every wait ends at the deadline of the phase it is in."""

from __future__ import annotations

import base64
import http.client
import io
import os
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ...protocol.transport import READ_BYTES, Deadlines, Phase, TransportError
from ._words import bare, distrust, words_of
from .proxy import ProxyRule, by_way_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["MAX_BESIDES", "Route", "TimedSocket", "connect"]


# How many bytes may come that bring nothing of a body: sizes of chunks, and what stands beside and after them.
MAX_BESIDES = 256 * 1024

_Place = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class Route(NamedTuple):
    """Where a connection leads: to an origin, perhaps through a proxy."""

    scheme: str
    host: str
    port: int
    proxy: str | None

    @classmethod
    def to(cls, url: str, proxy: ProxyRule) -> Route:
        """The route to `url`. Raises `TransportError` where the environment's proxy cannot be used."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname or "", port, proxy(url))

    @property
    def asks_proxy(self) -> bool:
        """Whether requests go to the proxy itself; for https it makes a tunnel instead."""
        return self.proxy is not None and self.scheme == "http"

    def proxy_headers(self) -> dict[str, str]:
        """What the proxy wants to know: who asks, if its URL says so."""
        parts = urlsplit(self.proxy or "")
        if parts.username is None:
            return {}
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return {"Proxy-Authorization": "Basic " + base64.b64encode(user.encode()).decode()}


class TimedSocket:
    """What `http.client` takes for a socket.

    It is closed by `shut` alone: `http.client` closes a socket whose answer says `Connection: close` before
    that answer has been read. Any thread may do so. While another one waits for bytes the connection is only
    shut down, which wakes it, and that thread closes the descriptor: the system gives a closed descriptor to
    the next connection that is opened, and the bytes of that one would be read.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.received = 0  # bytes, since `begin`
        self.ended = False  # the other side has closed its end
        self.process = os.getpid()  # a forked child may let go of it, and no more
        self.by: float | None = None  # when a body is given up, whatever comes
        self._room: int | None = None  # how many bytes may still be received for the present read of a body
        self._socket = sock
        self._busy = False  # a thread sends or receives
        self._shut = False
        self._deadlines = Deadlines()
        self._phase: Phase = "headers"
        self._since = 0.0
        self._timeout: float | None = sock.gettimeout()
        weakref.finalize(self, sock.close)

    def begin(self, deadlines: Deadlines, phase: Phase = "headers", since: float | None = None) -> None:
        """A request is about to be sent; or since `since`, with the `phase` `connect`, a proxy is asked."""
        self.received = 0
        self.by = self._room = None
        self._deadlines, self._since = deadlines, time.monotonic() if since is None else since
        self._phase = phase

    @property
    def bare(self) -> socket.socket:
        """The socket itself, for a layer above it."""
        return self._socket

    def read_body(self) -> None:
        """The head has come: from now on each read waits on its own."""
        self._phase = "idle"

    def wait(self, by: float | None) -> None:
        """A read of the body begins, which is given up at `by`."""
        self.by = by
        self._room = MAX_BESIDES

    def passed(self) -> TransportError:
        """The error for a wait that ended in a `TimeoutError`."""
        return self._deadlines.passed(self._phase, time.monotonic(), self.by)

    def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        self._busy = True
        try:
            self._arm()
            self._socket.sendall(data)
        finally:
            self._rest()

    def recv_into(self, buffer: WriteableBuffer) -> int:
        """Receive what there is, at least one byte; 0 at the end."""
        if self._room is not None and self._room <= 0:
            raise ConnectionAbortedError(f"{MAX_BESIDES} bytes came that bring nothing of the body")
        self._busy = True
        try:
            self._arm()
            count = self._socket.recv_into(buffer)
        finally:
            self._rest()
        self.received += count
        if self._room is not None:
            self._room -= count
        self.ended = not count
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """The socket as a file to read from."""
        del mode
        return io.BufferedReader(_Raw(self), READ_BYTES)

    def is_quiet(self) -> bool:
        """Whether nothing has come: not even the end of the connection."""
        sock = self._socket
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return False
        if not hasattr(select, "poll"):  # Windows
            return not select.select([sock], [], [], 0)[0]
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """What `http.client` calls; see the class."""

    def shut(self) -> None:
        """Close the connection at once; a thread that waits for its bytes wakes up."""
        self._shut = True
        if self.process == os.getpid():
            try:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # for TLS, too, below its layer
            except OSError:  # the other side was faster
                pass
        if not self._busy:
            self._socket.close()

    def _rest(self) -> None:
        self._busy = False
        if self._shut:
            self._socket.close()

    def _arm(self) -> None:
        if self._shut:
            raise ConnectionAbortedError("the connection was closed by this side")
        timeout = self._deadlines.idle
        if self._phase != "idle" or self._deadlines.until is not None or self.by is not None:
            now = time.monotonic()
            since = now if self._phase == "idle" else self._since
            moment = self._deadlines.moment(self._phase, since, self.by)
            timeout = None if moment is None else moment - now
            if timeout is not None and timeout <= 0:
                raise TimeoutError
        if timeout != self._timeout:  # most often it stays, which saves a system call
            self._socket.settimeout(timeout)
            self._timeout = timeout


class _Raw(io.RawIOBase):
    """The reading side for `io.BufferedReader`."""

    def __init__(self, sock: TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._sock.recv_into(buffer)


class _Answer(http.client.HTTPResponse):
    """The answer itself, stricter than in `http.client`.

    Heads that only announce it are passed over, as `http.client` does with 100 alone; what cannot be the
    length of a body, or the frame of a chunk, is refused.
    """

    def begin(self) -> None:
        super().begin()
        while 100 < self.status < 200 and self.status != http.client.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment] # else it takes the next head for read
            super().begin()
        lengths = {
            length.strip()
            for field in self.headers.get_all("content-length", ())
            for length in field.split(",")
        }
        if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
            raise http.client.HTTPException("its content-length is not one number of bytes")

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc] # not in typeshed
        if size < 0:
            raise http.client.IncompleteRead(b"")
        return size

    def _safe_read(self, amt: int) -> bytes:
        """The end of a chunk: `read1` reads nothing else by this."""
        data: bytes = super()._safe_read(amt)  # type: ignore[misc] # not in typeshed
        if data != b"\r\n":
            raise http.client.IncompleteRead(b"")
        return data


def connect(
    route: Route, deadlines: Deadlines, tls: Callable[[], ssl.SSLContext]
) -> tuple[http.client.HTTPConnection, TimedSocket]:
    """A new connection along `route`, for one caller. Raises `TransportError`."""
    began = time.monotonic()
    moment = deadlines.moment("connect", began)
    host, port = route.host, route.port
    if route.proxy is not None:
        parts = urlsplit(route.proxy)
        host, port = parts.hostname or "", parts.port or 80
    connection = http.client.HTTPConnection(host, port)
    connection.response_class = _Answer
    connection.auto_open = 0  # a connection that is lost is this package's affair
    tunnels = route.proxy is not None and not route.asks_proxy
    if tunnels:
        connection.set_tunnel(route.host, route.port, route.proxy_headers())
    timed: TimedSocket | None = None
    try:
        connection.sock = timed = TimedSocket(_dialled(host, port, moment))
        timed.begin(deadlines, "connect", began)
        if tunnels:
            connection._tunnel()  # type: ignore[attr-defined] # `connect` would wait anew for each byte
        if route.scheme == "https":
            connection.sock = timed = TimedSocket(_wrapped(timed.bare, tls(), route.host, moment))
    except BaseException as error:
        if timed is not None:
            timed.shut()
        if isinstance(error, TimeoutError):
            raise deadlines.passed("connect", time.monotonic()) from None
        if not isinstance(error, (OSError, http.client.HTTPException)):
            raise
        reason = distrust(error)
        if reason is not None:
            raise TransportError("certificate", reason) from bare(error)
        raise TransportError("connect", words_of(error) + by_way_of(route.proxy)) from bare(error)
    return connection, timed


def _dialled(host: str, port: int, moment: float | None) -> socket.socket:
    """A socket that is connected by `moment`: each address is given its share of the time that is left."""
    problem = OSError("the name has no address")
    places = _looked_up(host, port, moment)
    for tried, (family, kind, protocol, _, address) in enumerate(places):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # of a family that this machine does not have
            problem = error
            continue
        try:
            left = _left(moment, time.monotonic())
            sock.settimeout(None if left is None else left / (len(places) - tried))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            problem = error
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem


def _looked_up(host: str, port: int, moment: float | None) -> Sequence[_Place]:
    """The addresses of `host`. The system's resolver knows no deadline, so another thread waits for it."""
    found: Future[Sequence[_Place]] = Future()

    def look() -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except BaseException as error:
            found.set_exception(error)

    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:  # no address but a name
        pass
    try:
        threading.Thread(target=look, name="duologue-resolver", daemon=True).start()
    except RuntimeError:  # the system has no more threads, or the interpreter is ending
        look()
    return found.result(_left(moment, time.monotonic()))


def _wrapped(sock: socket.socket, context: ssl.SSLContext, host: str, moment: float | None) -> ssl.SSLSocket:
    sock.settimeout(_left(moment, time.monotonic()))
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except OSError as error:
        # Some releases of Python leave it open where the connection was lost before the handshake.
        trace = error.__traceback__
        while trace is not None:
            half = trace.tb_frame.f_locals.get("self")
            if isinstance(half, ssl.SSLSocket):
                half.close()
            trace = trace.tb_next
        raise


def _left(moment: float | None, now: float) -> float | None:
    if moment is None:
        return None
    if moment <= now:
        raise TimeoutError
    return moment - now
