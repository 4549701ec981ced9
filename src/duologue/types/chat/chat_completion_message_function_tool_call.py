"""A call of a function tool: one whose arguments are JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .._wire import ABSENT, WireClass, WireObject
from .chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall

__all__ = ["ChatCompletionMessageFunctionToolCall", "Function"]


class Function(WireObject):
    """The function's name and its arguments as JSON text, which the model may have got wrong."""

    arguments: str = ABSENT
    name: str = ABSENT


class ChatCompletionMessageFunctionToolCall(WireObject):
    """A call of a function; `id` is what the tool message answers."""

    id: str = ABSENT
    function: Function = ABSENT
    type: Literal["function"] = "function"

    @classmethod
    def _variant(cls, fields: Mapping[str, Any]) -> WireClass:
        """The decoder only knows this class; the tolerant path finds out a custom call here."""
        custom = fields.get("type") == "custom" or ("custom" in fields and "function" not in fields)
        return ChatCompletionMessageCustomToolCall if custom else cls
