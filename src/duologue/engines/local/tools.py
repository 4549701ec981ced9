"""The tools that a request offers: which may be called, whether one must be, and what each may be given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ...protocol.errors import BadRequestError
from ...types.chat.request import (
    AllowedToolsChoice,
    ChatRequest,
    CustomTool,
    FunctionCallOption,
    FunctionDefinition,
    FunctionTool,
    GrammarFormat,
    NamedCustomChoice,
    NamedFunctionChoice,
    Tool,
)
from .describe import NO_PARAMETERS
from .grammar import Offered, json_rule
from .schema_values import CONTROL_WORDS, Place, spells_control
from .schemas import in_short, ready

__all__ = ["MAX_TOOLS", "Check", "Offer", "function_schema", "offer_of", "ready_tool", "schema_place"]

MAX_TOOLS = 128
ALLOWED = "tool_choice.allowed_tools.tools"
# What a function without parameters is given.
NOTHING: Mapping[str, Any] = {**NO_PARAMETERS, "additionalProperties": False}

# What stands for JSON that follows a schema, and for options of llguidance's.
BEYOND_LARK = ("%json", "%llguidance")
# Comments, strings and regular expressions in Lark's syntax.
LITERALS = re.compile(r"""//[^\n]*|"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])+/""")

# Says what is wrong with a grammar, "" for nothing.
Check = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Offer:
    """Tools by their path in the request.

    `must` be called, `may` be called, or must `not` be; `many` allows several calls in one answer.
    """

    tools: Mapping[str, Tool]
    mode: Literal["must", "may", "not"]
    many: bool


def offer_of(request: ChatRequest) -> Offer | None:
    """What the request offers, by its tools or by its deprecated functions; None for nothing.

    Raises `BadRequestError` for too many tools, two of the same name, and a choice of what is not there.
    """
    if request.functions:
        return _of_functions(request)
    if not request.tools:
        return None
    tools: dict[str, Tool] = {f"tools[{index}]": tool for index, tool in enumerate(request.tools)}
    if len(tools) > MAX_TOOLS:
        raise _wrong("tools", f"there are {len(tools)}, and a request may have {MAX_TOOLS}")
    names: set[str] = set()
    for path, tool in tools.items():
        if tool.name in names:
            raise _wrong(f"{path}.{tool.type}.name", f"another tool is called {tool.name!r}, too")
        names.add(tool.name)
    many = request.parallel_tool_calls is not False
    match request.tool_choice:
        case None | "auto":
            return Offer(tools, "may", many)
        case "none":
            return Offer(tools, "not", many)
        case "required":
            return Offer(tools, "must", many)
        case NamedFunctionChoice(function=named):
            return Offer(_chosen(tools, {("function", named.name)}, "tool_choice"), "must", False)
        case NamedCustomChoice(custom=named):
            return Offer(_chosen(tools, {("custom", named.name)}, "tool_choice"), "must", False)
        case AllowedToolsChoice(allowed_tools=allowed):
            keys = {_key(tool, f"{ALLOWED}[{index}]") for index, tool in enumerate(allowed.tools)}
            if not keys:
                raise _wrong(ALLOWED, "it names no tool; name those that may be called")
            return Offer(_chosen(tools, keys, ALLOWED), "may" if allowed.mode == "auto" else "must", many)


def _of_functions(request: ChatRequest) -> Offer:
    """The deprecated form, in which an answer has one call."""
    tools: dict[str, Tool] = {}
    for index, function in enumerate(request.functions or ()):
        definition = FunctionDefinition(
            name=function.name, description=function.description, parameters=function.parameters
        )
        tools[f"functions[{index}]"] = FunctionTool(function=definition)
    choice = request.function_call
    if isinstance(choice, FunctionCallOption):
        return Offer(_chosen(tools, {("function", choice.name)}, "function_call"), "must", False)
    return Offer(tools, "not" if choice == "none" else "may", False)


def _key(named: Mapping[str, Any], path: str) -> tuple[str, str]:
    """The type and name of an allowed tool, which names it as a choice does."""
    kind = named.get("type")
    inner = named.get(str(kind))
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise _wrong(path, 'name a tool as in {"type": "function", "function": {"name": "..."}}')
    return str(kind), inner["name"]


def _chosen(tools: Mapping[str, Tool], keys: set[tuple[str, str]], param: str) -> Mapping[str, Tool]:
    chosen = {path: tool for path, tool in tools.items() if (tool.type, tool.name) in keys}
    if len(chosen) < len(keys):
        there = {(tool.type, tool.name) for tool in tools.values()}
        kind, name = min(keys - there)
        raise _wrong(param, f"the request has no {kind} tool {name!r}")
    return chosen


# --- what a tool may be given ----------------------------------------------------------------------------


def ready_tool(path: str, tool: Tool, check: Check) -> Offered:
    """The tool with the rule for what it is given.

    Raises `BadRequestError` for a schema with what cannot be enforced, and for a grammar that does not
    compile, with `check`'s words.
    """
    if isinstance(tool, CustomTool):
        return _custom(tool, f"{path}.custom.format.grammar.definition", check)
    return Offered(tool.name, "json", json_rule(function_schema(tool, path)))


def function_schema(tool: FunctionTool, path: str) -> dict[str, Any]:
    """The schema of a function's arguments, which are an object; empty where it has no parameters."""
    place = schema_place(path)
    schema = ready(tool.function.parameters or NOTHING, place)
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        place.inside("type").refuse('a function\'s parameters are an object; say "type": "object".')
    return {**schema, "type": "object"}


def schema_place(path: str) -> Place:
    """Where the schema of a function stands in the request."""
    where = f"{path}.parameters" if path.startswith("functions") else f"{path}.function.parameters"
    return Place(where, where)


def _custom(tool: CustomTool, path: str, check: Check) -> Offered:
    wanted = tool.custom.format
    given: dict[str, Any] = {"type": "string"}
    if isinstance(wanted, GrammarFormat):
        text = wanted.grammar.definition
        # It is looked at alone first: so its errors are its own, and it cannot reach beyond its place.
        if wanted.grammar.syntax == "lark":
            _refuse_beyond_text(text, path)
            _refuse_uncompiled(check(text), path)
            return Offered(tool.name, "raw", f"%lark {{\n{text}\n}}")
        if spells_control(text):
            raise _wrong(path, CONTROL_WORDS)
        for pattern in (text, f"^(?:{text})$"):
            given["pattern"] = pattern
            _refuse_uncompiled(check(f"start: {json_rule(given)}"), path)
    schema = {"type": "object", "properties": {"input": given}, "required": ["input"]}
    return Offered(tool.name, "input", json_rule({**schema, "additionalProperties": False}))


def _refuse_beyond_text(text: str, path: str) -> None:
    """Raise for what llguidance knows beyond Lark, and what would not be checked, or would end the answer."""
    for word in BEYOND_LARK:
        if word in text:
            raise _wrong(path, f"a grammar may not have {word!r}; say the same with rules and terminals")
    if "<" in LITERALS.sub("", text):
        raise _wrong(path, "a grammar may not name tokens by '<...>'; quote the text that is meant")


def _refuse_uncompiled(words: str, path: str) -> None:
    if words:
        raise _wrong(path, f"the grammar cannot be used: {in_short(words)}")


def _wrong(param: str, text: str) -> BadRequestError:
    return BadRequestError(f"Invalid value for '{param}': {text}.", param=param, code="invalid_value")
