"""Texts of an answer as values: the content as the type that was asked for, arguments as their tool takes them.

What cannot be read is no exception: the error stands beside the text that it is about. Only an answer that was
cut (`length`, `content_filter`) before there could be a value is one, and it carries the whole of what came. Where
there is nothing to read, such an ending is left to the caller, as it is without a type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from ..types._wire import recast
from ..types.chat.chat_completion import ChatCompletion, Choice
from ..types.chat.chat_completion_message import ChatCompletionMessage
from ..types.chat.chat_completion_message_custom_tool_call import ChatCompletionMessageCustomToolCall
from ..types.chat.chat_completion_message_tool_call import ChatCompletionMessageToolCallUnion
from ..types.chat.parsed_chat_completion import (
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
    ParsedFunction,
    ParsedFunctionToolCall,
)
from .errors import ContentFilterFinishReasonError, DuologueError, LengthFinishReasonError
from .partial import PartialJSON
from .schema.errors import ParseError
from .schema.form import TypedFormat

__all__ = ["CUT", "Parser", "about", "cut_error"]

T = TypeVar("T")
E = TypeVar("E", bound=DuologueError)

# The endings after which a text is a part of what it should have been.
# ruff: noqa: ISC004 - a row is a class and its words
CUT: Mapping[str, tuple[type[DuologueError], str]] = {
    "length": (
        LengthFinishReasonError,
        "The answer was cut at the token limit, so there is no value; allow more by max_completion_tokens. "
        "What came is in `error.completion`.",
    ),
    "content_filter": (
        ContentFilterFinishReasonError,
        "The content filter stopped the answer, so there is no value. What came is in `error.completion`.",
    ),
}


class Parser(Generic[T]):
    """Reads the answers to one request.

    `form` is the type that was asked for, `calls` read the arguments of the tools that are known, by name; both
    raise `ParseError`.
    """

    def __init__(self, form: TypedFormat[T] | None, calls: Mapping[str, Callable[[str], Any]]) -> None:
        self._form = form
        self._calls = calls

    def knows(self, name: str) -> bool:
        """Whether the arguments of the tool are read."""
        return name in self._calls

    def partial(self) -> PartialJSON | None:
        """A reader of a content that comes in pieces."""
        return None if self._form is None else self._form.partial()

    def content(self, text: str) -> tuple[T | None, ParseError | None]:
        """The value of a content, or why there is none."""
        return (None, None) if self._form is None else _read(self._form.parse, text)

    def arguments(self, name: str, text: str) -> tuple[Any, ParseError | None]:
        """The value of a call's arguments, or why there is none."""
        read = self._calls.get(name)
        return (None, None) if read is None else _read(read, text)

    def finished(self, completion: ChatCompletion) -> ParsedChatCompletion[T]:
        """`completion` with its values. Raises `LengthFinishReasonError` and `ContentFilterFinishReasonError`."""
        parsed = self.parsed(completion)
        error = self.cut(completion)
        if error is None:
            return parsed
        error.completion = parsed
        raise error

    def parsed(self, completion: ChatCompletion) -> ParsedChatCompletion[T]:
        """`completion` with as many of its values as can be read.

        An error carries the answer as it came: one with its values would hold the error, and never be freed.
        """
        choices = [
            recast(ParsedChoice[T], choice, message=self._message(choice.message, completion))
            for choice in completion.choices
        ]
        return recast(ParsedChatCompletion[T], completion, choices=choices)

    def cut(self, completion: ChatCompletion) -> DuologueError | None:
        """The error of an answer that was cut before there could be a value."""
        for choice in completion.choices:
            if choice.finish_reason in CUT and self._has_something(choice):
                return cut_error(choice.finish_reason, completion)
        return None

    def _has_something(self, choice: Choice) -> bool:
        """Whether there would have been something to read."""
        message = choice.message
        calls = message.tool_calls or ()
        known = any(call.type == "function" and self.knows(call.function.name) for call in calls)
        return known or (self._form is not None and not message.refusal)

    def _message(
        self, message: ChatCompletionMessage, completion: ChatCompletion
    ) -> ParsedChatCompletionMessage[T]:
        value, error = (
            (None, None) if message.refusal or not message.content else self.content(message.content)
        )
        calls = message.tool_calls and [self._call(call, completion) for call in message.tool_calls]
        return recast(
            ParsedChatCompletionMessage[T],
            message,
            tool_calls=calls,
            parsed=value,
            parse_error=error and about(error, completion),
        )

    def _call(
        self, call: ChatCompletionMessageToolCallUnion, completion: ChatCompletion
    ) -> ParsedFunctionToolCall | ChatCompletionMessageCustomToolCall:
        if isinstance(call, ChatCompletionMessageCustomToolCall):
            return call
        function = call.function
        value, error = (
            (None, None) if function is None else self.arguments(function.name, function.arguments or "")
        )
        read = function and recast(
            ParsedFunction, function, parsed_arguments=value, parse_error=error and about(error, completion)
        )
        return recast(ParsedFunctionToolCall, call, function=read)


def _read(read: Callable[[str], T], text: str) -> tuple[T | None, ParseError | None]:
    try:
        return read(text), None
    except ParseError as error:
        return None, error.with_traceback(None)


def cut_error(reason: str, completion: ChatCompletion) -> DuologueError:
    """The error of an answer that ended by `reason`, one of `CUT`."""
    kind, message = CUT[reason]
    return about(kind(message), completion)


def about(error: E, completion: ChatCompletion) -> E:
    """`error`, which carries the answer that it is about."""
    error.completion, error.usage = completion, completion.usage
    error.response, error.request_id = completion.response, completion._request_id
    return error
