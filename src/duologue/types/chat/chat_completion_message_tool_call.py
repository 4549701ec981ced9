"""A tool call of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall
from .chat_completion_message_function_tool_call import ChatCompletionMessageFunctionToolCall

__all__ = ["ChatCompletionMessageToolCall", "ChatCompletionMessageToolCallUnion"]

ChatCompletionMessageToolCall = ChatCompletionMessageFunctionToolCall

if TYPE_CHECKING:
    ChatCompletionMessageToolCallUnion = (
        ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall
    )
else:
    # A decoder cannot tell two untagged classes apart: it reads functions, and a custom call takes the
    # tolerant path, which asks `_variant`.
    ChatCompletionMessageToolCallUnion = ChatCompletionMessageFunctionToolCall
