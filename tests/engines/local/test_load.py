"""Many streams at once from a server with a local model: none starves, and nobody waits for those who left."""

from __future__ import annotations

import asyncio
import json
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from duologue.engines.local import default_engine
from duologue.engines.local.model import Model
from duologue.run import run_server

STREAMS = 16
TOKENS = 60
# Far above what they are on a machine with nothing else to do: 1.01, 1 ms, and 2.3.
MOST_UNEVEN = 2.0
SLOWEST_HEALTH_S = 0.05
LEAST_GAIN = 1.3
# Of how many pieces the pace is taken.
PIECES = 80


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with run_server(default_engine()) as url:
        parts = urlsplit(url)
        yield parts.hostname or "", parts.port or 0


@asynccontextmanager
async def exchange(
    address: tuple[str, int], method: str, path: str, body: Any = None
) -> AsyncIterator[asyncio.StreamReader]:
    """A request on a connection of its own, and the bytes of its answer as they come."""
    reader, writer = await asyncio.open_connection(*address)
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: {address[0]}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    try:
        yield reader
    finally:
        writer.close()


class Stream:
    """A streamed answer of so many tokens: what has come of it, and how fast."""

    def __init__(self, model: Model, seed: int, tokens: int) -> None:
        self.pieces = 0
        self.finished = False
        self.rate = 0.0
        self._body = {
            "model": "pocket",
            "messages": [{"role": "user", "content": "Tell me a story."}],
            "stream": True,
            "seed": seed,
            "temperature": 2,
            "max_tokens": tokens,
            "logit_bias": {str(token): -100 for token in model.ends},
        }

    async def run(self, address: tuple[str, int]) -> None:
        began = time.perf_counter()
        async with exchange(address, "POST", "/v1/chat/completions", self._body) as answer:
            async for line in answer:
                if line.startswith(b"data: {"):
                    self.pieces += 1
                    self.finished |= b'"finish_reason":"length"' in line
        self.rate = self.pieces / (time.perf_counter() - began)


async def measure_health(address: tuple[str, int], times: list[float]) -> None:
    while True:
        began = time.perf_counter()
        async with exchange(address, "GET", "/health") as answer:
            assert (await answer.read()).startswith(b"HTTP/1.1 200")
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_many_streams_go_on_at_the_same_pace_and_the_server_stays_awake(address, model):
    await Stream(model, 0, 1).run(address)
    streams = [Stream(model, seed, TOKENS) for seed in range(STREAMS)]
    times: list[float] = []
    health = asyncio.create_task(measure_health(address, times))
    await asyncio.gather(*(stream.run(address) for stream in streams))
    health.cancel()
    assert all(stream.finished for stream in streams)
    rates = [stream.rate for stream in streams]
    assert max(rates) / min(rates) <= MOST_UNEVEN
    assert len(times) >= 3
    assert statistics.median(times) < SLOWEST_HEALTH_S


async def test_streams_that_are_left_free_their_compute_at_once(address, model):
    """Three of four leave: the others go on faster within a moment."""
    streams = [Stream(model, seed, 10_000) for seed in range(STREAMS)]
    tasks = [asyncio.create_task(stream.run(address)) for stream in streams]
    staying = streams[::4]

    def come() -> int:
        return sum(stream.pieces for stream in staying)

    async def pace() -> float:
        """Pieces that come to those who stay, per second that this process computes: others' load is no matter."""
        before, began = come(), time.process_time()
        await until(lambda: come() >= before + PIECES)
        return (come() - before) / (time.process_time() - began)

    await until(lambda: all(stream.pieces for stream in streams))
    together = await pace()
    for at, task in enumerate(tasks):
        if at % 4:
            task.cancel()
    await asyncio.sleep(0.05)
    alone = await pace()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert alone > LEAST_GAIN * together
    await until(lambda: all(thread.name != "duologue-pocket" for thread in threading.enumerate()))
