"""Errors: one tree and one table, for both ends of the wire.

    DuologueError (= OpenAIError)
    ├── APIError                           something of the exchange went wrong
    │   ├── APIStatusError                 the server answered with an error
    │   │   ├── BadRequestError            400
    │   │   ├── AuthenticationError        401
    │   │   ├── PermissionDeniedError      403
    │   │   ├── NotFoundError              404
    │   │   ├── ConflictError              409
    │   │   ├── UnprocessableEntityError   422
    │   │   ├── RateLimitError             429
    │   │   └── InternalServerError        500 and above
    │   ├── APIConnectionError             no answer, or a part of one
    │   │   ├── APITimeoutError            a deadline passed
    │   │   └── StreamTruncatedError       the answer ended before it was complete
    │   │       └── StreamTimeoutError     ... because a deadline passed; an APITimeoutError, too
    │   └── APIResponseValidationError     an answer that cannot be read
    ├── StreamCancelledError               asked for the result of a stream that the caller left
    ├── LengthFinishReasonError            a value was asked for, and the answer was cut at the token limit
    ├── ContentFilterFinishReasonError     ... and the answer was stopped by the content filter
    └── MaxTurnsError                      the model still called tools after the last turn that it was allowed

A client raises them for what a server sent; an engine raises them to say what a server shall send. What
had arrived when a client raised one is in `completion` and `usage`: nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..types.chat.chat_completion import ChatCompletion
    from ..types.chat.chat_completion_chunk import ChatCompletionChunk
    from ..types.completion_usage import CompletionUsage
    from .response import APIResponse, RequestInfo

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "DuologueError",
    "InternalServerError",
    "LengthFinishReasonError",
    "MaxTurnsError",
    "NotFoundError",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "StreamCancelledError",
    "StreamTimeoutError",
    "StreamTruncatedError",
    "UnprocessableEntityError",
    "error_body",
    "error_from_body",
]


class DuologueError(Exception):
    """The root of every exception of this package.

    `completion` is what had arrived of the answer (None when no chunk had come), `last_chunk` its last
    chunk, `usage` the token counts so far, `raw` the bytes that could not be used, `tail` the bytes after
    the last whole event, `request_id` the server's name for the exchange. `response` is the HTTP side of the
    answer: its status, headers, timings and `deviations`; None when there was none.
    """

    message: str = ""
    completion: ChatCompletion | None = None
    last_chunk: ChatCompletionChunk | None = None
    usage: CompletionUsage | None = None
    raw: bytes | None = None
    tail: bytes | None = None
    request_id: str | None = None
    response: APIResponse | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


OpenAIError = DuologueError


class APIError(DuologueError):
    """Something of the exchange went wrong.

    `body` is the error object of the answer; `type`, `param` and `code` are its fields.
    """

    def __init__(
        self,
        message: str = "",
        request: Any = None,
        *,
        body: Any = None,
        type: str | None = None,  # noqa: A002 - the protocol's word
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        fields: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
        self.request: RequestInfo | None = request
        self.body = body
        self.type = _string(type if type is not None else fields.get("type"))
        self.param = _string(param if param is not None else fields.get("param"))
        self.code = _string(code if code is not None else fields.get("code"))


class APIStatusError(APIError):
    """The server answered with an error.

    An engine raises it with nothing but a message; `headers` are then added to the answer (a
    `retry-after`, say).
    """

    status_code: int = 500

    def __init__(
        self,
        message: str = "",
        *,
        response: Any = None,
        body: Any = None,
        status_code: int | None = None,
        type: str | None = None,  # noqa: A002 - the protocol's word
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            message, getattr(response, "request", None), body=body, type=type, param=param, code=code
        )
        self.response = response
        self.headers: Mapping[str, str] = headers or {}
        self.request_id = getattr(response, "request_id", None)
        status = status_code if status_code is not None else getattr(response, "status_code", None)
        if status is not None:
            self.status_code = status


class BadRequestError(APIStatusError):
    """400: the request is wrong; `param` says where."""

    status_code = 400


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""

    status_code = 401


class PermissionDeniedError(APIStatusError):
    """403: the key is right and may not do this."""

    status_code = 403


class NotFoundError(APIStatusError):
    """404: no such model, path or stored completion."""

    status_code = 404


class ConflictError(APIStatusError):
    """409: the request conflicts with another."""

    status_code = 409


class UnprocessableEntityError(APIStatusError):
    """422: the request is well formed and cannot be followed."""

    status_code = 422


class RateLimitError(APIStatusError):
    """429: too many requests, or no quota left."""

    status_code = 429


class InternalServerError(APIStatusError):
    """500 and above: the server failed."""


class APIConnectionError(APIError):
    """The server could not be reached, or the connection broke."""

    def __init__(self, message: str = "Connection error.", request: Any = None, *, body: Any = None) -> None:
        super().__init__(message, request, body=body)


class APITimeoutError(APIConnectionError):
    """A deadline passed; `phase` is `connect`, `headers`, `idle`, `idle_content` or `total`."""

    phase: str | None = None

    def __init__(self, message: str = "Request timed out.", request: Any = None, *, body: Any = None) -> None:
        super().__init__(message, request, body=body)


class StreamTruncatedError(APIConnectionError):
    """The stream ended before every choice had finished.

    `reason` is `unfinished` (the server said `[DONE]`), `eof`, `reset` or `timeout`.
    """

    reason: str = "eof"


class StreamTimeoutError(StreamTruncatedError, APITimeoutError):
    """The stream was given up because a deadline passed."""

    reason = "timeout"


class APIResponseValidationError(APIError):
    """The server's answer cannot be read: not the protocol, or over a limit."""

    def __init__(
        self, message: str = "", *, response: Any = None, body: Any = None, status_code: int | None = None
    ) -> None:
        super().__init__(message, getattr(response, "request", None), body=body)
        self.response = response
        self.request_id = getattr(response, "request_id", None)
        self.status_code: int | None = (
            status_code if status_code is not None else getattr(response, "status_code", None)
        )


