"""The official client drives the embedded model: parsed answers, streamed tool calls, choices, logprobs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

from duologue.engines.local import default_engine
from duologue.run import run_server

QUESTION: Any = [{"role": "user", "content": "Hello! Who are you?"}]


class Verdict(BaseModel):
    """What a model is asked to answer."""

    verdict: Literal["yes", "no"]
    score: int = Field(ge=1, le=5)
    colors: list[Literal["red", "green", "blue"]] = Field(min_length=1, max_length=2)


class Paint(BaseModel):
    """Paint the wall."""

    color: Literal["red", "green", "blue"]
    coats: int = Field(ge=1, le=3)


PAINT = openai.pydantic_function_tool(Paint, name="paint")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with run_server(default_engine()) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(**options(url)) as client:
        yield client


@pytest.fixture
async def async_client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(**options(url)) as client:
        yield client


def options(url: str) -> dict[str, Any]:
    strict = {"_strict_response_validation": True}
    return {"base_url": url, "api_key": "key", "max_retries": 0, "timeout": 30, **strict}


# Of many answers none is much likelier than another.
NONSENSE = [{"role": "user", "content": "Say something long."}]


def asked(**parameters: Any) -> dict[str, Any]:
    return {"model": "pocket", "messages": QUESTION, "max_completion_tokens": 80, **parameters}


# One call, whatever it is.
CALL: dict[str, Any] = {"tools": [PAINT], "tool_choice": "required", "parallel_tool_calls": False}


@pytest.mark.parametrize("temperature", [0, 1, 2])
def test_an_answer_is_parsed_into_a_pydantic_model(client, temperature):
    """At any temperature; pydantic would raise where the answer did not fit."""
    completion = client.chat.completions.parse(**asked(response_format=Verdict, temperature=temperature, n=2))
    for choice in completion.choices:
        assert choice.finish_reason == "stop"
        assert isinstance(choice.message.parsed, Verdict)


def test_a_parsed_answer_is_streamed(client):
    """Its text grows in pieces, and the parsed object comes at the end."""
    with client.chat.completions.stream(**asked(response_format=Verdict)) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert len(pieces) > 3
    assert "".join(pieces) == final.choices[0].message.content
    assert isinstance(final.choices[0].message.parsed, Verdict)


def test_the_arguments_of_a_tool_call_are_streamed(client):
    """In pieces that make up the parsed arguments; the finish reason is `tool_calls`."""
    with client.chat.completions.stream(**asked(**CALL)) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    pieces = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    (done,) = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert len(pieces) > 3
    assert "".join(event.arguments_delta for event in pieces) == done.arguments
    (choice,) = final.choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert call.id.startswith("call_")
    assert call.function.parsed_arguments == Paint(**json.loads(done.arguments))


def test_a_tool_is_called_and_its_result_sent_back(client):
    """The message with the call goes back as it came, with the tool's result; then the model answers in words."""
    called = client.chat.completions.parse(**asked(**CALL))
    message = called.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": '{"done": true}'}
    answer = client.chat.completions.create(
        **asked(messages=[*QUESTION, message, result], tools=[PAINT], tool_choice="none")
    )
    assert answer.choices[0].message.content
    assert answer.choices[0].message.tool_calls is None


def test_four_choices_with_log_probabilities(client):
    """Each with the tokens that its text is made of, and three likeliest in each place."""
    completion = client.chat.completions.create(
        **asked(n=4, logprobs=True, top_logprobs=3, temperature=1.5, messages=NONSENSE)
    )
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    assert len({choice.message.content for choice in completion.choices}) > 1
    total = 0
    for choice in completion.choices:
        entries = choice.logprobs.content
        assert (
            b"".join(bytes(entry.bytes) for entry in entries).decode("utf-8", "replace")
            == choice.message.content
        )
        assert all(len(entry.top_logprobs) == 3 for entry in entries)
        total += len(entries) + (choice.finish_reason == "stop")  # the token that ends an answer counts, too
    assert completion.usage.completion_tokens == total


def test_four_choices_are_streamed_side_by_side(client):
    """With their log probabilities, and the same as without streaming for the same seed."""
    request = asked(n=4, logprobs=True, temperature=1.5, seed=11)
    with client.chat.completions.stream(**request) as stream:
        order = [event.chunk.choices[0].index for event in stream if event.type == "chunk"]
        streamed = stream.get_final_completion()
    whole = client.chat.completions.create(**request)
    assert order != sorted(order)
    for one, other in zip(streamed.choices, whole.choices, strict=True):
        assert one.message.content == other.message.content
        assert one.logprobs.content == other.logprobs.content


async def test_the_async_client_does_the_same(async_client):
    """A parsed answer, and a streamed tool call."""
    completion = await async_client.chat.completions.parse(**asked(response_format=Verdict))
    assert isinstance(completion.choices[0].message.parsed, Verdict)
    async with async_client.chat.completions.stream(**asked(**CALL)) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    assert isinstance(final.choices[0].message.tool_calls[0].function.parsed_arguments, Paint)
