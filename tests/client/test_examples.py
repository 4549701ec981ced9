"""Programs written for openai-python's typed answers, with only the import changed, against the local model.

They are its four examples of parsing in words of our own: an answer of a type and a call of a type, whole and
streamed. The model is small: what it says may be wrong, but it is held to the types.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel, Field

import duologue as openai
from duologue import OpenAI
from duologue.engines.local import default_engine


class Step(BaseModel):
    explanation: str = Field(max_length=20)
    output: str = Field(max_length=10)


class Solution(BaseModel):
    steps: list[Step] = Field(max_length=2)
    final_answer: str = Field(max_length=10)


class Table(str, Enum):  # noqa: UP042 - as people write it
    orders = "orders"
    customers = "customers"


class ByColumn(BaseModel):
    column: str = Field(max_length=10)
    value: str | int = Field(max_length=10)


class Query(BaseModel):
    table: Table
    conditions: list[ByColumn] = Field(max_length=2)


class GetWeather(BaseModel):
    city: str = Field(max_length=20)
    country: str = Field(max_length=20)


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with openai.run_server(default_engine()) as url, OpenAI(base_url=url, api_key="none") as client:
        yield client


SUM: Any = [
    {"role": "system", "content": "You help with sums."},
    {"role": "user", "content": "What is 2 + 3?"},
]
SETTINGS: Any = {"model": "pocket", "temperature": 0, "max_completion_tokens": 400}


def test_parsing(client: OpenAI) -> None:
    completion = client.chat.completions.parse(messages=SUM, response_format=Solution, **SETTINGS)
    message = completion.choices[0].message
    assert isinstance(message.parsed, Solution)
    assert all(isinstance(step, Step) for step in message.parsed.steps)


def test_parsing_stream(client: OpenAI) -> None:
    with client.chat.completions.stream(messages=SUM, response_format=Solution, **SETTINGS) as stream:
        text, answers = "", []
        for event in stream:
            if event.type == "content.delta":
                text += event.delta
            elif event.type == "content.done":
                answers.append(event.parsed)
    final = stream.get_final_completion().choices[0].message
    assert final.content == text
    assert answers == [final.parsed]
    assert isinstance(final.parsed, Solution)


def test_parsing_tools(client: OpenAI) -> None:
    completion = client.chat.completions.parse(
        messages=[{"role": "user", "content": "Look up the orders of Anna."}],
        tools=[openai.pydantic_function_tool(Query)],
        tool_choice="required",
        **SETTINGS,
    )
    call = (completion.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert call.function.name == "Query"
    assert isinstance(call.function.parsed_arguments, Query)


def test_parsing_tools_stream(client: OpenAI) -> None:
    with client.chat.completions.stream(
        messages=[{"role": "user", "content": "What is the weather in Rome?"}],
        tools=[openai.pydantic_function_tool(GetWeather, name="get_weather")],
        tool_choice="required",
        parallel_tool_calls=False,
        **SETTINGS,
    ) as stream:
        deltas, done = "", []
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                deltas += event.arguments_delta
            elif event.type == "tool_calls.function.arguments.done":
                assert event.name == "get_weather"
                done.append(event.parsed_arguments)
    (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == deltas
    assert done == [call.function.parsed_arguments]
    assert isinstance(call.function.parsed_arguments, GetWeather)
