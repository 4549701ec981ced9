"""The page of the parameters, made from the tables that the server works by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from duologue import as_engine
from duologue.engine import EMULATED, Support
from duologue.protocol.checks import PARAMETERS, decode_request
from duologue.protocol.combinations import RULES
from duologue.protocol.errors import BadRequestError
from duologue.protocol.padding import BLOCK
from duologue.server.support import DEFAULTS, NEEDS, SERVED, support_of
from duologue.types.chat.request import ChatRequest
from support.combinations import BROKEN, HI

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "parameters.md"

HEAD = """\
# The parameters of a request

A server takes the 37 parameters of the protocol, and is honest about each: it is honoured, or the answer's headers
say what became of it, or the request is refused with a 400 that names it. This page is made by a test run from the
tables that the server works by. What is inside of an object, such as a message or a tool, stands in the
`/openapi.json` of a running server.

## What is checked

A null is the same as leaving out. *Left to itself* is what becomes of a parameter that an engine does not declare,
and *of a function* what becomes of it where a plain function is served; see below.
"""

DECLARATIONS = """\
## What becomes of a parameter

The server itself sees to {served}.
For every other parameter an engine declares what it does with it ([how](../how-to/write-an-engine.md)); with a
declaration that means nothing it does not become a server.

| Declared as | What becomes of it | May be declared for |
|---|---|---|
{rows}

A parameter at its default asks for nothing: it is taken whatever the engine declares. Who sends a `service_tier`
is told in the answer the one that was used: `default`, unless the engine names another.
"""

MEANINGS: dict[Support, tuple[str, str]] = {
    "native": ("the engine is handed it and honours it", "all"),
    "emulated": ("the server does it, over what the engine yields", ""),
    "inert": ("it is taken, and by its nature changes nothing in the answer", "all"),
    "delegated": (
        "the engine is handed it and may honour it; the header `duologue-delegated-params` of the answer names it",
        "all",
    ),
    "unsupported": ("the profile decides", "all"),
}

PROFILES = """\
## What the profile decides

| In a request | `strict` | `lenient`, `mock` |
|---|---|---|
| a parameter that the engine does not support | 400 `unsupported_parameter` | is dropped and named |
| a field that the protocol does not know, at any depth | 400 `unknown_parameter` | is dropped and named, alone |
| a parameter of a wrong type, beyond a limit, or badly combined | 400, see below | is dropped and named |
| a message that is wrong or missing, or messages that do not go together | 400 | 400 |
| an `n` to be emulated that is beyond `max_fanout` | 400 `integer_above_max_value` | is dropped and named |
| a schema to be emulated that cannot be judged | 400 `invalid_json_schema` | is dropped and named |
| a model that is not there | 404 `model_not_found` | any name is taken |

What is dropped is named in the header `duologue-ignored-params`, by its path; the engine never sees it. Parameters
come first there; should there be more unknown fields than have room, it ends with their number: `and 12 more`.

A stream has no padding unless `stream_options.include_obfuscation` is true. Then each chunk has a field
`obfuscation` of random characters, which fills what differs between chunks up to a multiple of {block} bytes.

## Codes

| Code | What is wrong |
|---|---|
| `invalid_type` | a value of a wrong type |
| `invalid_value` | a value that is none of the listed ones, or has the wrong form |
| `missing_required_parameter` | a field that must be there |
| `unknown_parameter` | a field that the protocol does not know |
| `unsupported_parameter` | a parameter that the engine does not support |
| `invalid_parameter_combination` | parameters that do not go together |
| `integer_above_max_value`, `integer_below_min_value` | an integer beyond its limits |
| `decimal_above_max_value`, `decimal_below_min_value` | a number beyond its limits |
| `string_above_max_length`, `empty_string` | a text that is too long, or empty |
| `array_above_max_length`, `empty_array` | a list that is too long, or empty |
| `object_above_max_properties`, `property_name_above_max_length` | too many keys, or too long a one |
| `invalid_json_schema` | a schema that cannot be judged |
| `invalid_json` | a body that is no JSON |
"""

COMBINATIONS = """\
## What does not go together

Each row is a rule, a request that breaks it, and what it is answered with.

| Of | In a request | Code | Message |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    parameters = "\n".join(_parameters())
    combinations = COMBINATIONS + "\n".join(_combinations()) + "\n"
    profiles = PROFILES.format(block=BLOCK)
    return "\n".join((HEAD, parameters, "", _declarations(), profiles, combinations))


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


# --- parameters ----------------------------------------------------------------------------------------


class Silent:
    """An engine that declares nothing."""

    models = ("m",)
    supports: dict[str, Support] = {}

    async def generate(self, request: ChatRequest) -> Any:
        yield ""


