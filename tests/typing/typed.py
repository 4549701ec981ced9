"""What type checkers make of answers of a type and of runs of tools, used as users write them. Never run.

`make check` reads it with mypy --strict and basedpyright. A line marked `type: ignore` must be an error: mypy
complains about a mark that is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

from duologue import AsyncClient, Client, ToolRun, tool, typed_format, user_message
from duologue.types.chat import (
    ChatCompletionMessageCustomToolCall,
    ContentDoneEvent,
    ParsedChatCompletion,
    ParsedFunctionToolCall,
)

messages = [user_message("Hi")]


@dataclass
class City:
    name: str


class Entry(TypedDict):
    name: str


@tool
def weather(city: str) -> str:
    return city


def plain(city: str) -> str:
    return city


def parsed(client: Client) -> None:
    """The type that is asked for is the type of the value."""
    parse = client.chat.completions.parse
    whole = parse(model="m", messages=messages, response_format=City, tools=[weather, plain], temperature=0)
    assert_type(whole, ParsedChatCompletion[City])
    assert_type(whole.parsed, City | None)
    message = whole.choices[0].message
    assert_type(message.parsed, City | None)
    assert_type(message.parse_error, Exception | None)
    for call in message.tool_calls or ():
        assert_type(call, ParsedFunctionToolCall | ChatCompletionMessageCustomToolCall)
        if call.type == "function":
            print(call.function.parsed_arguments)
    assert_type(parse(model="m", messages=messages, response_format=Entry).parsed, Entry | None)
    assert_type(parse(model="m", messages=messages, response_format=list[City]).parsed, list[City] | None)
    assert_type(parse(model="m", messages=messages, response_format=typed_format(int)).parsed, int | None)
    assert_type(parse(model="m", messages=messages, tools=[weather]), ParsedChatCompletion[None])
    parse(model="m", response_format=City)  # type: ignore[call-overload]
    parse(model="m", messages=messages, response_format=City, stream=True)  # type: ignore[call-overload]


def streamed(client: Client) -> None:
    """Events narrow, and the one that is done has the type."""
    with client.chat.completions.stream(model="m", messages=messages, response_format=City) as stream:
        for event in stream:
            if event.type == "content.done":
                assert_type(event, ContentDoneEvent[City])
                assert_type(event.parsed, City | None)
            elif event.type == "content.delta":
                assert_type(event.parsed, Any)
        assert_type(stream.get_final_completion(), ParsedChatCompletion[City])


def run(client: Client) -> None:
    """A run has the type of its answer, and tells events of its own and of its streams."""
    going = client.chat.completions.run_tools(
        model="m", messages=messages, tools=[weather, plain], response_format=City, stream=True
    )
    assert_type(going, ToolRun[City])
    for event in going:
        if event.type == "tool.result":
            assert_type(event.error, Exception | None)
        elif event.type == "completion":
            print(event.completion.text)
        elif event.type == "content.delta":
            assert_type(event.delta, str)
    assert_type(going.get_final_completion(), ParsedChatCompletion[City])
    assert_type(client.chat.completions.run_tools(model="m", messages=messages, tools=[plain]), ToolRun[None])
    until = client.chat.completions.run_tools(
        model="m",
        messages=messages,
        tools=[plain],
        response_format=City,
        stop_when=lambda run: len(run.messages) > 9,
    )
    assert_type(until, ToolRun[City])
    client.chat.completions.run_tools(model="m", messages=messages)  # type: ignore[call-overload]


async def awaited(client: AsyncClient) -> None:
    """The same, awaited."""
    completions = client.chat.completions
    whole = await completions.parse(model="m", messages=messages, response_format=City)
    assert_type(whole, ParsedChatCompletion[City])
    async with completions.stream(model="m", messages=messages, response_format=City) as stream:
        async for event in stream:
            if event.type == "content.done":
                assert_type(event.parsed, City | None)
        assert_type(await stream.get_final_completion(), ParsedChatCompletion[City])
    going = completions.run_tools(model="m", messages=messages, tools=[weather], response_format=City)
    assert_type(await going.get_final_completion(), ParsedChatCompletion[City])
