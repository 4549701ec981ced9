"""What an engine raises: a status before its first event, an error event after it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, cast

import pytest

from duologue.engine import Finish, Text
from duologue.protocol import errors
from duologue.run import run_server
from support.legal import check_stream
from support.raw import ask

SECRET = "password=hunter2"

# What is raised, and what the client is told of it: status, type, code.
RAISED: dict[str, tuple[Exception, int, str, str | None]] = {
    "bad-request": (errors.BadRequestError("no", param="user"), 400, "invalid_request_error", None),
    "authentication": (errors.AuthenticationError("no"), 401, "invalid_request_error", "invalid_api_key"),
    "permission": (errors.PermissionDeniedError("no"), 403, "permission_error", "permission_denied"),
    "not-found": (
        errors.NotFoundError("no", code="model_not_found"),
        404,
        "invalid_request_error",
        "model_not_found",
    ),
    "conflict": (errors.ConflictError("no"), 409, "conflict_error", "conflict"),
    "unprocessable": (
        errors.UnprocessableEntityError("no"),
        422,
        "invalid_request_error",
        "unprocessable_entity",
    ),
    "rate-limit": (errors.RateLimitError("no"), 429, "requests", "rate_limit_exceeded"),
    "quota": (
        errors.RateLimitError("no", type="insufficient_quota", code="insufficient_quota"),
        429,
        "insufficient_quota",
        "insufficient_quota",
    ),
    "internal": (errors.InternalServerError("no"), 500, "server_error", None),
    "overloaded": (errors.InternalServerError("no", status_code=503), 503, "server_error", "overloaded"),
    "other-status": (errors.APIStatusError("no", status_code=418), 418, "invalid_request_error", None),
    "code-a-number": (errors.BadRequestError("no", code=cast("Any", 17)), 400, "invalid_request_error", "17"),
}

FOREIGN: dict[str, BaseException] = {
    "value-error": ValueError(SECRET),
    "group": ExceptionGroup(SECRET, [ValueError(SECRET)]),
    "group-of-base": BaseExceptionGroup(SECRET, [GeneratorExit()]),
    "exit": SystemExit(SECRET),
    "generator-exit": GeneratorExit(SECRET),
    "self-cancelled": asyncio.CancelledError(SECRET),
    "timeout": TimeoutError(SECRET),
    "stop-iteration": StopIteration(SECRET),
    "no-status-at-all": errors.APIStatusError(SECRET, status_code=200),
    "connection": errors.APIConnectionError(SECRET),
}


class Failing:
    """Raises what the user names, at once or after a word."""

    models = ("m",)
    supports: dict[str, Any] = {"n": "native"}

    async def generate(self, request):
        what, _, when = request.messages[-1].text.partition(" ")
        if when:
            yield Text("Hello")
        raise RAISED[what][0] if what in RAISED else FOREIGN[what]


@pytest.fixture(scope="module")
def url():
    with run_server(Failing()) as url:
        yield url


def say(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_before_the_first_event_an_error_is_a_status(url, name, stream):
    """In the shape of all errors, whether a stream was asked for or not."""
    error, status, kind, code = RAISED[name]
    response = ask(url, messages=say(name), stream=stream)
    assert response.status == status
    param = cast("errors.APIError", error).param
    assert response.error == {"message": "no", "type": kind, "param": param, "code": code}
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("name", RAISED)
def test_after_it_an_error_is_an_event(url, name):
    """What was said stays; `[DONE]` follows the error, and nothing else."""
    _, _, kind, code = RAISED[name]
    response = ask(url, messages=say(f"{name} later"), stream=True)
    assert response.status == 200
    chunks, error = check_stream(response.body)
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", "Hello"]
    assert error is not None
    assert (error["error"]["message"], error["error"]["type"], error["error"]["code"]) == ("no", kind, code)


@pytest.mark.parametrize("name", RAISED)
def test_an_answer_that_is_not_streamed_is_whole_or_an_error(url, name):
    """However late it comes."""
    assert ask(url, messages=say(f"{name} later")).status == RAISED[name][1]


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("when", ["", " later"], ids=["first", "later"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_is_not_the_protocols_is_not_told(url, name, when, stream, caplog):
    """A fixed text with the request's id goes to the client; the exception goes to the log."""
    with caplog.at_level(logging.ERROR, "duologue.server"):
        response = ask(url, messages=say(name + when), stream=stream)
    assert SECRET.encode() not in response.body
    identity = response.headers["x-request-id"]
    if stream and when:
        assert response.status == 200
        error = cast("dict[str, Any]", check_stream(response.body)[1])["error"]
    else:
        assert response.status == 500
        error = response.error
    assert error["message"] == (
        f"The server had an error while processing your request. Its log has more under {identity}."
    )
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)
    assert identity in caplog.text


