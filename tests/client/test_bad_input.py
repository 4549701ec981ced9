"""Answers that are not what was asked for: each becomes a typed error that says what to do; nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DuologueError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from support.wire import (
    CHUNK,
    COMPLETION,
    WireServer,
    chunk,
    event,
    events,
    json_answer,
    raw,
    refused_url,
    sse,
)

from .conftest import Driver, Reading

HTML = b"<!DOCTYPE html>\n<html><body>Welcome to the console</body></html>"
HTML_HEADERS = {"content-type": "text/html; charset=utf-8"}
ERROR = {"error": {"message": "Slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}}


def fails(both: Driver, server: WireServer, **options: Any) -> Any:
    """The error of a call that is not streamed."""
    with server, pytest.raises(DuologueError) as caught:
        both.create(base_url=server.url, **options)
    return caught.value


def fails_to_stream(both: Driver, server: WireServer, **options: Any) -> Any:
    """The error of a streamed call, when it is made or while it is read."""
    with server:
        try:
            return both.read(base_url=server.url, **options).error
        except DuologueError as error:
            return error


# --- the status of an answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, APIStatusError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (503, InternalServerError),
    ],
)
def test_each_status_has_its_class(both: Driver, status: int, kind: type[APIStatusError]) -> None:
    """The error carries what the body says, the request id, the headers and the bytes."""
    body = {"error": {"message": "No", "type": "some_error", "param": "model", "code": 17}}
    error = fails(both, WireServer(json_answer(body, status, {"x-request-id": "req_1", "X-More": "yes"})))
    assert type(error) is kind
    assert (str(error), error.type, error.param, error.code) == ("No", "some_error", "model", "17")
    assert (error.status_code, error.request_id) == (status, "req_1")
    assert error.response.headers["x-more"] == error.response.headers["X-MORE"] == "yes"
    assert error.raw == json.dumps(body).encode()
    assert error.request.method == "POST"


def test_a_streamed_call_fails_with_the_same_classes(both: Driver) -> None:
    """An error is an error before any chunk, when the call is made."""
    with WireServer(json_answer(ERROR, 429)) as server, pytest.raises(RateLimitError, match="Slow down"):
        both.read(base_url=server.url)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"upstream connect error", "upstream connect error", id="text"),
        pytest.param(b"", "status 502", id="empty"),
        pytest.param(b'{"message": "flat"}', "flat", id="flat-json"),
        pytest.param(b'{"error": "just words"}', "just words", id="error-is-text"),
        pytest.param(b'{"detail": "from FastAPI"}', "from FastAPI", id="detail"),
        pytest.param(b"\xff\xfe", "�", id="not-utf-8"),
        pytest.param(HTML, "an HTML page", id="html"),
    ],
)
def test_inventive_error_bodies(both: Driver, body: bytes, message: str) -> None:
    """Whatever stands in the body, the status decides and the words are kept."""
    error = fails(both, WireServer(json_answer(body, 502)))
    assert type(error) is InternalServerError
    assert message in str(error)
    assert error.raw == body


def test_an_endless_error_body(both: Driver) -> None:
    """Only its beginning is read, and the message stays short."""
    head = b"HTTP/1.1 500 No\r\ncontent-length: 100000000\r\n\r\n"
    error = fails(both, WireServer(raw(head, b"x" * 300_000, ending="open")))
    assert type(error) is InternalServerError
    assert len(str(error)) < 1000
    assert len(error.raw) == 64 * 1024


def test_an_error_body_that_breaks_off(both: Driver) -> None:
    """The status has said enough."""
    error = fails(both, WireServer(raw(b"HTTP/1.1 401 No\r\ncontent-length: 99\r\n\r\nwho are")))
    assert type(error) is AuthenticationError
    assert "who are" in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(both: Driver, status: int) -> None:
    """The key is sent to nobody else; the error names the place without its secrets."""
    answer = json_answer(b"", status, {"location": "https://user:pw@elsewhere.example/v1?token=s3cret"})
    error = fails(both, server := WireServer(answer))
    assert type(error) is APIStatusError
    assert "https://elsewhere.example/v1" in str(error)
    assert "base_url" in str(error)
    assert "pw" not in str(error)
    assert "s3cret" not in str(error)
    assert len(server.asked) == 1


# --- a wrong place --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(json_answer(HTML, 404, HTML_HEADERS), id="html"),
        pytest.param(json_answer({"detail": "Not Found"}, 404), id="json-of-another-shape"),
        pytest.param(json_answer({"detail": "Method Not Allowed"}, 405), id="405"),
        pytest.param(json_answer(b"", 404), id="empty"),
        pytest.param(json_answer(HTML, 200, HTML_HEADERS), id="html-with-200"),
        pytest.param(json_answer({"status": "ok"}), id="json-with-200"),
    ],
)
def test_wrong_base_url(both: Driver, answer: Any) -> None:
    """The error names what was asked and the option to look at."""
    server = WireServer(answer)
    for error in (fails(both, server), fails_to_stream(both, WireServer(answer))):
        assert isinstance(error, APIError)
        assert "/v1/chat/completions" in str(error)
        assert "base_url" in str(error)


def test_a_404_of_the_protocol_is_left_alone(both: Driver) -> None:
    """A model that is not there says nothing of the base URL."""
    body = {"error": {"message": "No model m", "type": "x", "param": "model", "code": "model_not_found"}}
    error = fails(both, WireServer(json_answer(body, 404)))
    assert (type(error), str(error)) == (NotFoundError, "No model m")


def test_a_refused_connection(own: Driver) -> None:
    """Nobody listens there: the address, the system's word for it and the option to look at."""
    url = refused_url()
    with pytest.raises(APIConnectionError) as caught:
        own.create(base_url=url)
    assert f"{url}/chat/completions" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "base_url" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", id="another-protocol"),
        pytest.param(b"HTTP/1.1 banana\r\n\r\n", id="no-status"),
        pytest.param(b"HTTP/1.1 99 Low\r\n\r\n", id="low-status"),
    ],
)
def test_what_does_not_speak_http(own: Driver, garbage: bytes) -> None:
    """It is not asked again: it would say the same."""
    error = fails(own, server := WireServer(raw(garbage)), max_retries=2)
    assert type(error) is APIConnectionError
    assert "does not speak HTTP/1.1" in str(error)
    assert "\n" not in str(error)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((), id="nothing"),
        pytest.param((b"HTTP/1.1 200 OK\r\ncontent-ty",), id="inside-the-head"),
        pytest.param((b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{",), id="inside-the-body"),
    ],
)
@pytest.mark.parametrize("ending", ["closed", "reset"])
def test_a_connection_that_breaks_before_the_answer_is_whole(
    both: Driver, pieces: tuple[bytes, ...], ending: Any
) -> None:
    """A connection error with its cause, and what had come of the body."""
    error = fails(both, WireServer(raw(*pieces, ending=ending)))
    assert type(error) is APIConnectionError
    assert "broke" in str(error)
    assert error.raw == (b"{" if len(pieces) and pieces[0].endswith(b"{") else None)


# --- the body of a success --------------------------------------------------------------------------------


def test_html_with_status_200(both: Driver) -> None:
    """A page, whatever it calls itself."""
    for headers in (HTML_HEADERS, {}):
        for error in (
            fails(both, WireServer(json_answer(HTML, 200, headers))),
            fails_to_stream(both, WireServer(json_answer(HTML, 200, headers))),
        ):
            assert type(error) is APIResponseValidationError
            assert "HTML page" in str(error)
            assert "base_url" in str(error)
            assert error.raw == HTML
            assert error.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="blank"),
    ],
)
def test_an_empty_body(both: Driver, body: bytes) -> None:
    """Not an empty completion."""
    for error in (
        fails(both, WireServer(json_answer(body))),
        fails_to_stream(both, WireServer(json_answer(body))),
    ):
        assert type(error) is APIResponseValidationError
        assert "empty body" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"id": "chatcmpl-1", "choices": [', id="cut"),
        pytest.param(b'{"choices": [{"index": "first"}]}', id="wrong-type"),
        pytest.param(b"[1, 2]", id="no-object"),
        pytest.param(b"Internal error", id="text"),
        pytest.param(b'{"choices": [' + b"[" * 100_000, id="deep"),
    ],
)
def test_a_body_that_cannot_be_read(both: Driver, body: bytes) -> None:
    """The bytes are kept as they came."""
    error = fails(both, WireServer(json_answer(body)))
    assert type(error) is APIResponseValidationError
    assert error.raw == body


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param({"choices": None, **ERROR}, RateLimitError, id="choices-null"),
        pytest.param(ERROR, RateLimitError, id="error-alone"),
        pytest.param({"error": {"message": "x", "code": 503}}, InternalServerError, id="code-is-a-status"),
        pytest.param({"error": {"message": "x", "type": "unheard_of"}}, APIError, id="no-known-word"),
        pytest.param({"error": "just words", "choices": None}, APIError, id="error-is-text"),
        pytest.param({"choices": None}, APIResponseValidationError, id="no-error-either"),
    ],
)
def test_an_error_inside_a_200(both: Driver, body: Any, kind: type[APIError]) -> None:
    """It has the class that its words stand for, streamed or not."""
    error = fails(both, WireServer(json_answer(body, 200, {"x-request-id": "req_1"})))
    assert type(error) is kind
    assert error.request_id == "req_1"
    assert error.raw == json.dumps(body).encode()
    assert type(fails_to_stream(both, WireServer(json_answer(body)))) is kind


