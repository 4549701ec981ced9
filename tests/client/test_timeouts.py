"""Deadlines: each is told apart by its name and its seconds, before the answer and in the stream."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from duologue import (
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    BadRequestError,
    Client,
    DuologueError,
    StreamTimeoutError,
    Timeout,
)
from duologue.protocol.transport import DRAIN_S, Deadlines, Head, Headers, Request
from support.steps import HEAD, StepByStep, piece
from support.wire import CHUNK, COMPLETION, PATIENCE_S, Peer, WireServer, events, json_answer, raw, sse

from .conftest import ASK, Driver

SHORT = 0.1


def test_a_server_that_never_answers(every: Driver) -> None:
    """The connection stands and no head comes."""
    server = WireServer(raw(ending="open"))
    began = time.monotonic()
    with server, pytest.raises(APITimeoutError) as caught:
        every.create(base_url=server.url, timeout=Timeout(headers=SHORT))
    assert caught.value.phase == "headers"
    assert "0.1 s (timeout.headers)" in str(caught.value)
    assert SHORT <= time.monotonic() - began < 5


@pytest.mark.parametrize("deadline", ["headers", "total"])
@pytest.mark.parametrize("times", [1, 2], ids=["new", "kept"])
def test_a_head_that_drips(every: Driver, deadline: str, times: int) -> None:
    """One byte now and then does not put a deadline off: it is for the whole head, on any connection."""

    def drip(peer: Peer) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 50:
            peer.send(bytes([byte]))
            time.sleep(0.02)
            if not peer.open:
                return

    began = time.monotonic()
    with (
        WireServer(*[sse(events("a"))] * (times - 1), drip) as server,
        pytest.raises(APITimeoutError) as caught,
    ):
        every.read(times, base_url=server.url, timeout=Timeout(**{deadline: 2 * SHORT}))
    assert caught.value.phase == deadline
    assert time.monotonic() - began < 1


def test_a_connection_that_is_not_accepted(every: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy takes the connection and never opens the tunnel: no connection came about."""
    with WireServer(raw(ending="open")) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
        with pytest.raises(APITimeoutError) as caught:
            every.create(base_url="https://elsewhere.example/v1", timeout=Timeout(connect=SHORT))
    assert caught.value.phase == "connect"
    assert "0.1 s (timeout.connect)" in str(caught.value)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """One that does not answer until it is told to."""
    answers, look = threading.Event(), socket.getaddrinfo

    def wait(host: str, *args: Any, **options: Any) -> Any:
        if host == "slow.example" and not options.get("flags"):
            answers.wait(PATIENCE_S)
        return look(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    yield answers
    answers.set()


def test_a_resolver_that_does_not_answer(resolver: threading.Event) -> None:
    """Its time is part of connecting."""
    client = Client(base_url="http://slow.example/v1", timeout=Timeout(connect=SHORT), max_retries=0)
    with pytest.raises(APITimeoutError, match=r"timeout\.connect"):
        client.models.list()
    assert not resolver.is_set()


def test_a_name_where_no_thread_can_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up all the same."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "duologue-resolver":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with WireServer(json_answer(COMPLETION)) as server:
        client = Client(base_url=f"http://localhost:{server.port}/v1", max_retries=0)
        assert client.chat.completions.create(**ASK).text == "Hello there"


async def test_a_resolver_that_does_not_answer_on_an_event_loop(resolver: threading.Event) -> None:
    """The same."""
    if not isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
        pytest.skip("this loop does not ask Python's resolver, which the test slows down")
    async with AsyncClient(
        base_url="http://slow.example/v1", timeout=Timeout(connect=SHORT), max_retries=0
    ) as client:
        with pytest.raises(APITimeoutError, match=r"timeout\.connect"):
            await client.models.list()
    assert not resolver.is_set()
    resolver.set()  # the loop waits for its threads


@pytest.mark.parametrize(("deadline", "phase"), [("connect", "connect"), ("total", "total")])
def test_a_tunnel_that_drips(
    every: Driver, deadline: str, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is for the whole of connecting: what a proxy says byte by byte does not put it off."""

    def drip(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 Connection established\r\n")
        for _ in range(100):
            peer.send(b"x: y\r\n")
            time.sleep(0.02)
            if not peer.open:
                return

    began = time.monotonic()
    with WireServer(drip) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
        with pytest.raises(APITimeoutError) as caught:
            every.create(base_url="https://elsewhere.example/v1", timeout=Timeout(**{deadline: SHORT}))
    assert caught.value.phase == phase
    assert time.monotonic() - began < 1.5


def test_a_stream_that_falls_silent(every: Driver) -> None:
    """What had come is delivered and kept; the error is a truncation and a timeout in one."""
    with WireServer(raw(HEAD + piece(CHUNK), ending="open")) as server:
        reading = every.read(base_url=server.url, timeout=Timeout(idle=SHORT))
    assert isinstance(reading.error, StreamTimeoutError)
    assert isinstance(reading.error, APITimeoutError)
    assert (reading.error.reason, reading.error.phase) == ("timeout", "idle")
    assert "0.1 s (timeout.idle)" in str(reading.error)
    assert reading.text == "Hello"
    assert reading.stream.outcome == "truncated"
    assert reading.error.completion is not None
    assert reading.error.completion.text == "Hello"


def test_a_stream_that_begins_and_says_nothing(every: Driver) -> None:
    """The wait for the first byte of the body is an idle one."""
    with WireServer(raw(HEAD, ending="open")) as server:
        reading = every.read(base_url=server.url, timeout=Timeout(idle=SHORT))
    assert isinstance(reading.error, StreamTimeoutError)
    assert reading.error.completion is None
    assert reading.stream.completion is None


def test_any_byte_puts_idle_off(every: Driver) -> None:
    """Comments keep a stream alive for longer than one idle time."""
    times, pause, idle = 6, 0.05, 0.25

    def answer(peer: Peer) -> None:
        peer.send(HEAD)
        for _ in range(times):
            peer.send(piece(b": wait\n\n"))
            time.sleep(pause)
        peer.send(piece(events("Hello")) + b"0\r\n\r\n")

    with WireServer(answer) as server:
        reading = every.read(base_url=server.url, timeout=Timeout(idle=idle))
    assert reading.error is None
    assert reading.stream.timings.duration > idle


def test_a_slow_caller_is_not_an_idle_server() -> None:
    """Time that the caller takes between chunks does not count."""
    answer = StepByStep(events("a", finish=None, done=False), events("b"))

    async def main(url: str) -> str | None:
        async with AsyncClient(base_url=url, timeout=Timeout(idle=0.2)) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            answer.go_on()
            async for _ in stream:
                await asyncio.sleep(0.25)
                answer.go_on()
            return stream.outcome

    with WireServer(answer) as server:
        assert asyncio.run(main(server.url)) == "complete"


@pytest.mark.parametrize("pause", [0.01, 0], ids=["paced", "flooding"])
def test_the_total_goes_on_through_the_stream(every: Driver, pause: float) -> None:
    """However busy the stream is, the call ends; what had come is kept."""

    def answer(peer: Peer) -> None:
        peer.send(HEAD)
        while peer.open:
            peer.send(piece(CHUNK))
            time.sleep(pause)

    began = time.monotonic()
    with WireServer(answer) as server:
        reading = every.read(base_url=server.url, timeout=Timeout(total=2 * SHORT))
    assert isinstance(reading.error, StreamTimeoutError)
    assert reading.error.phase == "total"
    assert "0.2 s (timeout.total)" in str(reading.error)
    assert reading.error.completion is not None
    assert reading.error.completion.text == reading.text == "Hello" * len(reading.chunks)
    assert 2 * SHORT <= time.monotonic() - began < 5


def test_the_total_includes_retries(every: Driver) -> None:
    """A wait for the next attempt that would outlast the call is not begun; the last error is told at once."""
    error = {"error": {"message": "busy", "type": "server_error"}}
    server = WireServer(json_answer(error, 503, {"retry-after": "0.4"}))
    began = time.monotonic()
    with server, pytest.raises(APIStatusError):
        every.create(base_url=server.url, max_retries=99, timeout=Timeout(total=1))
    assert 1 <= len(server.asked) <= 3
    assert time.monotonic() - began < 5


def test_the_total_cuts_an_attempt_short(every: Driver) -> None:
    """Of a silent server the total says when to stop, and it is not asked again."""
    server = WireServer(raw(ending="open"))
    with server, pytest.raises(APITimeoutError) as caught:
        every.create(base_url=server.url, max_retries=2, timeout=Timeout(headers=5, total=SHORT))
    assert caught.value.phase == "total"
    assert len(server.asked) <= 1  # none where a busy machine has not sent it by then


def test_a_body_that_is_read_whole_can_be_late_too(every: Driver) -> None:
    """Not streamed, the error is an APITimeoutError with what had come."""
    server = WireServer(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{", ending="open"))
    with server, pytest.raises(APITimeoutError) as caught:
        every.create(base_url=server.url, timeout=Timeout(idle=SHORT))
    assert not isinstance(caught.value, StreamTimeoutError)
    assert caught.value.phase == "idle"
    assert caught.value.raw == b"{"


def test_timeouts_are_retried(every: Driver) -> None:
    """A server that answers the second time is waited for."""
    server = WireServer(raw(ending="open"), json_answer(COMPLETION))
    with server:
        answer = every.create(base_url=server.url, max_retries=1, timeout=Timeout(headers=4 * SHORT))
    assert answer.text == "Hello there"
    assert answer._response.retries_taken == 1


def test_a_stream_without_end_after_done(every: Driver) -> None:
    """The answer is whole at [DONE]; the end of the body is not waited for long, and no error is made of it."""
    with WireServer(sse(events("Hello"), ending="open")) as server:
        began = time.monotonic()
        reading = every.read(base_url=server.url)
        took = time.monotonic() - began
    assert (reading.stream.outcome, reading.error) == ("complete", None)
    assert DRAIN_S <= took < 2
    assert reading.stream.timings.duration <= took - DRAIN_S


@pytest.mark.parametrize(
    ("given", "timeout"),
    [
        (3, Timeout(connect=3, headers=3, idle=3)),
        (0.5, Timeout(connect=0.5, headers=0.5, idle=0.5)),
        (None, Timeout(connect=None, headers=None, idle=None)),
        (Timeout(total=9), Timeout(connect=5, headers=600, idle=600, total=9)),
    ],
)
def test_what_a_timeout_can_be_given_as(given: Any, timeout: Timeout) -> None:
    """A number sets connect, headers and idle, never total."""
    assert Client(base_url="http://h/v1", timeout=given).timeout == timeout
    assert Client(base_url="http://h/v1").with_options(timeout=given).timeout == timeout


def test_the_default_deadlines() -> None:
    """5 s to connect, ten minutes of silence, no end to the whole."""
    assert Client(base_url="http://h/v1").timeout == Timeout(connect=5, headers=600, idle=600, total=None)


@pytest.mark.parametrize("given", [0, -1, Timeout(idle=0), float("nan")])
def test_what_a_timeout_cannot_be(given: Any) -> None:
    """Zero is no deadline: httpx reads it as none at all, sockets as not waiting."""
    with pytest.raises(DuologueError, match="timeout"):
        Client(base_url="http://h/v1", timeout=given)


def test_a_timeout_of_another_library() -> None:
    """The error says what is wanted instead."""
    with pytest.raises(TypeError, match=r"duologue\.Timeout"):
        Client(base_url="http://h/v1", timeout=object())  # type: ignore[arg-type]


def test_a_call_can_have_its_own(every: Driver) -> None:
    """`timeout` of one call stands in place of the client's."""
    server = WireServer(raw(ending="open"))
    with server, pytest.raises(APITimeoutError, match=r"0\.1 s"):
        every.create(base_url=server.url, params={"timeout": SHORT})


def test_an_error_whose_body_drips(every: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an error says is waited for a few seconds only, with what has come of it told."""
    monkeypatch.setattr("duologue.client.call.ERROR_BODY_S", SHORT)

    def drip(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n")
        while peer.open:
            peer.send(b"x")
            time.sleep(0.02)

    began = time.monotonic()
    with WireServer(drip) as server, pytest.raises(BadRequestError, match="x"):
        every.create(base_url=server.url)
    assert time.monotonic() - began < 5


def test_blanks_cost_no_more_the_more_there_are() -> None:
    """A stream may begin with any number of them: each is looked at once."""

    class Blanks:
        head = Head(200, Headers(), "1.1", 0.0)
        parts = iter([b" " * 1000] * 6000)

        def send(self, request: Request, deadlines: Deadlines) -> Any:
            return self

        def read(self, by: float | None = None) -> bytes:
            return next(self.parts, b"")

        def release(self) -> None:
            pass

        def close(self) -> None:
            pass

    began = time.process_time()
    with pytest.raises(APIResponseValidationError, match="empty"):
        Client(base_url="http://h/v1", transport=Blanks()).chat.completions.create(**ASK, stream=True)
    assert time.process_time() - began < 1
