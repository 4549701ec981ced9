"""Bytes to types and back; unknown fields kept; missing, null and value told apart.

Decoding has two paths. The fast one is msgspec's decoder into classes that forbid unknown fields: most of
what is on the wire goes through it, and the bytes are kept so that `obj.wire` can answer later. On any
failure there is the slow path: the JSON value, by the standard library's `json` where it is not strict (NaN, split
surrogates, text decoded with replacement); then classes that skip unknown fields, since these are most of what is
odd; then `build`, which takes nulls and near misses, too.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import msgspec

from ..types._build import MAX_NESTING, Unreadable, build, is_too_deep
from ..types._inside import become, link, skipping
from ..types._wire import Origin, WireObject, dump, plain
from ..types.chat.chat_completion import ChatCompletion
from ..types.chat.chat_completion_chunk import ChatCompletionChunk
from ..types.model import Model, ModelList
from .errors import APIResponseValidationError

__all__ = [
    "ODD",
    "decode",
    "decode_chunk",
    "decode_completion",
    "decode_fast",
    "encode",
    "load",
    "loads",
    "may_be_deep",
    "to_text",
    "typed",
]

W = TypeVar("W", bound=WireObject)
Mend: TypeAlias = Callable[[Any, bool], None]

# Whatever a decoder may raise on bytes from elsewhere.
ODD = (msgspec.MsgspecError, ValueError, RecursionError)

# The strict decoder, for whoever reads chunks by the million.
decode_fast = msgspec.json.Decoder(ChatCompletionChunk).decode


def decode_chunk(data: bytes) -> ChatCompletionChunk:
    """The chunk in the data of one event; raises `APIResponseValidationError`."""
    return decode(ChatCompletionChunk, data)


def decode_completion(data: bytes, mend: Mend | None = None) -> ChatCompletion:
    """The completion in the body of an answer; raises `APIResponseValidationError`."""
    return decode(ChatCompletion, data, mend)


def decode(cls: type[W], data: bytes, mend: Mend | None = None) -> W:
    """An object of any response type from its JSON; raises `APIResponseValidationError`.

    What only the tolerant path can read is first shown to `mend`, which may change it: the JSON value, and
    whether it was JSON to the letter.
    """
    try:
        obj: W = _decoder(cls).decode(data)
    except ODD:
        value, strict = load(data)
        if mend is not None:
            mend(value, strict)
        return typed(cls, value, data)
    obj._wire = Origin(data, ())  # not the bare bytes: the class may be at home inside an event
    link(obj, data, ())
    return obj


def loads(data: bytes) -> Any:
    """The JSON value in `data`, as tolerant as can be; raises `APIResponseValidationError`."""
    return load(data)[0]


def load(data: bytes) -> tuple[Any, bool]:
    """The JSON value in `data`, and whether it is JSON to the letter.

    What is not: NaN, invalid UTF-8, half of a surrogate pair. Raises `APIResponseValidationError` for what not
    even the tolerant decoder reads.
    """
    try:
        return msgspec.json.decode(data), True
    except ODD:
        pass
    try:
        return json.loads(data.decode("utf-8-sig", "replace")), False
    except RecursionError:
        raise _unreadable("it is nested too deeply", data) from None
    except ValueError as error:
        raise _unreadable(f"it is not JSON ({error})", data) from None


def typed(cls: type[W], value: Any, data: bytes | None = None) -> W:
    """An object of `cls` from a JSON value by the tolerant path; raises `APIResponseValidationError`."""
    try:
        if type(value) is not dict or (data is not None and may_be_deep(data) and is_too_deep(value)):
            return _built(cls, value, data)
        return become(cls, msgspec.convert(value, skipping(cls)), value, data)
    except ODD:
        return _built(cls, value, data)


def _built(cls: type[W], value: Any, data: bytes | None) -> W:
    try:
        return build(cls, value, data)
    except Unreadable as error:
        raise _unreadable(f"it is no {cls.__name__}: {error}", data) from None
    except RecursionError:
        raise _unreadable("it is nested too deeply", data) from None


def encode(obj: WireObject) -> bytes:
    """The JSON of an object, with every field it came with.

    An object that nobody changed gives back the very bytes it was decoded from, if they are strict JSON.
    What comes out always is: NaN becomes null, a lone surrogate stays as its escape.
    """
    if getattr(obj, "_wire", None) is not None:
        raw = obj.wire.raw
        if _stands_for(raw, obj):
            return raw
    return to_text(dump(obj))


def _stands_for(raw: bytes, obj: WireObject) -> bool:
    """Whether `raw` is strict JSON that reads as `obj` does now."""
    try:
        if _decoder(type(obj)).decode(raw) == obj:
            return True
    except ODD:
        pass
    try:
        value, strict = load(raw)
        return strict and dump(build(type(obj), value)) == dump(obj)
    except (APIResponseValidationError, Unreadable):
        return False


def to_text(value: Any) -> bytes:
    """Compact JSON in UTF-8 of plain values."""
    value = plain(value)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


@functools.cache
def _decoder(cls: type[W]) -> msgspec.json.Decoder[W]:
    return msgspec.json.Decoder(cls)


# Made here, where no two threads can: msgspec crashes when they are the first to ask for the same class at once.
for _cls in (ChatCompletion, ChatCompletionChunk, Model, ModelList):
    _decoder(_cls)


def may_be_deep(data: bytes) -> bool:
    """Whether the JSON in `data` has enough brackets for `is_too_deep` to find anything."""
    return data.count(b"{") + data.count(b"[") > MAX_NESTING


def _unreadable(why: str, data: bytes | None) -> APIResponseValidationError:
    error = APIResponseValidationError(f"The server's answer cannot be read: {why}.")
    error.raw = data
    return error