def test_an_error_beside_choices(both: Driver) -> None:
    """What was generated before it failed is kept."""
    error = fails(both, WireServer(json_answer({**COMPLETION, **ERROR})))
    assert type(error) is RateLimitError
    assert error.completion.text == "Hello there"


def test_error_null_is_no_error(both: Driver) -> None:
    """Some servers send the field with every answer."""
    with WireServer(json_answer({**COMPLETION, "error": None})) as server:
        assert both.create(base_url=server.url).text == "Hello there"


def test_json_where_a_stream_was_asked_for(both: Driver) -> None:
    """The whole completion is in the error, and the error says how to get it returned."""
    for content_type in ("application/json", "text/event-stream", "text/plain"):
        answer = json_answer(COMPLETION, 200, {"content-type": content_type})
        error = fails_to_stream(both, WireServer(answer))
        assert type(error) is APIResponseValidationError, content_type
        assert error.completion.text == "Hello there"
        assert error.usage.total_tokens == 3
        assert "without stream=True" in str(error)


def test_an_error_as_json_where_a_stream_was_asked_for(both: Driver) -> None:
    """Even when it calls itself an event stream."""
    for content_type in ("application/json", "text/event-stream"):
        answer = json_answer(ERROR, 200, {"content-type": content_type})
        error = fails_to_stream(both, WireServer(answer))
        assert type(error) is RateLimitError, content_type
        assert str(error) == "Slow down"


