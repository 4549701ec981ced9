"""One flat form for everything that describes JSON: TypedDicts, Structs, response types and JSON schema.

    {"messages[](user).content[](text).text": {"string"}, "stop[] maxItems": {4}, ...}

Keys are paths; `[]` is an item of an array, `{}` a value of a map, `(user)` the object whose `role` or
`type` is that. Values are the JSON types and the listed strings that may stand there. Null is left out: a
request's null is the same as a missing field. Paths end with the limits by JSON schema's words, and with
`required` for the fields an object must have.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import msgspec

from duologue.types._wire import WireObject
from duologue.types.chat.chat_completion_message import ChatCompletionMessage
from duologue.types.chat.chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall
from duologue.types.chat.chat_completion_message_function_tool_call import (
    ChatCompletionMessageFunctionToolCall,
)
from duologue.types.chat.chat_completion_moderation import ModerationError, ModerationResults

Shape = dict[str, set[Any]]

WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", Any: "anything", object: "anything"}
ARRAYS = (list, tuple, Iterable, Sequence)
MAPS = (dict, Mapping)

# Classes of which the decoder knows only the first of a union.
VARIANTS: dict[Any, tuple[Any, ...]] = {
    ChatCompletionMessageFunctionToolCall: (
        ChatCompletionMessageFunctionToolCall,
        ChatCompletionMessageCustomToolCall,
    ),
    ModerationResults: (ModerationResults, ModerationError),
}


def shape_of(hint: Any) -> Shape:
    """The shape of a Python type."""
    shape: Shape = {}
    _add(shape, "", hint)
    return _merged(shape)


def shape_of_schema(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Shape:
    """The shape of a JSON schema whose references point into `schemas`."""
    shape: Shape = {}
    _add_schema(shape, "", schema, schemas)
    return _merged(shape)


def fields_of(hint: Any) -> dict[str, tuple[Any, bool]]:
    """Name to type and whether it is required, of a TypedDict or a Struct."""
    hints = get_type_hints(hint, include_extras=True)
    if is_typeddict(hint):
        required = {name for name, inner in hints.items() if get_origin(inner) is Required}
        return {name: (inner, name in required) for name, inner in hints.items()}
    fields = {
        field.name: (hints[field.name], field.required or field.name in hint._nullable)
        if issubclass(hint, WireObject)
        else (hints[field.name], field.required)
        for field in msgspec.structs.fields(hint)
    }
    config = hint.__struct_config__
    return {**({config.tag_field: (Literal[config.tag], True)} if config.tag_field else {}), **fields}


def options_of(hint: Any) -> list[Any]:
    """The alternatives of a union; of any other type, itself."""
    if get_origin(hint) is Required:
        return options_of(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [option for part in get_args(hint) for option in options_of(part)]
    return [hint]


def _put(shape: Shape, path: str, value: Any) -> None:
    shape.setdefault(path, set()).add(value)


def _add(shape: Shape, path: str, hint: Any) -> None:
    for option in options_of(hint):
        for variant in VARIANTS.get(option, (option,)):
            _add_one(shape, path, variant)


def _add_one(shape: Shape, path: str, hint: Any) -> None:
    origin = get_origin(hint)
    if hint is type(None) or (hint is ChatCompletionMessage and path == "messages[]"):
        return
    if origin is Annotated:
        _add_annotated(shape, path, hint)
    elif origin is Literal:
        for value in get_args(hint):
            _put(shape, path, f"'{value}'")
    elif origin in ARRAYS:
        _put(shape, path, "array")
        _add(shape, f"{path}[]", get_args(hint)[0])
    elif origin in MAPS:
        _put(shape, path, "object")
        key, value = get_args(hint)
        if get_origin(key) is Annotated:
            _add(shape, f"{path}{{key}}", key)
        if value not in (Any, object):
            _add(shape, f"{path}{{}}", value)
    elif hint in WORDS:
        _put(shape, path, WORDS[hint])
    else:
        fields = fields_of(hint)
        path += _label({name: get_args(inner[0]) for name, inner in fields.items()}, fields)
        _put(shape, path, "object")
        for name, (inner, required) in fields.items():
            if required:
                _put(shape, f"{path} required", name)
            _add(shape, f"{path}.{name}".lstrip("."), inner)


def _add_annotated(shape: Shape, path: str, hint: Any) -> None:
    inner, *metas = get_args(hint)
    listed: list[Any] = []
    for meta in metas:
        listed += (meta.extra or {}).get("known", ())
        kind = (
            "Items" if get_origin(inner) is list else "Properties" if get_origin(inner) is dict else "Length"
        )
        limits = {
            "minimum": meta.ge,
            "maximum": meta.le,
            f"min{kind}": meta.min_length,
            f"max{kind}": meta.max_length,
            "pattern": meta.pattern,
        }
        for word, limit in limits.items():
            if limit is not None:
                _put(shape, f"{path} {word}", limit)
    _add(shape, path, Literal[tuple(listed)] if listed else inner)


def _label(_args: Any, fields: Mapping[str, tuple[Any, bool]]) -> str:
    for name in ("role", "type"):
        if name in fields:
            inner: Shape = {}
            _add(inner, "", fields[name][0])
            words = inner[""]
            if len(words) == 1 and words != {"string"}:
                return f"({next(iter(words))[1:-1]})"
    return ""


def _add_schema(shape: Shape, path: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    schema = _resolved(schema, schemas)
    if "anyOf" in schema:
        for option in schema["anyOf"]:
            _add_schema(shape, path, option, schemas)
        return
    kind = schema.get("type", "object")
    if kind == "null":
        return
    if kind == "object":
        properties = schema.get("properties", {})
        consts = {
            name: _resolved(properties[name], schemas).get("enum", ())
            for name in ("role", "type")
            if name in properties
        }
        path += next((f"({values[0]})" for values in consts.values() if len(values) == 1), "")
        _put(shape, path, "object")
        for name in schema.get("required", ()):
            _put(shape, f"{path} required", name)
        for name, inner in properties.items():
            _add_schema(shape, f"{path}.{name}".lstrip("."), inner, schemas)
        values = schema.get("additionalProperties")
        if isinstance(values, Mapping):
            _add_schema(shape, f"{path}{{}}", values, schemas)
        return
    for word in schema.get("enum", ()):
        _put(shape, path, f"'{word}'")
    if "enum" not in schema:
        _put(shape, path, kind)
    for limit in ("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"):
        if limit in schema:
            _put(shape, f"{path} {limit}", float(schema[limit]))
    if kind == "array":
        _add_schema(shape, f"{path}[]", schema["items"], schemas)


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its references and `allOf` worked in."""
    if "$ref" in schema:
        return _resolved(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "allOf" in schema:
        parts = [_resolved(part, schemas) for part in schema["allOf"]]
        return {
            "type": "object",
            "properties": {
                name: inner for part in parts for name, inner in part.get("properties", {}).items()
            },
            "required": [name for part in parts for name in part.get("required", ())],
        }
    return schema


def _merged(shape: Shape) -> Shape:
    """Listed strings beside any string are only examples of it."""
    return {
        path: {word for word in words if not str(word).startswith("'")} if "string" in words else words
        for path, words in shape.items()
    }
