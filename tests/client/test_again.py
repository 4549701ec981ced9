"""Streams that fail before their first chunk, other servers to ask, and the key that holds attempts together."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from duologue import (
    AsyncClient,
    BadRequestError,
    Client,
    DuologueError,
    InternalServerError,
    RateLimitError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeout,
)
from support.steps import HEAD, piece
from support.wire import (
    CHUNK,
    COMPLETION,
    DONE,
    PATIENCE_S,
    Answer,
    Peer,
    WireServer,
    event,
    events,
    json_answer,
    raw,
    refused_url,
    sse,
)

from .conftest import ASK, Driver

WHOLE = sse(events("Hello"))
SOON = {"retry-after-ms": "10"}


def error(status: int) -> bytes:
    return event({"error": {"message": "No", "code": status}})


# --- before the first chunk -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(raw(HEAD), id="closed"),
        pytest.param(raw(HEAD, ending="reset"), id="reset"),
        pytest.param(raw(HEAD + b"0\r\n\r\n", ending="whole"), id="empty"),
        pytest.param(raw(HEAD + b"9\r\n: wait\n\n\r\n"), id="closed-after-a-comment"),
        pytest.param(raw(HEAD + b"5\r\ndata:\r\n"), id="closed-in-the-first-event"),
        pytest.param(raw(HEAD + b"zz\r\n"), id="broken-framing"),
        pytest.param(sse(error(503) + DONE), id="error-503"),
        pytest.param(sse(error(429) + DONE), id="error-429"),
    ],
)
def test_a_stream_is_tried_again_before_its_first_chunk(failure: Answer, every: Driver) -> None:
    """Nothing was delivered, so nothing is delivered twice; the stream goes on as if nothing had been."""
    with WireServer(failure, WHOLE) as server:  # its own fallback, which needs no wait
        reading = every.read(base_url=server.url, fallback_base_urls=[server.url], max_retries=1)
    assert (reading.text, reading.stream.outcome, reading.error) == ("Hello", "complete", None)
    assert reading.stream.response.retries_taken == 1
    assert len(server.asked) == 2


def test_silence_before_the_first_chunk_is_tried_again(both: Driver) -> None:
    """After `idle` as well. The timings tell what the caller waited."""
    with WireServer(raw(HEAD, ending="open"), WHOLE) as server:
        reading = both.read(base_url=server.url, max_retries=1, timeout=Timeout(idle=0.1))
    assert (reading.text, len(server.asked)) == ("Hello", 2)
    timings = reading.stream.timings
    assert 0.475 <= timings.connect <= timings.headers <= timings.first_chunk <= timings.duration


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        pytest.param(raw(HEAD + piece(CHUNK)), StreamTruncatedError, id="after-a-chunk"),
        pytest.param(sse(CHUNK + error(503)), InternalServerError, id="error-after-a-chunk"),
        pytest.param(sse(error(400)), BadRequestError, id="error-400"),
        pytest.param(sse(DONE), StreamTruncatedError, id="done-at-once"),
        pytest.param(sse(event({"error": "No"})), DuologueError, id="error-without-a-class"),
        pytest.param(sse(b'{"error": {"message": "No"}}'), DuologueError, id="json"),
        pytest.param(sse(b"<html>No</html>"), DuologueError, id="html"),
    ],
)
def test_a_stream_is_not_tried_again(failure: Answer, raised: type[Exception], both: Driver) -> None:
    """A chunk has come, or the answer is one that says what it has to say."""
    with WireServer(failure, WHOLE) as server:
        reading = both.read(base_url=server.url, max_retries=2)
    assert isinstance(reading.error, raised)
    assert len(server.asked) == 1


def test_when_all_attempts_fail(both: Driver) -> None:
    """The last failure is raised, and it is the stream's error."""
    with WireServer(raw(HEAD), json_answer({"error": {"message": "busy"}}, 429)) as server:
        reading = both.read(base_url=server.url, fallback_base_urls=[server.url], max_retries=1)
    assert isinstance(reading.error, RateLimitError)
    assert reading.stream.error is reading.error
    assert reading.stream.outcome == "failed"
    with WireServer(raw(HEAD)) as server:
        reading = both.read(base_url=server.url, fallback_base_urls=[server.url], max_retries=1)
    assert type(reading.error) is StreamTruncatedError
    assert (len(server.asked), reading.stream.outcome) == (2, "truncated")


def test_the_total_holds_for_streams_that_are_tried_again(both: Driver) -> None:
    """A wait that would outlast the call is not begun; and an attempt ends when the call does."""
    with WireServer(raw(HEAD)) as server:
        reading = both.read(base_url=server.url, max_retries=9, timeout=Timeout(total=0.3))
    assert (type(reading.error), len(server.asked)) == (StreamTruncatedError, 1)
    with WireServer(raw(HEAD, ending="open")) as server:
        reading = both.read(base_url=server.url, max_retries=9, timeout=Timeout(total=0.1))
    assert isinstance(reading.error, StreamTimeoutError)
    assert (reading.error.phase, len(server.asked)) == ("total", 1)


