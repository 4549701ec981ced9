"""Answers of a type: `parse`, and streams with values. Both clients, streamed or not, are one to these tests."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from duologue import (
    AsyncClient,
    Client,
    ContentFilterFinishReasonError,
    DuologueError,
    LengthFinishReasonError,
    ParseError,
    SchemaError,
    create_app,
    custom_tool,
    pydantic_function_tool,
    tool,
    user_message,
)
from duologue.engine import Finish, Refusal, Text, Usage
from duologue.testing import Call, Script
from duologue.types.chat import ParsedChatCompletion

MESSAGES = [user_message("Hi")]
Ask = Callable[..., ParsedChatCompletion[Any]]


@dataclass
class City:
    name: str
    people: int


class Entry(TypedDict):
    name: str


ROME = '{"name": "Rome", "people": 3}'


def blocking(app: Any, **params: Any) -> ParsedChatCompletion[Any]:
    with Client(app=app, max_retries=0) as client:
        return client.chat.completions.parse(model="script", messages=MESSAGES, **params)


def blocking_stream(app: Any, **params: Any) -> ParsedChatCompletion[Any]:
    with (
        Client(app=app, max_retries=0) as client,
        client.chat.completions.stream(model="script", messages=MESSAGES, **params) as stream,
    ):
        return stream.get_final_completion()


def waiting(app: Any, **params: Any) -> ParsedChatCompletion[Any]:
    async def main() -> ParsedChatCompletion[Any]:
        async with AsyncClient(app=app, max_retries=0) as client:
            return await client.chat.completions.parse(model="script", messages=MESSAGES, **params)

    return asyncio.run(main())


def waiting_stream(app: Any, **params: Any) -> ParsedChatCompletion[Any]:
    async def main() -> ParsedChatCompletion[Any]:
        async with (
            AsyncClient(app=app, max_retries=0) as client,
            client.chat.completions.stream(model="script", messages=MESSAGES, **params) as stream,
        ):
            return await stream.get_final_completion()

    return asyncio.run(main())


@pytest.fixture(params=[blocking, blocking_stream, waiting, waiting_stream], ids=lambda ask: ask.__name__)
def ask(request: pytest.FixtureRequest) -> Any:
    return request.param


VALUES: dict[str, tuple[Any, str, Any]] = {
    "dataclass": (City, ROME, City("Rome", 3)),
    "typed-dict": (Entry, '{"name": "x"}', {"name": "x"}),
    "list": (list[int], '{"value": [1, 2]}', [1, 2]),
    "union": (int | str, '{"value": "x"}', "x"),
    "json-object": ({"type": "json_object"}, '{"a": [1]}', {"a": [1]}),
    "text": ({"type": "text"}, "hi", None),
}


@pytest.mark.parametrize("name", VALUES)
def test_the_value_of_an_answer(ask: Ask, name: str) -> None:
    """It stands beside the content, which stays as it came."""
    kind, text, value = VALUES[name]
    with Script(text) as script:
        completion = ask(create_app(script), response_format=kind)
    message = completion.choices[0].message
    assert (completion.parsed, message.parsed, message.parse_error) == (value, value, None)
    assert message.content == text


@pytest.mark.parametrize("text", ['{"name": 3}', '{"name": "Rome"', "Rome", '{"name": "R", "people": 3} yes'])
def test_an_answer_of_another_type_is_kept(ask: Ask, text: str) -> None:
    """It was paid for: no exception, and the error stands beside it."""
    with Script([Text(text), Usage(1, 2)]) as script:
        completion = ask(create_app(script), response_format=City)
    message = completion.choices[0].message
    assert (message.parsed, message.content) == (None, text)
    assert isinstance(message.parse_error, ParseError)
    assert message.parse_error.text == text
    assert message.parse_error.completion is not None
    assert message.parse_error.request_id


def test_a_refusal_is_no_error(ask: Ask) -> None:
    """There is no value, and nothing to read."""
    with Script([Refusal("No.")]) as script:
        message = ask(create_app(script), response_format=City).choices[0].message
    assert (message.refusal, message.parsed, message.parse_error) == ("No.", None, None)


CUTS = [("length", LengthFinishReasonError), ("content_filter", ContentFilterFinishReasonError)]


@pytest.mark.parametrize(("reason", "kind"), CUTS, ids=lambda value: str(value))
@pytest.mark.parametrize("text", ['{"na', ""], ids=["some", "none"])
def test_an_answer_that_was_cut(ask: Ask, reason: Any, kind: type[DuologueError], text: str) -> None:
    """It raises, with the answer and the token counts."""
    asked = {} if "stream" not in ask.__name__ else {"stream_options": {"include_usage": True}}
    with Script([Text(text), Usage(5, 7), Finish(reason)]) as script, pytest.raises(kind) as caught:
        ask(create_app(script), response_format=City, **asked)
    error = caught.value
    assert error.completion is not None
    assert error.usage is not None
    assert (error.completion.text, error.usage.completion_tokens) == (text, 7)
    assert error.request_id
    assert error.response is not None


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"response_format": {"type": "text"}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    ],
    ids=["nothing", "text", "tools"],
)
def test_an_ending_with_nothing_to_read_is_no_error(ask: Ask, asked: Any, reason: Any) -> None:
    """As without a type."""
    if "stream" not in ask.__name__ and "tools" not in asked:
        asked = {**asked, "tools": []}
    with Script([Text("Half a"), Finish(reason)]) as script:
        completion = ask(create_app(script), **asked)
    assert (completion.text, completion.choices[0].finish_reason) == ("Half a", reason)


@tool
def weather(city: str, days: int = 1) -> None: ...


@custom_tool
def sql(text: str) -> None: ...


def plain(city: str) -> None: ...


def function(name: str, **more: Any) -> Any:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}, **more}}


CALLS: dict[str, tuple[Any, Any, Any]] = {
    "tool": (weather, Call("weather", {"city": "R", "days": None}), {"city": "R"}),
    "plain-function": (plain, Call("plain", {"city": "R"}), {"city": "R"}),
    "class": (pydantic_function_tool(City, name="city"), Call("city", ROME), City("Rome", 3)),
    "strict-dict": (function("f", strict=True), Call("f", '{"a": 1}'), {"a": 1}),
    "dict": (function("f"), Call("f", '{"a": 1}'), None),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_arguments_of_a_call(ask: Ask, name: str) -> None:
    """Of a known tool they are read; custom tools stand beside them untouched."""
    known, call, value = CALLS[name]
    with Script([call, Call("sql", "SELECT 1", custom=True)]) as script:
        completion = ask(create_app(script), tools=[known, sql])
    first, second = completion.choices[0].message.tool_calls or []
    assert first.type == "function"
    assert (first.function.parsed_arguments, first.function.parse_error) == (value, None)
    assert second.type == "custom"
    assert second.custom.input == "SELECT 1"
    assert completion.parsed is None


def test_arguments_that_are_none(ask: Ask) -> None:
    """The call is kept, and the error stands beside it; one that was cut raises."""
    with Script(Call("weather", {"city": 3}), [Call("weather", '{"ci'), Finish("length")]) as script:
        app = create_app(script)
        (call,) = ask(app, tools=[weather]).choices[0].message.tool_calls or []
        with pytest.raises(LengthFinishReasonError):
            ask(app, tools=[weather])
    assert call.type == "function"
    assert call.function.parsed_arguments is None
    assert "$.city" in str(call.function.parse_error)


def test_the_answer_stays_what_it_was(ask: Ask) -> None:
    """Its JSON, its copies, and what is sent of it know nothing of values."""
    with Script(ROME) as script:
        completion = ask(create_app(script), response_format=City)
    message = completion.choices[0].message
    assert "parsed" not in completion.to_json()
    assert "parsed" not in completion.model_dump_json()
    assert json.loads(completion.to_json())["choices"][0]["message"]["content"] == ROME
    assert message.to_param() == {"role": "assistant", "content": ROME}
    for twin in (copy.deepcopy(completion), pickle.loads(pickle.dumps(completion)), completion.model_copy()):
        assert twin == completion
        assert twin.choices[0].message.parsed == City("Rome", 3)
    assert completion.response is not None
    assert completion._request_id


def test_a_type_that_cannot_be_asked_for(ask: Ask) -> None:
    """It is said before anything is sent."""
    with Script() as script:
        with pytest.raises(SchemaError):
            ask(create_app(script), response_format=dict[str, int])
        with pytest.raises(TypeError, match="tools must be functions"):
            ask(create_app(script), tools=[3])
        with pytest.raises(TypeError, match=r"'stream' is no parameter .* stream\(\) gives"):
            ask(create_app(script), stream=True)
        with pytest.raises(TypeError, match=r"'temprature' is no parameter .* extra_body"):
            ask(create_app(script), temprature=1)
    assert script.requests == []


def test_what_is_asked_for(ask: Ask) -> None:
    """The strict schema of the type, and of each tool."""
    with Script(ROME) as script:
        ask(create_app(script), response_format=City, tools=[weather, sql])
    (request,) = script.requests
    assert request.response_format.json_schema.strict is True
    assert request.response_format.json_schema.name == "City"
    assert [each.type for each in request.tools or []] == ["function", "custom"]


def test_values_while_they_come() -> None:
    """`event.parsed` is the value so far, and what was given before stays as it was."""
    turn = ['{"name": "Ro', 'me", "peo', 'ple": 3', "}"]
    with (
        Script(turn) as script,
        Client(app=create_app(script)) as client,
        client.chat.completions.stream(model="script", messages=MESSAGES, response_format=City) as stream,
    ):
        seen: list[Any] = []
        for event in stream:
            if event.type == "content.delta" and event.delta:
                seen.append(event.parsed)
            elif event.type == "content.done":
                assert event.parsed == City("Rome", 3)
                assert event.parsed is event.parsed
                assert event.parse_error is None
    whole = {"name": "Rome", "people": 3}
    assert seen == [{"name": "Ro"}, {"name": "Rome"}, {"name": "Rome"}, whole]


def test_arguments_while_they_come() -> None:
    """Of known tools; each call by itself."""
    turn = [Call("weather", {"city": "Rome"}), Call("other", {"a": 1}), Call("weather", {"city": 3})]
    with Script(turn) as script, Client(app=create_app(script)) as client:
        tools = [weather, function("other")]
        with client.chat.completions.stream(model="script", messages=MESSAGES, tools=tools) as stream:
            deltas: dict[int, Any] = {}
            done: dict[int, Any] = {}
            for event in stream:
                if event.type == "tool_calls.function.arguments.delta":
                    deltas[event.index] = event.parsed_arguments
                elif event.type == "tool_calls.function.arguments.done":
                    done[event.index] = (event.parsed_arguments, event.parse_error is None)
    assert deltas == {0: {"city": "Rome"}, 1: None, 2: {"city": 3}}
    assert done == {0: ({"city": "Rome"}, True), 1: (None, True), 2: (None, False)}


def test_each_choice_has_its_value(ask: Ask) -> None:
    """With `n`, one may be a value and another not."""
    turn = [Text(ROME, choice=0), Text("none", choice=1)]
    with Script(turn) as script:
        completion = ask(create_app(script), response_format=City, n=2)
    first, second = completion.choices
    assert first.message.parsed == City("Rome", 3)
    assert isinstance(second.message.parse_error, ParseError)


def test_a_cut_answer_raises_at_the_end_of_the_loop() -> None:
    """After every event has been told, the done one with no value included."""
    with Script(['{"na', Finish("length")]) as script, Client(app=create_app(script)) as client:
        manager = client.chat.completions.stream(model="script", messages=MESSAGES, response_format=City)
        seen: list[Any] = []
        with manager as stream, pytest.raises(LengthFinishReasonError):
            seen.extend(stream)
    (done,) = [event for event in seen if event.type == "content.done"]
    assert (done.parsed, isinstance(done.parse_error, ParseError)) == (None, True)
