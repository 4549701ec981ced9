"""A server of prepared bytes in a process of its own: `python -m bench.source` prints its port and serves.

What is asked for stands in the request's `model`: `SHAPE-COUNT-RATE`, as in `content-200-50`: 200 chunks of that
shape, 50 a second, or all at once with a rate of 0. Without `stream` the same answer comes as one body.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from .material import completion, frames_of
from .peers import ROOT

__all__ = ["serving"]

HOST = "127.0.0.1"
BACKLOG = 1024
BLOCK = 65536  # bytes written at once when nothing is paced

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The source in its own process; gives its base URL."""
    command = (sys.executable, "-m", "bench.source")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield f"http://{HOST}:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


@functools.cache
def _frames(shape: str, count: int) -> tuple[bytes, ...]:
    """The stream, each frame with its HTTP chunk around it."""
    return tuple(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames_of(shape, count))


@functools.cache
def _blocks(shape: str, count: int) -> tuple[bytes, ...]:
    whole = b"".join(_frames(shape, count))
    return tuple(whole[at : at + BLOCK] for at in range(0, len(whole), BLOCK))


@functools.cache
def _body(shape: str, count: int) -> bytes:
    body = completion(shape, count)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # uvloop says RuntimeError of a connection that the client has closed meanwhile.
    with contextlib.suppress(OSError, RuntimeError, asyncio.IncompleteReadError):
        while True:
            await _answer(await _request(reader), writer)


async def _request(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            body = await reader.readexactly(int(line.partition(b":")[2]))
            return json.loads(body) if body else {}
    return {}


async def _answer(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    shape, count, rate = request["model"].split("-")
    if not request.get("stream"):
        writer.write(_body(shape, int(count)))
    elif float(rate):
        writer.write(_HEAD)
        await _pace(_frames(shape, int(count)), 1 / float(rate), writer)
    else:
        writer.write(_HEAD)
        for block in _blocks(shape, int(count)):
            writer.write(block)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _pace(frames: tuple[bytes, ...], gap: float, writer: asyncio.StreamWriter) -> None:
    """By the clock, so that a late wake-up does not slow the stream; streams do not beat in time."""
    clock = asyncio.get_running_loop().time
    due = clock() + gap * random.random()  # when the second chunk is due; the first goes out at once
    for number, frame in enumerate(frames):
        if number:
            await asyncio.sleep(max(0.0, due - clock()))
            due += gap
        writer.write(frame)
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _main() -> None:
    listener = socket.create_server((HOST, 0), backlog=BACKLOG)
    server = await asyncio.start_server(_connection, sock=listener, limit=1 << 24)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
