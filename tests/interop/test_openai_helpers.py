"""The helpers of the official client, `.stream()` and `.parse()`, on the scenes of the one for Node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from duologue.run import run_server
from support.scenes import script

WEATHER: Any = {"city": "Rome", "degrees": 31}
PARTS = 4  # a text in so many pieces at least is one that is streamed


class City(BaseModel):
    """A structured answer."""

    city: str
    degrees: int


class Weather(BaseModel):
    """The weather in a city."""

    city: str


class Time(BaseModel):
    """The time in a zone."""

    zone: str


TOOLS: Any = [
    openai.pydantic_function_tool(Weather, name="weather"),
    openai.pydantic_function_tool(Time, name="time"),
]


@contextmanager
def scene(name: str) -> Iterator[openai.OpenAI]:
    """A client of the scene, which must have been played to its end when the block ends."""
    with (
        script(name) as played,
        run_server(played) as url,
        openai.OpenAI(base_url=url, api_key="key", max_retries=0, timeout=10) as client,
    ):
        yield client


def ask(name: str, **more: Any) -> dict[str, Any]:
    return {"model": name, "messages": [{"role": "user", "content": "Weather in Rome?"}], **more}


def streamed(name: str, **more: Any) -> tuple[dict[str, list[Any]], Any]:
    """The events of a stream by their type, and its completion."""
    with scene(name) as client, client.chat.completions.stream(**ask(name, **more)) as stream:
        events: dict[str, list[Any]] = {}
        for event in stream:
            events.setdefault(event.type, []).append(event)
        return events, stream.get_final_completion()


def test_text():
    """In pieces, with what was said so far, and whole at the end."""
    events, completion = streamed("text")
    first, *deltas = events["content.delta"]
    assert first.delta == "", "the chunk of the role"
    assert [event.delta for event in deltas] == ["Hello, ", "dear ", "wörld ", "😀"]
    assert deltas[1].snapshot == "Hello, dear "
    assert [event.content for event in events["content.done"]] == ["Hello, dear wörld 😀"]
    assert completion.choices[0].message.content == "Hello, dear wörld 😀"


def test_usage():
    """Of the engine, with its details."""
    _, completion = streamed("usage", stream_options={"include_usage": True})
    assert (completion.usage.total_tokens, completion.usage.prompt_tokens_details.cached_tokens) == (10, 2)
    assert completion.usage.completion_tokens_details.reasoning_tokens == 1


def test_choices():
    """Each with its text and its reason."""
    _, completion = streamed("choices", n=2)
    told = [(choice.message.content, choice.finish_reason) for choice in completion.choices]
    assert told == [("one", "stop"), ("two", "stop")]


def test_log_probabilities():
    """Token by token, and together."""
    events, _ = streamed("logprobs", logprobs=True, top_logprobs=1)
    assert [event.content[0].token for event in events["logprobs.content.delta"]] == ["Hel", "lo"]
    (done,) = events["logprobs.content.done"]
    assert [entry.top_logprobs[0].logprob for entry in done.content] == [-0.5, -0.5]


def test_a_refusal():
    """Stands in place of the content."""
    events, completion = streamed("refusal", logprobs=True)
    assert [event.snapshot for event in events["refusal.delta"]] == ["I can", "I cannot."]
    assert [event.refusal for event in events["refusal.done"]] == ["I cannot."]
    assert "content.delta" not in events
    message = completion.choices[0].message
    assert (message.refusal, message.content) == ("I cannot.", None)


def test_reasoning():
    """Has no events there; it comes in the chunks."""
    events, completion = streamed("reasoning")
    deltas = [event.chunk.choices[0].delta for event in events["chunk"]]
    thoughts = [(delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas]
    assert "".join(thoughts) == "Hm. Yes."
    assert completion.choices[0].message.content == "42"


def test_a_structured_answer():
    """Partly parsed while it comes; a pydantic model at the end."""
    events, completion = streamed("structure", response_format=City)
    parsed = [event.parsed for event in events["content.delta"]]
    assert len(parsed) >= PARTS
    assert {"city": "Rome"} in parsed
    assert events["content.done"][0].parsed == City(**WEATHER)
    assert completion.choices[0].message.parsed == City(**WEATHER)


def test_tool_calls():
    """Two in one answer, beside text; arguments in pieces, then parsed."""
    events, completion = streamed("calls", tools=TOOLS)
    assert len(events["tool_calls.function.arguments.delta"]) >= PARTS
    done = events["tool_calls.function.arguments.done"]
    told = [(event.index, event.name, event.parsed_arguments) for event in done]
    assert told == [(0, "weather", Weather(city="Rome")), (1, "time", Time(zone="CET"))]
    (choice,) = completion.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me see. ")
    assert [call.id for call in choice.message.tool_calls] == ["call_weather", "call_time"]


def test_an_error_before_the_first_chunk():
    """Is the status of the answer."""
    with pytest.raises(openai.RateLimitError, match="no more"):
        streamed("error")


def test_an_error_in_the_middle():
    """Is raised where the stream breaks."""
    seen: list[Any] = []
    broken = pytest.raises(openai.APIError, match="broken")
    with (
        scene("error-later") as client,
        client.chat.completions.stream(**ask("error-later")) as stream,
        broken,
    ):
        seen.extend(stream)
    assert seen[-1].snapshot == "Hel"


def test_leaving_in_the_middle():
    """Ends the stream at once, however long its engine would go on."""
    with scene("pause") as client, client.chat.completions.stream(**ask("pause")) as stream:
        for event in stream:
            if event.type == "content.delta" and event.delta:
                break
    assert event.snapshot == "Hel"


def test_parse():
    """A whole answer as a pydantic model, and calls with parsed arguments."""
    with scene("structure") as client:
        completion = client.chat.completions.parse(**ask("structure", response_format=City))
    assert completion.choices[0].message.parsed == City(**WEATHER)
    with scene("calls") as client:
        completion = client.chat.completions.parse(**ask("calls", tools=TOOLS))
    arguments = [call.function.parsed_arguments for call in completion.choices[0].message.tool_calls]
    assert arguments == [Weather(city="Rome"), Time(zone="CET")]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("structure-cut", openai.LengthFinishReasonError),
        ("structure-filtered", openai.ContentFilterFinishReasonError),
    ],
)
def test_an_answer_that_was_cut_is_not_parsed(name, error):
    """Neither whole nor streamed."""
    with scene(name) as client, pytest.raises(error):
        client.chat.completions.parse(**ask(name, response_format=City))
    with pytest.raises(error):
        streamed(name, response_format=City)


def test_a_custom_tool():
    """Its input is text."""
    tools: Any = [{"type": "custom", "custom": {"name": "sql"}}]
    with scene("custom") as client:
        completion = client.chat.completions.create(**ask("custom", tools=tools))
    (call,) = completion.choices[0].message.tool_calls
    assert (call.id, call.type, call.custom.input) == ("call_sql", "custom", "SELECT 1;")


def test_a_request_that_is_tried_again():
    """After a 429 that says when."""
    with scene("retry") as client:
        completion = client.with_options(max_retries=1).chat.completions.create(**ask("retry"))
    assert completion.choices[0].message.content == "Hello."


@pytest.mark.parametrize("name", ["tools", "tools-streamed"])
def test_tools_are_called_and_their_results_sent_back(name):
    """The client has no runner for chat: two requests by hand, the answer's message sent back as it is."""
    results = {"weather": {"degrees": 31}, "time": {"hour": 12}}
    with scene(name) as client:
        asked = ask(name, tools=TOOLS)
        if name == "tools":
            message = client.chat.completions.parse(**asked).choices[0].message
        else:
            with client.chat.completions.stream(**asked) as stream:
                message = stream.get_final_completion().choices[0].message
        answers = [
            {"role": "tool", "tool_call_id": call.id, "content": json.dumps(results[call.function.name])}
            for call in message.tool_calls
        ]
        messages = [*asked["messages"], message, *answers]
        completion = client.chat.completions.create(**{**asked, "messages": messages})
    assert completion.choices[0].message.content == "31 degrees at 12."


async def test_the_async_client():
    """Does the same: a stream with tools, and a parsed answer."""
    with script("calls") as played, run_server(played) as url:
        async with (
            openai.AsyncOpenAI(base_url=url, api_key="key", max_retries=0) as client,
            client.chat.completions.stream(**ask("calls", tools=TOOLS)) as stream,
        ):
            kinds = {event.type async for event in stream}
            completion = await stream.get_final_completion()
    assert kinds >= {"content.done", "tool_calls.function.arguments.delta"}
    (first, _) = completion.choices[0].message.tool_calls
    assert first.function.parsed_arguments == Weather(city="Rome")
