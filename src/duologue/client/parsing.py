"""What a request for a type says on the wire, and what reads its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from ..protocol.parsing import Parser
from ..protocol.schema.form import typed_format
from ..tools.custom import CustomTool
from ..tools.function import Tool, tool
from ..tools.schema import SchemaTool, schema_tool
from ..types.chat.chat_completion_tool_param import ChatCompletionToolUnionParam
from .options import Omit

__all__ = ["AnyTool", "ToolLike", "asked_for", "known_tools", "tool_of"]

# What a request may be given as a tool: as it is sent, a tool, or a typed function.
AnyTool: TypeAlias = Tool[..., Any] | CustomTool[Any] | SchemaTool[Any]
ToolLike: TypeAlias = AnyTool | Callable[..., Any] | ChatCompletionToolUnionParam


def asked_for(response_format: Any, tools: Any) -> tuple[dict[str, Any], Parser[Any]]:
    """The parameters that ask for a type and for tools, and what reads the answer.

    Raises `SchemaError` for a type that cannot be asked for, `TypeError` for what is no tool.
    """
    params: dict[str, Any] = {}
    form = None
    said = response_format.get("type") if isinstance(response_format, Mapping) else None
    if response_format is None or isinstance(response_format, Omit) or said == "text":
        params["response_format"] = response_format
    else:
        form = typed_format(response_format)
        params["response_format"] = form.to_param()
    if tools is None or isinstance(tools, Omit):
        return {**params, "tools": tools}, Parser(form, {})
    given = [tool_of(each) for each in tools]
    params["tools"] = [each if isinstance(each, Mapping) else each.to_param() for each in given]
    return params, Parser(form, _readers(given))


def tool_of(given: Any) -> AnyTool | Mapping[str, Any]:
    """A tool from what a request may be given as one. Raises `TypeError`."""
    if isinstance(given, (Tool, CustomTool, SchemaTool, Mapping)):
        return given
    if callable(given):
        return tool(given)
    raise TypeError(f"tools must be functions, tools made by @tool, or dicts, not {type(given).__name__}")


def known_tools(tools: Any) -> tuple[dict[str, AnyTool], list[Any]]:
    """The tools that can be called, by name, and all of them as they are sent. Raises `TypeError`."""
    given = [] if tools is None or isinstance(tools, Omit) else [tool_of(each) for each in tools]
    callables: dict[str, AnyTool] = {}
    for each in given:
        if isinstance(each, Mapping) or (isinstance(each, Tool) and each.is_class):
            continue
        if each.name in callables:
            raise TypeError(
                f"two of the tools are named {each.name!r}; give one another name by @tool(name=...)"
            )
        callables[each.name] = each
    return callables, given


def _readers(tools: Iterable[AnyTool | Mapping[str, Any]]) -> dict[str, Callable[[str], Any]]:
    """What reads the arguments of each function; of one given as a dict only where its arguments are certain."""
    readers: dict[str, Callable[[str], Any]] = {}
    for each in tools:
        if isinstance(each, Mapping):
            function = each.get("function")
            if not isinstance(function, Mapping) or not function.get("strict"):
                continue
            each = schema_tool(each, dict)
        if not isinstance(each, CustomTool):
            readers[each.name] = each.parse
    return readers
