"""Custom tools: a function of one text, which may follow a grammar."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from ..protocol.schema.errors import SchemaError
from ..protocol.schema.names import NAME, clean_name
from ..types.chat.chat_completion_tool_param import ChatCompletionCustomToolParam, CustomDefinition
from .signature import function_name

__all__ = ["CustomTool", "custom_tool"]

R = TypeVar("R")


class CustomTool(Generic[R]):
    """A function of one text, with what a model is told of it. Made by `custom_tool`."""

    def __init__(
        self,
        function: Callable[[str], R],
        *,
        name: str | None = None,
        description: str | None = None,
        regex: str | None = None,
        lark: str | None = None,
    ) -> None:
        if regex is not None and lark is not None:
            raise SchemaError(
                name or function_name(function), "an input follows `regex` or `lark`, not both."
            )
        if name is not None and not NAME.fullmatch(name):
            raise SchemaError(repr(name), "a name has 1 to 64 of a-z, A-Z, 0-9, `_` and `-`; give another.")
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or clean_name(function_name(function))
        self.description = inspect.getdoc(function) or "" if description is None else description
        self._regex = regex
        self._lark = lark

    def __call__(self, text: str, /) -> R:
        """Call the function."""
        return self.function(text)

    @property
    def is_async(self) -> bool:
        """Whether calling it gives something to await."""
        return inspect.iscoroutinefunction(self.function)

    def to_param(self) -> ChatCompletionCustomToolParam:
        """The tool for the `tools` of a request."""
        custom: CustomDefinition = {"name": self.name}
        if self.description:
            custom["description"] = self.description
        if self._regex is not None:
            custom["format"] = {"type": "grammar", "grammar": {"syntax": "regex", "definition": self._regex}}
        elif self._lark is not None:
            custom["format"] = {"type": "grammar", "grammar": {"syntax": "lark", "definition": self._lark}}
        return {"type": "custom", "custom": custom}

    def parse(self, arguments: str) -> str:
        """The input as it is: whether it follows the grammar is the server's to see to."""
        return arguments

    def invoke(self, arguments: str, *, context: Any = None) -> R:
        """Call the function; it takes no context."""
        del context
        return self.function(arguments)

    def call(self, arguments: str, *, context: Any = None) -> R:
        """Call the function with what a model wrote."""
        return self.invoke(arguments, context=context)


@overload
def custom_tool(function: Callable[[str], R], /) -> CustomTool[R]: ...
@overload
def custom_tool(
    *,
    name: str | None = None,
    description: str | None = None,
    regex: str | None = None,
    lark: str | None = None,
) -> Callable[[Callable[[str], R]], CustomTool[R]]: ...
def custom_tool(
    function: Callable[[str], Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    regex: str | None = None,
    lark: str | None = None,
) -> Any:
    """A decorator: a function of one text, sync or async, as a custom tool.

    The model writes any text, or one that follows a regular expression or a grammar in Lark's syntax.
    """
    make = functools.partial(CustomTool, name=name, description=description, regex=regex, lark=lark)
    return make if function is None else make(function)
