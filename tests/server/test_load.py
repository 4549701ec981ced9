"""Many streams at once: they complete, they stop when they are left, and `/health` answers throughout."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from duologue import create_app
from duologue.run import run_server
from support.legal import check_stream
from support.raw import HI, ask, connect, wait_for

STREAMS, CHUNKS = 200, 20
LEAVING, STAYING = 20, 20


async def waiting(request):
    for number in range(CHUNKS):
        await asyncio.sleep(0.001)
        yield f"{number} "


async def never_waiting(request):
    for number in range(CHUNKS):
        yield f"{number} "


def blocking(request) -> Iterator[str]:
    for number in range(CHUNKS):
        time.sleep(0.001)
        yield f"{number} "


WHOLE = "".join(f"{number} " for number in range(CHUNKS))


def post(model: str) -> bytes:
    body = json.dumps({"model": model, "stream": True, "messages": [HI]}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def read_stream(address: tuple[str, int], model: str) -> bytes:
    """The body of one answer, which the chunked coding is left out of."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(post(model))
    received = await reader.read(-1)
    writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), received
    return b"".join(body.split(b"\r\n")[1::2])


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").removesuffix("/v1").rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("engine", [waiting, never_waiting, blocking], ids=lambda engine: engine.__name__)
async def test_many_streams_at_once_are_all_complete(engine):
    """Each is legal and has every chunk, in its order."""
    with run_server(engine) as url:
        address = address_of(url)
        bodies = await asyncio.gather(*(read_stream(address, engine.__name__) for _ in range(STREAMS)))
    for body in bodies:
        chunks, error = check_stream(body)
        assert error is None
        assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == WHOLE


class Run:
    """One run of an engine without an end."""

    def __init__(self):
        self.made = self.made_when_left = 0
        self.left_at = self.closed_at = 0.0


def endless(runs: list[Run], kind: str, size: int = 100) -> Any:
    piece = "x" * size

    async def awaits(request):
        run = Run()
        runs.append(run)
        try:
            while True:
                run.made += 1
                yield piece
                await asyncio.sleep(0.01)
        finally:
            run.closed_at = time.monotonic()

    async def busy(request):
        run = Run()
        runs.append(run)
        try:
            while True:
                run.made += 1
                yield piece
        finally:
            run.closed_at = time.monotonic()

    def blocks(request) -> Iterator[str]:
        run = Run()
        runs.append(run)
        try:
            while True:
                run.made += 1
                yield piece
        finally:
            run.closed_at = time.monotonic()

    return {"awaits": awaits, "busy": busy, "blocks": blocks}[kind]


@pytest.mark.parametrize("kind", ["awaits", "busy", "blocks"])
def test_when_half_of_the_clients_vanish_their_engines_stop(kind):
    """Soon, without another event from those that wait; the others go on, and `/health` answers throughout."""
    runs: list[Run] = []
    stop = threading.Event()
    answered: list[float] = []

    def look(url: str) -> None:
        while not stop.is_set():
            begun = time.monotonic()
            assert ask(url, "/health", method="GET").status == 200
            answered.append(time.monotonic() - begun)

    with run_server(endless(runs, kind), reader_idle=30) as url, ExitStack() as stack:
        leaving = [connect(url, post(kind)) for _ in range(LEAVING)]
        assert wait_for(lambda: len(runs) == LEAVING)
        left = list(runs)
        for _ in range(STAYING):
            stack.enter_context(connect(url, post(kind)))
        assert wait_for(lambda: len(runs) == LEAVING + STAYING)
        watcher = threading.Thread(target=look, args=(url,))
        watcher.start()
        for connection in leaving:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        left_at = time.monotonic()
        for run in left:
            run.made_when_left = run.made
        assert wait_for(lambda: all(run.closed_at for run in left))
        assert not any(run.closed_at for run in runs if run not in left)
        stop.set()
        watcher.join(10)
        assert answered
        # By the promise 50 ms or 64 KiB; a loaded machine has some more of the former.
        for run in left:
            late = run.closed_at - left_at
            more = (run.made - run.made_when_left) * 100
            assert late < 0.5 or more < 65_536
            assert kind != "awaits" or run.made - run.made_when_left <= 1 + late / 0.01


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="plain"),
        pytest.param({"stop": "zz"}, id="stop"),
        pytest.param({"n": 2}, id="n"),
        pytest.param({"response_format": {"type": "json_object"}}, id="held-back"),
    ],
)
async def test_busy_engines_share_the_time_until_the_loop_has_its_turn(fields):
    """Ten of them together take about one `breath`, whatever the server does over what they yield."""
    runs: list[Run] = []
    app = create_app(endless(runs, "busy"), breath=0.01)
    body = json.dumps({"model": "busy", "stream": True, "messages": [HI], **fields}).encode()
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}

    async def ask_app() -> None:
        messages = [{"type": "http.request", "body": body}]

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            pass

        await app(dict(scope), receive, send)

    asking = [asyncio.ensure_future(ask_app()) for _ in range(10)]
    turns = []
    while len(turns) < 15:
        begun = time.thread_time()
        await asyncio.sleep(0)
        if len(runs) == 10 * fields.get("n", 1):
            turns.append(time.thread_time() - begun)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    # By the time of the processor, of which other programs take no part; without sharing it is several breaths.
    assert sorted(turns)[len(turns) // 2] < 0.02


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("kind", ["busy", "blocks"])
def test_many_slow_readers_hold_little(kind):
    """What the engines made but nobody read fits the buffers, and they rest; others are answered as ever."""
    runs: list[Run] = []
    readers, size = 200, 20_000

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def still() -> bool:
        made = [run.made for run in runs]
        for connection in connections:
            assert connection.recv(1)
        time.sleep(0.1)
        return made == [run.made for run in runs]

    with run_server({kind: endless(runs, kind, size), "waiting": waiting}) as url, ExitStack() as stack:
        assert ask(url, model="waiting").status == 200
        before = resident()
        connections = []
        for _ in range(readers):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.connect(address_of(url))
            connection.sendall(post(kind))
            connections.append(connection)
        assert wait_for(lambda: len(runs) == readers, 20)
        assert wait_for(still, 20)
        held = resident() - before
        for stream in (False, True):
            other = ask(url, model="waiting", stream=stream)
            assert other.status == 200
            assert f"{CHUNKS - 1} ".encode() in other.body
        # A buffer of 64 KiB, a chunk and some more for each; where they block, 16 chunks and a thread.
        assert held < readers * 512 * 1024
        assert max(run.made for run in runs) * size < 16_000_000  # with what the system buffers
