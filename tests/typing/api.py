"""What type checkers make of the public names, used as users write them. Nothing here is ever run.

`make check` reads it with mypy --strict and basedpyright. A line marked `type: ignore` must be an error: mypy
complains about a mark that is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Unpack, assert_type

from duologue import types
from duologue.types import CompletionUsage, FunctionDefinition, Model, ModelList
from duologue.types.chat import (
    ChatCompletion,
    ChatCompletionAssistantMessageParam,
    ChatCompletionChunk,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessage,
    ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
    ChatCompletionMessageToolCall,
    ChatCompletionRole,
    ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolParam,
    ChatCompletionUserMessageParam,
    ChatRequest,
    ChoiceDeltaToolCall,
    CompletionCreateParamsBase,
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
    assistant_message,
    audio_part,
    developer_message,
    file_part,
    image_part,
    system_message,
    text_part,
    tool_message,
    user_message,
    user_message_parts,
)
from duologue.types.chat.chat_completion import Choice, FinishReason
from duologue.types.chat.chat_completion_chunk import Choice as ChunkChoice
from duologue.types.chat.completion_create_params import ResponseFormat

# --- answers -------------------------------------------------------------------------------------------


def read_completion(completion: ChatCompletion) -> None:
    """The fields that everybody reads."""
    choice = completion.choices[0]
    assert_type(choice, Choice)
    assert_type(
        choice.finish_reason, Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    )
    assert_type(choice.message.content, str | None)
    assert_type(choice.message.text, str)
    assert_type(completion.text, str)
    assert_type(completion.created, int)
    if completion.usage is not None:
        assert_type(completion.usage, CompletionUsage)
        assert_type(completion.usage.total_tokens, int)
        if completion.usage.prompt_tokens_details is not None:
            assert_type(completion.usage.prompt_tokens_details.cached_tokens, int | None)
    for call in choice.message.tool_calls or []:
        assert_type(call, ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall)
        if call.type == "function":
            assert_type(call, ChatCompletionMessageFunctionToolCall)
            assert_type(call.function.arguments, str)
        else:
            assert_type(call.custom.input, str)
    print(completion.mistake)  # type: ignore[attr-defined]


def read_chunk(chunk: ChatCompletionChunk) -> None:
    """A streamed part."""
    for choice in chunk.choices:
        assert_type(choice, ChunkChoice)
        assert_type(choice.delta.content, str | None)
        assert_type(choice.delta.reasoning_content, str | None)
        assert_type(choice.delta.tool_calls, list[ChoiceDeltaToolCall] | None)
        if choice.finish_reason is not None:
            reason: FinishReason = choice.finish_reason
            print(reason)
        for token in (choice.logprobs and choice.logprobs.content) or []:
            assert_type(token.logprob, float)
            assert_type(token.bytes, list[int] | None)
    assert_type(chunk.text, str)


def read_wire(chunk: ChatCompletionChunk) -> None:
    """The view of the wire, and the methods known from openai-python."""
    assert_type(chunk.wire.raw, bytes)
    assert_type(chunk.wire.extra, dict[str, Any])
    assert_type(chunk.wire.has("usage"), bool)
    assert_type(chunk.model_dump(exclude_none=True), dict[str, Any])
    assert_type(chunk.to_json(indent=2), str)
    assert_type(chunk.model_copy(update={"id": "x"}), ChatCompletionChunk)
    assert_type(ChatCompletionChunk.model_validate({}), ChatCompletionChunk)
    assert_type(ChatCompletionChunk.model_validate_json(b"{}"), ChatCompletionChunk)


def read_models(models: ModelList) -> list[str]:
    """Iterating gives models."""
    for model in models:
        assert_type(model, Model)
    return [model.id for model in models]


def make_answers() -> ChatCompletion:
    """Tests of user code make answers by hand."""
    message = ChatCompletionMessage(role="assistant", content="Hi")
    call = ChatCompletionMessageToolCall(id="t")
    message.tool_calls = [call, ChatCompletionMessageCustomToolCall(id="u")]
    ChatCompletionMessage(role="user")  # type: ignore[arg-type]
    return ChatCompletion(
        id="c", choices=[Choice(finish_reason="stop", index=0, message=message)], created=0, model="m"
    )


# --- requests ------------------------------------------------------------------------------------------


def create(*, stream: bool = False, **params: Unpack[CompletionCreateParamsBase]) -> None:
    """How a client's method takes its parameters."""
    print(stream, params["model"], params.get("temperature"))


