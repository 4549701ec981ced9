"""`Timeout(idle_content=...)`: how long the next chunk of a stream may take, whatever else comes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from duologue import AsyncClient, Client, StreamTimeoutError, Timeout
from support.steps import HEAD, piece
from support.wire import CHUNK, Peer, WireServer, events

from .conftest import ASK, Driver

LIMIT = 0.15
DEADLINES = Timeout(idle_content=LIMIT)


def comments(peer: Peer, pause: float) -> None:
    while peer.open:
        peer.send(piece(b": still here\n\n"))
        time.sleep(pause)


@pytest.mark.parametrize(
    "pause",
    [pytest.param(0.01, id="comments"), pytest.param(0, id="flood"), pytest.param(None, id="silence")],
)
@pytest.mark.parametrize("before", [b"", CHUNK], ids=["at-first", "after-a-chunk"])
def test_a_stream_without_chunks_is_given_up(pause: float | None, before: bytes, every: Driver) -> None:
    """In time, and with what had come."""

    def answer(peer: Peer) -> None:
        peer.send(HEAD + (piece(before) if before else b""))
        if pause is None:
            peer.gone()
        else:
            comments(peer, pause)

    began = time.monotonic()
    with WireServer(answer) as server:
        reading = every.read(base_url=server.url, timeout=DEADLINES)
    assert isinstance(reading.error, StreamTimeoutError)
    assert "no chunk came for 0.15 s (timeout.idle_content)" in str(reading.error)
    assert reading.error.phase == "idle_content"
    assert (reading.text, reading.stream.outcome) == ("Hello" if before else "", "truncated")
    assert LIMIT <= time.monotonic() - began < 5


def test_chunks_put_it_off(every: Driver) -> None:
    """It is for each wait anew, so a long stream takes as long as it likes."""
    limit, times = 0.5, 8  # a busy machine may hold a chunk up, but not for so long

    def answer(peer: Peer) -> None:
        peer.send(HEAD)
        for _ in range(times):
            peer.send(piece(CHUNK))
            time.sleep(limit / (times - 1))
        peer.send(piece(events("!")) + b"0\r\n\r\n")

    with WireServer(answer) as server:
        reading = every.read(base_url=server.url, timeout=Timeout(idle_content=limit))
    assert (reading.text, reading.error) == ("Hello" * times + "!", None)
    assert reading.stream.timings.duration > limit


def test_a_slow_caller_is_not_a_slow_server() -> None:
    """Only time that is spent waiting counts, and what had come meanwhile is there."""
    limit = 0.3
    deadlines = Timeout(idle_content=limit)

    def answer(peer: Peer) -> None:
        peer.send(HEAD + piece(CHUNK))
        time.sleep(limit / 2)
        peer.send(piece(b": still here\n\n"))
        time.sleep(limit)
        peer.send(piece(events("!")) + b"0\r\n\r\n")

    async def read(url: str) -> Any:
        async with AsyncClient(base_url=url, timeout=deadlines) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            await anext(stream)
            await asyncio.sleep(1.4 * limit)
            return (await stream.get_final_completion()).text

    with WireServer(answer) as server, Client(base_url=server.url, timeout=deadlines) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        time.sleep(1.4 * limit)
        assert stream.get_final_completion().text == asyncio.run(read(server.url)) == "Hello!"


@pytest.mark.parametrize("pause", [0.01, 0], ids=["comments", "flood"])
def test_an_application_is_given_up(pause: float, both: Driver) -> None:
    """The same in this process."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        while True:
            await asyncio.sleep(pause)
            await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})

    reading = both.read(app=app, timeout=DEADLINES)
    assert isinstance(reading.error, StreamTimeoutError)
    assert (reading.error.phase, reading.text) == ("idle_content", "Hello")


async def test_a_caller_who_is_elsewhere_when_the_time_has_come() -> None:
    """Between two reads nothing is given up, and the next wait is given up in its own time."""
    began = asyncio.get_running_loop().time()

    def answer(peer: Peer) -> None:
        peer.send(HEAD + piece(CHUNK))
        peer.gone()

    with WireServer(answer) as server:
        async with AsyncClient(base_url=server.url, timeout=DEADLINES, max_retries=0) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            await anext(stream)
            await asyncio.sleep(1.5 * LIMIT)
            with pytest.raises(StreamTimeoutError, match="idle_content"):
                await anext(stream)
    assert 2.5 * LIMIT <= asyncio.get_running_loop().time() - began < 5
