"""The lines of batch files, as OpenAI's Batch API has them: a request or a result each, as JSON.

    {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}
    {"id": "batch_req_…", "custom_id": "a", "response": {"status_code", "request_id", "body"}, "error": null}

`response` is what the server answered, an error as well as a completion; where there was no answer, or none that
can be read, it is null and `error` says why: `{"code", "message"}`. An answer that is less than what was asked for
has both.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec

from .codec import load, loads
from .errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    DuologueError,
    error_body,
)

__all__ = [
    "LINE_START",
    "BatchAnswer",
    "BatchRequest",
    "error_line",
    "read_answer",
    "read_request",
    "success_line",
]

URLS = ("/v1/chat/completions", "/chat/completions")

# How a line of results begins that is written here.
LINE_START = b'{"id":"batch_req_'

# What the `error` of a result is called, by the first class that fits.
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (APITimeoutError, "request_timeout"),
    (APIConnectionError, "connection_error"),
    (APIResponseValidationError, "invalid_response"),
    (Exception, "request_failed"),
)


class BatchRequest(NamedTuple):
    """A line that asks."""

    custom_id: str
    body: dict[str, Any]


class BatchAnswer(NamedTuple):
    """What is to be known of a line that answers: whom, and whether with a completion."""

    custom_id: str
    good: bool


def read_request(line: bytes, *, model: str | None = None) -> BatchRequest:
    """The request in a line; `model` stands in place of the one that it names. Raises `DuologueError`."""
    try:
        value, strict = load(line)
    except APIResponseValidationError:
        raise DuologueError("it is not JSON") from None
    if not strict:
        raise DuologueError("it holds NaN, half of a surrogate pair, or bytes that are not UTF-8")
    if not isinstance(value, dict):
        raise DuologueError("it is not a JSON object")
    custom_id, body = value.get("custom_id"), value.get("body")
    if not isinstance(custom_id, str) or not custom_id:
        raise DuologueError("custom_id must be a text that is not empty")
    if value.get("method") != "POST":
        raise DuologueError('method must be "POST"')
    if value.get("url") not in URLS:
        raise DuologueError(f'url must be "{URLS[0]}"')
    if not isinstance(body, dict):
        raise DuologueError("body must be a JSON object")
    if model is not None:
        body["model"] = model
    if not isinstance(body.get("model"), str):
        raise DuologueError("body.model must name a model; --model names one for all lines")
    if not isinstance(body.get("messages"), list):
        raise DuologueError("body.messages must be a list")
    if body.get("stream"):
        raise DuologueError("body.stream must be left out: results are whole")
    return BatchRequest(custom_id, body)


def read_answer(line: bytes) -> BatchAnswer:
    """What a line of results answers. Raises `DuologueError` for one that is none."""
    try:
        value = loads(line)
    except APIResponseValidationError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("custom_id"), str) or "response" not in value:
        raise DuologueError("it is not a result")
    response = value["response"]
    status = response.get("status_code") if isinstance(response, dict) else None
    good = isinstance(status, int) and 200 <= status < 300 and value.get("error") is None
    return BatchAnswer(value["custom_id"], good)


def success_line(
    name: str, custom_id: str, body: bytes, *, request_id: str | None, misses: str = ""
) -> bytes:
    """The result of a request that was answered with a completion; `name` is its id, `body` its bytes.

    `misses` says what of the answer did not come; then the result is that of a request that failed.
    """
    response = {"status_code": 200, "request_id": request_id, "body": _one_line(body)}
    error = {"code": "incomplete_response", "message": misses} if misses else None
    return _line(name, custom_id, response, error)


def error_line(name: str, custom_id: str, error: BaseException) -> bytes:
    """The result of a request that failed."""
    if isinstance(error, APIStatusError):
        body = _error_as_sent(error) or error_body(error)
        response = {"status_code": error.status_code, "request_id": error.request_id, "body": body}
        return _line(name, custom_id, response, None)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "request_failed")
    return _line(name, custom_id, None, {"code": code, "message": str(error)})


def _line(name: str, custom_id: str, response: Any, error: Any) -> bytes:
    return _encode({"id": name, "custom_id": custom_id, "response": response, "error": error})


def _one_line(body: bytes) -> Any:
    """The JSON in `body` to the letter but for the space between its values; repaired where it is odd."""
    value, strict = load(body)
    return msgspec.Raw(msgspec.json.format(body, indent=-1)) if strict else value


def _error_as_sent(error: APIStatusError) -> Any:
    try:
        value = loads(error.raw or b"")
    except APIResponseValidationError:
        return None
    return value if isinstance(value, dict) else None


def _encode(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair, for which there is only an escape
        return json.dumps(value, separators=(",", ":")).encode()
