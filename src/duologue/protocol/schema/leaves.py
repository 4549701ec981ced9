"""Values without parts, as msgspec knows them: which JSON schema each has.

The kinds are looked up by what `msgspec.inspect` says of a type, so no module of theirs need be imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import inspect

from .nodes import Leaf
from .notes import Notes

__all__ = ["leaf"]

# RFC 3339 without an offset; what has one is a `format` of its own.
LOCAL_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
DECIMAL = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


def _string(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


SCHEMAS: Mapping[type[inspect.Type], Mapping[str, Any]] = {
    inspect.NoneType: {"type": "null"},
    inspect.BoolType: {"type": "boolean"},
    inspect.IntType: {"type": "integer"},
    inspect.FloatType: {"type": "number"},
    inspect.StrType: _string(),
    inspect.BytesType: _string(pattern=BASE64, description="base64"),
    inspect.ByteArrayType: _string(pattern=BASE64, description="base64"),
    inspect.DateTimeType: _string(format="date-time"),
    inspect.DateType: _string(format="date"),
    inspect.TimeType: _string(format="time"),
    inspect.TimeDeltaType: _string(format="duration"),
    inspect.UUIDType: _string(format="uuid"),
    inspect.DecimalType: _string(pattern=DECIMAL, description="a decimal number"),
}
LOCAL: Mapping[type[inspect.Type], Mapping[str, Any]] = {
    inspect.DateTimeType: _string(pattern=f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{LOCAL_TIME}$"),
    inspect.TimeType: _string(pattern=f"^{LOCAL_TIME}$"),
}
BOUNDS: Mapping[str, str] = {
    "gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum",
    "multiple_of": "multipleOf", "min_length": "minLength", "max_length": "maxLength", "pattern": "pattern",
}  # fmt: skip


def leaf(tp: Any, notes: Notes) -> Leaf | None:
    """The node for a type without parts; None for a type of another kind.

    Raises `TypeError` for bounds that the type cannot have.
    """
    try:
        kind = type(inspect.type_info(tp))
    except TypeError:  # no type at all
        return None
    if kind not in SCHEMAS:
        return None
    bounds = notes.bounds
    schema = dict(LOCAL[kind] if bounds.get("tz") is False and kind in LOCAL else SCHEMAS[kind])
    of_bytes = kind in (inspect.BytesType, inspect.ByteArrayType)
    for name, word in BOUNDS.items():
        if name in bounds:
            schema[word] = 4 * ((bounds[name] + 2) // 3) if of_bytes else bounds[name]
    meant = Annotated[tp, msgspec.Meta(**bounds)] if bounds else tp
    inspect.type_info(meant)
    kinds = ("integer", "number") if schema["type"] == "number" else (schema["type"],)
    return Leaf(meant, schema, kinds, exact=not notes.foreign)
