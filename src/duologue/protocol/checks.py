"""The body of a request to a checked `ChatRequest`, or an error that names the field and the remedy.

Types, limits and lengths are declared once, in `types/chat/request`; `wording` says what the decoder found, and
`combinations` has the rules that tie one parameter to another.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec

from ..types.chat.request import ChatRequest
from ..types.chat.request_message import Checked
from .combinations import check_combinations
from .errors import BadRequestError
from .wording import worded

__all__ = ["PARAMETERS", "decode_request"]

# Every parameter of the request, in the order of the protocol's types.
PARAMETERS: tuple[str, ...] = ChatRequest.__struct_fields__
# Without them there is nothing to answer.
REQUIRED = ("messages", "model")

_decoder = msgspec.json.Decoder(ChatRequest)


def decode_request(body: bytes, *, lenient: bool = False) -> tuple[ChatRequest, list[str]]:
    """The checked request in `body`, and the names of what was dropped to make it one.

    Strict, nothing is ever dropped: what is wrong raises `BadRequestError`, its `param` the path of the field.
    Lenient, an optional parameter that is wrong or badly combined is dropped, as is a field that is unknown,
    wherever it stands; `messages` and `model` must be right all the same.
    """
    try:
        request = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Look again at the plain value: there a number can be mended, a parameter dropped, a failure worded.
        fields = _json(body)
        request, dropped = _mended(fields) if lenient else (_convert(fields), [])
    else:
        dropped = []
    while True:
        try:
            check_combinations(request)
        except BadRequestError as error:
            name = _parameter(error)
            if not lenient or name in REQUIRED:
                raise
            setattr(request, name, None)
            dropped.append(name)
        else:
            return request, dropped


def _parameter(error: BadRequestError) -> str:
    """The parameter in which an error lies."""
    return (error.param or "").partition(".")[0].partition("[")[0]


def _json(body: bytes) -> Any:
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError as error:
        text = f"is not UTF-8: {_not_utf_8(body) or error.reason}"
    except msgspec.DecodeError as error:
        text = f"is not JSON: {error}"
    except RecursionError:
        text = "is nested too deeply to be read"
    else:
        return _integers_as_such(value) if isinstance(value, dict) else value
    raise BadRequestError(
        f"The body of the request {text}. Send one JSON object in UTF-8.", code="invalid_json"
    )


def _convert(fields: Any) -> ChatRequest:
    try:
        return msgspec.convert(fields, ChatRequest)
    except msgspec.ValidationError as error:
        raise worded(error, fields) from None


def _not_utf_8(body: bytes) -> str:
    """What is wrong, and where in the body: the decoder counts from the beginning of a text in it."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"{error.reason} at byte {error.start}"
    return ""


_INTEGERS = ("max_completion_tokens", "max_tokens", "n", "seed", "top_logprobs")


def _integers_as_such(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has one kind of number: 1.0 is an integer, though the decoder says otherwise."""
    for name in _INTEGERS:
        if name in fields:
            fields[name] = _integer(fields[name])
    biases = fields.get("logit_bias")
    if isinstance(biases, dict):
        fields["logit_bias"] = {name: _integer(value) for name, value in biases.items()}
    return fields


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


# --- lenient -------------------------------------------------------------------------------------------

# Stands for what cannot be dropped while the rest is looked at, so that a long conversation is read once.
_LEAST: Mapping[str, Any] = {"model": "", "messages": [{"role": "user", "content": ""}]}


def _mended(fields: Any) -> tuple[ChatRequest, list[str]]:
    """The request in `fields` without what is unknown or wrong, and the names of that."""
    if not isinstance(fields, dict):
        return _convert(fields), []
    dropped = [name for name in fields if name not in PARAMETERS]
    known = {name: value for name, value in fields.items() if name in PARAMETERS}
    dropped += [
        name for name, value in known.items() for name in _unknown(value, _inside(ChatRequest)[name], name)
    ]
    rest = {name: value for name, value in known.items() if name not in REQUIRED}
    while True:
        try:
            _convert({**_LEAST, **rest})
        except BadRequestError as error:
            name = _parameter(error)
            del known[name], rest[name]
            dropped.append(name)
        else:
            return _convert(known), dropped


def _unknown(value: Any, classes: tuple[type[Checked], ...], path: str) -> Iterator[str]:
    """Take the fields that none of `classes` knows out of `value`, as deep as they go; gives their paths."""
    if isinstance(value, list) and classes:
        for at, item in enumerate(value):
            if isinstance(item, dict):
                yield from _unknown(item, classes, f"{path}[{at}]")
    elif isinstance(value, dict):
        cls = next((cls for cls in classes if _is_tagged(value, cls)), None)
        if cls is None:
            return
        inside = _inside(cls)
        for name in list(value):
            if name in inside:
                yield from _unknown(value[name], inside[name], f"{path}.{name}")
            elif name != cls.__struct_config__.tag_field:
                del value[name]
                yield f"{path}.{name}"


def _is_tagged(value: Mapping[str, Any], cls: type[Checked]) -> bool:
    """Whether an object is the one of a union that `cls` stands for."""
    config = cls.__struct_config__
    return config.tag_field is None or value.get(config.tag_field) == config.tag


@functools.cache
def _inside(cls: type[Checked]) -> Mapping[str, tuple[type[Checked], ...]]:
    """The classes that each field of a class may hold, or the items of its list."""
    return {field.encode_name: tuple(_classes(field.type)) for field in msgspec.structs.fields(cls)}


def _classes(hint: Any) -> Iterator[type[Checked]]:
    if isinstance(hint, type) and issubclass(hint, Checked):
        yield hint
    else:
        for part in get_args(hint):
            yield from _classes(part)
