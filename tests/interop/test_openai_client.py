"""The official client against the server, and the same script on ours by changing only the import."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from duologue.engine import Finish, Reasoning, Refusal, Text, ToolArguments, ToolCall, Usage
from duologue.protocol import errors
from duologue.run import run_server
from duologue.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob, TopLogprob
from support.raw import wait_for

TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "time")
]

LOGPROB = ChatCompletionTokenLogprob(
    token="Hi",
    bytes=[72, 105],
    logprob=-0.25,
    top_logprobs=[TopLogprob(token="Hi", bytes=None, logprob=-0.25)],
)

ERRORS: dict[str, tuple[str, int]] = {
    "BadRequestError": ("BadRequestError", 400),
    "AuthenticationError": ("AuthenticationError", 401),
    "PermissionDeniedError": ("PermissionDeniedError", 403),
    "NotFoundError": ("NotFoundError", 404),
    "ConflictError": ("ConflictError", 409),
    "UnprocessableEntityError": ("UnprocessableEntityError", 422),
    "RateLimitError": ("RateLimitError", 429),
    "InternalServerError": ("InternalServerError", 500),
}


class Scripted:
    """Answers what the user asks for by name."""

    models = ("scripted",)
    supports: dict[str, Any] = dict.fromkeys(
        ("n", "tools", "logprobs", "top_logprobs", "temperature"), "native"
    )

    def __init__(self) -> None:
        self.left = threading.Event()
        self.made = 0

    async def generate(self, request):
        what, _, more = request.messages[-1].text.partition(" ")
        if what == "text":
            for word in ("Hello", " ", "wörld", " 😀"):
                yield word
            yield Usage(7, 4, cached_tokens=2, reasoning_tokens=1)
        elif what == "choices":
            for index in range(request.n):
                yield Text(f"choice {index}", index)
                yield Finish("length" if index else "stop", index)
        elif what == "tool":
            yield ToolCall("weather", id="call_w")
            yield ToolArguments('{"city":')
            yield ToolArguments('"Rome"}')
        elif what == "tools":
            yield "Let me see."
            yield ToolCall("weather")
            yield ToolCall("time", index=1)
            yield ToolArguments('{"a":1}', index=1)
            yield ToolArguments('{"b":2}', index=0)
        elif what == "refusal":
            yield Refusal("I can")
            yield Refusal("not.")
        elif what == "reasoning":
            yield Reasoning("Hm.")
            yield "Yes."
        elif what == "logprobs":
            yield Text("Hi", logprobs=[LOGPROB])
            yield Text("Hi", logprobs=[LOGPROB])
        elif what == "error":
            if more.endswith("later"):
                yield "Hello"
            raise getattr(errors, more.split()[0])("no way", param="messages", code="my_code")
        elif what == "endless":
            try:
                while True:
                    self.made += 1
                    yield "x"
                    await asyncio.sleep(0.005)
            finally:
                self.left.set()


@pytest.fixture(scope="module")
def engine() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def url(engine) -> Iterator[str]:
    with run_server(engine) as url:
        yield url


@pytest.fixture(scope="module", params=["openai", "duologue"])
def module(request) -> ModuleType:
    return importlib.import_module(request.param)


def options(module: ModuleType, url: str) -> dict[str, Any]:
    strict = {"_strict_response_validation": True} if module.__name__ == "openai" else {}
    return {"base_url": url, "api_key": "key", "max_retries": 0, "timeout": 10, **strict}


@pytest.fixture(scope="module")
def client(module, url) -> Iterator[Any]:
    with module.OpenAI(**options(module, url)) as client:
        yield client


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "scripted", "messages": [{"role": "user", "content": text}], **more}


def gather(chunks: Any) -> dict[int, str]:
    texts: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    return texts


# --- sync ----------------------------------------------------------------------------------------------


def test_models(client):
    """Listed, and one by its id."""
    assert [model.id for model in client.models.list()] == ["scripted"]
    assert client.models.retrieve("scripted").object == "model"


def test_create(client):
    """A whole completion, with the engine's own usage and the id of the request."""
    completion = client.chat.completions.create(**ask("text"))
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].message.content == "Hello wörld 😀"
    assert completion.choices[0].message.tool_calls is None
    assert completion.choices[0].finish_reason == "stop"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 4, 11)
    assert usage.prompt_tokens_details.cached_tokens == 2
    assert usage.completion_tokens_details.reasoning_tokens == 1
    assert completion._request_id.startswith("req_")


