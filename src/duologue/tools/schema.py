"""Tools that come with a JSON schema: of an MCP server, or as they stand in a request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from ..protocol.schema.errors import ParseError, SchemaError
from ..protocol.schema.form import json_value, value_of
from ..protocol.schema.names import NAME
from ..types.chat.chat_completion_tool_param import ChatCompletionFunctionToolParam, FunctionDefinition

__all__ = ["SchemaTool", "schema_tool"]

R = TypeVar("R")


class SchemaTool(Generic[R]):
    """A tool whose schema is taken as it is, and a function of the dict of arguments. Made by `schema_tool`."""

    def __init__(self, definition: FunctionDefinition, function: Callable[[dict[str, Any]], R]) -> None:
        self.function = function
        self.name = definition["name"]
        self._definition = definition

    def __call__(self, arguments: dict[str, Any], /) -> R:
        """Call the function."""
        return self.function(arguments)

    @property
    def is_async(self) -> bool:
        """Whether calling it gives something to await."""
        return inspect.iscoroutinefunction(self.function)

    def to_param(self) -> ChatCompletionFunctionToolParam:
        """The tool for the `tools` of a request."""
        return {"type": "function", "function": self._definition}

    def parse(self, arguments: str) -> dict[str, Any]:
        """The arguments that a model wrote, which are checked to be an object and no more. Raises `ParseError`."""
        value = value_of(arguments, lambda text: json_value(text or "{}"))
        if not isinstance(value, dict):
            raise ParseError(arguments, (("$", f"Expected `object`, got {value!r:.50}"),))
        return value

    def invoke(self, arguments: dict[str, Any], *, context: Any = None) -> R:
        """Call the function; it takes no context."""
        del context
        return self.function(arguments)

    def call(self, arguments: str, *, context: Any = None) -> R:
        """Call the function with what a model wrote."""
        return self.invoke(self.parse(arguments), context=context)


def schema_tool(
    definition: Any, function: Callable[[dict[str, Any]], R], *, name: str | None = None
) -> SchemaTool[R]:
    """A tool from an MCP server's description of it, or from a tool as it stands in a request.

    `definition` is `{"name", "description", "inputSchema"}`, as a mapping or as an object with these attributes,
    or `{"type": "function", "function": {...}}`. `function` is called with the dict of arguments. `name` is what
    the model calls it by: its own unless given, which in MCP may have dots and slashes, and in the API not.
    Raises `SchemaError` for anything else, and for a name that the API does not take.
    """
    inner = _get(definition, "function")
    if inner is None:
        inner = {"name": _get(definition, "name"), "description": _get(definition, "description")}
        inner["parameters"] = _parameters(_get(definition, "inputSchema"))
        inner = {key: value for key, value in inner.items() if value is not None}
    if name is not None and isinstance(inner, Mapping):
        inner = {**inner, "name": name}
    called = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(called, str) or not NAME.fullmatch(called):
        raise SchemaError(
            "tool",
            f"has the name {called!r}, and must have one of 1 to 64 of a-z, A-Z, 0-9, `_`, `-`; give it as name=.",
        )
    return SchemaTool(cast("FunctionDefinition", inner), function)


def _parameters(schema: Any) -> Any:
    """An MCP server's schema as the API takes it, which wants `properties` even of an object that has none."""
    if isinstance(schema, Mapping) and schema.get("type") == "object" and "properties" not in schema:
        return {**schema, "properties": {}}
    return schema


def _get(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
