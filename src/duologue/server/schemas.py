"""The types of what travels as JSON schemas: what a request may be, and what an answer is.

Limits, lengths and lists of values are declared once, in `types/`; nothing is said here a second time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from ..engine import Engine
from ..protocol.checks import PARAMETERS
from ..types._wire import WireObject
from ..types.chat.chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall
from ..types.chat.request import ChatRequest
from .options import ServerOptions
from .support import ALSO_DEFAULT, DEFAULTS, support_of

__all__ = ["Schema", "definitions", "ref", "request_schema"]

Schema: TypeAlias = dict[str, Any]

# Lists of known values are those of OpenAI; an engine that forwards another server's answer may have more.
_OPEN = frozenset(("service_tier",))

# A decoder knows only the first class of a union that it cannot tell apart.
_ALSO: Mapping[str, type[WireObject]] = {
    "ChatCompletionMessageFunctionToolCall": ChatCompletionMessageCustomToolCall
}

_SUPPORT = {
    "native": "Honoured by the engine.",
    "emulated": "Done by the server, over what the engine yields.",
    "inert": "Taken; without effect on the answer.",
    "delegated": "Handed to the engine, which may honour it; the header `duologue-delegated-params` names it.",
    "unsupported": "Not supported: only its default is taken.",
}
_DROPPED = "Dropped, and named in the header `duologue-ignored-params`."


def ref(cls: type[Any]) -> Schema:
    """A reference to the schema of a class."""
    return {"$ref": _place(cls.__name__)}


@functools.cache
def definitions(types: tuple[type[Any], ...]) -> Mapping[str, Schema]:
    """The schemas of these classes and of all that they hold, by name."""
    types = (*types, *_ALSO.values())
    _, found = msgspec.json.schema_components(types, ref_template="{name}")
    classes = {name: cls for cls in _classes(types) for name in (cls.__name__, _long_name(cls))}
    names = {name: _name(classes[name]) if "." in name else name for name in found}
    for name, schema in found.items():
        cls = classes[name]
        if issubclass(cls, WireObject):
            _as_written(schema, cls)
        schema["title"] = names[name]
    return {names[name]: _tidy(schema, names) for name, schema in found.items()}


def request_schema(
    request: Schema, engine: Engine, models: Collection[str], options: ServerOptions
) -> Schema:
    """The schema of a request (`request`) as far as an engine supports it, and a server with these options."""
    properties = {name: _parameter(name, request["properties"][name], engine, options) for name in PARAMETERS}
    properties["model"] = {"type": "string"} if options.lenient else {"enum": list(models)}
    return {**request, "properties": properties, "additionalProperties": options.lenient}


def _parameter(name: str, schema: Schema, engine: Engine, options: ServerOptions) -> Schema:
    support = support_of(name, engine)
    if name in ("messages", "model"):
        return schema
    if support == "unsupported" and options.lenient:
        return {"description": _DROPPED}
    if support == "unsupported":
        schema = {"enum": _defaults(name)}
    if (name, support) == ("n", "emulated"):
        integer, null = schema["anyOf"]
        schema = {"anyOf": [{**integer, "maximum": options.max_fanout}, null]}
    if options.lenient:
        schema = {"anyOf": [schema, {"description": f"Anything else: {_DROPPED.lower()}"}]}
    said = "" if name in ("stream", "stream_options") else _SUPPORT[support]
    return {**schema, "description": said} if said else schema


def _defaults(name: str) -> list[Any]:
    """What an unsupported parameter may be: null, and its default where that passes the check of its type."""
    if name not in DEFAULTS:
        return [None]
    default = msgspec.to_builtins(DEFAULTS[name])
    try:
        msgspec.convert(default, _HINTS[name])
    except msgspec.ValidationError:
        return [None]
    return [default, *(["none"] if name in ALSO_DEFAULT else []), None]


_HINTS = {field.name: field.type for field in msgspec.structs.fields(ChatRequest)}


# --- from classes to schemas ---------------------------------------------------------------------------


def _as_written(schema: Schema, cls: type[WireObject]) -> None:
    """What this server writes is narrower than what a client reads: what is never null is never missing."""
    schema.pop("additionalProperties", None)  # an engine that forwards an answer may add fields
    schema["required"] = []
    known = {field.name: _known_values(field.type) for field in msgspec.structs.fields(cls)}
    for name, field in schema["properties"].items():
        field.pop("default", None)
        nullable = {"type": "null"} in field.get("anyOf", ())
        if not nullable or name in cls._nullable:
            schema["required"].append(name)
        if known[name] and name not in _OPEN:
            field.clear()
            field["enum"] = [*known[name], *([None] if nullable else [])]


def _known_values(hint: Any) -> list[Any]:
    """The values that an `Open[...]`, wherever in a union, lists."""
    metadata = getattr(hint, "__metadata__", ())
    listed = [value for meta in metadata for value in (getattr(meta, "extra", None) or {}).get("known", ())]
    return listed or [value for inner in getattr(hint, "__args__", ()) for value in _known_values(inner)]


def _tidy(value: Any, names: Mapping[str, str]) -> Any:
    """A schema as others read it: references to where things stand, prose without indents."""
    if isinstance(value, list):
        return [_tidy(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        also = _ALSO.get(value["$ref"])
        here = {"$ref": _place(names[value["$ref"]])}
        return here if also is None else {"anyOf": [here, ref(also)]}
    return {name: _tidied(name, item, names) for name, item in value.items() if (name, item) != _NO_DEFAULT}


_NO_DEFAULT = ("default", None)


def _tidied(name: str, item: Any, names: Mapping[str, str]) -> Any:
    if name == "description" and isinstance(item, str):
        return inspect.cleandoc(item)
    if name == "pattern" and isinstance(item, str):
        return item.replace(r"\Z", "$")  # in JavaScript, whose patterns these are, `$` is the very end
    if name == "mapping":
        return {tag: _place(names[place]) for tag, place in item.items()}
    return _tidy(item, names)


def _classes(types: Iterable[type[Any]]) -> Iterator[type[Any]]:
    """These classes and all that they hold."""
    seen: set[type[Any]] = set()
    waiting = list(msgspec.inspect.multi_type_info(types))
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, msgspec.inspect.StructType):
            if kind.cls in seen:
                continue
            seen.add(kind.cls)
            yield kind.cls
            waiting += [field.type for field in kind.fields]
        for name in ("type", "item_type", "value_type"):
            if hasattr(kind, name):
                waiting.append(getattr(kind, name))
        waiting += getattr(kind, "types", ())


def _long_name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _name(cls: type[Any]) -> str:
    """A name for a class whose own name is another's, too: `ChatCompletionChunkChoice`."""
    module = cls.__module__.rpartition(".")[2]
    return "".join(word.capitalize() for word in module.split("_")) + cls.__name__


def _place(name: str) -> str:
    return f"#/components/schemas/{name}"
