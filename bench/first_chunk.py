"""Time to the first chunk: how long after a raw socket has the bytes does each client have the chunk."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from urllib.parse import urlsplit

import openai

import duologue

from .material import frames
from .rounds import Comparison, Measure, compare

__all__ = ["run"]

REQUESTS = 20
GAP = 0.005  # seconds between two chunks: a client that waits for more of them shows


class Source:
    """A server of prepared bytes on a loopback port: one thread per connection, a write per chunk."""

    def __init__(self) -> None:
        self._frames = frames(3)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            while self._take_request(lines):
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for frame in self._frames:
                    connection.sendall(b"%x\r\n%b\r\n" % (len(frame), frame))
                    time.sleep(GAP)
                connection.sendall(b"0\r\n\r\n")

    @staticmethod
    def _take_request(lines: object) -> bool:
        length = 0
        while (line := lines.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        lines.read(length)  # type: ignore[attr-defined]
        return bool(line)


def run() -> list[Comparison]:
    """The raw socket's time is what no client can beat."""
    source = Source()
    ours = duologue.Client(base_url=source.url, api_key="none")
    peer = openai.OpenAI(base_url=source.url, api_key="none")
    return [
        compare(
            "first chunk",
            "ms",
            {
                "duologue": _first_chunk(ours),
                "openai": _first_chunk(peer),
                "raw socket": _first_byte(source.url),
            },
            ours="duologue",
            peer="openai",
            floor="raw socket",
            rounds=11,
        )
    ]


def _first_chunk(client: duologue.Client | openai.OpenAI) -> Measure:
    def measure() -> float:
        spent = 0.0
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            stream = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}], stream=True
            )
            with stream:
                for number, _chunk in enumerate(stream):
                    if number == 0:
                        spent += time.perf_counter() - begun
        return spent / REQUESTS * 1000

    return measure


def _first_byte(url: str) -> Measure:
    address = urlsplit(url)
    assert address.hostname is not None

    def measure() -> float:
        spent = 0.0
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        connection.connect()
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            connection.sock.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
            )
            received = b""
            while b"data: " not in received:
                received += connection.sock.recv(65536)
            spent += time.perf_counter() - begun
            while not received.endswith(b"0\r\n\r\n"):
                received += connection.sock.recv(65536)
        connection.close()
        return spent / REQUESTS * 1000

    return measure
