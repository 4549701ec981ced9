"""Connections: heads without an end, clients that send nothing, requests in a row whose client vanishes."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time

import pytest

from duologue.run import http as connections
from duologue.run import run_server
from support.legal import check_stream
from support.raw import HI, ask, connect, wait_for

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def answer(request):
    yield "Hello"


def sent(connection: socket.socket, pieces: list[bytes]) -> None:
    """Send as much as the other end takes."""
    try:
        for piece in pieces:
            connection.sendall(piece)
    except OSError:
        pass


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"GET /" + b"x" * 10_000] + [b"x" * 10_000] * 20, id="path"),
        pytest.param([b"GET / HTTP/1.1\r\nX: "] + [b"x" * 10_000] * 20, id="value"),
        pytest.param([b"GET / HTTP/1.1\r\n"] + [b"X: y\r\n" * 1000] * 30, id="many"),
        pytest.param([b"\r\n" * 1000] * 100, id="nothing"),
    ],
)
def test_a_head_has_a_largest_size(pieces):
    """It is not collected without an end; the connection is closed."""
    with run_server(answer) as url:
        with connect(url, b"") as connection:
            sent(connection, pieces)
            try:
                received = connection.recv(100)
            except ConnectionResetError:  # it was closed while more was on its way
                received = b""
            assert received[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"")
        assert ask(url, model="answer").status == 200


def test_a_head_of_usual_size_is_taken():
    """Long keys and many cookies included."""
    with run_server(answer) as url:
        assert ask(url, headers={"X-Long": "x" * 30_000}, model="answer").status == 200


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(POST[:30], id="half-a-head"),
        pytest.param(POST.replace(b"/json", b"/xml") + b"Content-Length: 100\r\n\r\n ", id="refused-body"),
    ],
)
def test_a_client_that_sends_nothing_more_is_left(start, monkeypatch):
    """After `HEAD_TIMEOUT`, when no request is under way."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.1)
    with run_server(answer) as url, connect(url, start) as connection:
        connection.settimeout(3)
        while connection.recv(65536):
            pass


def test_an_answer_that_takes_longer_is_not_cut(monkeypatch):
    """The time is for the head alone."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.1)

    async def slow(request):
        await asyncio.sleep(0.3)
        yield "Hello"

    with run_server(slow) as url:
        assert ask(url, model="slow").status == 200
        assert ask(url, model="slow", stream=True).body.endswith(b"data: [DONE]\n\n")


def test_of_requests_in_a_row_all_end_when_their_client_vanishes():
    """Also the first, whose answer is under way while the next one waits."""
    closed = threading.Event()
    made = 0

    async def engine(request):
        nonlocal made
        try:
            while True:
                made += 1
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    body = json.dumps({"model": "engine", "messages": [HI], "stream": True}).encode()
    request = POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with run_server(engine) as url:
        connection = connect(url, request + request)
        assert wait_for(lambda: made > 2)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        assert closed.wait(5)


BODY = json.dumps({"model": "answer", "messages": [HI]}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
FILLING = b"X: %b\r\n" % (b"x" * (connections.MAX_HEAD_BYTES - 1000))


@pytest.mark.parametrize("before", [b"", POST + LENGTH + b"\r\n" + BODY], ids=["first", "in-a-row"])
def test_a_head_that_comes_at_once_has_the_same_largest_size(before):
    """Whole in one read, also behind another request in the same read."""
    with run_server(answer) as url:
        for more, status in ((b"", b"200"), (b"Y: %b\r\n" % (b"y" * 1000), b"431")):
            request = POST + LENGTH + FILLING + more + b"Connection: close\r\n\r\n" + BODY
            with connect(url, b"") as connection:
                sent(connection, [before + request])
                received = bytearray()
                try:
                    while part := connection.recv(65536):
                        received += part
                except ConnectionResetError:
                    pass
            if status == b"200" or not before:
                assert received.count(b"HTTP/1.1 " + status) == 1 + bool(before)
            else:  # the one before it may not be answered any more
                assert received.count(b"HTTP/1.1 200") <= 1


def test_requests_in_a_row_have_a_largest_number():
    """One read of the least requests there are would keep the server busy; others are answered meanwhile."""
    with run_server(answer) as url, connect(url, b"") as connection:
        begun = time.process_time()
        sent(connection, [b"GET / HTTP/1.1\r\n\r\n" * 14_000])
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
        assert ask(url, model="answer").status == 200
        assert time.process_time() - begun < 1  # of the processor


def test_as_many_may_be_sent_again_once_they_are_answered():
    """The bound is on what waits."""
    request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with run_server(answer) as url, connect(url, b"") as connection:
        for _ in range(3):
            connection.sendall(request * (1 + connections.MAX_IN_A_ROW))
            received = bytearray()
            while received.count(b'"object":"list"}') <= connections.MAX_IN_A_ROW:
                part = connection.recv(65536)
                assert part
                received += part


def test_what_is_wrong_behind_a_request_is_no_part_of_its_answer():
    """The connection ends; the answer that is under way has nothing in it that the engine did not say."""

    async def words(request):
        while True:
            yield "word "
            await asyncio.sleep(0.01)

    body = json.dumps({"model": "words", "messages": [HI], "stream": True}).encode()
    request = POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    for wrong in (
        b"no HTTP at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * connections.MAX_HEAD_BYTES + b"\r\n",
    ):
        with run_server(words) as url, connect(url, request) as connection:
            received = bytearray(connection.recv(65536))
            sent(connection, [wrong])
            try:
                while part := connection.recv(65536):
                    received += part
            except ConnectionResetError:
                pass
        assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_knows_no_chunks_gets_none(stream):
    """HTTP/1.0: what is streamed ends with the connection, what is whole has its length."""

    async def words(request):
        yield "Hello"
        await asyncio.sleep(0.05)
        yield " there"

    body = json.dumps({"model": "words", "messages": [HI], "stream": stream}).encode()
    head = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Connection: keep-alive\r\n"
    with (
        run_server(words) as url,
        connect(url, head + b"Content-Length: %d\r\n\r\n" % len(body) + body) as connection,
    ):
        received = bytearray()
        while part := connection.recv(65536):
            received += part
    lines, _, answered = bytes(received).partition(b"\r\n\r\n")
    headers = lines.lower().split(b"\r\n")
    assert b"connection: close" in headers
    assert not [line for line in headers if line.startswith(b"transfer-encoding")]
    assert (b"content-length: %d" % len(answered) in headers) is not stream
    if stream:
        chunks, error = check_stream(answered)
        assert error is None
        assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == [
            "",
            "Hello",
            " there",
            None,
        ]
    else:
        assert json.loads(answered)["choices"][0]["message"]["content"] == "Hello there"


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_passed_over(offer):
    """The request is answered, its body read; no connection is given to what nobody speaks here."""
    headers = {
        "Connection": "Upgrade, HTTP2-Settings",
        "uPgrade": offer,
        "HTTP2-Settings": "AAEAAEAAAAIAAAAB",
    }
    with run_server(answer) as url:
        assert ask(url, headers=headers, model="answer").status == 200
        assert ask(url, "/models", method="GET", headers=headers).status == 200
