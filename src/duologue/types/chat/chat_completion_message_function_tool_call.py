"""A call of a function tool: one whose arguments are JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from .._wire import ABSENT, WireClass, WireObject
from .chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall

if TYPE_CHECKING:
    from .chat_completion_message_param import ChatCompletionMessageFunctionToolCallParam

__all__ = ["ChatCompletionMessageFunctionToolCall"]


class Function(WireObject):
    """The function's name and its arguments as JSON text, which the model may have got wrong."""

    arguments: str = ABSENT
    name: str = ABSENT


class ChatCompletionMessageFunctionToolCall(WireObject):
    """A call of a function; `id` is what the tool message answers."""

    id: str = ABSENT
    function: Function = ABSENT
    type: Literal["function"] = "function"

    def to_param(self) -> ChatCompletionMessageFunctionToolCallParam:
        """This call as part of the next request. Its unknown fields go along: some servers need them back."""
        param = {"type": self.type, **self.to_dict()}
        # Some servers leave out what is empty.
        if self.function is not None and self.function.arguments is None:
            param["function"] = {**param["function"], "arguments": ""}
        return cast("ChatCompletionMessageFunctionToolCallParam", param)

    @classmethod
    def _variant(cls, fields: Mapping[str, Any]) -> WireClass:
        """The decoder only knows this class; the tolerant path finds out a custom call here."""
        custom = fields.get("type") == "custom" or ("custom" in fields and "function" not in fields)
        return ChatCompletionMessageCustomToolCall if custom else cls