def test_stream(client):
    """One identity, the role first, one finish, and no usage that was not asked for."""
    chunks = list(client.chat.completions.create(**ask("text"), stream=True))
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant"] + [None] * (len(chunks) - 1)
    assert gather(chunks) == {0: "Hello wörld 😀"}
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


def test_include_usage(client):
    """The usage comes last, in a chunk without choices."""
    asked = ask("text", stream=True, stream_options={"include_usage": True})
    *chunks, last = client.chat.completions.create(**asked)
    assert all(chunk.usage is None for chunk in chunks)
    assert (last.choices, last.usage.total_tokens) == ([], 11)


def test_n_from_an_engine_that_yields_choices(client):
    """Each with its own text and finish, both ways."""
    completion = client.chat.completions.create(**ask("choices", n=3))
    found = [(c.index, c.message.content, c.finish_reason) for c in completion.choices]
    assert found == [(0, "choice 0", "stop"), (1, "choice 1", "length"), (2, "choice 2", "length")]
    chunks = client.chat.completions.create(**ask("choices", n=3), stream=True)
    assert gather(chunks) == {0: "choice 0", 1: "choice 1", 2: "choice 2"}


@pytest.mark.parametrize(
    ("what", "content", "expected"),
    [
        ("tool", None, [("weather", '{"city":"Rome"}')]),
        ("tools", "Let me see.", [("weather", '{"b":2}'), ("time", '{"a":1}')]),
    ],
)
def test_tool_calls(client, what, content, expected):
    """One, or several whose arguments come interleaved; streamed, each begins once."""
    completion = client.chat.completions.create(**ask(what, tools=TOOLS))
    choice = completion.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", content)
    assert [(call.function.name, call.function.arguments) for call in choice.message.tool_calls] == expected
    assert all(call.type == "function" and call.id.startswith("call_") for call in choice.message.tool_calls)

    calls: dict[int, dict[str, Any]] = {}
    for chunk in client.chat.completions.create(**ask(what, tools=TOOLS), stream=True):
        for delta in chunk.choices[0].delta.tool_calls or ():
            if delta.index not in calls:
                calls[delta.index] = {"id": delta.id, "name": delta.function.name, "arguments": ""}
            else:
                assert (delta.id, delta.type, delta.function.name) == (None, None, None)
            calls[delta.index]["arguments"] += delta.function.arguments
    assert [(call["name"], call["arguments"]) for call in calls.values()] == expected
    assert len({call["id"] for call in calls.values()}) == len(expected)


def test_an_answer_and_its_tool_results_can_be_sent_back(client):
    """The message as it is, as people do."""
    message = client.chat.completions.create(**ask("tool", tools=TOOLS)).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
    history = [{"role": "user", "content": "tool"}, message, result, {"role": "user", "content": "text"}]
    answer = client.chat.completions.create(model="scripted", messages=history, tools=TOOLS)
    assert answer.choices[0].message.content == "Hello wörld 😀"


def test_refusal(client):
    """In its own field, both ways, the content null."""
    message = client.chat.completions.create(**ask("refusal")).choices[0].message
    assert (message.content, message.refusal) == (None, "I cannot.")
    chunks = client.chat.completions.create(**ask("refusal"), stream=True)
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks) == "I cannot."


def test_reasoning(client):
    """In the field that clients have agreed on."""
    message = client.chat.completions.create(**ask("reasoning")).choices[0].message
    assert (message.content, message.reasoning_content) == ("Yes.", "Hm.")


def test_logprobs(client):
    """With their text, both ways."""
    asked = ask("logprobs", logprobs=True, top_logprobs=1)
    whole = client.chat.completions.create(**asked).choices[0].logprobs
    assert [entry.logprob for entry in whole.content] == [-0.25, -0.25]
    assert (whole.content[0].bytes, whole.content[0].top_logprobs[0].token, whole.refusal) == (
        [72, 105],
        "Hi",
        None,
    )
    streamed = [
        entry.token
        for chunk in client.chat.completions.create(**asked, stream=True)
        if chunk.choices[0].logprobs is not None
        for entry in chunk.choices[0].logprobs.content
    ]
    assert streamed == ["Hi", "Hi"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_their_class(module, client, name, stream):
    """With all that the engine said, and the id of the request."""
    kind, status = ERRORS[name]
    with pytest.raises(getattr(module, kind)) as caught:
        client.chat.completions.create(**ask(f"error {name}"), stream=stream)
    error = caught.value
    assert isinstance(error, module.APIStatusError)
    assert error.status_code == status
    assert (error.param, error.code, "no way" in error.message) == ("messages", "my_code", True)
    assert error.request_id.startswith("req_")


def test_an_error_within_a_stream_is_raised_after_what_came(module, client):
    """It is an event by then; both clients raise an `APIError`."""
    stream = iter(client.chat.completions.create(**ask("error RateLimitError later"), stream=True))
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Hello"]
    with pytest.raises(module.APIError, match="no way") as caught:
        next(stream)
    assert caught.value.code == "my_code"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"temperature": 3}, "temperature"), ({"stop": "x"}, "stop"), ({"messages": []}, "messages")],
)
def test_what_is_refused_names_its_parameter(module, client, fields, param):
    """Wrong, or not supported by the engine."""
    with pytest.raises(module.BadRequestError) as caught:
        client.chat.completions.create(**{**ask("text"), **fields})
    assert caught.value.param == param


