"""The table of errors: exception ⇄ status ⇄ body, for both ends of the wire."""

from __future__ import annotations

import json
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.protocol import errors
from duologue.protocol.errors import (
    STATUS,
    STATUS_OF_WORD,
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentFilterFinishReasonError,
    DuologueError,
    InternalServerError,
    LengthFinishReasonError,
    MaxTurnsError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
    StreamCancelledError,
    StreamTimeoutError,
    StreamTruncatedError,
    UnprocessableEntityError,
    error_body,
    error_from_body,
    row_of,
)

BY_STATUS = {
    400: (BadRequestError, "invalid_request_error", None),
    401: (AuthenticationError, "invalid_request_error", "invalid_api_key"),
    403: (PermissionDeniedError, "permission_error", "permission_denied"),
    404: (NotFoundError, "invalid_request_error", "not_found"),
    409: (ConflictError, "conflict_error", "conflict"),
    422: (UnprocessableEntityError, "invalid_request_error", "unprocessable_entity"),
    429: (RateLimitError, "requests", "rate_limit_exceeded"),
    500: (InternalServerError, "server_error", None),
    503: (InternalServerError, "server_error", "overloaded"),
    # The nearest row for the rest.
    402: (APIStatusError, "invalid_request_error", None),
    405: (APIStatusError, "invalid_request_error", None),
    413: (APIStatusError, "invalid_request_error", None),
    418: (APIStatusError, "invalid_request_error", None),
    501: (InternalServerError, "server_error", None),
    502: (InternalServerError, "server_error", None),
    504: (InternalServerError, "server_error", None),
    529: (InternalServerError, "server_error", None),
    599: (InternalServerError, "server_error", None),
}


@pytest.mark.parametrize(("status", "row"), BY_STATUS.items())
def test_a_status_has_its_class_and_an_error_without_words_its_body(status, row):
    cls, kind, code = row
    assert row_of(status) == row
    error = cls("Not now.", status_code=status)
    assert error.status_code == status
    body = error_body(error)
    assert body == {"error": {"message": "Not now.", "type": kind, "param": None, "code": code}}
    again = error_from_body(body, status=status)
    assert type(again) is cls
    assert (again.status_code, again.message, again.type, again.param, again.code) == (
        (status, "Not now.", kind, None, code)
    )
    assert error_body(again) == body


@pytest.mark.parametrize("status", STATUS)
def test_the_class_of_a_row_has_its_status(status):
    cls = STATUS[status].error
    assert cls("x").status_code == (500 if cls is InternalServerError else status)


@pytest.mark.parametrize("status", BY_STATUS)
def test_the_words_of_an_error_go_both_ways(status):
    cls = row_of(status).error
    error = cls("m", status_code=status, type="t", param="messages[0].content", code="c")
    again = error_from_body(json.loads(json.dumps(error_body(error))), status=status)
    assert (type(again), again.message, again.type, again.param, again.code) == (
        (cls, "m", "t", "messages[0].content", "c")
    )
    assert again.body == {"message": "m", "type": "t", "param": "messages[0].content", "code": "c"}


@pytest.mark.parametrize("word", STATUS_OF_WORD)
def test_an_error_event_has_the_class_of_its_code_or_type(word):
    status = STATUS_OF_WORD[word]
    for name in ("code", "type"):
        error = error_from_body({"error": {"message": "m", name: word}})
        assert type(error) is row_of(status).error
        assert error.status_code == status


def test_the_code_of_an_error_event_says_more_than_its_type():
    error = error_from_body(
        {"error": {"message": "m", "type": "invalid_request_error", "code": "rate_limit_exceeded"}}
    )
    assert type(error) is RateLimitError


