"""A server that does what a test tells it, byte by byte, for tests of the client.

    with WireServer(json_answer({...}, status=429), sse(body, cut=100, ending="reset")) as server:
        Client(base_url=server.url) ...

The answers are given in turn, the last one to every further request. Each connection has a thread; what an
answer does to it is done over a real socket. With `reads_bodies=False` an answer is given to the head alone.
With `tls` it speaks TLS. `greet` is called with each new connection before anything else; where it returns
nothing true, the connection is over.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, Self

__all__ = [
    "CHUNK",
    "COMPLETION",
    "DONE",
    "HI",
    "PATIENCE_S",
    "Answer",
    "Asked",
    "Ending",
    "Framing",
    "Peer",
    "WireServer",
    "chunk",
    "event",
    "events",
    "json_answer",
    "raw",
    "refused_url",
    "sse",
]

HI: Any = {"role": "user", "content": "Hi"}

# A server that waits for its client waits no longer than this.
PATIENCE_S = 5.0

Framing = Literal["chunked", "length", "close"]
# How the bytes end: all of them and the body's end, all of them and no end while the connection stays, or
# the connection closed, orderly or by a reset.
Ending = Literal["whole", "open", "closed", "reset"]

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1750000000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello there", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def chunk(content: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of the one choice."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1750000000, "model": "m"}
    return {**head, "choices": [choice], **more}


def event(value: Any) -> bytes:
    """A `data:` event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def events(*contents: str, finish: str | None = "stop", done: bool = True) -> bytes:
    """The body of a stream with these contents."""
    values = [chunk(content) for content in contents]
    for first in values[:1]:
        first["choices"][0]["delta"]["role"] = "assistant"
    values += [chunk(finish=finish)] if finish else []
    return b"".join(map(event, values)) + (DONE if done else b"")


DONE = b"data: [DONE]\n\n"
CHUNK = event(chunk("Hello"))


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    connection: int  # the number of its connection, from 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """The client's connection, for one answer."""

    def __init__(self, sock: socket.socket, asked: Asked) -> None:
        self.asked = asked
        self.open = True
        self._socket = sock

    def send(self, data: bytes) -> None:
        """Send `data`; a client that has left is no error here."""
        try:
            self._socket.sendall(data)
        except OSError:
            self.open = False

    def close(self) -> None:
        """Close the connection in an orderly way."""
        self.open = False
        self._socket.close()

    def reset(self) -> None:
        """Break the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def half_close(self) -> None:
        """Send no more, and still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def drain(self) -> None:
        """Read and forget what the client sends until it closes the connection."""
        self.open = False
        self._socket.settimeout(PATIENCE_S)
        while self._socket.recv(65536):
            pass

    def tunnel(self, port: int) -> None:
        """Let the bytes through to a port of this machine and back, as a proxy does."""
        self.open = False
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as there:
            self._socket.settimeout(PATIENCE_S)
            self._socket.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            other = {self._socket: there, there: self._socket}
            while True:
                for ready in select.select(list(other), [], [], PATIENCE_S)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)

    def gone(self) -> bool:
        """Wait until the client has closed the connection; whether it has."""
        self.open = False
        self._socket.settimeout(PATIENCE_S)
        try:
            return self._socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Answer = Callable[[Peer], None]


class WireServer:
    """Listens on a free loopback port while it is entered."""

    def __init__(
        self,
        *answers: Answer,
        reads_bodies: bool = True,
        tls: ssl.SSLContext | None = None,
        greet: Callable[[socket.socket], object] | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._reads_bodies = reads_bodies
        self._tls = tls
        self._greet = greet
        self._answers = list(answers)
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}/v1"
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "an answer did not end"

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                number, self.connections = self.connections, self.connections + 1
                self._open.append(sock)
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._greet is not None and not self._greet(sock):
                sock.close()
                return
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open.append(sock)
        except OSError:  # the client has left, or one side does not trust the other
            sock.close()
            return
        with sock:
            while True:
                try:
                    asked = _read_request(sock, number, self._reads_bodies)
                except OSError:
                    return
                if asked is None:
                    return
                with self._lock:
                    answer = self._answers[min(len(self.asked), len(self._answers) - 1)]
                    self.asked.append(asked)
                peer = Peer(sock, asked)
                try:
                    answer(peer)
                except TimeoutError:  # the client does not do what the answer waits for
                    raise
                except OSError:  # the client has left, which it may
                    return
                if not peer.open:
                    return


def _read_request(sock: socket.socket, number: int, whole: bool) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while whole and len(body) < int(headers.get("content-length", 0)):
        more = sock.recv(65536)
        if not more:  # the client has left in the middle of its request
            return None
        body += more
    return Asked(method, target, headers, body, number)


def raw(*pieces: bytes, ending: Ending = "closed") -> Answer:
    """These very bytes, each sent on its own, then the ending."""

    def answer(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)
        if ending == "closed":
            peer.close()
        elif ending == "reset":
            peer.reset()
        elif ending == "open":
            peer.gone()

    return answer


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] = {}) -> Answer:
    """A JSON body, or text or bytes as they are; the connection stays."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    return raw(_head(status, fields) + body, ending="whole")


def sse(
    body: bytes | Iterable[bytes],
    *,
    framing: Framing = "chunked",
    cut: int | None = None,
    ending: Ending = "whole",
    content_type: str = "text/event-stream",
    headers: Mapping[str, str] = {},
) -> Answer:
    """A stream. With `cut` only so many bytes of the body are sent, under the head of the whole."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    size = sum(map(len, pieces))
    fields = {"content-type": content_type, **headers}
    if framing == "chunked":
        fields["transfer-encoding"] = "chunked"
    elif framing == "length":
        fields["content-length"] = str(size)
    else:
        fields["connection"] = "close"
    if cut is not None:
        pieces = [b"".join(pieces)[:cut]]
    if framing == "chunked":
        pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
        pieces += [b"0\r\n\r\n"] if cut is None and ending == "whole" else []
    if framing == "close" and ending == "whole":
        ending = "closed"
    return raw(_head(200, fields), *pieces, ending=ending)


def _head(status: int, fields: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode("latin-1")


def refused_url() -> str:
    """A URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
