"""Answers that take too long, readers that take too little, servers that stop: every end is a known one."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from duologue.engine import Text, as_engine
from duologue.run import run_server
from duologue.server import ServerOptions, create_app
from support.legal import check_stream
from support.raw import HI, ask, connect, opened, wait_for

STREAM_OR_WHOLE = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


class Seen:
    """What an engine was seen to do."""

    def __init__(self):
        self.made = self.cancels = self.begun = 0
        self.closed = threading.Event()


def post(**fields: Any) -> bytes:
    """A whole request, for a connection of one's own."""
    body = json.dumps({"model": "engine", "messages": [HI], **fields}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def error_of(body: bytes) -> dict[str, Any]:
    """The error event that a stream ended with."""
    _, error = check_stream(body)
    assert error is not None
    found: dict[str, Any] = error["error"]
    return found


# --- an engine that gives nothing ----------------------------------------------------------------------


def silent(seen: Seen):
    async def engine(request):
        try:
            await asyncio.sleep(60)
            yield "x"
        finally:
            seen.closed.set()

    return engine


def silent_after_one(seen: Seen):
    async def engine(request):
        try:
            yield "x"
            await asyncio.sleep(60)
        finally:
            seen.closed.set()

    return engine


def blocked_after_one(seen: Seen):
    gate = threading.Event()

    def engine(request):
        try:
            yield "x"
            gate.wait(0.6)
            yield "y"
        finally:
            seen.closed.set()

    return engine


@STREAM_OR_WHOLE
def test_an_engine_that_gives_nothing_is_ended(stream):
    """After `engine_idle`, with a 504 where there is no head yet."""
    seen = Seen()
    with run_server(silent(seen), engine_idle=0.1) as url:
        response = ask(url, model="engine", stream=stream)
    assert (response.status, response.error["code"]) == (504, "engine_timeout")
    assert "0.1 s" in response.error["message"]
    assert "engine_idle" in response.error["message"]
    assert seen.closed.is_set()


@pytest.mark.parametrize("kind", [silent_after_one, blocked_after_one], ids=["waits", "blocks"])
def test_an_engine_that_falls_silent_ends_the_stream_with_an_error(kind):
    """What it said stays, the stream is legal, and its generator is closed."""
    seen = Seen()
    with run_server(kind(seen), engine_idle=0.1) as url:
        begun = time.monotonic()
        body = ask(url, model="engine", stream=True).body
        assert time.monotonic() - begun < 5
        assert b'"content":"x"' in body
        assert error_of(body)["code"] == "engine_timeout"
        assert seen.closed.wait(5)


def test_a_head_that_was_sent_early_makes_the_end_an_event():
    """The hold was over before the engine was given up."""
    with run_server(silent(Seen()), first_event_hold=0.02, keep_alive=0.03, engine_idle=0.15) as url:
        response = ask(url, model="engine", stream=True)
    assert response.status == 200
    assert response.body.startswith(b": keep-alive\n\n")
    assert error_of(response.body)["code"] == "engine_timeout"


@STREAM_OR_WHOLE
def test_an_engine_that_gives_something_is_not_idle(stream):
    """Not even when it is nothing that can be seen: an empty piece says that it is at work."""

    async def engine(request):
        for _ in range(10):
            await asyncio.sleep(0.04)
            yield ""
        yield "done"

    with run_server(engine, engine_idle=0.25) as url:
        assert b"done" in ask(url, model="engine", stream=stream).body


@STREAM_OR_WHOLE
@pytest.mark.parametrize("n", [1, 2])
def test_an_engine_whose_answer_is_held_back_is_not_idle(stream, n):
    """It gives much, and none of it goes out before the whole has been checked."""

    async def engine(request):
        yield '{"a": "'
        for _ in range(40):
            await asyncio.sleep(0.02)
            yield "x"
        yield '"}'

    with run_server(engine, engine_idle=0.4) as url:
        response = ask(url, model="engine", stream=stream, n=n, response_format={"type": "json_object"})
    assert response.status == 200
    assert b"engine_timeout" not in response.body
    assert b"[DONE]" in response.body or not stream


# --- an answer that takes too long, or gets too large --------------------------------------------------


async def endless(request):
    while True:
        await asyncio.sleep(0.01)
        yield "x"


def test_a_stream_without_end_is_ended():
    """After `answer_timeout`, whatever the engine gives."""
    with run_server(endless, answer_timeout=0.15) as url:
        body = ask(url, model="endless", stream=True).body
    assert body.count(b'"content":"x"') > 2
    assert error_of(body)["code"] == "answer_timeout"


def test_an_answer_without_end_is_a_504():
    """There is no head yet that would say otherwise."""
    with run_server(endless, answer_timeout=0.15) as url:
        response = ask(url, model="endless")
    assert (response.status, response.error["code"]) == (504, "answer_timeout")


def test_an_answer_that_is_not_streamed_has_a_largest_size():
    """It is all held until it is whole; one that is streamed is not."""

    async def engine(request):
        for _ in range(100):
            yield "x" * 1000

    with run_server(engine, max_answer_bytes=50_000) as url:
        response = ask(url, model="engine")
        assert (response.status, response.error["code"]) == (502, "engine_output_invalid")
        assert "max_answer_bytes" in response.error["message"]
        assert ask(url, model="engine", stream=True).body.endswith(b"data: [DONE]\n\n")


# --- an engine that does not heed ----------------------------------------------------------------------


def deaf(seen: Seen, times: int):
    async def engine(request):
        while seen.cancels < times:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.cancels += 1
        seen.closed.set()
        yield "late"

    return engine


def clinging(seen: Seen, times: int):
    async def engine(request):
        try:
            yield ""
            await asyncio.sleep(60)
        finally:
            while seen.cancels < times:
                try:
                    seen.cancels += 1
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
            seen.closed.set()

    return engine


@pytest.mark.parametrize("kind", [deaf, clinging])
@STREAM_OR_WHOLE
def test_an_engine_that_does_not_stop_is_told_again(kind, stream, caplog):
    """Every `cleanup_timeout`, and the log says so. The client gets the error all the same."""
    seen = Seen()
    caplog.set_level(logging.WARNING, "duologue.server")
    with run_server(kind(seen, 3), engine_idle=0.05, cleanup_timeout=0.05) as url:
        response = ask(url, model="engine", stream=stream)
    assert (response.status, response.error["code"]) == (504, "engine_timeout")
    assert seen.cancels >= 3
    assert "does not stop" in caplog.text


def test_an_engine_that_fails_while_it_is_stopped_changes_nothing():
    """Why it was stopped is what is told."""

    async def engine(request):
        try:
            await asyncio.sleep(60)
            yield "x"
        except asyncio.CancelledError:
            raise ValueError("cleaning up went wrong") from None

    with run_server(engine, engine_idle=0.05) as url:
        assert ask(url, model="engine").error["code"] == "engine_timeout"


# --- a reader that takes nothing -----------------------------------------------------------------------


def narrow(url: str, data: bytes) -> socket.socket:
    """A connection whose system buffers little for a reader that does not read."""
    host, port = url.removeprefix("http://").removesuffix("/v1").rsplit(":", 1)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect((host, int(port)))
    connection.sendall(data)
    return connection


def flood(seen: Seen):
    async def engine(request):
        try:
            while True:
                seen.made += 1
                yield "x" * 10_000
        finally:
            seen.closed.set()

    return engine


def flood_in_a_thread(seen: Seen):
    def engine(request) -> Iterator[str]:
        try:
            while True:
                seen.made += 1
                yield "x" * 10_000
        finally:
            seen.closed.set()

    return engine


def one_flood_and_silence(seen: Seen):
    async def engine(request):
        try:
            yield "x" * 20_000_000
            await asyncio.sleep(60)
        finally:
            seen.closed.set()

    return engine


@pytest.mark.parametrize(
    "kind", [flood, flood_in_a_thread, one_flood_and_silence], ids=["never-waits", "thread", "comments"]
)
def test_a_reader_that_takes_nothing_is_left(kind):
    """After `reader_idle` its engine is closed; nobody else notices."""
    seen = Seen()
    with run_server(kind(seen), reader_idle=0.3, keep_alive=0.05) as url:
        with narrow(url, post(stream=True)):
            assert ask(url, "/health", method="GET").status == 200
            assert seen.closed.wait(5)
        assert ask(url, "/health", method="GET").status == 200


def test_a_reader_that_pauses_is_not_left():
    """Nor is its engine idle, which may not go on meanwhile."""
    seen = Seen()

    async def engine(request):
        for _ in range(200):
            seen.made += 1
            yield "x" * 100_000

    with (
        run_server(engine, reader_idle=5, engine_idle=0.1, keep_alive=0.02) as url,
        opened(url, model="engine", stream=True) as answer,
    ):
        answer.readline()
        assert wait_for(lambda: seen.made > 1)
        time.sleep(0.3)
        assert seen.made < 200
        body = answer.read()
    assert b"error" not in body
    assert body.endswith(b"data: [DONE]\n\n")


# --- who has too much to do ----------------------------------------------------------------------------


def test_more_requests_than_the_limit_are_told_to_come_again():
    """With a 503 and when to; the places come back, and `/health` answers throughout."""
    release = threading.Event()

    def engine(request):
        release.wait(10)
        return "x"

    with run_server(engine, max_requests=2, first_event_hold=0.01) as url, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(opened(url, model="engine", stream=True))
        response = ask(url, model="engine", stream=True)
        assert (response.status, response.error["code"]) == (503, "overloaded")
        assert int(response.headers["retry-after"]) >= 1
        assert "max_requests" in response.error["message"]
        assert ask(url, "/health", method="GET").status == 200
        release.set()
        assert wait_for(lambda: ask(url, model="engine").status == 200)


def test_places_come_back_however_a_request_ends():
    """Refused, failed, left or whole."""

    async def engine(request):
        if request.messages[-1].text == "fail":
            raise ValueError
        yield "x"
        await asyncio.sleep(0.2 if request.messages[-1].text == "wait" else 0)

    with run_server(engine, max_requests=1) as url:
        for _ in range(3):
            assert ask(url, model="none").status == 404
            assert ask(url, body=b"{").status == 400
            assert ask(url, model="engine", messages=[{"role": "user", "content": "fail"}]).status == 500
            with opened(
                url, model="engine", stream=True, messages=[{"role": "user", "content": "wait"}]
            ) as answer:
                answer.readline()
            assert wait_for(lambda: ask(url, model="engine").status == 200)


def test_bodies_share_a_bound():
    """What is held for all requests at once: more is a 503, and it comes back."""
    release = threading.Event()

    def engine(request):
        release.wait(10)
        return "x"

    large = [{"role": "user", "content": "x" * 60_000}]
    with run_server(engine, max_held_bytes=100_000, first_event_hold=0.01) as url:
        with opened(url, model="engine", stream=True, messages=large) as answer:
            response = ask(url, model="engine", messages=large)
            assert (response.status, response.error["code"]) == (503, "overloaded")
            assert "max_held_bytes" in response.error["message"]
            release.set()
            answer.read()
        assert wait_for(lambda: ask(url, model="engine", messages=large).status == 200)


@pytest.mark.parametrize("name", ["max_requests", "engine_idle", "reader_idle", "breath", "keep_alive"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_would_let_nothing_through_is_refused(name, value):
    """When the app is made; the error names it."""
    with pytest.raises(ValueError, match=name):
        ServerOptions(**{name: value})


@STREAM_OR_WHOLE
def test_a_limit_may_be_infinite(stream):
    """Who wants none says so."""
    none = dict.fromkeys(("engine_idle", "answer_timeout", "reader_idle", "cleanup_timeout"), float("inf"))
    with run_server(endless_for_a_while, **none) as url:
        assert b"x" in ask(url, model="endless_for_a_while", stream=stream).body


async def endless_for_a_while(request):
    for _ in range(5):
        await asyncio.sleep(0.01)
        yield "x"


# --- engines that never wait ---------------------------------------------------------------------------


def test_several_engines_that_never_wait_share_the_time():
    """The loop has its turn as often as with one: others are answered, and all stop when they are left."""
    engines = 10
    seen = [Seen() for _ in range(engines)]
    number = iter(range(engines))

    async def engine(request):
        mine = seen[next(number)]
        try:
            while True:
                mine.made += 1
                yield Text("", tokens=1)
        finally:
            mine.closed.set()

    with run_server(engine, first_event_hold=0.01) as url:
        connections = [connect(url, post(stream=True)) for _ in range(engines)]
        try:
            assert wait_for(lambda: all(each.made > 10 for each in seen))
            begun = time.monotonic()
            for _ in range(3):
                assert ask(url, "/health", method="GET").status == 200
            spent = time.monotonic() - begun
        finally:
            for connection in connections:
                connection.close()
        assert all(each.closed.wait(5) for each in seen)
    # Each request takes a few turns of the loop; turns of 10 times 10 ms would take longer.
    assert spent < 1.5
    counts = sorted(each.made for each in seen)
    assert counts[0] > 10


# --- ended from outside --------------------------------------------------------------------------------


def test_a_server_that_stops_tells_the_streams_that_it_cuts():
    """After its grace: an error event that says so, and `[DONE]`, not a broken connection."""
    with run_server(endless) as url:
        answer = connect(url, post(stream=True, model="endless"))
        assert b"200 OK" in answer.recv(100)
    with answer:
        received = bytearray()
        while part := answer.recv(65536):
            received += part
    assert b'"code":"server_stopping"' in received
    assert b"data: [DONE]\n\n" in received


class Exchanged:
    """An ASGI exchange by hand: what was sent, and a client that leaves when it is told to."""

    def __init__(self, app: Any, **fields: Any) -> None:
        body = json.dumps({"model": "engine", "messages": [HI], **fields}).encode()
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        }
        self.sent: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self.on_send: Callable[[], None] = lambda: None
        self._unread = [{"type": "http.request", "body": body, "more_body": False}]
        self.task = asyncio.ensure_future(app(self.scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._unread:
            return self._unread.pop()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.on_send()
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


@STREAM_OR_WHOLE
async def test_a_request_that_is_cancelled_before_its_head_is_answered(stream):
    """By a 503 that says when to come again, as a status."""
    seen = Seen()
    exchanged = Exchanged(create_app(as_engine(silent(seen))), stream=stream)
    await asyncio.sleep(0.05)
    exchanged.task.cancel()
    await exchanged.task
    assert exchanged.status == 503
    assert json.loads(exchanged.body)["error"]["code"] == "server_stopping"
    assert seen.closed.is_set()


async def test_a_stream_that_is_cancelled_ends_as_a_stream():
    """With an error event and `[DONE]`."""
    exchanged = Exchanged(create_app(endless), stream=True, model="endless")
    await asyncio.sleep(0.1)
    exchanged.task.cancel()
    await exchanged.task
    assert error_of(exchanged.body)["code"] == "server_stopping"
    assert exchanged.sent[-1]["more_body"] is False


@STREAM_OR_WHOLE
async def test_a_server_whose_send_raises_has_lost_its_client(stream, caplog):
    """As newer ASGI servers say it: the engine is closed, and nothing is logged."""
    seen = Seen()

    def fail() -> None:
        raise ConnectionResetError("gone")

    async def engine(request):
        try:
            yield "x"
            yield "y"
        finally:
            seen.closed.set()

    exchanged = Exchanged(create_app(engine), stream=stream)
    exchanged.on_send = fail
    await exchanged.task
    assert seen.closed.is_set()
    assert not caplog.records


@STREAM_OR_WHOLE
async def test_an_oserror_of_the_engine_is_the_engines(stream, caplog):
    """It is not taken for a client that has gone."""

    async def engine(request):
        raise ConnectionResetError("its own backend")
        yield

    exchanged = Exchanged(create_app(engine), stream=stream)
    await exchanged.task
    assert exchanged.status == 500
    assert "its own backend" in caplog.text


async def test_nothing_is_left_behind():
    """After answers of every end: no task, and no cancellation that was not taken back."""
    ends: list[Callable[[Exchanged], Any]] = [
        lambda exchanged: None,
        lambda exchanged: exchanged.left.set(),
        lambda exchanged: exchanged.task.cancel(),
    ]
    for end in ends:
        exchanged = Exchanged(create_app(endless, answer_timeout=0.2), stream=True, model="endless")
        await asyncio.sleep(0.05)
        end(exchanged)
        await asyncio.wait([exchanged.task], timeout=5)
        assert exchanged.task.done()
        assert exchanged.task.exception() is None
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
