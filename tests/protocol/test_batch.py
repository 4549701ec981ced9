"""The lines of batch files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from duologue import APIConnectionError, APITimeoutError, BadRequestError, DuologueError
from duologue.protocol.batch import BatchAnswer, error_line, read_answer, read_request, success_line
from duologue.protocol.errors import APIResponseValidationError, error_from_body

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
LINE: dict[str, Any] = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": BODY}


def test_a_request() -> None:
    """Who asks, and what."""
    assert read_request(json.dumps(LINE).encode()) == ("a", BODY)


def test_another_model() -> None:
    """It stands in place of the one that the line names, or in an empty place."""
    bare = {**LINE, "body": {"messages": []}}
    for line in (LINE, bare):
        assert read_request(json.dumps(line).encode(), model="other").body["model"] == "other"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(b"{", "JSON", id="torn"),
        pytest.param(b"[]", "object", id="list"),
        pytest.param(b'{"custom_id": "\xff"}', "UTF-8", id="bytes"),
        pytest.param({"custom_id": None}, "custom_id", id="no-id"),
        pytest.param({"custom_id": ""}, "custom_id", id="empty-id"),
        pytest.param({"custom_id": 7}, "custom_id", id="number-as-id"),
        pytest.param({"method": "GET"}, "method", id="method"),
        pytest.param({"url": "/v1/embeddings"}, "url", id="url"),
        pytest.param({"body": None}, "body", id="no-body"),
        pytest.param({"body": {"messages": []}}, "body.model", id="no-model"),
        pytest.param({"body": {"model": "m"}}, "body.messages", id="no-messages"),
        pytest.param({"body": {**BODY, "stream": True}}, "body.stream", id="stream"),
        pytest.param({"body": {**BODY, "temperature": float("nan")}}, "NaN", id="nan"),
    ],
)
def test_what_is_no_request(line: Any, words: str) -> None:
    """The error names the field."""
    data = line if isinstance(line, bytes) else json.dumps({**LINE, **line}).encode()
    with pytest.raises(DuologueError, match=words):
        read_request(data)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b'{"id": "c",\n "created": 1.0,\n "new": 12345678901234567890123, "text": "a\\nb \\u00e9"}',
            id="plain",
        ),
        pytest.param('{"text": "é→", "n": 1e5}'.encode(), id="unicode"),
    ],
)
def test_a_completion_is_kept_to_the_letter(body: bytes) -> None:
    """But for the space between its values: a result is one line."""
    line = success_line("batch_req_1", "a", body, request_id="req_1")
    assert b"\n" not in line
    answer = json.loads(line)
    assert answer["response"] == {"status_code": 200, "request_id": "req_1", "body": json.loads(body)}
    assert (answer["id"], answer["custom_id"], answer["error"]) == ("batch_req_1", "a", None)
    assert b"1.0" in line or b"1e5" in line
    assert read_answer(line) == BatchAnswer("a", True)


@pytest.mark.parametrize("body", [b'{"n": NaN, "t": "\\ud800"}', b'{"t": "\xff"}', b'{"t": "\\ud800"}'])
def test_a_completion_that_is_odd(body: bytes) -> None:
    """It is repaired, and the line can be read again."""
    line = success_line("batch_req_1", "a", body, request_id=None)
    assert read_answer(line) == BatchAnswer("a", True)
    assert b"\n" not in line


def test_an_error_that_the_server_sent() -> None:
    """Its body as it came, under its status; `error` is for what is no answer."""
    body = {"error": {"message": "No", "type": "t", "param": "p", "code": "c", "more": 1}}
    error = error_from_body(body, status=400)
    error.raw, error.request_id = json.dumps(body, indent=1).encode(), "req_1"
    line = error_line("batch_req_1", "a", error)
    answer = json.loads(line)
    assert answer["response"] == {"status_code": 400, "request_id": "req_1", "body": body}
    assert answer["error"] is None
    assert read_answer(line) == BatchAnswer("a", False)


def test_an_error_whose_body_was_no_json() -> None:
    """It gets the body that the protocol has for its status."""
    answer = json.loads(error_line("batch_req_1", "a", BadRequestError("No")))
    assert answer["response"]["body"]["error"]["message"] == "No"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (APITimeoutError("late"), "request_timeout"),
        (APIConnectionError("gone"), "connection_error"),
        (APIResponseValidationError("what"), "invalid_response"),
        (TypeError("what"), "request_failed"),
        (DuologueError("half \ud800"), "request_failed"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_answer(error: Exception, code: str) -> None:
    """`response` is null, and `error` says why."""
    line = error_line("batch_req_1", "a", error)
    answer = json.loads(line)
    assert answer["response"] is None
    assert answer["error"] == {"code": code, "message": str(error)}
    assert read_answer(line) == BatchAnswer("a", False)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"custom_id": "a"}', b"\0\0\0"])
def test_what_is_no_result(line: bytes) -> None:
    """A file of something else is not taken for one of results."""
    with pytest.raises(DuologueError, match="not a result"):
        read_answer(line)