def test_an_unknown_model(module, client):
    """A 404, as from the original."""
    with pytest.raises(module.NotFoundError) as caught:
        client.chat.completions.create(**{**ask("text"), "model": "gpt-9"})
    assert caught.value.code == "model_not_found"


def test_leaving_a_stream_stops_the_engine(client, engine):
    """By closing it, or by leaving its block."""
    for leave in ("close", "block"):
        engine.left.clear()
        stream = client.chat.completions.create(**ask("endless"), stream=True)
        if leave == "close":
            next(iter(stream))
            stream.close()
        else:
            with stream:
                next(iter(stream))
        assert engine.left.wait(3)
    made = engine.made
    assert not wait_for(lambda: engine.made > made, 0.05)


def test_a_wrong_key(module):
    """Is told as such."""
    with run_server(Scripted(), api_key="right") as url:
        with module.OpenAI(**options(module, url)) as client, pytest.raises(module.AuthenticationError):
            client.chat.completions.create(**ask("text"))
        with module.OpenAI(**{**options(module, url), "api_key": "right"}) as client:
            assert client.chat.completions.create(**ask("text")).choices[0].finish_reason == "stop"


# --- async ---------------------------------------------------------------------------------------------


async def test_async_create_and_stream(module, url):
    """The same, awaited."""
    async with module.AsyncOpenAI(**options(module, url)) as client:
        completion = await client.chat.completions.create(**ask("text"))
        assert completion.choices[0].message.content == "Hello wörld 😀"
        asked = ask("tools", tools=TOOLS, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked)]
        assert gather(chunks) == {0: "Let me see."}
        assert chunks[-1].usage is not None
        with pytest.raises(module.RateLimitError):
            await client.chat.completions.create(**ask("error RateLimitError"))


async def test_async_streams_run_side_by_side(module, url):
    """Many at once, none mixed up."""
    async with module.AsyncOpenAI(**options(module, url)) as client:

        async def one(n: int) -> dict[int, str]:
            stream = await client.chat.completions.create(**ask("choices", n=n), stream=True)
            return gather([chunk async for chunk in stream])

        texts = await asyncio.gather(*(one(n % 4 + 1) for n in range(20)))
    assert texts == [{i: f"choice {i}" for i in range(n % 4 + 1)} for n in range(20)]


async def test_cancelling_the_reader_stops_the_engine(module, url, engine):
    """A cancelled task leaves its stream."""
    engine.left.clear()
    async with module.AsyncOpenAI(**options(module, url)) as client:
        begun = asyncio.Event()

        async def read() -> None:
            async with await client.chat.completions.create(**ask("endless"), stream=True) as stream:
                async for _ in stream:
                    begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert await asyncio.to_thread(engine.left.wait, 3)


# --- what only the official client has -----------------------------------------------------------------


@pytest.mark.parametrize(("what", "calls"), [("text", 0), ("tool", 1), ("tools", 2)])
def test_the_official_helper_for_streams(url, what, calls):
    """`client.chat.completions.stream()` puts the same completion together."""
    openai = importlib.import_module("openai")
    with openai.OpenAI(**options(openai, url)) as client:
        with client.chat.completions.stream(**ask(what, tools=TOOLS)) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        whole = client.chat.completions.create(**ask(what, tools=TOOLS))
    assert "chunk" in kinds
    assert ("tool_calls.function.arguments.done" in kinds) == bool(calls)
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason
    found = [
        (call.function.name, call.function.arguments) for call in final.choices[0].message.tool_calls or ()
    ]
    expected = [
        (call.function.name, call.function.arguments) for call in whole.choices[0].message.tool_calls or ()
    ]
    assert found == expected
    assert len(found) == calls
