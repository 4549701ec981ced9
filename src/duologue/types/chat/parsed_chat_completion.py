"""A completion whose texts and arguments have been read into values.

It is the `ChatCompletion` that came, with every field it came with; what was made of it (`_derived`) is sent to
nobody and is no part of its JSON.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from .._wire import ABSENT
from .chat_completion import ChatCompletion, Choice
from .chat_completion_message import ChatCompletionMessage
from .chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall
from .chat_completion_message_function_tool_call import ChatCompletionMessageFunctionToolCall, Function

__all__ = [
    "ParsedChatCompletion",
    "ParsedChatCompletionMessage",
    "ParsedChoice",
    "ParsedFunction",
    "ParsedFunctionToolCall",
]

T = TypeVar("T")


class ParsedFunction(Function):
    """A function's name and arguments. `parsed_arguments` are their value, None if `parse_error` says why not.

    Both are None for a function that was not among the tools, or whose tool is not strict and says no type.
    """

    _derived = frozenset({"parsed_arguments", "parse_error"})

    parsed_arguments: Any = None
    parse_error: Exception | None = None


class ParsedFunctionToolCall(ChatCompletionMessageFunctionToolCall):
    """A call of a function."""

    function: ParsedFunction = ABSENT  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T]):
    """A message of the assistant. `parsed` is the value of its content, None if `parse_error` says why not.

    Both are None where there is nothing to read: a refusal, a message of calls alone, or no type asked for.
    """

    _derived = frozenset({"parsed", "parse_error"})

    # Narrower than in the base class; nobody puts other calls into an answer.
    tool_calls: list[ParsedFunctionToolCall | ChatCompletionMessageCustomToolCall] | None = None  # type: ignore[assignment]
    parsed: T | None = None
    parse_error: Exception | None = None


class ParsedChoice(Choice, Generic[T]):
    """One of the `n` answers."""

    message: ParsedChatCompletionMessage[T] = ABSENT  # pyright: ignore[reportIncompatibleVariableOverride]  # the same


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """The answer to a request for a type."""

    choices: list[ParsedChoice[T]] = []  # type: ignore[assignment]  # narrower, as above

    @property
    def parsed(self) -> T | None:
        """The value of the first choice; None where there is none."""
        return self.choices[0].message.parsed if self.choices else None
