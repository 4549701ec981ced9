"""A thousand streams at once: all complete, and what each holds of memory while it is open.

The server runs in a process of its own, whose resident memory is read when every stream has had its first
chunk and none its second. A bare ASGI app does the same with the same generator.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

from .rounds import Comparison, Measure, compare
from .server import Choice, Chunk, Delta

__all__ = ["run"]

STREAMS = 1000
CHUNKS = 100
HOST = "127.0.0.1"

_gate: asyncio.Event | None = None


def _open_gate() -> asyncio.Event:
    global _gate
    _gate = _gate or asyncio.Event()
    return _gate


async def words(request: Any) -> AsyncIterator[str]:
    """The engine of both: one chunk, and the rest when a request says so."""
    said = request.messages[-1].text
    if said == "go":
        _open_gate().set()
    if said != "hello":
        return
    yield "first"
    await _open_gate().wait()
    for _ in range(CHUNKS - 1):
        await asyncio.sleep(0)
        yield " word"


def blocking(request: Any) -> Iterator[str]:
    """A generator that blocks: each of its streams has a thread."""
    if request.messages[-1].text != "hello":
        return
    yield "first"
    for _ in range(CHUNKS - 1):
        time.sleep(0.002)
        yield " word"


class Message(NamedTuple):
    """A message of what is written by hand."""

    text: str


class Request(NamedTuple):
    """A request of what is written by hand."""

    messages: list[Message]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """What people write by hand."""
    if scope["type"] != "http":
        return
    body = msgspec.json.decode((await receive())["body"])
    request = Request([Message(each["content"]) for each in body["messages"]])
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for token in words(request):
        chunk = msgspec.json.encode(Chunk("chatcmpl-1", 1, "words", [Choice(0, Delta(token))]))
        await send({"type": "http.response.body", "body": b"data: " + chunk + b"\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def run() -> list[Comparison]:
    """Memory per open stream; a stream that does not complete is an error."""
    return [
        compare(
            f"load, {STREAMS} streams of {CHUNKS} chunks",
            "KiB of memory per open stream",
            {"duologue": _memory("words"), "bare ASGI app": _memory("bare")},
            ours="duologue",
            peer="bare ASGI app",
            rounds=3,
        ),
        compare(
            f"load, {STREAMS} streams of {CHUNKS} chunks, generator",
            "s until all are complete",
            {"in threads": _seconds("blocking"), "on the event loop": _seconds("words")},
            ours="in threads",
            peer="on the event loop",
            rounds=1,
        ),
    ]


def _memory(kind: str) -> Measure:
    return lambda: _measure(kind)[0]


def _seconds(kind: str) -> Measure:
    return lambda: _measure(kind)[1]


def _measure(kind: str) -> tuple[float, float]:
    """KiB per open stream, and the seconds from the first request to the last `[DONE]`."""
    command = [sys.executable, "-c", f"from bench.load import serve; serve({kind!r})"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return uvloop.run(_load(port, kind, lambda: _resident(server.pid)))
        finally:
            server.kill()


def serve(kind: str) -> None:
    """Serve one of the engines here until killed; prints the port."""
    import socket

    import uvicorn

    from duologue.server import create_app

    app: Any = bare if kind == "bare" else create_app({"words": globals()[kind]})
    listener = socket.create_server((HOST, 0), backlog=2 * STREAMS)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False)).run([listener])


async def _load(port: int, kind: str, resident: Callable[[], float]) -> tuple[float, float]:
    for _ in range(20):  # what is loaded once is no stream's
        await _ask(port, "warm up")
    before = resident()
    begun = time.monotonic()
    opened = await asyncio.gather(*(_open(port, "hello") for _ in range(STREAMS)))
    held = resident() - before
    if kind != "blocking":
        await _ask(port, "go")
    whole = await asyncio.gather(*(_rest(*each) for each in opened))
    seconds = time.monotonic() - begun
    for answer in whole:
        assert answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), answer[-200:]
        assert answer.count(b" word") == CHUNKS - 1
    return held / STREAMS, seconds


async def _ask(port: int, text: str) -> None:
    reader, writer = await _request(port, text)
    await reader.read()
    writer.close()


async def _open(port: int, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream whose first chunk has come."""
    reader, writer = await _request(port, text)
    await reader.readuntil(b"first")
    return reader, writer


async def _request(port: int, text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, port)
    messages = [{"role": "user", "content": text}]
    body = json.dumps({"model": "words", "stream": True, "messages": messages}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    return reader, writer


async def _rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    answer = bytearray()
    while part := await reader.read(65536):
        answer += part
    writer.close()
    return bytes(answer)


def _resident(pid: int) -> float:
    """The resident memory of a process in KiB."""
    status = Path(f"/proc/{pid}/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
    return float(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout)
