"""Bodies in frames and in wrappings: what each transport undoes, and where it stops."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from traceback import TracebackException
from typing import Any

import httpx2
import pytest

from duologue import (
    APIConnectionError,
    APIResponseValidationError,
    Client,
    DuologueError,
    InternalServerError,
    Timeout,
)
from support.steps import piece
from support.wire import (
    CHUNK,
    COMPLETION,
    DONE,
    Peer,
    WireServer,
    chunk,
    event,
    events,
    json_answer,
    raw,
    sse,
)

from .conftest import ASK, TLS, Driver

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked"
GZIP = {"content-encoding": "gzip"}
DEADLINES = Timeout(connect=5, headers=5, idle=5)


def test_members(every: Driver) -> None:
    """A gzip body of several members is one text."""
    parts = [event(chunk("Hel")), event(chunk("lo")) + event(chunk(finish="stop")) + DONE]
    with WireServer(sse([gzip.compress(part) for part in parts], headers=GZIP)) as server:
        reading = every.read(base_url=server.url)
    assert (reading.text, reading.stream.outcome) == ("Hello", "complete")


def test_deflate_without_a_header(every: Driver) -> None:
    """Some servers send it so."""
    compress = zlib.compressobj(wbits=-15)
    body = compress.compress(events("Hello")) + compress.flush()
    with WireServer(sse(body, headers={"content-encoding": "deflate"})) as server:
        assert every.read(base_url=server.url).text == "Hello"


def test_what_came_before_a_fault(every: Driver) -> None:
    """The text in front of bad bytes is delivered, though they came together."""
    compress = zlib.compressobj(wbits=31)
    good = compress.compress(CHUNK) + compress.flush(zlib.Z_SYNC_FLUSH)
    with WireServer(sse(good + b"\xff" * 200, headers=GZIP)) as server:
        reading = every.read(base_url=server.url)
    assert (reading.text, reading.stream.outcome) == ("Hello", "truncated")
    assert "gzip" in str(reading.error and reading.error.__cause__)


def test_a_compressed_body_that_is_cut(every: Driver) -> None:
    """It is not taken for a whole one that cannot be read."""
    body = gzip.compress(json.dumps(COMPLETION).encode())[:-20]
    server = WireServer(sse(body, headers=GZIP))
    with server, pytest.raises(APIConnectionError, match="'gzip', and cut"):
        every.create(base_url=server.url)


def failure(every: Driver, streamed: bool, **options: Any) -> DuologueError | None:
    """What is raised by a call, or at the end of its stream."""
    try:
        return every.read(**options).error if streamed else every.create(**options)
    except DuologueError as error:
        return error


def standing_for(mebibytes: int) -> bytes:
    """So many MiB of zeros as the beginning of a gzip body, of which each is some 1000 bytes."""
    compress = zlib.compressobj(9, wbits=-15)
    one = compress.compress(bytes(1 << 20)) + compress.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + one * mebibytes


@pytest.mark.parametrize(
    ("status", "streamed", "kind"),
    [
        pytest.param(200, False, APIResponseValidationError, id="an answer"),
        pytest.param(200, True, APIResponseValidationError, id="an event"),
        pytest.param(500, False, InternalServerError, id="an error"),
    ],
)
def test_few_bytes_that_stand_for_many(
    every: Driver, status: int, streamed: bool, kind: type[Exception]
) -> None:
    """The limits hold for what comes out of them, before all of it is in memory."""
    limits = {"max_response_bytes": 1 << 20, "max_event_bytes": 1 << 20}
    with WireServer(json_answer(standing_for(256), status, GZIP)) as server:
        tracemalloc.start()
        try:
            error = failure(every, streamed, base_url=server.url, **limits)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(error, kind)
    assert most < 8 << 20


def test_much_that_was_little(every: Driver) -> None:
    """What is handed out in steps is whole, and in order."""
    text = "".join(f"{number:x} " for number in range(200_000)) + "a" * 3_000_000
    whole = {**COMPLETION, "choices": [{**COMPLETION["choices"][0], "message": {"content": text}}]}
    streamed = sse([gzip.compress(events(text[:9], text, "end"))], headers=GZIP)
    with WireServer(json_answer(gzip.compress(json.dumps(whole).encode()), 200, GZIP), streamed) as server:
        assert every.create(base_url=server.url).text == text
        reading = every.read(base_url=server.url)
    assert (reading.text, reading.stream.outcome) == (text[:9] + text + "end", "complete")


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_an_encoding_that_is_not_understood(every: Driver, encoding: str) -> None:
    """The error names it."""
    server = WireServer(sse(b"\x1b\x00", headers={"content-encoding": encoding}))
    with server, pytest.raises(APIConnectionError, match=f"'{encoding}', which was not asked for"):
        every.create(base_url=server.url)


def test_an_encoding_that_is_none(every: Driver) -> None:
    """Some servers name the charset there."""
    with WireServer(sse(events("Hello"), headers={"content-encoding": "utf-8"})) as server:
        assert every.read(base_url=server.url).text == "Hello"


HEADER_WITHOUT_END = b"\x1f\x8b\x08\x08" + bytes(5) + b"\xff"  # the name of a file follows, up to a zero


@pytest.mark.parametrize(
    ("encoding", "start", "more"),
    [
        ("gzip", piece(gzip.compress(b" ")), piece(b"x" * 60_000)),
        ("gzip", piece(HEADER_WITHOUT_END), piece(b"x" * 60_000)),
        ("identity", piece(b" ") + b"0\r\n", b"x-trailer: %b\r\n" % (b"v" * 1000) * 50),
    ],
    ids=["after the last member", "in the head of a member", "trailers"],
)
def test_bytes_that_bring_nothing(every: Driver, encoding: str, start: bytes, more: bytes) -> None:
    """However fast they come, a body that does not go on is given up."""

    def flood(peer: Peer) -> None:
        peer.send(
            HEAD % (b"application/json", CHUNKED + b"\r\ncontent-encoding: " + encoding.encode()) + start
        )
        ends = time.monotonic() + 10
        while peer.open and time.monotonic() < ends:
            peer.send(more)

    began = time.monotonic()
    with WireServer(flood) as server, pytest.raises(APIConnectionError):
        every.create(base_url=server.url, timeout=DEADLINES)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "length", ["-1", "5\r\ncontent-length: 900", "5, 6"], ids=["negative", "two", "list"]
)
def test_a_length_that_cannot_be(every: Driver, length: str) -> None:
    """No transport guesses where such a body ends."""
    head = HEAD % (b"text/event-stream", b"content-length: " + length.encode())
    server = WireServer(raw(head + events("Hello")))
    with server, pytest.raises(APIConnectionError, match="does not speak HTTP"):
        every.create(base_url=server.url)


def test_a_chunk_without_its_end(every: Driver) -> None:
    """What follows in a wrong place is not read as text."""
    body: Any = b"%x\r\n%bXX" % (len(CHUNK), CHUNK) + piece(CHUNK) + b"0\r\n\r\n"
    with WireServer(raw(HEAD % (b"text/event-stream", CHUNKED) + body)) as server:
        reading = every.read(base_url=server.url)
    assert (reading.text, getattr(reading.error, "reason", None)) == ("Hello", "reset")


@pytest.mark.parametrize("sent", [b"", b"No HTTP\r\n\r\n", HEAD % (b"text/plain", b"content-length: 9")])
def test_the_key_is_in_no_frame_of_the_cause(every: Driver, sent: bytes) -> None:
    """Tools that show the variables of a traceback show no request."""
    with WireServer(raw(sent)) as server, pytest.raises(APIConnectionError) as caught:
        every.create(base_url=server.url, api_key="sk-secret")
    cause = caught.value.__cause__
    if cause is not None:
        told = TracebackException.from_exception(cause, capture_locals=True)
        assert "sk-secret" not in "".join(told.format())


def test_a_hook_that_has_read_the_body() -> None:
    """httpx2 has undone the compression then; it is not undone again."""

    def read(answer: httpx2.Response) -> None:
        answer.read()

    body = gzip.compress(json.dumps(COMPLETION).encode())
    with (
        WireServer(sse(body, headers=GZIP)) as server,
        httpx2.Client(verify=TLS, event_hooks={"response": [read]}) as carrier,
    ):
        client = Client(base_url=server.url, api_key="sk-1", http_client=carrier)
        assert client.chat.completions.create(**ASK).text == "Hello there"
