"""What type checkers make of the client, used as users write it. Nothing here is ever run.

`make check` reads it with mypy --strict and basedpyright. A line marked `type: ignore` must be an error: mypy
complains about a mark that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from duologue import (
    Accumulator,
    AsyncChatCompletionStream,
    AsyncClient,
    AsyncOpenAI,
    AsyncStream,
    BulkResult,
    ChatCompletionStream,
    Client,
    DuologueError,
    OpenAI,
    Stream,
    StreamTruncatedError,
    Timeout,
    create_app,
    omit,
    user_message,
)
from duologue.client import RawResponse, StreamedResponse
from duologue.client.unread import StreamedResponseManager
from duologue.types import CompletionUsage, Model, ModelList
from duologue.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    ChatCompletionStreamEvent,
    ChatCompletionTokenLogprob,
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    CustomToolCallInputDoneEvent,
    FunctionToolCallArgumentsDeltaEvent,
    FunctionToolCallArgumentsDoneEvent,
    ParsedChatCompletion,
)

messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]


def blocking(client: Client, streamed: bool) -> None:
    create = client.chat.completions.create
    assert_type(create(model="m", messages=messages), ChatCompletion)
    assert_type(create(model="m", messages=messages, stream=False), ChatCompletion)
    assert_type(create(model="m", messages=messages, stream=None), ChatCompletion)
    assert_type(create(model="m", messages=messages, stream=True), Stream[ChatCompletionChunk])
    assert_type(
        create(model="m", messages=messages, stream=streamed), ChatCompletion | Stream[ChatCompletionChunk]
    )
    create(model="m", messages=messages, temperature=omit, top_p=None, timeout=None)
    create(model="m", messages=messages, timeout=3, extra_body={"top_k": 1}, extra_headers={"x": None})
    create(model="m", messages=messages, timeout="3")  # type: ignore[call-overload]
    create(model="m", messages=messages, extra_header={})  # type: ignore[call-overload]
    create(model="m", messages=[{"role": "user", "content": "Hi"}, user_message("again")])
    answer = create(model="m", messages=messages)
    create(model="m", messages=[*messages, answer.choices[0].message])
    create(
        model="m",
        messages=messages,
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        stream_options={"include_usage": True},
        stop=["a", "b"],
    )

    create(model="m")  # type: ignore[call-overload]
    create(messages=messages)  # type: ignore[call-overload]
    create(model="m", messages=messages, temprature=1)  # type: ignore[call-overload]
    create(model="m", messages=messages, n="two")  # type: ignore[call-overload]
    create("m", messages)  # type: ignore[call-overload]


def reading(stream: Stream[ChatCompletionChunk]) -> None:
    with stream as same:
        assert_type(same, Stream[ChatCompletionChunk])
        for chunk in stream:
            assert_type(chunk, ChatCompletionChunk)
    assert_type(next(stream), ChatCompletionChunk)
    assert_type(stream.text, Iterator[str])
    assert_type(stream.completion, ChatCompletion | None)
    assert_type(stream.usage, CompletionUsage | None)
    assert_type(stream.get_final_completion(), ChatCompletion)
    assert_type(stream.timings.first_chunk, float | None)
    assert_type(stream.response.headers["x"], str)
    if stream.outcome == "finished":  # type: ignore[comparison-overlap]
        pass


async def waiting(client: AsyncClient, streamed: bool) -> None:
    create = client.chat.completions.create
    assert_type(await create(model="m", messages=messages), ChatCompletion)
    stream = await create(model="m", messages=messages, stream=True)
    assert_type(stream, AsyncStream[ChatCompletionChunk])
    assert_type(
        await create(model="m", messages=messages, stream=streamed),
        ChatCompletion | AsyncStream[ChatCompletionChunk],
    )
    async with stream:
        async for chunk in stream:
            assert_type(chunk, ChatCompletionChunk)
    assert_type(await anext(stream), ChatCompletionChunk)
    assert_type(stream.text, AsyncIterator[str])
    assert_type(await stream.get_final_completion(), ChatCompletion)
    assert_type(await client.models.list(), ModelList)
    await client.close()


def events(client: Client) -> None:
    with client.chat.completions.stream(model="m", messages=messages, n=2) as stream:
        assert_type(stream, ChatCompletionStream)
        for event in stream:
            assert_type(event, ChatCompletionStreamEvent)
            if event.type == "content.delta":
                assert_type(event, ContentDeltaEvent)
                assert_type(event.delta, str)
                assert_type(event.snapshot, str)
                assert_type(event.choice_index, int)
                print(event.content)  # type: ignore[attr-defined]
            elif event.type == "tool_calls.function.arguments.delta":
                assert_type(event, FunctionToolCallArgumentsDeltaEvent)
                assert_type(event.arguments, str)
                assert_type(event.id, str | None)
            elif event.type == "logprobs.content.delta":
                assert_type(event.snapshot, list[ChatCompletionTokenLogprob])
            elif event.type == "chunk":
                assert_type(event, ChunkEvent)
                assert_type(event.chunk, ChatCompletionChunk)
                assert_type(event.snapshot, ChatCompletion)
            elif event.type == "content":  # type: ignore[comparison-overlap]
                pass
            match event:
                case ContentDoneEvent(content=content):
                    assert_type(content, str)
                case _:
                    pass
    assert_type(stream.text, Iterator[str])
    assert_type(stream.until_done(), ChatCompletionStream)
    assert_type(stream.get_final_completion(), ParsedChatCompletion[None])
    assert_type(stream.current_completion_snapshot, ChatCompletion | None)
    client.chat.completions.stream(model="m", messages=messages).handle(
        data=lambda event: event.type, error=lambda error: error.request_id, finish=lambda whole: whole.text
    )
    client.chat.completions.stream(model="m")  # type: ignore[call-overload]
    client.chat.completions.stream(model="m", messages=messages, stream=True)  # type: ignore[call-overload]


async def events_awaited(client: AsyncClient) -> None:
    async def heard(event: ChatCompletionStreamEvent) -> None:
        print(event.type)

    async with client.chat.completions.stream(model="m", messages=messages) as stream:
        assert_type(stream, AsyncChatCompletionStream)
        async for event in stream:
            if event.type == "content.delta":
                assert_type(event, ContentDeltaEvent)
    assert_type(stream.text, AsyncIterator[str])
    assert_type(await stream.until_done(), AsyncChatCompletionStream)
    assert_type(await stream.get_final_completion(), ParsedChatCompletion[None])
    await client.chat.completions.stream(model="m", messages=messages).handle(data=heard)


def accumulating(accumulator: Accumulator, stream: Stream[ChatCompletionChunk]) -> None:
    for chunk in stream:
        accumulator.add(chunk)
        assert_type(accumulator.just_finished_content(), str | None)
        assert_type(accumulator.just_finished_refusal(1), str | None)
        call = accumulator.just_finished_tool_call()
        assert_type(call, FunctionToolCallArgumentsDoneEvent | CustomToolCallInputDoneEvent | None)
    assert_type(accumulator.completion, ChatCompletion | None)


def clients(app: Any) -> None:
    assert_type(OpenAI(), Client)
    assert_type(AsyncOpenAI(), AsyncClient)
    Client(app=create_app(app), timeout=Timeout(total=9), on_truncated="return", accumulate=False)
    Client(api_key=lambda: "key", default_headers={"x": None}, max_retries=0, base_url="http://h/v1")
    Client(retries=3)  # type: ignore[call-arg]
    Client(on_truncated="ignore")  # type: ignore[arg-type]
    with Client() as client:
        assert_type(client, Client)
        assert_type(client.with_options(timeout=None), Client)
        assert_type(list(client.models.list()), list[Model])
        assert_type(client.models.retrieve("m"), Model)
        client.models.retrieve()  # type: ignore[call-arg]


def failures(error: StreamTruncatedError) -> None:
    assert_type(error.completion, ChatCompletion | None)
    known: DuologueError = error
    assert_type(known.request_id, str | None)


def raw(client: Client) -> None:
    create = client.chat.completions.with_raw_response.create
    assert_type(create(model="m", messages=messages), RawResponse[ChatCompletion])
    assert_type(create(model="m", messages=messages).parse(), ChatCompletion)
    assert_type(create(model="m", messages=messages, stream=True).parse(), Stream[ChatCompletionChunk])
    create(model="m")  # type: ignore[call-overload]
    unread = client.chat.completions.with_streaming_response.create(model="m", messages=messages)
    assert_type(unread, StreamedResponseManager[ChatCompletion])
    with unread as answer:
        assert_type(answer, StreamedResponse[ChatCompletion])
        assert_type(answer.iter_lines(), Iterator[str])
        assert_type(answer.parse(), ChatCompletion)


async def async_raw(client: AsyncClient) -> None:
    create = client.chat.completions.with_raw_response.create
    assert_type(await create(model="m", messages=messages), RawResponse[ChatCompletion])
    stream = (await create(model="m", messages=messages, stream=True)).parse()
    assert_type(stream, AsyncStream[ChatCompletionChunk])
    async with client.chat.completions.with_streaming_response.create(model="m", messages=messages) as answer:
        assert_type(await answer.parse(), ChatCompletion)


def bulk(client: Client) -> None:
    asks = [{"model": "m", "messages": messages}]
    for result in client.chat.completions.create_many(asks, max_concurrency=4, in_order=False, deadline=60.0):
        assert_type(result, BulkResult)
        assert_type(result.index, int)
        assert_type(result.get(), ChatCompletion)
        assert_type(result.completion, ChatCompletion | None)
    client.chat.completions.create_many({"model": "m"} for _ in range(3))
    client.chat.completions.create_many([1])  # type: ignore[list-item]


async def async_bulk(client: AsyncClient, asks: AsyncIterator[dict[str, Any]]) -> None:
    async for result in client.chat.completions.create_many(asks):
        assert_type(result, BulkResult)