class StreamCancelledError(DuologueError):
    """The result was asked of a stream that the caller had left before its end."""


class LengthFinishReasonError(DuologueError):
    """A value was asked for, and the answer was cut at the token limit. What came is in `completion`."""


class ContentFilterFinishReasonError(DuologueError):
    """A value was asked for, and the content filter stopped the answer. What came is in `completion`."""


class MaxTurnsError(DuologueError):
    """A model still called tools in the last turn that it was allowed; `completion` is its last answer."""


class Row(NamedTuple):
    """One status: the class of its exception, and the words of its error body where nobody gave others."""

    error: type[APIStatusError]
    type: str
    code: str | None = None


STATUS: dict[int, Row] = {
    400: Row(BadRequestError, "invalid_request_error"),
    401: Row(AuthenticationError, "invalid_request_error", "invalid_api_key"),
    403: Row(PermissionDeniedError, "permission_error", "permission_denied"),
    404: Row(NotFoundError, "invalid_request_error", "not_found"),
    409: Row(ConflictError, "conflict_error", "conflict"),
    422: Row(UnprocessableEntityError, "invalid_request_error", "unprocessable_entity"),
    429: Row(RateLimitError, "requests", "rate_limit_exceeded"),
    500: Row(InternalServerError, "server_error"),
    503: Row(InternalServerError, "server_error", "overloaded"),
}
_OTHER_CLIENT_ERROR = Row(APIStatusError, "invalid_request_error")

# The status that an error event of a stream would have had as an answer, by its code or else its type.
STATUS_OF_WORD: dict[str, int] = {
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "model_not_found": 404,
    "not_found": 404,
    "not_found_error": 404,
    "conflict": 409,
    "conflict_error": 409,
    "unprocessable_entity": 422,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "requests": 429,
    "tokens": 429,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_request_error": 400,
    "server_error": 500,
    "engine_output_invalid": 502,
    "server_stopping": 503,
    "engine_timeout": 504,
    "answer_timeout": 504,
    "internal_server_error": 500,
    "internal_error": 500,
    "overloaded": 503,
    "overloaded_error": 503,
    "service_unavailable": 503,
}


def row_of(status: int) -> Row:
    """The row of an HTTP status, the nearest one for a status that has none."""
    if status in STATUS:
        return STATUS[status]
    return STATUS[500] if status >= 500 else _OTHER_CLIENT_ERROR


def error_body(error: APIStatusError) -> dict[str, dict[str, str | None]]:
    """The protocol's JSON for an error: `{"error": {message, type, param, code}}`, `code` never a number."""
    row = row_of(error.status_code)
    return {
        "error": {
            "message": str(error.message or "") or f"The request failed with status {error.status_code}.",
            "type": error.type or row.type,
            "param": error.param,
            "code": error.code if error.code is not None else row.code,
        }
    }


def error_from_body(body: Any, *, status: int | None = None, response: Any = None) -> APIError:
    """The exception for an error body, as tolerant as the servers out there are inventive.

    `body` is the decoded JSON (or the text, where it was none) of an answer with `status`, or of an error
    event in a stream, which has no status of its own: it gets the class that its code or type stands for,
    and is a plain `APIError` where they stand for none.
    """
    fields = _error_fields(body)
    message = _string(fields.get("message")) or _detail(fields.get("detail")) or _fallback(body, status)
    if status is None:
        status = _status_of(fields)
    if status is None:
        return APIError(message, body=fields)
    return row_of(status).error(message, response=response, body=fields, status_code=status)


def _error_fields(body: Any) -> Mapping[str, Any]:
    """The object that holds message, type, param and code, wherever a server put it."""
    if isinstance(body, Mapping):
        inner = body.get("error", body.get("detail"))
        if isinstance(inner, Mapping):
            return inner
        if isinstance(inner, str):
            return {**body, "message": body.get("message") or inner}
        return body
    return {"message": body} if isinstance(body, str) and body else {}


def _status_of(fields: Mapping[str, Any]) -> int | None:
    for name in ("status", "status_code", "code", "type"):
        word = fields.get(name)
        if isinstance(word, str) and re.fullmatch("[45][0-9][0-9]", word):
            return int(word)
        if isinstance(word, int) and 400 <= word <= 599:
            return word
        if isinstance(word, str) and word in STATUS_OF_WORD:
            return STATUS_OF_WORD[word]
    return None


def _detail(detail: Any) -> str | None:
    """FastAPI's `detail`: a text, or a list of what is wrong where."""
    if not isinstance(detail, list):
        return _string(detail)
    return "; ".join(_problem(entry) for entry in detail if isinstance(entry, Mapping)) or None


def _problem(entry: Mapping[str, Any]) -> str:
    place, what = entry.get("loc"), _string(entry.get("msg")) or "not valid"
    steps = [_string(step) or "?" for step in place] if isinstance(place, list) else []
    return f"{'.'.join(steps)}: {what}" if steps else what


def _fallback(body: Any, status: int | None) -> str:
    where = "An error came in the stream" if status is None else f"The server answered with status {status}"
    try:
        return f"{where}: {str(body)[:500]}" if body else f"{where} and said nothing more."
    except RecursionError:
        return f"{where} and a body that is nested too deeply to be shown."


def _string(value: Any) -> str | None:
    """`code` and its like as text: some servers send numbers."""
    return None if value is None or isinstance(value, (Mapping, list)) else str(value)
