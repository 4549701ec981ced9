"""The tolerant path from a JSON value to a typed object.

The fast path (`protocol/codec`) decodes bytes straight into the classes and gives up on the first oddity.
This one takes what other clients take: unknown fields (kept in the object's `Origin`), null for a missing
value, `1.0` for an integer, a number in quotes. What cannot be read as declared without inventing a value
is `Unreadable`, with its path; so is an unknown field that is nested deeper than `MAX_NESTING`, since
whatever later walks over it must be able to.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from ._wire import Origin, Place, WireObject

__all__ = ["MAX_NESTING", "Unreadable", "build", "build_from_json", "is_too_deep"]

# How many levels of arrays and objects an unknown field may have.
MAX_NESTING = 100

W = TypeVar("W", bound=WireObject)
Reader = Callable[[Any, "bytes | None", Place], Any]


class Unreadable(ValueError):  # noqa: N818 - said of the value
    """A JSON value that does not fit its place, and cannot be made to."""

    def __init__(self, place: Place, expected: str, got: Any) -> None:
        super().__init__(place, expected, got)
        self.place, self.expected, self.got = place, expected, got

    def __str__(self) -> str:
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place)
        return f"expected {self.expected} at {path.lstrip('.') or 'the top'}, got {_json_type(self.got)}"


def build(cls: type[W], value: Any, raw: bytes | None = None, place: Place = ()) -> W:
    """An instance of `cls` from a JSON object; `raw` and `place` say where in which bytes it stood.

    Raises `Unreadable`. An instance of `cls` passes as it is.
    """
    if isinstance(value, cls):
        return value
    if isinstance(value, WireObject):
        if isinstance(value, cls._variant(value.to_dict())):
            return cast("W", value)
        raise Unreadable(place, f"a {cls.__name__}", value)
    if not isinstance(value, Mapping):
        raise Unreadable(place, "an object", value)
    variant = cls._variant(value)
    readers, required = _plan(variant)
    values: dict[str, Any] = dict.fromkeys(required)
    for name, item in value.items():
        reader = readers.get(name)
        if reader is None:
            if is_too_deep(item):
                raise Unreadable((*place, name), f"at most {MAX_NESTING} levels of nesting", item)
        elif item is not None:
            values[name] = reader(item, raw, (*place, name))
    built = variant(**values)
    built._wire = Origin(raw, place, dict(value))
    return cast("W", built)


def build_from_json(cls: type[W], data: str | bytes | bytearray) -> W:
    """An instance of `cls` from JSON text; raises `ValueError`, of which `Unreadable` is one."""
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else bytes(data)
    try:
        value = json.loads(raw.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return build(cls, value, raw)


def is_too_deep(value: Any) -> bool:
    """Whether a JSON value has more than `MAX_NESTING` levels of arrays and objects."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_NESTING):
        if not level:
            return False
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [item for items in inside for item in items if isinstance(item, (dict, list))]
    return bool(level)


@functools.cache
def _plan(cls: type[WireObject]) -> tuple[dict[str, Reader], list[str]]:
    """The reader of each field, and the names of those that have no default."""
    hints = get_type_hints(cls, include_extras=True)
    readers = {name: _reader(hints[name]) for name in cls.__struct_fields__}
    return readers, [field.name for field in msgspec.structs.fields(cls) if field.required]


def _reader(hint: Any) -> Reader:
    """The reader of one type hint: a table of the few forms that the response types use."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _reader(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        return _reader(inner)
    if origin is list:
        return _list_reader(_reader(get_args(hint)[0]))
    if origin is dict:
        return _dict_reader(_reader(get_args(hint)[1]))
    if origin is Literal:
        return _text
    if isinstance(hint, type) and issubclass(hint, WireObject):
        return functools.partial(build, hint)
    return _SCALARS[hint]


def _list_reader(item: Reader) -> Reader:
    def read(value: Any, raw: bytes | None, place: Place) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise Unreadable(place, "an array", value)
        return [item(each, raw, (*place, at)) for at, each in enumerate(value) if each is not None]

    return read


def _dict_reader(item: Reader) -> Reader:
    def read(value: Any, raw: bytes | None, place: Place) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Unreadable(place, "an object", value)
        return {name: item(each, raw, (*place, name)) for name, each in value.items() if each is not None}

    return read


def _text(value: Any, _raw: bytes | None, place: Place) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise Unreadable(place, "a string", value)


def _integer(value: Any, _raw: bytes | None, place: Place) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    raise Unreadable(place, "an integer", value)


def _number(value: Any, _raw: bytes | None, place: Place) -> float:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except (OverflowError, ValueError):
            pass
    raise Unreadable(place, "a number", value)


def _boolean(value: Any, _raw: bytes | None, place: Place) -> bool:
    if isinstance(value, bool):
        return value
    raise Unreadable(place, "true or false", value)


def _anything(value: Any, _raw: bytes | None, _place: Place) -> Any:
    return value


_SCALARS: dict[Any, Reader] = {str: _text, int: _integer, float: _number, bool: _boolean, Any: _anything}


def _json_type(value: Any) -> str:
    for kinds, name in _JSON_TYPES:
        if isinstance(value, kinds):
            return name
    return f"a {type(value).__name__}"


_JSON_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "a boolean"),
    (str, "a string"),
    ((int, float), "a number"),
    (Mapping, "an object"),
    ((list, tuple), "an array"),
)
