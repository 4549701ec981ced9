"""A class of arguments as a tool, under the name that openai-python has for it."""

from __future__ import annotations

from typing import Any, TypeVar

from .function import Tool

__all__ = ["pydantic_function_tool"]

M = TypeVar("M")


def pydantic_function_tool(
    model: type[M], *, name: str | None = None, description: str | None = None
) -> Tool[..., M]:
    """A tool whose arguments are an object of `model`: pydantic's or any other class that `tool` takes.

    It has no function, so `run_tools` leaves its calls to the caller.
    """
    made: Tool[..., Any] = Tool(model, name=name, description=description)
    return made
