"""What the decoder found wrong with a request, in the protocol's words: what, where, and what would be right.

Types, limits and lengths are declared once, in `types/chat/request`; the codes are those that clients of the
official API know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from ..types.chat.request import ChatRequest
from .errors import BadRequestError

__all__ = ["MAX_NAME", "short", "worded"]

# How much of a name that a client chose is repeated to it.
MAX_NAME = 80
# How much of what the decoder says is looked at.
MAX_SAID = 1000

# What the decoder says: "Expected `str`, got `int` - at `$.messages[0].content`".
_FAILURE = re.compile(
    r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>(?:\.\w+|\[\d+\]|\[\.{3}\])*)`)?", re.DOTALL
)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_BEYOND = re.compile(r"Expected `(?P<kind>\w+)(?: \| null)?` (?:of length )?(?P<side>[<>]=) ")
# The least length of whatever has one is 1.
_CODES = {
    ("int", "<="): "integer_above_max_value",
    ("int", ">="): "integer_below_min_value",
    ("float", "<="): "decimal_above_max_value",
    ("float", ">="): "decimal_below_min_value",
    ("str", "<="): "string_above_max_length",
    ("str", ">="): "empty_string",
    ("array", "<="): "array_above_max_length",
    ("array", ">="): "empty_array",
    ("object", "<="): "object_above_max_properties",
}
_TYPES = {field.name: field.type for field in msgspec.structs.fields(ChatRequest)}


def worded(failure: msgspec.ValidationError, fields: Any) -> BadRequestError:
    """The error for what the decoder says of `fields`, the whole body; its `param` is the path of the field."""
    said = str(failure)
    if len(said) > MAX_SAID:  # it repeats names and values, and a client may choose long ones
        said = f"{said[: MAX_SAID // 2]}...{said[-MAX_SAID // 2 :]}"
    match = _FAILURE.fullmatch(said)
    assert match is not None
    what = match["what"]
    path = (match["path"] or "").replace("[...]", "").lstrip(".")
    if unknown := _UNKNOWN.fullmatch(what):
        path = f"{path}.{short(unknown['name'])}".lstrip(".")
        return _error(
            path,
            "unknown_parameter",
            f"Unknown parameter: '{path}'. Remove it: this server never ignores what it does not know.",
        )
    if missing := _MISSING.fullmatch(what):
        path = f"{path}.{missing['name']}".lstrip(".")
        return _error(path, "missing_required_parameter", f"Missing required parameter: '{path}'.")
    if match["key"] or "[...]" in said:
        path = _with_key(path, fields)
    where = f"'{path}'" if path else "the body"
    expected = _json_words(what[0].lower() + what[1:])
    if what.startswith("Expected") and "got" in what:
        return _error(path, "invalid_type", f"Invalid type for {where}: {expected}.")
    if match["key"]:
        return _error(path, "property_name_above_max_length", f"Invalid key {where}: {expected}.")
    beyond = _BEYOND.match(what)
    code = _CODES.get((beyond["kind"], beyond["side"])) if beyond else None
    if known := _known_values(path, fields):
        expected = f"{what.partition(' value ')[2]} is none of {', '.join(map(repr, known))}"
    return _error(path, code or "invalid_value", f"Invalid value for {where}: {expected}.")


def short(name: str) -> str:
    """A name as it is repeated to the client who chose it."""
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}..."


def _error(path: str, code: str, message: str) -> BadRequestError:
    return BadRequestError(message, param=path or None, code=code)


def _with_key(name: str, fields: Any) -> str:
    """The path of what is wrong in the map that is the parameter `name`: the decoder does not tell its key."""
    for key, value in fields[name].items():
        try:
            msgspec.convert({key: value}, _TYPES[name])
        except msgspec.ValidationError:
            return f"{name}.{short(key)}"
    return name


_WORDS = {
    "`str`": "a string",
    "`int`": "an integer",
    "`float`": "a number",
    "`bool`": "a boolean",
    "`object`": "an object",
    "`array`": "an array",
    "`null`": "null",
}


def _json_words(text: str) -> str:
    """Types by their JSON names: "expected `int | null`" says "expected an integer or null"."""

    def word(match: re.Match[str]) -> str:
        names = [_WORDS.get(f"`{name}`", name) for name in match[1].split(" | ")]
        return " or ".join(names)

    return re.sub(r"`([a-z |]+)`", word, text)


def _known_values(path: str, value: Any) -> list[str]:
    """The values that the field at `path` may have, where it has a list of them; `value` is the whole body."""
    kinds = [msgspec.inspect.type_info(ChatRequest)]
    known: list[str] = []
    for step in re.findall(r"[^.\[\]]+", path):
        options = [option for kind in kinds for option in _options(kind)]
        tags = [option for option in options if getattr(option, "tag_field", None) == step]
        known = [str(option.tag) for option in tags if isinstance(option, msgspec.inspect.StructType)]
        kinds = [inner for option in options for inner in _inside(option, step, value)]
        if not known and not kinds:
            return []
        value = value[int(step)] if isinstance(value, list) else value.get(step)
    for kind in kinds:
        for option in _options(kind):
            if isinstance(option, msgspec.inspect.LiteralType):
                known += [str(each) for each in option.values]
    return known


def _options(kind: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """The types that a type may stand for."""
    if isinstance(kind, msgspec.inspect.Metadata):
        yield from _options(kind.type)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for inner in kind.types:
            yield from _options(inner)
    else:
        yield kind


def _inside(kind: msgspec.inspect.Type, step: str, value: Any) -> Iterator[msgspec.inspect.Type]:
    """The type of one item or field of `kind`; of a union of tagged objects, only that of `value`'s tag."""
    if isinstance(kind, msgspec.inspect.ListType) and isinstance(value, list):
        yield kind.item_type
    elif (
        isinstance(kind, msgspec.inspect.StructType)
        and isinstance(value, dict)
        and (kind.tag_field is None or value.get(kind.tag_field) == kind.tag)
    ):
        yield from (field.type for field in kind.fields if field.encode_name == step)