def test_a_stream_where_json_was_asked_for(both: Driver) -> None:
    """It is read to its end: what it held is in the error."""
    for content_type in ("text/event-stream", "application/json"):
        error = fails(both, WireServer(sse(b": hi\n\n" + events("Hel", "lo"), content_type=content_type)))
        assert type(error) is APIResponseValidationError
        assert error.completion.text == "Hello"
        assert "stream=True" in str(error)


def test_an_error_event_where_json_was_asked_for(both: Driver) -> None:
    """The error counts, not the form it came in."""
    error = fails(both, WireServer(sse(event(ERROR))))
    assert type(error) is RateLimitError


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/octet-stream", ""])
def test_a_stream_under_another_name(both: Driver, content_type: str) -> None:
    """Its bytes say what it is, after blank lines and comments, too."""
    pieces = [b"\n", b": wait\n\n", events("Hello")]
    with WireServer(sse(pieces, content_type=content_type)) as server:
        reading: Reading = both.read(base_url=server.url)
    assert (reading.text, reading.error, reading.stream.outcome) == ("Hello", None, "complete")


# --- limits -----------------------------------------------------------------------------------------------


def test_an_event_over_the_limit(both: Driver) -> None:
    """The number is told, the chunks before it are kept, and no more than the limit is held."""
    with WireServer(sse([CHUNK, b"data: " + b"x" * 3000], ending="open")) as server:
        reading = both.read(base_url=server.url, max_event_bytes=2000)
    assert type(reading.error) is APIResponseValidationError
    assert "max_event_bytes, 2000 bytes" in str(reading.error)
    assert reading.stream.outcome == "failed"
    assert reading.text == "Hello"
    assert reading.error.completion is not None
    assert reading.error.completion.text == "Hello"
    assert reading.error.response.status_code == 200


def test_a_body_over_the_limit(both: Driver) -> None:
    """The number is told, and reading stops there."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    server = WireServer(raw(head, b'{"id": "' + b"x" * 5000, ending="open"))
    error = fails(both, server, max_response_bytes=4000)
    assert type(error) is APIResponseValidationError
    assert "max_response_bytes, 4000 bytes" in str(error)
    assert len(error.raw) > 4000


def test_an_event_that_cannot_be_read(both: Driver) -> None:
    """The event's bytes are in the error, and all that came before it was delivered."""
    with WireServer(sse([CHUNK + b"data: {broken\n\n"], ending="open")) as server:
        reading = both.read(base_url=server.url)
    assert type(reading.error) is APIResponseValidationError
    assert reading.error.raw == b"{broken"
    assert reading.text == "Hello"


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        pytest.param(event(ERROR), RateLimitError, id="error"),
        pytest.param(b'event: error\ndata: {"message": "gone"}\n\n', APIError, id="error-event"),
    ],
)
def test_an_error_event(both: Driver, bad: bytes, kind: type[APIError]) -> None:
    """It has the class its status would have, and carries what had come."""
    with WireServer(sse([event(chunk("Hel")) + bad], headers={"x-request-id": "req_9"})) as server:
        reading = both.read(base_url=server.url)
    assert type(reading.error) is kind
    assert reading.stream.outcome == "failed"
    assert reading.error.completion is not None
    assert reading.error.completion.text == reading.text == "Hel"
    assert reading.error.request_id == reading.stream.request_id == "req_9"
    assert reading.error.request.url.endswith("/chat/completions")
