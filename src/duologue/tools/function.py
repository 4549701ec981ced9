"""`@tool`: a typed function that a model may call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, get_origin, overload

from ..protocol.schema.classes import class_doc
from ..protocol.schema.describe import describe
from ..protocol.schema.errors import SchemaError
from ..protocol.schema.form import json_schema, json_value, unreferred, value_of
from ..protocol.schema.names import NAME, clean_name
from ..protocol.schema.strict import strict_schema
from ..types.chat.chat_completion_tool_param import ChatCompletionFunctionToolParam, FunctionDefinition
from .signature import Signature, function_name, signature_of

__all__ = ["Tool", "tool"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")

# What a tool finds out about its function, once.
LEARNT = ("_signature", "parameters")


class Tool(Generic[P, R]):
    """A function with what a model is told of it. Calling it calls the function. Made by `tool`.

    In a class it is a method: had from an object, it is bound to it.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool = True,
        bound: bool = False,
    ) -> None:
        if name is not None and not NAME.fullmatch(name):
            raise SchemaError(repr(name), "a name has 1 to 64 of a-z, A-Z, 0-9, `_` and `-`; give another.")
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or clean_name(function_name(function))
        self.strict = strict
        self._description = description
        self._bound = bound

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __set_name__(self, owner: type, name: str) -> None:
        self._bound = not isinstance(self.function, staticmethod)

    @overload
    def __get__(self, obj: None, owner: type) -> Tool[P, R]: ...
    @overload
    def __get__(self: Tool[Concatenate[S, Q], R], obj: S, owner: type) -> Tool[Q, R]: ...
    def __get__(self, obj: Any, owner: type) -> Any:
        function: Any = self.function
        if isinstance(function, classmethod):
            function, obj = function.__func__, owner
        if obj is None or not self._bound:
            return self
        method: Tool[..., R] = Tool(
            functools.partial(function, obj),
            name=self.name,
            description=self._description,
            strict=self.strict,
        )
        # What is known of the function is known of the method.
        method.__dict__.update({key: self.__dict__[key] for key in LEARNT if key in self.__dict__})
        return method

    @property
    def is_async(self) -> bool:
        """Whether calling it gives something to await."""
        inner: Any = self.function
        while isinstance(inner, functools.partial):
            inner = inner.func
        return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(type(inner).__call__)

    @property
    def is_class(self) -> bool:
        """Whether it has no function, but a class that its arguments are an object of."""
        return isinstance(get_origin(self.function) or self.function, type)

    @property
    def needs_context(self) -> bool:
        """Whether its function cannot do without a context."""
        return self._signature.needs_context

    @property
    def description(self) -> str:
        """What the model is told that it does: as given, else the docstring up to its sections."""
        return self._description if self._description is not None else self._signature.doc.text

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of its arguments; raises `SchemaError` for types that strict mode has no schema for."""
        schema = json_schema(self._signature.arguments)
        return strict_schema(schema, name=self.name, checked=True) if self.strict else unreferred(schema)

    def to_param(self) -> ChatCompletionFunctionToolParam:
        """The tool for the `tools` of a request."""
        function: FunctionDefinition = {
            "name": self.name,
            "parameters": self.parameters,
            "strict": self.strict,
        }
        if self.description:
            function["description"] = self.description
        return {"type": "function", "function": function}

    def parse(self, arguments: str) -> Any:
        """The arguments that a model wrote: by name, or for a class the object. Raises `ParseError`.

        No text at all, which some models write for no arguments, is an object without keys.
        """
        read = self._signature.arguments.read
        return value_of(arguments, lambda text: read(json_value(text or "{}"), "$"))

    def invoke(self, arguments: Any, *, context: Any = None) -> R:
        """Call the function with what `parse` gave; `context` goes to the parameter that is annotated for it."""
        if self.is_class:
            return cast("R", arguments)
        named = dict(arguments)
        if self._signature.context is not None:
            named[self._signature.context] = context
        given = [named.pop(name) for name in self._signature.positional if name in named]
        return cast("Callable[..., R]", self.function)(*given, **named)

    def call(self, arguments: str, *, context: Any = None) -> R:
        """`invoke` with what `parse` makes of a text."""
        return self.invoke(self.parse(arguments), context=context)

    @functools.cached_property
    def _signature(self) -> Signature:
        if self.is_class:
            return Signature(describe(self.function), (), None, class_doc(self.function))
        return signature_of(self.function, self.name, bound=self._bound)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, strict: bool = True
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = True,
) -> Any:
    """A decorator: a typed function, sync or async, as a tool. For a class, the arguments are one of its objects.

    Name and description are the function's own, the latter from its docstring, which may describe the parameters
    in Google's, numpy's or Sphinx's style. The types of the parameters are what the model is held to:

    - one with a default may be left out by the model: in strict mode it writes null, and the function's default
      counts; where null is a value of the parameter's type, null is passed;
    - one that is `Context[...]` is given by whoever runs the tools;
    - `*args` and `**kwargs` are refused, and with `strict` so are dicts with any keys.
    """
    if function is None:
        return functools.partial(Tool, name=name, description=description, strict=strict)
    return Tool(function, name=name, description=description, strict=strict)