FOREIGN: dict[str, tuple[Any, type[APIError], str]] = {
    # what came, the class of an error event, the message
    "protocol": (
        {"error": {"message": "m", "type": "server_error", "param": None, "code": None}},
        InternalServerError,
        "m",
    ),
    "flat": ({"message": "m", "type": "server_error"}, InternalServerError, "m"),
    "flat-of-vllm": (
        {"object": "error", "message": "m", "type": "BadRequestError", "code": 400},
        BadRequestError,
        "m",
    ),
    "error-is-a-text": ({"error": "m"}, APIError, "m"),
    "error-is-a-text-beside-a-message": (
        {"error": "Not Found", "message": "m", "status": 404},
        NotFoundError,
        "m",
    ),
    "code-is-an-integer": ({"error": {"message": "m", "code": 503}}, InternalServerError, "m"),
    "code-is-digits": ({"error": {"message": "m", "code": "401"}}, AuthenticationError, "m"),
    "code-is-no-status": ({"error": {"message": "m", "code": 1001}}, APIError, "m"),
    "code-is-a-float": ({"error": {"message": "m", "code": 1.5}}, APIError, "m"),
    "code-is-other-digits": ({"error": {"message": "m", "code": "²²²"}}, APIError, "m"),
    "code-is-a-million-digits": ({"error": {"message": "m", "code": "9" * 10**6}}, APIError, "m"),
    "status-code": ({"error": {"message": "m", "status_code": 429}}, RateLimitError, "m"),
    "fastapi-text": ({"detail": "m"}, APIError, "m"),
    "fastapi-object": ({"detail": {"message": "m", "code": "model_not_found"}}, NotFoundError, "m"),
    "fastapi-list": (
        {
            "detail": [
                {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {}},
                {"type": "int", "loc": ["body", "messages", 0], "msg": "Not an integer"},
                {"msg": "No place"},
            ]
        },
        APIError,
        "body.messages: Field required; body.messages.0: Not an integer; No place",
    ),
    "fastapi-list-of-texts": ({"detail": ["a"]}, APIError, "An error came in the stream: {'detail': ['a']}"),
    "message-is-a-number": ({"error": {"message": 5}}, APIError, "5"),
    "message-is-an-object": ({"error": {"message": {"a": 1}}}, APIError, "An error came in the stream: "),
    "message-is-missing": (
        {"error": {"type": "overloaded_error"}},
        InternalServerError,
        "An error came in the stream: ",
    ),
    "plain-text": ("upstream is down", APIError, "upstream is down"),
    "html": ("<h1>502 Bad Gateway</h1>", APIError, "<h1>502 Bad Gateway</h1>"),
    "list": ([{"error": "m"}], APIError, "An error came in the stream: [{'error': 'm'}]"),
    "number": (5, APIError, "An error came in the stream: 5"),
    "nothing": (None, APIError, "An error came in the stream and said nothing more."),
    "empty-object": ({}, APIError, "An error came in the stream and said nothing more."),
    "empty-text": ("", APIError, "An error came in the stream and said nothing more."),
    "empty-error": ({"error": {}}, APIError, "An error came in the stream: {'error': {}}"),
}


@pytest.mark.parametrize(("body", "cls", "message"), FOREIGN.values(), ids=FOREIGN)
def test_what_servers_send_instead_is_understood(body, cls, message):
    event = error_from_body(body)
    assert type(event) is cls
    assert event.message.startswith(message)
    assert len(event.message) < 600
    answer = error_from_body(body, status=418)
    assert isinstance(answer, APIStatusError)
    assert answer.status_code == 418
    assert answer.message == event.message.replace(
        "An error came in the stream", "The server answered with status 418"
    )
    sent = error_body(answer)["error"]
    assert list(sent) == ["message", "type", "param", "code"]
    assert all(isinstance(value, str) for value in (sent["message"], sent["type"]))
    assert all(value is None or isinstance(value, str) for value in sent.values())


def test_a_body_without_a_status_text_is_shown_and_bounded():
    error = error_from_body({"odd": "x" * 10_000}, status=500)
    assert error.message.startswith("The server answered with status 500: {'odd': 'xxx")
    assert len(error.message) < 600