@pytest.mark.parametrize("raised", [GeneratorExit, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("fields", [{}, {"stop": "z"}, {"n": 2}], ids=["plain", "emulated", "choices"])
def test_whatever_a_blocking_engine_raises_its_stream_has_an_end(raised, fields):
    """Its own: what would end a coroutine or the event loop does neither from a thread."""

    def engine(request):
        yield "Hello"
        raise raised(SECRET)

    with run_server(engine) as url:
        response = ask(url, model="engine", stream=True, **fields)
        _, error = check_stream(response.body, n=fields.get("n", 1))
        assert error is not None
        assert error["error"]["type"] == "server_error"
        assert SECRET.encode() not in response.body
        assert ask(url, model="engine").status == 500


def test_what_a_plain_generate_raises_is_an_error_of_the_engine():
    """It is called for the answer, and ends no more than that."""

    class Exiting(Failing):
        def generate(self, request):
            raise SystemExit(SECRET)

    with run_server(Exiting()) as url:
        assert [ask(url).status for _ in range(2)] == [500, 500]


def test_headers_of_an_error_are_sent():
    """Those that say when to come again; not those that say how a body travels."""

    async def busy(request):
        raise errors.RateLimitError(
            "later",
            headers={
                "Retry-After": cast("Any", 7),
                "x-why": "a\r\nset-cookie: b",
                "x-a\r\nset-cookie": "c",
                "x b": "d",
                "x-\u20ac": "e",
                "": "f",
                "Content-Length": "3",
                "Transfer-Encoding": "chunked",
                "Content-Encoding": "br",
            },
        )
        yield

    with run_server(busy) as url:
        response = ask(url, model="busy")
    assert (response.status, response.error["message"]) == (429, "later")
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-why"] == "a??set-cookie: b"
    assert not [
        name for name in response.headers if name.startswith("x-") and name not in ("x-why", "x-request-id")
    ]
    assert response.headers.keys().isdisjoint({"content-encoding", "transfer-encoding", "set-cookie"})


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("", "The request failed with status 429."),
        (ValueError("x"), "x"),
        ("lone \ud800", None),
        ("Zürich ☃", "Zürich ☃"),
        ("line\nline", "line\nline"),
    ],
)
@pytest.mark.parametrize("later", [False, True], ids=["first", "later"])
def test_any_message_can_be_sent(message, told, later):
    """It is JSON, whatever stands in it."""

    async def busy(request):
        if later:
            yield "a"
        raise errors.RateLimitError(message)

    with run_server(busy) as url:
        response = ask(url, model="busy", stream=True)
    error = cast("Any", check_stream(response.body)[1])["error"] if later else response.error
    assert told is None or error["message"] == told
    assert error["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    "events",
    [[3], [None], [b"x"], [Text("x", 1)], [Text(cast("Any", 3))], ["a", Finish("stop"), "b"]],
    ids=["int", "none", "bytes", "choice", "no-text", "after-finish"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_an_engine_may_not_yield_is_a_502(events, stream):
    """And never reaches the client."""

    async def wrong(request):
        for event in events:
            yield event

    with run_server(wrong) as url:
        response = ask(url, model="wrong", stream=stream)
    if response.status == 200:
        error = cast("Any", check_stream(response.body)[1])["error"]
    else:
        assert response.status == 502
        error = response.error
    assert error["code"] == "engine_output_invalid"


def test_a_legal_request_still_works_after_all_that(url):
    """No failure leaves anything behind."""
    assert json.loads(ask(url, "/health", method="GET").body)["status"] == "ok"