def conversation(answer: ChatCompletionMessage) -> None:
    """Messages in every way that people write them."""
    create(model="m", messages=[{"role": "user", "content": "Hi"}])
    create(model="m", messages=({"role": "system", "content": "s"}, {"role": "user", "content": "Hi"}))
    create(
        model="m",
        stream=True,
        temperature=0,
        stop=["a", "b"],
        messages=[
            {"role": "developer", "content": "d"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
                ],
            },
            answer,
            {"role": "tool", "content": "42", "tool_call_id": "t"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        stream_options={"include_usage": True},
        logit_bias={"1": 5},
        metadata={"k": "v"},
        max_tokens=None,
    )
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
    messages.append({"role": "assistant", "content": "Hello"})
    messages.append(answer.to_param())
    create(model="m", messages=messages)
    mixed: list[ChatCompletionMessageParam | ChatCompletionMessage] = [*messages, answer]
    create(model="m", messages=mixed)
    create(model="m", messages=(message for message in mixed))
    user: ChatCompletionUserMessageParam = {"role": "user", "content": "Hi", "name": "n"}
    create(model="m", messages=[user])
    create(messages=[user])  # type: ignore[call-arg]
    create(model="m", messages=[user], temprature=1)  # type: ignore[call-arg]
    create(model="m", messages=[user], n="2")  # type: ignore[arg-type]
    create(model="m", messages=[{"role": "user"}])  # type: ignore[list-item]


def constructors(image: str) -> Iterable[ChatCompletionMessageParam]:
    """The functions give the official types."""
    assert_type(user_message("Hi"), ChatCompletionUserMessageParam)
    assert_type(assistant_message(refusal="no"), ChatCompletionAssistantMessageParam)
    create(
        model="m",
        messages=[
            system_message("s"),
            developer_message([text_part("d")]),
            user_message("Hi", name="n"),
            user_message_parts("What?", image_part(image, detail="high"), file_part(file_id="f")),
            user_message([audio_part("AAAA", "wav")]),
            tool_message("42", "t"),
        ],
    )
    image_part(image, detail="tiny")  # type: ignore[arg-type]
    return [user_message("Hi"), assistant_message("Hello")]


def parts_by_name() -> None:
    """Parts of a request that programs keep in variables."""
    function: FunctionDefinition = {"name": "f", "parameters": {"type": "object"}, "strict": True}
    tool: ChatCompletionToolParam = {"type": "function", "function": function}
    tools: list[ChatCompletionFunctionToolParam] = [tool]
    choice: ChatCompletionToolChoiceOptionParam = "auto"
    allowed: ChatCompletionToolChoiceOptionParam = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    }
    form: ResponseFormat = {"type": "json_object"}
    role: ChatCompletionRole = "user"
    create(model="m", messages=[], tools=tools, tool_choice=choice, response_format=form)
    create(model="m", messages=[], tools=[tool], tool_choice=allowed, user=role)
    once: CompletionCreateParamsNonStreaming = {"model": "m", "messages": []}
    streamed: CompletionCreateParamsStreaming = {"model": "m", "messages": [], "stream": True}
    print(once, streamed, types.chat.ChatCompletion, types.CompletionUsage)
    print(types.Mistake)  # type: ignore[attr-defined]


def engine(request: ChatRequest) -> Iterable[str]:
    """What an engine reads of a request."""
    assert_type(request.temperature, float | None)
    assert_type(request.stops, tuple[str, ...])
    for message in request.messages:
        assert_type(message.text, str)
        if message.role == "assistant":
            for call in message.tool_calls or []:
                if call.type == "function":
                    assert_type(call.function.arguments, str)
    for tool in request.tools or []:
        assert_type(tool.name, str)
    yield request.messages[-1].text
