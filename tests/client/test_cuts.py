"""Streams over real sockets, whole and cut: what arrived is had, and the outcome is what it holds."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from duologue import APIError, AsyncClient, AsyncStream, Client, StreamTruncatedError
from duologue.protocol.codec import encode
from duologue.protocol.read import StreamReader
from duologue.types.chat import ChatCompletionChunk
from support.steps import piece
from support.wire import PATIENCE_S, Ending, Framing, Peer, WireServer, chunk, event, events, raw, sse

from .conftest import ASK, DRIVERS, Driver, Reading

ROOT = Path(__file__).resolve().parents[2]
STREAMS = [
    *(ROOT / "tests" / "data" / "streams" / f"{name}.sse" for name in ("text", "three-choices", "error")),
    ROOT / ".." / "shared" / "recordings" / "tool-call.sse",
]


def offsets(body: bytes) -> list[int]:
    """Places where something else must happen: nothing, inside a line, between events, around [DONE]."""
    done = body.find(b"data: [DONE]")
    first = body.index(b"\n\n")
    around_done = [done - 1, done, done + 9, len(body) - 1] if done > 0 else []
    return sorted({0, 3, first + 1, first + 2, len(body) // 2, *around_done, len(body)})


def expected(data: bytes, n: int, *, clean: bool) -> StreamReader:
    """What the pure machine makes of the same bytes."""
    reader = StreamReader(n=n)
    reader.feed(data)
    reader.close("eof" if clean else "reset")
    return reader


def assert_same(reading: Reading, machine: StreamReader, data: bytes) -> None:
    assert reading.stream.outcome == machine.outcome
    assert [encode(chunk) for chunk in reading.chunks] == [
        encode(chunk) for chunk in StreamReader(n=3).feed(data)
    ]
    partial, whole = reading.stream.completion, machine.completion
    assert (partial and encode(partial)) == (whole and encode(whole))
    assert type(reading.error) is type(machine.error)
    if reading.error is not None:
        assert isinstance(reading.error, APIError)
        assert reading.error.message == str(machine.error)
        assert (reading.error.completion and encode(reading.error.completion)) == (whole and encode(whole))
        assert reading.error.tail == (machine.error and machine.error.tail)


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
@pytest.mark.parametrize("ending", ["closed", "reset"])
@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_cut_stream(every: Driver, framing: Framing, ending: Ending, path: Path) -> None:
    """Cut at sampled places: every chunk that came is delivered, then the outcome is told as it is."""
    if not path.exists():
        pytest.skip("no recordings beside this checkout")
    body = path.read_bytes()
    n = 3 if path.stem == "three-choices" else 1
    for cut in offsets(body):
        with WireServer(sse(body, framing=framing, cut=cut, ending=ending)) as server:
            reading = every.read(base_url=server.url, params={"n": n})
        # aiohttp takes the reset of a body without a stated end for that end.
        clean = framing == "close" and (ending == "closed" or every is DRIVERS["async"])
        assert_same(reading, expected(body[:cut], n, clean=clean), body[:cut])


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@pytest.mark.parametrize("path", STREAMS[:3], ids=lambda path: path.stem)
def test_a_whole_stream_in_small_reads(every: Driver, framing: Framing, path: Path) -> None:
    """However the bytes are cut into packets, the chunks are the same."""
    body = path.read_bytes()
    pieces = [body[at : at + 97] for at in range(0, len(body), 97)]
    with WireServer(sse(pieces, framing=framing)) as server:
        reading = every.read(base_url=server.url, params={"n": 3 if path.stem == "three-choices" else 1})
    assert_same(reading, expected(body, 3 if path.stem == "three-choices" else 1, clean=True), body)


def test_cut_inside_the_framing_of_a_chunk(every: Driver) -> None:
    """The transfer chunk says 64 bytes and brings fewer: what it brought is read all the same."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    first = event(chunk("Hello"))
    with WireServer(raw(head + piece(first), b"40\r\ndata: {")) as server:
        reading = every.read(base_url=server.url)
    assert reading.text == "Hello"
    assert reading.stream.outcome == "truncated"
    assert isinstance(reading.error, StreamTruncatedError)
    assert reading.error.reason == "reset"
    assert reading.error.__cause__ is not None


def test_closed_without_done(every: Driver) -> None:
    """Every choice has finished, so the answer is whole; that [DONE] never came is told."""
    with WireServer(sse(events("Hello", done=False))) as server:
        reading = every.read(base_url=server.url)
    assert reading.error is None
    assert reading.stream.outcome == "complete"
    assert [deviation.rule for deviation in reading.stream.deviations] == ["no-done"]


def test_done_before_the_finish(every: Driver) -> None:
    """[DONE] does not make an unfinished choice whole."""
    with WireServer(sse(events("Hello", finish=None))) as server:
        reading = every.read(base_url=server.url)
    assert isinstance(reading.error, StreamTruncatedError)
    assert reading.error.reason == "unfinished"
    assert reading.error.completion is not None
    assert reading.error.completion.text == reading.text == "Hello"
    assert reading.error.request.url == f"{server.url}/chat/completions"


def test_a_truncated_stream_can_be_returned(every: Driver) -> None:
    """`on_truncated="return"` ends the loop quietly; outcome and error stay to be looked at."""
    with WireServer(
        sse(events("Hello"), cut=len(events("Hello", finish=None, done=False)), ending="closed")
    ) as server:
        reading = every.read(base_url=server.url, on_truncated="return")
    assert reading.error is None
    assert reading.text == "Hello"
    assert reading.stream.outcome == "truncated"
    assert isinstance(reading.stream.error, StreamTruncatedError)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_slow_reader_loses_nothing_to_a_reset(asynchronous: bool) -> None:
    """Bytes that had come before the connection broke are read, even by one who comes for them late."""
    first, rest = event(chunk("a")), events("b", "c", finish=None, done=False)
    one_read = threading.Event()

    def answer(peer: Peer) -> None:
        peer.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n" + first
        )
        one_read.wait(PATIENCE_S)
        peer.send(rest)
        peer.reset()

    def read_late(url: str) -> list[str]:
        with Client(base_url=url) as client:
            stream = client.chat.completions.create(**ASK, stream=True)
            texts = [next(stream).text]
            one_read.set()
            time.sleep(0.1)  # the rest and the reset arrive
            with pytest.raises(StreamTruncatedError):
                texts.extend(stream.text)
            return texts

    async def read_late_too(url: str) -> list[str]:
        async with AsyncClient(base_url=url) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            texts = [(await anext(stream)).text]
            one_read.set()
            await asyncio.sleep(0.1)
            with pytest.raises(StreamTruncatedError):
                await collect(stream, texts)
            return texts

    async def collect(stream: AsyncStream[ChatCompletionChunk], texts: list[str]) -> None:
        async for text in stream.text:
            texts.append(text)  # noqa: PERF401 - what came before the error is kept

    with WireServer(answer) as server:
        url = server.url
        assert (asyncio.run(read_late_too(url)) if asynchronous else read_late(url)) == ["a", "b", "c"]


def test_the_final_completion_of_a_cut_stream() -> None:
    """`get_final_completion` raises what reading would have raised."""
    with WireServer(sse(events("Hello", finish=None))) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(StreamTruncatedError) as caught:
            stream.get_final_completion()
    assert caught.value.completion is not None
    assert caught.value.completion.text == "Hello"
