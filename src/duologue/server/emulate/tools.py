"""Whether the tool calls of a choice are what `tool_choice` and `parallel_tool_calls` ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...engine import ToolCall
from ...types.chat.request import AllowedToolsChoice, ChatRequest, NamedCustomChoice, NamedFunctionChoice

__all__ = ["choice_fault", "parallel_fault"]


def parallel_fault(calls: Sequence[ToolCall]) -> str | None:
    """What is wrong where only one tool may be called at a time; None for nothing."""
    return None if len(calls) <= 1 else f"{len(calls)} tool calls, where 'parallel_tool_calls' is false"


def choice_fault(request: ChatRequest) -> Callable[[Sequence[ToolCall], bool], str | None]:
    """What says what is wrong with calls by the request's `tool_choice`; None for nothing.

    It is told whether the choice was cut at the token limit: then a call that must come may be missing.
    """
    allowed, must = _asked(request)

    def fault(calls: Sequence[ToolCall], cut: bool) -> str | None:
        for call in calls:
            if (call.type, call.name) not in allowed:
                return f"a call of the tool {call.name!r}, which 'tool_choice' does not allow"
        return "no tool call, where 'tool_choice' asks for one" if must and not calls and not cut else None

    return fault


def _asked(request: ChatRequest) -> tuple[set[tuple[str, str]], bool]:
    """The kinds and names of the tools that may be called, and whether one must be."""
    choice = request.tool_choice
    offered: set[tuple[str, str]] = {(tool.type, tool.name) for tool in request.tools or ()}
    if choice == "none":
        return set(), False
    if isinstance(choice, NamedFunctionChoice):
        return {("function", choice.function.name)}, True
    if isinstance(choice, NamedCustomChoice):
        return {("custom", choice.custom.name)}, True
    if isinstance(choice, AllowedToolsChoice):
        names = {
            (kind, tool[kind]["name"])
            for tool in choice.allowed_tools.tools
            if (kind := str(tool.get("type"))) in tool
        }
        return offered & names, choice.allowed_tools.mode == "required"
    return offered, choice == "required"