def _parameters() -> Iterator[str]:
    yield _line("Parameter", "What it may be", "Default", "Left to itself", "Of a function")
    yield "|---" * 5 + "|"
    function = as_engine(lambda request: "")
    kinds = {field.name: field.type for field in inspect.type_info(ChatRequest).fields}  # type: ignore[attr-defined]
    for name in PARAMETERS:
        served = "honoured" if name in SERVED else ""
        becomes = [served or support_of(name, engine) for engine in (Silent(), function)]
        yield _line(f"`{name}`", _said(kinds[name]), _default(name), *becomes)


def _default(name: str) -> str:
    if name in ("messages", "model"):
        return "must be given"
    default = DEFAULTS.get(name)
    return "" if default is None else f"`{json.dumps(msgspec.to_builtins(default))}`"


def _said(kind: inspect.Type) -> str:
    """A type in words."""
    if isinstance(kind, inspect.Metadata):
        return _said(kind.type)
    if isinstance(kind, inspect.UnionType):
        return _union([each for each in kind.types if not isinstance(each, inspect.NoneType)])
    if isinstance(kind, inspect.LiteralType):
        *most, last = (f"`{each}`" for each in kind.values)
        return f"{', '.join(most)} or {last}" if most else last
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return ("an integer" if isinstance(kind, inspect.IntType) else "a number") + _range(kind.ge, kind.le)
    if isinstance(kind, inspect.StrType):
        return _text(kind)
    if isinstance(kind, inspect.ListType):
        item = _said(kind.item_type)
        return f"a list{_count(kind.min_length, kind.max_length)}, each {item}"
    if isinstance(kind, inspect.DictType):
        limit = f" of up to {kind.max_length} pairs" if kind.max_length else ""
        return f"an object{limit}; each key {_said(kind.key_type)}, each value {_said(kind.value_type)}"
    if isinstance(kind, inspect.StructType):
        return _object(kind)
    return {inspect.BoolType: "true or false"}[type(kind)]


def _union(kinds: list[inspect.Type]) -> str:
    structs = [kind for kind in kinds if isinstance(kind, inspect.StructType) and kind.tag_field]
    others = [_said(kind) for kind in kinds if kind not in structs]
    if len(structs) > 1:
        tags = ", ".join(f"`{kind.tag}`" for kind in structs)
        others.append(f"an object whose `{structs[0].tag_field}` is one of {tags}")
    else:
        others += map(_said, structs)
    return ", or ".join(others)


def _object(kind: inspect.StructType) -> str:
    fields = [(f"`{field.encode_name}`", field.required) for field in kind.fields]
    must, may = ([name for name, required in fields if required is which] for which in (True, False))
    with_these = f" with {', '.join(must)}" if must else ""
    return f"an object{with_these}" + (f", perhaps with {', '.join(may)}" if may else "")


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return ""
    if high is None:
        return f", at least {low}"
    return " of 64 bits, signed" if high > 2**32 else f", {low:g} to {high:g}"


def _text(kind: inspect.StrType) -> str:
    if kind.pattern:
        return f"a text like `{kind.pattern}`"
    return f"a text{_count(kind.min_length, kind.max_length)}" + (" characters" if kind.max_length else "")


def _count(low: int | None, high: int | None) -> str:
    if high:
        return f" of {low} to {high}" if low else f" of up to {high}"
    return f" of at least {low}" if low else ""


# --- declarations and rules ----------------------------------------------------------------------------


def _declarations() -> str:
    served = [f"`{name}`" for name in PARAMETERS if name in SERVED]
    rows = []
    for support in get_args(Support):
        meaning, which = MEANINGS[support]
        rows.append(_line(f"`{support}`", meaning, which or _emulated()))
    return DECLARATIONS.format(served=f"{', '.join(served[:-1])} and {served[-1]}", rows="\n".join(rows))


def _emulated() -> str:
    alone = ", ".join(f"`{name}`" for name in EMULATED if name not in NEEDS)
    tools = ", ".join(f"`{name}`" for name in EMULATED if name in NEEDS)
    return f"{alone}; and, by an engine that knows of `tools`, {tools}"


def _combinations() -> Iterator[str]:
    refusals = {case: _refusal(fields) for case, (fields, *_) in BROKEN.items()}
    for rule in RULES:
        words = re.sub(r"\\\{\d\\\}", ".*", re.escape(rule.text))
        case = next(case for case, error in refusals.items() if re.fullmatch(words, error.message))
        yield _line(f"`{rule.parameter}`", case, f"`{rule.code}`", refusals[case].message)


def _refusal(fields: dict[str, Any]) -> BadRequestError:
    try:
        decode_request(json.dumps({"model": "m", "messages": [HI], **fields}).encode())
    except BadRequestError as error:
        return error
    raise AssertionError(f"{fields} is not refused")
