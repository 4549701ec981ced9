"""The type of an answer: what a request asks for, and what the answer's text is read into."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast, overload

import msgspec

from ...types.chat.completion_create_params import JSONSchema, ResponseFormat
from ..partial import PartialJSON
from .describe import describe, is_exact
from .errors import Mismatch, ParseError, SchemaError, words_of
from .foreign import Foreign
from .hints import type_name
from .names import NAME, Definitions, clean_name
from .nodes import Node
from .strict import strict_schema

__all__ = [
    "MAX_KEPT",
    "WRAP",
    "TypedFormat",
    "json_schema",
    "json_value",
    "typed_format",
    "unreferred",
    "value_of",
]

T = TypeVar("T")

# For how many types the work is kept.
MAX_KEPT = 256
# The key of the object that a value is put into which is none itself: the API wants an object at the top.
WRAP = "value"


class TypedFormat(Generic[T]):
    """A type as the `response_format` of a request, and as what its answer is read into. See `typed_format`."""

    __slots__ = ("_key", "_param", "_read")

    def __init__(
        self, param: ResponseFormat, read: Callable[[str | bytes], T], key: str | None = None
    ) -> None:
        self._param = param
        self._read = read
        self._key = key

    def to_param(self) -> ResponseFormat:
        """The `response_format` to send. It is shared; leave it as it is."""
        return self._param

    def parse(self, text: str | bytes) -> T:
        """The value of a whole answer; raises `ParseError`, which keeps the text."""
        return value_of(text, self._read)

    def partial(self) -> PartialJSON:
        """A reader of the answer while it streams: `.feed(text)`, and `.value` made of dicts and lists."""
        return PartialJSON(inside=self._key)


@overload
def typed_format(
    of: TypedFormat[T], *, name: str | None = None, description: str | None = None, strict: bool = True
) -> TypedFormat[T]: ...
@overload
def typed_format(
    of: type[T], *, name: str | None = None, description: str | None = None, strict: bool = True
) -> TypedFormat[T]: ...
@overload
def typed_format(
    of: Any, *, name: str | None = None, description: str | None = None, strict: bool = True
) -> TypedFormat[Any]: ...
def typed_format(
    of: Any, *, name: str | None = None, description: str | None = None, strict: bool = True
) -> TypedFormat[Any]:
    """The format for a type; a `response_format` as it is sent is taken as it is, and read as any JSON.

    `name` (a-z, A-Z, 0-9, `_`, `-`, at most 64) is the type's own unless given. With `strict=False` the schema is
    sent as it is, and the model is not held to it. Raises `SchemaError` for a type that cannot be asked for.
    """
    if isinstance(of, TypedFormat):
        return of
    if isinstance(of, Mapping):
        return TypedFormat(cast("ResponseFormat", of), _read_any)
    if name is not None and not NAME.fullmatch(name):
        raise SchemaError(repr(name), "a name has 1 to 64 of a-z, A-Z, 0-9, `_` and `-`; give another.")
    try:
        hash(of)
    except TypeError:  # notes that cannot be looked up
        return _make(of, name, description, strict)
    return _kept(of, name, description, strict)


def _make(of: Any, name: str | None, description: str | None, strict: bool) -> TypedFormat[Any]:
    node = describe(of)
    schema = json_schema(node)
    key = None if _is_object(schema) else WRAP
    if key is not None:
        schema = _wrapped(schema)
    title = type_name(of)
    try:
        ready = strict_schema(schema, name=title, checked=True) if strict else unreferred(schema)
    except SchemaError as error:  # of people's type, which has no such key
        raise SchemaError(error.path.replace(f"{title}.{key}", title, 1), error.reason) from None
    param: JSONSchema = {"name": name or clean_name(title), "schema": ready, "strict": strict}
    if description is not None:
        param["description"] = description
    return TypedFormat({"type": "json_schema", "json_schema": param}, _reader(of, node, key), key)


_kept = functools.lru_cache(MAX_KEPT)(_make)


# --- the schema ------------------------------------------------------------------------------------------


def json_schema(node: Node) -> dict[str, Any]:
    """The JSON schema of a node, complete with its definitions."""
    definitions = Definitions()
    schema = node.schema(definitions)
    return {**schema, "$defs": definitions.schemas} if definitions.schemas else schema


def _is_object(schema: Mapping[str, Any]) -> bool:
    target = schema
    while "$ref" in target:
        target = schema["$defs"][target["$ref"].rpartition("/")[2]]
    return target.get("type") == "object"


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    return {
        "type": "object", "properties": {WRAP: schema}, "required": [WRAP], "additionalProperties": False,
        **definitions,
    }  # fmt: skip


def unreferred(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with no reference at its top, which not every server follows."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    definitions = dict(schema["$defs"])
    name = reference.rpartition("/")[2]
    whole = {
        **definitions[name],
        **{key: value for key, value in schema.items() if key not in ("$ref", "$defs")},
    }
    if json.dumps(reference) not in json.dumps([whole, definitions]):
        del definitions[name]
    return {**whole, "$defs": definitions} if definitions else whole


# --- the value -------------------------------------------------------------------------------------------


def value_of(text: str | bytes, read: Callable[[str | bytes], T]) -> T:
    """What `read` makes of a text. Raises `ParseError` for whatever is wrong: checks of classes raise anything."""
    try:
        return read(text)
    except Mismatch as error:
        raise ParseError(_text(text), tuple(error.errors)) from error.__cause__
    except Exception as error:
        raise ParseError(_text(text), (("$", words_of(error)),)) from error


def json_value(text: str | bytes) -> Any:
    """The JSON value of a text; raises `Mismatch`."""
    return _decoded(_ANY, text)


_ANY = msgspec.json.Decoder()


def _read_any(text: str | bytes) -> Any:
    return json_value(text)


def _reader(of: Any, node: Node, key: str | None) -> Callable[[str | bytes], Any]:
    """What reads a text into a value of the type, by the quickest way that does it right."""
    if key is None and isinstance(node, Foreign):
        return lambda text: node.read_json(text, "$")
    decoder = _decoder(of, key) if is_exact(node) else None
    if decoder is None:
        return lambda text: node.read(_inside(json_value(text), key), "$")
    if key is None:
        return lambda text: _decoded(decoder, text)
    return lambda text: getattr(_decoded(decoder, text, f"$.{key}"), key)


def _decoder(of: Any, key: str | None) -> msgspec.json.Decoder[Any] | None:
    """msgspec's decoder for a type; None for a type that it does not decode."""
    try:
        return msgspec.json.Decoder(of if key is None else msgspec.defstruct("Wrapped", [(key, of)]))
    except (TypeError, ValueError, NameError, RecursionError):
        return None


def _decoded(decoder: msgspec.json.Decoder[Any], text: str | bytes, top: str = "$") -> Any:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        path = path.removesuffix("`") or "$"
        raise Mismatch(("$" + path.removeprefix(top) if path.startswith(top) else path, reason)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Mismatch(("$", f"not JSON: {error}")) from error


def _inside(value: Any, key: str | None) -> Any:
    if key is None:
        return value
    if not isinstance(value, dict) or key not in value:
        raise Mismatch(("$", f"Expected an object with the key `{key}`"))
    return value[key]


def _text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")
