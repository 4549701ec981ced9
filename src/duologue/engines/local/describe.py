"""Messages and tools as chat templates know them, with every text of the request visited on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

from ...protocol.errors import BadRequestError
from ...types.chat.request import (
    AssistantMessage,
    CustomTool,
    CustomToolCall,
    DeveloperMessage,
    FunctionCallRequest,
    FunctionMessage,
    FunctionTool,
    GrammarFormat,
    Message,
    Tool,
    ToolCall,
    ToolMessage,
)
from .._content import cannot_take, text_of
from .schemas import WORDS
from .template import ChatTemplate

__all__ = ["Describer", "Visit"]

# What is done with a text of the request before the template sees it; the second argument is its path.
Visit: TypeAlias = Callable[[str, str], str]

# The length of the ids that some templates insist on.
SHORT_ID = 9
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


class Describer:
    """What the template is given, with every text of the request visited; messages in their order."""

    def __init__(self, template: ChatTemplate, visit: Visit) -> None:
        self._template = template
        self._visit = visit
        self._called_by_id: dict[str, str] = {}

    def message(self, message: Message, path: str) -> dict[str, Any]:
        """A message as templates know it: role, content, and what else it has."""
        described: dict[str, Any] = {
            "role": self._role(message),
            "content": self._visit(text_of(message, path), f"{path}.content"),
        }
        if isinstance(message, AssistantMessage):
            if message.audio is not None:
                raise cannot_take("a spoken answer", f"{path}.audio")
            reasoning = message.reasoning_content or message.reasoning
            if reasoning:
                described["reasoning_content"] = self._visit(reasoning, f"{path}.reasoning_content")
            calls = list(self._calls(message, path))
            if calls:
                described["tool_calls"] = calls
        elif isinstance(message, ToolMessage):
            described["tool_call_id"] = self._id(message.tool_call_id, f"{path}.tool_call_id")
        name = getattr(message, "name", None)
        if isinstance(message, ToolMessage):  # some templates want to know whose answer it is
            name = self._called_by_id.get(message.tool_call_id)
        if name:
            described["name"] = self._visit(name, f"{path}.name")
        return described

    def tool(self, tool: Tool, path: str) -> dict[str, Any]:
        """A tool as templates know it: a function. A custom tool is one with the argument `input`."""
        where = f"{path}.{tool.type}"
        if isinstance(tool, FunctionTool):
            description = tool.function.description
            parameters: Mapping[str, Any] = tool.function.parameters or NO_PARAMETERS
        else:
            description = tool.custom.description
            parameters = _input_parameters(tool)
        described: dict[str, Any] = {"name": self._visit(tool.name, f"{where}.name")}
        if description is not None:
            described["description"] = self._visit(description, f"{where}.description")
        try:
            described["parameters"] = _visit_all(parameters, f"{where}.parameters", self._visit)
        except RecursionError:
            raise BadRequestError(
                f"{where}.parameters is nested too deeply.", param=f"{where}.parameters"
            ) from None
        return {"type": "function", "function": described}

    def _role(self, message: Message) -> str:
        """The role by the name that templates have for it."""
        if isinstance(message, DeveloperMessage):
            return "developer" if self._template.knows_developer else "system"
        return "tool" if isinstance(message, FunctionMessage) else message.role

    def _id(self, call_id: str, path: str) -> str:
        if self._template.form is None or not self._template.form.short_ids:
            return self._visit(call_id, path)
        # Our own text, so there is nothing to visit; the same for a call and for what it is answered by.
        return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:SHORT_ID]

    def _calls(self, message: AssistantMessage, path: str) -> Iterator[dict[str, Any]]:
        """The tool calls of a message, the deprecated function call among them."""
        if message.function_call is not None:
            yield {
                "type": "function",
                "function": self._function(message.function_call, f"{path}.function_call"),
            }
        for index, call in enumerate(message.tool_calls or ()):
            where = f"{path}.tool_calls[{index}]"
            self._called_by_id[call.id] = (
                call.custom.name if isinstance(call, CustomToolCall) else call.function.name
            )
            yield {
                "id": self._id(call.id, f"{where}.id"),
                "type": "function",
                "function": self._called(call, where),
            }

    def _called(self, call: ToolCall, path: str) -> dict[str, Any]:
        if not isinstance(call, CustomToolCall):
            return self._function(call.function, f"{path}.function")
        return {
            "name": self._visit(call.custom.name, f"{path}.custom.name"),
            "arguments": {"input": self._visit(call.custom.input, f"{path}.custom.input")},
        }

    def _function(self, call: FunctionCallRequest, path: str) -> dict[str, Any]:
        where = f"{path}.arguments"
        try:
            arguments = json.loads(call.arguments or "{}", parse_constant=_not_json)
            visited = _visit_all(arguments, where, self._visit)
        except (ValueError, RecursionError):
            raise BadRequestError(
                f"{where} is not JSON that can be read; send back the arguments as they came.", param=where
            ) from None
        return {"name": self._visit(call.name, f"{path}.name"), "arguments": visited}


def _input_parameters(tool: CustomTool) -> dict[str, Any]:
    """The parameters of the function that a custom tool is shown as."""
    described: dict[str, Any] = {"type": "string"}
    wanted = tool.custom.format
    if isinstance(wanted, GrammarFormat):
        syntax = "regular expression" if wanted.grammar.syntax == "regex" else "Lark grammar"
        described["description"] = f"Text that follows this {syntax}: {wanted.grammar.definition}"
    return {"type": "object", "properties": {"input": described}, "required": ["input"]}


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _visit_all(value: Any, path: str, visit: Visit) -> Any:
    """A JSON value with every text in it visited, the names of fields among them.

    But not the words that schemas are written in: templates look for them, and they are nobody's.
    """
    if isinstance(value, str):
        return value if value in WORDS else visit(value, path)
    if isinstance(value, list):
        return [_visit_all(item, path, visit) for item in value]
    if isinstance(value, Mapping):
        return {_visit_all(name, path, visit): _visit_all(item, path, visit) for name, item in value.items()}
    return value
