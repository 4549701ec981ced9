"""`functions` and `function_call`, the old form of tools, as tools, for engines that know only those.

The way back, the calls of an answer in the old form, is `protocol.write`'s.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ...types.chat.request import (
    AssistantMessage,
    ChatRequest,
    FunctionCallOption,
    FunctionDefinition,
    FunctionMessage,
    FunctionTool,
    FunctionToolCall,
    Message,
    NamedFunctionChoice,
    ToolChoice,
    ToolMessage,
)
from ...types.chat.request_tool import ToolName

__all__ = ["as_tools"]


def as_tools(request: ChatRequest) -> ChatRequest:
    """The request with tools in place of functions."""
    return msgspec.structs.replace(
        request,
        messages=_messages(request.messages),
        tools=[
            FunctionTool(FunctionDefinition(each.name, each.description, each.parameters))
            for each in request.functions or ()
        ],
        tool_choice=_choice(request.function_call),
        parallel_tool_calls=False,
        functions=None,
        function_call=None,
    )


def _choice(asked: Literal["none", "auto"] | FunctionCallOption | None) -> ToolChoice | None:
    return NamedFunctionChoice(ToolName(asked.name)) if isinstance(asked, FunctionCallOption) else asked


def _messages(messages: list[Message]) -> list[Message]:
    """The old form knows no ids: an answer belongs to the call before it."""
    mapped: list[Message] = []
    called: str | None = None
    for at, message in enumerate(messages):
        if isinstance(message, AssistantMessage) and message.function_call is not None:
            called = f"call_{at}"
            call = FunctionToolCall(id=called, function=message.function_call)
            mapped.append(msgspec.structs.replace(message, tool_calls=[call], function_call=None))
        elif isinstance(message, FunctionMessage) and called is not None:
            mapped.append(ToolMessage(message.content or "", called))
            called = None
        else:
            mapped.append(message)
    return mapped
