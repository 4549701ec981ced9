"""What type checkers make of typed answers and tools, used as users write them. Nothing here is ever run.

`make check` reads it with mypy --strict and basedpyright. A line marked `type: ignore` must be an error: mypy
complains about a mark that is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

from duologue import (
    Context,
    CustomTool,
    PartialJSON,
    SchemaTool,
    Tool,
    TypedFormat,
    custom_tool,
    schema_tool,
    tool,
    typed_format,
)
from duologue.types.chat import ChatCompletionCustomToolParam, ChatCompletionFunctionToolParam
from duologue.types.chat.completion_create_params import ResponseFormat


@dataclass
class Step:
    text: str


class Entry(TypedDict):
    name: str


class Database:
    pass


def answers(text: str) -> None:
    """A format keeps its type."""
    assert_type(typed_format(Step), TypedFormat[Step])
    assert_type(typed_format(Step).parse(text), Step)
    assert_type(typed_format(Entry, name="entry").parse(text), Entry)
    assert_type(typed_format(list[Step]).parse(text), list[Step])
    assert_type(typed_format(typed_format(int), strict=False), TypedFormat[int])
    assert_type(typed_format({"type": "json_object"}).parse(text), Any)
    form: ResponseFormat = typed_format(Step).to_param()
    print(form)
    partial = typed_format(Step).partial()
    assert_type(partial, PartialJSON)
    partial.feed(text)
    assert_type(partial.value, Any)
    assert_type(partial.complete, bool)


@tool
def weather(city: str, days: int = 1, *, database: Context[Database]) -> str:
    """The weather."""
    assert_type(database, Database)
    return f"{city} {days} {database}"


@tool(name="later", strict=False)
async def later(city: str) -> int:
    return len(city)


class Shop:
    @tool
    def price(self, item: str) -> float:
        return float(len(item))


@custom_tool(regex="[0-9]+")
def digits(text: str) -> int:
    return int(text)


async def awaited(text: str) -> None:
    """An async function is still one."""
    assert_type(await later("Oslo"), int)
    assert_type(await later.call(text), int)


def signatures(text: str) -> None:
    """A tool is called as its function is."""
    assert_type(weather("Oslo", days=2, database=Database()), str)
    weather(3, database=Database())  # type: ignore[arg-type]
    weather("Oslo")  # type: ignore[call-arg]
    assert_type(weather.call(text, context=Database()), str)
    assert_type(weather.to_param(), ChatCompletionFunctionToolParam)
    assert_type(Shop().price("tea"), float)
    Shop().price()  # type: ignore[call-arg]
    assert_type(Shop().price.call(text), float)
    assert_type(tool(Step).call(text), Step)
    assert_type(digits, CustomTool[int])
    assert_type(digits("3"), int)
    assert_type(digits.to_param(), ChatCompletionCustomToolParam)
    assert_type(schema_tool({"name": "a"}, lambda arguments: len(arguments)), SchemaTool[int])
    tools: list[Tool[..., Any] | CustomTool[Any] | SchemaTool[Any]] = [weather, later, Shop().price, digits]
    print([each.to_param() for each in tools])
