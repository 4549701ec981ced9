"""Which answers are asked for again, counted by the server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from duologue import APIConnectionError, APIError, BadRequestError, InternalServerError
from support.wire import COMPLETION, DONE, Answer, WireServer, chunk, event, events, json_answer, raw, sse

from .conftest import Driver

SOON = {"retry-after-ms": "10"}
ERROR = {"error": {"message": "No", "type": "x"}}


@pytest.mark.parametrize(
    "failure",
    [
        *(
            pytest.param(json_answer(ERROR, status, SOON), id=str(status))
            for status in (408, 409, 429, 500, 503)
        ),
        pytest.param(json_answer(ERROR, 400, {**SOON, "x-should-retry": "true"}), id="400-should-retry"),
    ],
)
def test_asked_again(both: Driver, failure: Answer) -> None:
    """Twice by default, with the very same body; the answer says how often."""
    with WireServer(failure, failure, json_answer(COMPLETION)) as server:
        answer = both.create(base_url=server.url, max_retries=2)
    assert answer.text == "Hello there"
    assert answer._response.retries_taken == 2
    assert len({asked.body for asked in server.asked}) == 1
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "failure",
    [
        *(
            pytest.param(json_answer(ERROR, status, SOON), id=str(status))
            for status in (400, 401, 403, 404, 422)
        ),
        pytest.param(json_answer(ERROR, 500, {**SOON, "x-should-retry": "false"}), id="500-should-not"),
        pytest.param(json_answer(ERROR, 429, {"retry-after": "121"}), id="429-too-long"),
        pytest.param(json_answer({"choices": None}), id="200-that-cannot-be-read"),
    ],
)
def test_not_asked_again(both: Driver, failure: Answer) -> None:
    """What would fail again, what the server rules out, and what it wants to wait for too long."""
    with WireServer(failure) as server, pytest.raises(APIError):
        both.create(base_url=server.url, max_retries=2)
    assert len(server.asked) == 1


def test_the_last_failure_is_told(both: Driver) -> None:
    """After the last attempt its error is raised, with its own body."""
    answers = [json_answer({"error": {"message": f"attempt {n}", "type": "x"}}, 500, SOON) for n in range(3)]
    with WireServer(*answers) as server, pytest.raises(InternalServerError, match="attempt 2") as caught:
        both.create(base_url=server.url, max_retries=2)
    assert caught.value.response.retries_taken == 2


def test_different_failures_in_a_row(both: Driver) -> None:
    """A broken connection, then an overload, then a wrong request, which ends it."""
    server = WireServer(
        raw(ending="reset"), json_answer(ERROR, 503, SOON), json_answer({"error": {"message": "bad"}}, 400)
    )
    with server, pytest.raises(BadRequestError, match="bad"):
        both.create(base_url=server.url, max_retries=5)
    assert len(server.asked) == 3


def test_a_broken_connection_is_asked_again(both: Driver) -> None:
    """No answer at all is worth another attempt, after the usual wait."""
    began = time.monotonic()
    with WireServer(raw(ending="reset"), json_answer(COMPLETION)) as server:
        assert both.create(base_url=server.url, max_retries=1).text == "Hello there"
    assert 0.375 <= time.monotonic() - began < 5


def test_a_good_answer_is_never_asked_for_again(both: Driver) -> None:
    """Once a success has begun nothing is sent again, streamed or not: it would be paid for twice."""
    cut = events("Hello", finish=None, done=False)
    with WireServer(sse(events("Hello"), cut=len(cut), ending="reset")) as server:
        reading = both.read(base_url=server.url, max_retries=2)
    assert (reading.stream.outcome, len(server.asked)) == ("truncated", 1)

    server = WireServer(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"))
    with server, pytest.raises(APIConnectionError):
        both.create(base_url=server.url, max_retries=2)
    assert len(server.asked) == 1


def test_a_stream_is_asked_for_again_before_it_begins(both: Driver) -> None:
    """Its timings begin with the call, so they tell what the caller waited."""
    with WireServer(json_answer(ERROR, 503, {"retry-after-ms": "100"}), sse(events("Hi"))) as server:
        reading = both.read(base_url=server.url, max_retries=1)
    assert reading.text == "Hi"
    assert reading.stream.response.retries_taken == 1
    assert 0.1 <= reading.stream.timings.connect <= reading.stream.timings.headers


def test_the_connection_of_a_refused_request_is_used_again(both: Driver) -> None:
    """The body of a failure is read, so that the retry needs no new connection."""
    with WireServer(json_answer(ERROR, 503, SOON), json_answer(COMPLETION)) as server:
        both.create(base_url=server.url, max_retries=1)
    assert server.connections == 1


def test_no_retries(both: Driver) -> None:
    """`max_retries=0` sends a request once."""
    with WireServer(json_answer(ERROR, 503, SOON)) as server, pytest.raises(InternalServerError):
        both.create(base_url=server.url, max_retries=0)
    assert len(server.asked) == 1


def test_an_error_event_is_not_asked_again(both: Driver) -> None:
    """In a stream, chunks may have been shown already."""
    failed: Any = event({"error": {"message": "overloaded", "code": 503}})
    with WireServer(sse([event(chunk("Hi")) + failed + DONE])) as server:
        reading = both.read(base_url=server.url, max_retries=2)
    assert isinstance(reading.error, InternalServerError)
    assert len(server.asked) == 1