def test_a_body_nested_as_deep_as_can_be_is_no_problem():
    deep: Any = "m"
    for _ in range(5000):
        deep = [deep]
    for body in ({"error": deep}, {"message": deep}, {"detail": [{"loc": [deep]}]}, deep):
        assert 0 < len(error_from_body(body).message) < 600
    assert error_from_body({"detail": [{"loc": [deep, "a"], "msg": deep}]}).message == "?.a: not valid"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["error", "404"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "type", "param", "code", "status", "detail", "loc", "msg"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(json_values, st.none() | st.sampled_from([200, 301, 400, 404, 429, 500, 599]))
def test_any_body_makes_an_error_and_any_error_a_body_of_the_protocol(body, status):
    error = error_from_body(body, status=status)
    assert isinstance(error, APIError)
    assert str(error) == error.message != ""
    if isinstance(error, APIStatusError):
        sent = error_body(error)["error"]
        assert isinstance(sent["message"], str)
        assert isinstance(sent["type"], str)
        assert all(value is None or isinstance(value, str) for value in sent.values())
        assert status is None or error.status_code == status


TREE = {
    DuologueError: Exception,
    APIError: DuologueError,
    APIStatusError: APIError,
    BadRequestError: APIStatusError,
    AuthenticationError: APIStatusError,
    PermissionDeniedError: APIStatusError,
    NotFoundError: APIStatusError,
    ConflictError: APIStatusError,
    UnprocessableEntityError: APIStatusError,
    RateLimitError: APIStatusError,
    InternalServerError: APIStatusError,
    APIConnectionError: APIError,
    APITimeoutError: APIConnectionError,
    StreamTruncatedError: APIConnectionError,
    StreamTimeoutError: StreamTruncatedError,
    APIResponseValidationError: APIError,
    StreamCancelledError: DuologueError,
    LengthFinishReasonError: DuologueError,
    ContentFilterFinishReasonError: DuologueError,
    MaxTurnsError: DuologueError,
}


def test_the_tree():
    for cls, parent in TREE.items():
        assert parent in cls.__bases__
    assert issubclass(StreamTimeoutError, APITimeoutError)
    assert OpenAIError is DuologueError
    public = {getattr(errors, name) for name in errors.__all__}
    assert {cls for cls in public if isinstance(cls, type)} == set(TREE)


def test_the_names_are_those_of_openai():
    """A program that catches openai-python's exceptions by name catches these, parents included."""
    openai = pytest.importorskip("openai")
    for cls in TREE:
        theirs = getattr(openai, cls.__name__, None)
        if theirs is not None:
            parents = {base.__name__ for base in theirs.__mro__} - {"object", "BaseException"}
            assert parents <= {base.__name__ for base in cls.__mro__} | {"OpenAIError"}
    for name in ("OpenAIError", "APIError", "APIStatusError", "APITimeoutError", "RateLimitError"):
        assert hasattr(openai, name)


@pytest.mark.parametrize("cls", TREE)
def test_every_error_says_its_message_and_has_what_had_arrived(cls):
    error = cls("words")
    assert str(error) == error.message == "words"
    assert error.args == ("words",)
    nothing = ("completion", "last_chunk", "usage", "raw", "tail", "request_id")
    assert [getattr(error, name) for name in nothing] == [None] * len(nothing)
    if isinstance(error, APIError):
        assert [getattr(error, name) for name in ("request", "body", "type", "param", "code")] == [None] * 5
    error.tail = b"x"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.tail) == (cls, "words", b"x")
    assert again.__dict__ == error.__dict__
    assert cls().message == {
        APITimeoutError: "Request timed out.",
        StreamTimeoutError: "Request timed out.",
    }.get(cls, "Connection error." if issubclass(cls, APIConnectionError) else "")


def test_an_error_is_raised_with_nothing_but_a_message_or_with_its_words():
    error = RateLimitError("Later.", headers={"retry-after": "3"})
    assert (error.status_code, error.headers, error.code) == (429, {"retry-after": "3"}, None)
    assert BadRequestError("x").headers == {}
    assert error_body(BadRequestError("x", param="n"))["error"]["param"] == "n"
    assert (
        error_body(InternalServerError(status_code=502))["error"]["message"]
        == "The request failed with status 502."
    )
    assert error_body(APIStatusError("x", status_code=400, code=7))["error"]["code"] == "7"


def test_fields_come_from_the_body_unless_given():
    body = {"message": "m", "type": "t", "param": ["no text"], "code": 7}
    error = APIError("m", body=body)
    assert (error.body, error.type, error.param, error.code) == (body, "t", None, "7")
    assert APIError("m", body=body, code="c").code == "c"
    assert APIError("m", body="text").type is None


def test_status_and_request_id_come_from_the_response():
    response = SimpleNamespace(status_code=418, request_id="req_1", request="the request")
    for error in (
        APIStatusError("x", response=response),
        APIResponseValidationError("x", response=response),
        error_from_body({}, status=418, response=response),
    ):
        assert (error.status_code, error.request_id, error.request) == (418, "req_1", "the request")
        assert error.response is response
    assert APIStatusError("x", response=response, status_code=400).status_code == 400
    assert APIResponseValidationError("x").status_code is None


def test_what_kinds_of_time_out_and_of_truncation_there_are():
    assert APITimeoutError().phase is None
    assert StreamTimeoutError().reason == "timeout"
    assert StreamTruncatedError().reason == "eof"