def test_leaving_while_another_attempt_is_under_way() -> None:
    """A stream that is closed meanwhile stays closed, and so does the new connection."""
    left, asked_again = threading.Event(), threading.Event()

    def answer(peer: Peer) -> None:
        if len(server.asked) == 1:
            peer.send(HEAD)
            peer.close()
            return
        asked_again.set()
        time.sleep(0.1)
        peer.send(HEAD + piece(CHUNK))
        if peer.gone():
            left.set()

    with WireServer(answer) as server, Client(base_url=server.url, api_key="k") as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        thread = threading.Thread(target=lambda: list(stream))
        thread.start()
        assert asked_again.wait(PATIENCE_S)
        stream.close()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert left.wait(PATIENCE_S)
    assert stream.outcome == "cancelled"


async def test_cancelling_the_wait_for_another_attempt() -> None:
    """The task is cancelled between two attempts: nothing more is asked."""
    with WireServer(raw(HEAD)) as server:
        async with AsyncClient(base_url=server.url, api_key="k") as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(stream)
    assert len(server.asked) == 1


# --- other servers --------------------------------------------------------------------------------------


def test_the_next_server_is_asked_at_once(both: Driver) -> None:
    """One refuses, one is busy for minutes, one breaks off, one answers; nobody waits in between."""
    began = time.monotonic()
    with (
        WireServer(json_answer({"error": "busy"}, 429, {"retry-after": "600"})) as busy,
        WireServer(raw(HEAD)) as broken,
        WireServer(WHOLE) as good,
    ):
        reading = both.read(
            base_url=refused_url(), fallback_base_urls=[busy.url, broken.url, good.url], max_retries=3
        )
    assert reading.text == "Hello"
    assert reading.stream.response.retries_taken == 3
    assert reading.stream.response.request.url.startswith(good.url)
    assert [len(server.asked) for server in (busy, broken, good)] == [1, 1, 1]
    assert len({server.asked[0].headers["idempotency-key"] for server in (busy, broken, good)}) == 1
    assert time.monotonic() - began < 5


def test_round_and_round(both: Driver) -> None:
    """A server that is asked again is given the time it asked for; `max_retries` bounds the whole."""
    first = json_answer({"error": "busy"}, 503, {"retry-after-ms": "100"})
    began = time.monotonic()
    with WireServer(first) as one, WireServer(first) as two, pytest.raises(InternalServerError):
        both.create(base_url=one.url, fallback_base_urls=[two.url], max_retries=3)
    assert (len(one.asked), len(two.asked)) == (2, 2)
    assert 0.2 <= time.monotonic() - began < 5


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(json_answer({"error": "No"}, 400), id="400"),
        pytest.param(json_answer({"error": "No"}, 401), id="401"),
        pytest.param(json_answer({"error": "No"}, 500, {"x-should-retry": "false"}), id="500-should-not"),
        pytest.param(sse(CHUNK + error(503)), id="after-a-chunk"),
    ],
)
def test_another_server_is_not_asked(failure: Answer, both: Driver) -> None:
    """What is wrong with the request is wrong everywhere; and a stream is not begun twice."""
    with WireServer(failure) as one, WireServer(WHOLE) as two:
        try:
            raised = both.read(base_url=one.url, fallback_base_urls=[two.url]).error
        except DuologueError as caught:
            raised = caught
    assert raised is not None
    assert two.asked == []


def test_what_speaks_no_http_is_left_for_another(both: Driver) -> None:
    """It would answer the same again, so it is not asked again; another server may."""
    with WireServer(raw(b"SSH-2.0-OpenSSH\r\n")) as one, WireServer(json_answer(COMPLETION)) as two:
        answer = both.create(base_url=one.url, fallback_base_urls=[two.url], max_retries=1)
    assert answer.text == "Hello there"


@pytest.mark.parametrize("given", ["http://h/v1", ["h/v1"], ["ftp://h"]], ids=repr)
def test_fallbacks_that_cannot_be(given: Any) -> None:
    """The error names the option."""
    with pytest.raises((DuologueError, TypeError), match="fallback_base_urls must be"):
        Client(base_url="http://h/v1", fallback_base_urls=given)


# --- the key that holds attempts together ---------------------------------------------------------------


def test_an_idempotency_key_is_kept_over_attempts(every: Driver) -> None:
    """The same in every attempt of a call, another in the next."""
    answers = [json_answer({"error": "busy"}, 503, SOON), WHOLE, WHOLE]
    with WireServer(*answers) as server:
        every.read(2, base_url=server.url, max_retries=1)
    one, again, other = [asked.headers["idempotency-key"] for asked in server.asked]
    assert one == again != other
    assert len(one) >= 32


@pytest.mark.parametrize(("given", "sent"), [("mine", "mine"), (None, None)])
def test_an_idempotency_key_of_ones_own(given: str | None, sent: str | None, both: Driver) -> None:
    """`extra_headers` sets it, and takes it away."""
    with WireServer(json_answer(COMPLETION)) as server:
        both.create(base_url=server.url, params={"extra_headers": {"Idempotency-Key": given}})
    assert server.asked[0].headers.get("idempotency-key") == sent


def test_reading_needs_no_key() -> None:
    """A GET changes nothing."""
    server = WireServer(json_answer({"object": "list", "data": []}))
    with server, Client(base_url=server.url, api_key="k") as client:
        client.models.list()
    assert "idempotency-key" not in server.asked[0].headers
