"""What an answer means: a good body becomes an object, anything else the exception that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from ..protocol.codec import decode, decode_completion, loads
from ..protocol.dialect import Asked, Deviation, Dialect, Watch, in_error
from ..protocol.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    error_from_body,
)
from ..protocol.read import StreamReader
from ..protocol.response import APIResponse, RequestInfo
from ..protocol.transport import TransportError
from ..types._wire import WireObject
from ..types.chat.chat_completion import ChatCompletion
from .options import public_url

__all__ = [
    "ERROR_BODY_BYTES",
    "ERROR_BODY_S",
    "Media",
    "completion",
    "media_of",
    "no_answer",
    "not_events",
    "object_of",
    "over_limit",
    "status_error",
    "why_given_up",
]

W = TypeVar("W", bound=WireObject)
E = TypeVar("E", bound=APIError)

# How much is read of the body of an error, and kept of one that is too large; for how many seconds it is read; and
# how much of one that is no JSON is shown.
ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_S = 5.0
SHOWN_CHARACTERS = 500

Media = Literal["events", "json", "html", "empty", "other"]

_FIRST_BYTES: tuple[tuple[Media, tuple[bytes, ...]], ...] = (
    ("json", (b"{", b"[")),
    ("html", (b"<",)),
    ("events", (b"data:", b"event:", b"id:", b"retry:", b":")),
)

_BASE_URL = "Is base_url right? It most often ends in /v1."

# What a transport failed at before an answer came, in words.
_NO_ANSWER: Mapping[str, str] = {
    "connect": "There is no connection to {server}: {text}. Is a server running there, and is base_url right?",
    "certificate": "The certificate of {server} is not trusted: {text} "
    "If it is signed by an authority of your own, pass an ssl_context that knows it.",
    "reset": "The connection to {server} broke before the answer was whole: {text}.",
    "invalid": "What answers at {server} does not speak HTTP/1.1: {text}. " + _BASE_URL,
    "app": "The application raised an exception before its answer was whole: {text}.",
}
_TOO_LATE: Mapping[str, str] = {
    "connect": "no connection came about within {seconds:g} s (timeout.connect)",
    "headers": "no answer began within {seconds:g} s (timeout.headers)",
    "idle": "nothing came for {seconds:g} s (timeout.idle)",
    "idle_content": "no chunk came for {seconds:g} s (timeout.idle_content)",
    "total": "the whole call may take {seconds:g} s (timeout.total)",
}


def media_of(content_type: str, start: bytes) -> Media:
    """What a body is by its first bytes, which are more to be trusted than what it is called."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for media, beginnings in _FIRST_BYTES:
        if text.startswith(beginnings):
            return media
    if not text:
        return "events" if "event-stream" in content_type else "empty"
    return "other"


def why_given_up(failure: TransportError) -> str:
    """Which deadline passed, in words."""
    return _TOO_LATE[failure.phase or "idle"].format(seconds=failure.seconds or 0)


def no_answer(failure: TransportError, request: RequestInfo) -> APIConnectionError:
    """The exception for an answer that did not come."""
    server = public_url(request.url)
    if failure.kind == "timeout":
        late = APITimeoutError(f"{server} was given up: {why_given_up(failure)}.", request)
        late.phase = failure.phase
        return late
    return APIConnectionError(_NO_ANSWER[failure.kind].format(server=server, text=failure), request)


def status_error(response: APIResponse, body: bytes) -> APIError:
    """The exception for an answer that is no success."""
    status, url = response.status_code, response.request.url
    if 300 <= status < 400:
        target = public_url(response.headers.get("location", "nowhere"))
        error: APIError = APIStatusError(
            f"The server at {url} redirects to {target} (status {status}). Redirects are not followed, "
            "so that the key goes nowhere else; if the place is right, set base_url to it.",
            response=response,
        )
        return _told(error, response, body)
    value = _json_or_text(body)
    if isinstance(value, str):
        value = value.strip()[:SHOWN_CHARACTERS]
        if media_of("", body) == "html":
            value = f"The server at {url} answered with status {status} and an HTML page."
    else:
        response = response._replace(deviations=tuple(map(Deviation, in_error(value))))
    error = error_from_body(value, status=status, response=response)
    if status in (404, 405) and not (isinstance(value, Mapping) and value.get("error")):
        error = _reworded(error, f"{error.message} ({response.request.method} {url}) {_BASE_URL}")
    return _told(error, response, body)


