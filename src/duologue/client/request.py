"""Building a request: the URL, the headers, the body."""

from __future__ import annotations

import json
import platform
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from .._version import __version__
from ..protocol.errors import DuologueError
from ..protocol.transport import Headers, Request, is_header_name
from ..types.chat.completion_create_params import CompletionCreateParamsBase
from .options import Omit, Options, mapping

__all__ = ["build_all", "chat_body", "path_segment"]

_USER_AGENT = f"duologue/{__version__} Python/{platform.python_version()}"

# The parameters that a chat completion may have; `stream` has a place of its own in the signature.
_PARAMETERS = frozenset(CompletionCreateParamsBase.__annotations__)
_ELSEWHERE = "what only your server knows goes into extra_body"
_INSTEAD = {"stream": "stream() gives the answer as it comes"}
_REQUIRED = ("messages", "model")

# A line break would begin another header; what is not ASCII each library and server takes for something else.
_BAD_VALUE = re.compile(r"[^\t -~]")


def build_all(options: Options, key: str | None, method: str, path: str, **parts: Any) -> list[Request]:
    """The request to `path` for each of the servers, the first to be asked first; `parts` are `build`'s."""
    return [build(options, server, key, method, path, **parts) for server in options.servers]


def build(
    options: Options,
    server: str,
    key: str | None,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    idempotency_key: str | None = None,
    stream: bool = False,
    headers: Mapping[str, str | None] | None = None,
    query: Mapping[str, object] | None = None,
) -> Request:
    """A request to `path` under the base URL `server`. Raises `DuologueError` for a header that cannot be sent."""
    fields: dict[str, str | None] = {
        "accept": "text/event-stream" if stream else "application/json",
        "accept-encoding": "identity",  # compressing would hold back what is to arrive piece by piece
        "user-agent": _USER_AGENT,
        "authorization": _authorization(server, key),
        "content-type": None if body is None else "application/json",
        "idempotency-key": idempotency_key,  # the same in every attempt
        "openai-organization": options.organization,
        "openai-project": options.project,
    }
    for name, value in [*options.default_headers.items(), *mapping("extra_headers", headers).items()]:
        fields[name.lower()] = value
    sent = {name: _checked(name, value) for name, value in fields.items() if _is_given(value)}
    return Request(
        method,
        _url(server, path, {**options.default_query, **mapping("extra_query", query)}),
        Headers(sent.items()),
        body,
    )


def chat_body(params: Mapping[str, Any], stream: bool | Omit | None, extra: Any) -> dict[str, Any]:
    """The fields of a chat completion request. Raises `TypeError` for parameters that are missing or unknown."""
    for name in params:
        if name not in _PARAMETERS:
            raise TypeError(f"{name!r} is no parameter of this call; {_INSTEAD.get(name, _ELSEWHERE)}")
    given = {**params, "stream": stream, **mapping("extra_body", extra)}
    body = {name: value for name, value in given.items() if not isinstance(value, Omit)}
    for name in _REQUIRED:
        if name not in body:
            raise TypeError(f"create() is missing its parameter {name!r}")
    return body


def encode_body(body: Mapping[str, Any]) -> bytes:
    """The JSON of a request. Raises `TypeError` or `DuologueError` naming the parameter that cannot be sent."""
    try:
        return _encode(body)
    except (TypeError, ValueError, RecursionError):
        for name, value in body.items():
            try:
                _encode(value)
            except TypeError as error:
                raise TypeError(f"{name} cannot be sent as JSON: {error}") from None
            except (ValueError, RecursionError) as error:
                raise DuologueError(f"{name} cannot be sent as JSON: {error}") from None
        raise


def path_segment(name: str, value: str) -> str:
    """`value` as one segment of a path. Raises `DuologueError` where it would name something else."""
    if not value or value in (".", ".."):
        raise DuologueError(f"{name} must be the name of something, not {value!r}.")
    return quote(value, safe="")


def _encode(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair: only its escape can be sent
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    """What JSON has no word for: an answer's message, other answers' objects, models, lazy lists."""
    if isinstance(value, type):
        raise TypeError(f"{value.__name__} is a class; parse() and stream() ask for what it describes")
    if hasattr(value, "to_param"):
        return value.to_param()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_unset=True)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _is_given(value: Any) -> bool:
    return value is not None and not isinstance(value, Omit)


def _checked(name: str, value: Any) -> str:
    text = str(value)
    if not is_header_name(name):
        raise DuologueError(f"{name!r} is not the name of a header.")
    if _BAD_VALUE.search(text):
        source = " (the api_key)" if name == "authorization" else ""
        raise DuologueError(
            f"The header {name}{source} holds a line break or a character that HTTP cannot carry. "
            "A value read from a file often ends in a line break: use .strip()."
        )
    return text.strip()


def _authorization(server: str, key: str | None) -> str | None:
    """The key, or else the user and password that stand in the base URL."""
    base = urlsplit(server)
    if key is not None or base.username is None:
        return None if key is None else f"Bearer {key}"
    user = f"{unquote(base.username)}:{unquote(base.password or '')}"
    return f"Basic {b64encode(user.encode()).decode()}"


def _url(server: str, path: str, query: Mapping[str, object]) -> str:
    base = urlsplit(server)
    pairs = dict[str, object](parse_qsl(base.query, keep_blank_values=True))
    pairs |= query
    sent = {name: _query_value(value) for name, value in pairs.items() if _is_given(value)}
    return base._replace(
        netloc=_plain_host(base.netloc.rpartition("@")[2]),
        path=quote(base.path.rstrip("/"), safe="/%:@!$&'()*+,;=~") + path,
        query=urlencode(sent, doseq=True),
        fragment="",
    ).geturl()


def _plain_host(host: str) -> str:
    """A host and its port in ASCII, as the line of a request and its `host` have them."""
    return host if host.isascii() else host.encode("idna").decode()


def _query_value(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_query_value(item) for item in value] if isinstance(value, (list, tuple)) else value