def completion(response: APIResponse, body: bytes, asked: Asked, dialect: Dialect) -> ChatCompletion:
    """The completion in the body of a success. Raises what else it is."""
    media = media_of(response.headers.get("content-type", ""), body)
    if media == "events":
        raise _events_instead(response, body, asked)
    watch = Watch(asked, dialect)
    whole = _answer(response, body, watch.completion, "choices")
    whole._response = response._replace(deviations=tuple(watch.deviations))
    response.timings.tokens = whole.usage.completion_tokens if whole.usage is not None else None
    if (error := watch.error()) is not None:
        error.completion, error.usage = whole, whole.usage
        raise _told(error, whole._response, body)
    return whole


def object_of(cls: type[W], response: APIResponse, body: bytes, *, needs: str) -> W:
    """An object of `cls` from the body of a success, in which the field `needs` must be."""
    return _answer(response, body, lambda data: decode(cls, data), needs)


def not_events(response: APIResponse, body: bytes) -> APIError:
    """The exception for a success whose body is no event stream, though one was asked for."""
    try:
        whole = _answer(response, body, decode_completion, "choices")
    except APIError as error:
        return error
    problem = _unusable(
        response,
        body,
        "The server answered stream=True with the whole completion as JSON. It is in `error.completion`; "
        "call without stream=True to have it returned.",
    )
    problem.completion, problem.usage = whole, whole.usage
    return problem


def over_limit(response: APIResponse, body: bytes | bytearray, limit: int) -> APIError:
    """The exception for a body that is larger than the client reads; it keeps the beginning of what was read."""
    return _unusable(
        response,
        bytes(body[:ERROR_BODY_BYTES]),
        f"The answer is larger than max_response_bytes, {limit} bytes. Raise the limit if the server is to "
        "be trusted with it.",
    )


def _answer(response: APIResponse, body: bytes, read: Callable[[bytes], W], needs: str) -> W:
    url = response.request.url
    if not body.strip():
        raise _unusable(response, body, f"The server at {url} answered with an empty body.")
    if media_of("", body) == "html":
        raise _unusable(response, body, f"The server at {url} answered with an HTML page. {_BASE_URL}")
    try:
        answer = read(body)
        if not answer.wire.has(needs) or answer.wire.is_null(needs) or answer.wire.extra.get("error"):
            raise _no_such_object(response, body, needs)
    except APIResponseValidationError as error:
        problem = _error_inside(body) or error
        if problem is not error:
            met = ("error-with-200", *in_error(_json_or_text(body)))
            response = response._replace(deviations=tuple(map(Deviation, met)))
        raise _told(problem, response, body) from None
    answer._response = response
    return answer


def _no_such_object(response: APIResponse, body: bytes, needs: str) -> APIResponseValidationError:
    return APIResponseValidationError(
        f"The server at {response.request.url} answered with JSON that has no `{needs}`: "
        f"{body[:SHOWN_CHARACTERS].decode('utf-8', 'replace')} {_BASE_URL}"
    )


def _error_inside(body: bytes) -> APIError | None:
    """The error that a server sent with a good status; it has the class its own words stand for."""
    value = _json_or_text(body)
    if isinstance(value, Mapping) and value.get("error"):
        error = error_from_body(value)
        if isinstance(value.get("choices"), list) and value["choices"]:
            try:
                error.completion = decode_completion(body)
            except APIResponseValidationError:
                pass
        return error
    return None


def _events_instead(response: APIResponse, body: bytes, asked: Asked) -> APIError:
    reader = StreamReader(asked=asked)
    reader.request_id = response.request_id
    reader.feed(body)
    reader.close()
    if reader.outcome == "failed" and reader.error is not None:
        return _told(reader.error, response, reader.error.raw)
    problem = _unusable(
        response,
        body,
        "The server answered with a stream, though none was asked for. What it held is in "
        "`error.completion`; call with stream=True to read it as it comes.",
    )
    problem.completion, problem.usage = reader.completion, reader.usage
    return problem


def _unusable(response: APIResponse, body: bytes, message: str) -> APIResponseValidationError:
    return _told(APIResponseValidationError(message, response=response), response, body)


def _told(error: E, response: APIResponse, raw: bytes | None) -> E:
    error.request, error.raw, error.request_id = response.request, raw, response.request_id
    error.response = response
    return error


def _reworded(error: APIError, message: str) -> APIError:
    error.message = message
    error.args = (message,)
    return error


def _json_or_text(body: bytes) -> Any:
    try:
        return loads(body)
    except APIResponseValidationError:
        return body.decode("utf-8", "replace")
