"""A function for each kind of message and of content part; they return plain dicts.

    messages=[system_message("Be brief."), user_message_parts("What is this?", image_part(url))]

An option that is not given leaves no key behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, TypeVar, cast

from .chat_completion_message_param import (
    CalledFunctionParam,
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartFileParam,
    ChatCompletionContentPartImageParam,
    ChatCompletionContentPartInputAudioParam,
    ChatCompletionContentPartParam,
    ChatCompletionContentPartRefusalParam,
    ChatCompletionContentPartTextParam,
    ChatCompletionDeveloperMessageParam,
    ChatCompletionFunctionMessageParam,
    ChatCompletionMessageToolCallUnionParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
    PromptCacheBreakpoint,
)

__all__ = [
    "assistant_message",
    "audio_part",
    "developer_message",
    "file_part",
    "function_message",
    "image_part",
    "refusal_part",
    "system_message",
    "text_part",
    "tool_message",
    "user_message",
    "user_message_parts",
]

T = TypeVar("T")
Text: TypeAlias = str | Iterable[ChatCompletionContentPartTextParam]


def developer_message(content: Text, *, name: str | None = None) -> ChatCompletionDeveloperMessageParam:
    """Instructions, for newer models."""
    return _given(ChatCompletionDeveloperMessageParam, role="developer", content=_settled(content), name=name)


def system_message(content: Text, *, name: str | None = None) -> ChatCompletionSystemMessageParam:
    """Instructions."""
    return _given(ChatCompletionSystemMessageParam, role="system", content=_settled(content), name=name)


def user_message(
    content: str | Iterable[ChatCompletionContentPartParam], *, name: str | None = None
) -> ChatCompletionUserMessageParam:
    """What the user says: a text, or parts."""
    return _given(ChatCompletionUserMessageParam, role="user", content=_settled(content), name=name)


def user_message_parts(
    *parts: str | ChatCompletionContentPartParam, name: str | None = None
) -> ChatCompletionUserMessageParam:
    """What the user says, in parts; a string among them becomes a text part."""
    return user_message([text_part(part) if isinstance(part, str) else part for part in parts], name=name)


def assistant_message(
    content: str
    | Iterable[ChatCompletionContentPartTextParam | ChatCompletionContentPartRefusalParam]
    | None = None,
    *,
    refusal: str | None = None,
    name: str | None = None,
    audio_id: str | None = None,
    tool_calls: Iterable[ChatCompletionMessageToolCallUnionParam] | None = None,
    function_call: CalledFunctionParam | None = None,
) -> ChatCompletionAssistantMessageParam:
    """What the assistant said or called; `audio_id` is that of a spoken answer given before."""
    return _given(
        ChatCompletionAssistantMessageParam,
        role="assistant",
        content=_settled(content),
        refusal=refusal,
        name=name,
        audio=None if audio_id is None else {"id": audio_id},
        tool_calls=_settled(tool_calls),
        function_call=function_call,
    )


def tool_message(content: Text, tool_call_id: str) -> ChatCompletionToolMessageParam:
    """The result of the tool call with this id."""
    return _given(
        ChatCompletionToolMessageParam, role="tool", content=_settled(content), tool_call_id=tool_call_id
    )


def function_message(content: str | None, name: str) -> ChatCompletionFunctionMessageParam:
    """Deprecated in favour of `tool_message`: the result of the function with this name."""
    return {"role": "function", "content": content, "name": name}


def text_part(
    text: str, *, prompt_cache_breakpoint: PromptCacheBreakpoint | None = None
) -> ChatCompletionContentPartTextParam:
    """Text."""
    return _given(
        ChatCompletionContentPartTextParam,
        type="text",
        text=text,
        prompt_cache_breakpoint=prompt_cache_breakpoint,
    )


def image_part(
    url: str,
    *,
    detail: Literal["auto", "low", "high", "original"] | None = None,
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None,
) -> ChatCompletionContentPartImageParam:
    """An image by its address, or inline as a `data:` URL."""
    return _given(
        ChatCompletionContentPartImageParam,
        type="image_url",
        image_url=_given(dict, url=url, detail=detail),
        prompt_cache_breakpoint=prompt_cache_breakpoint,
    )


def audio_part(
    data: str,
    format: Literal["wav", "mp3"],  # noqa: A002 - the protocol's word
    *,
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None,
) -> ChatCompletionContentPartInputAudioParam:
    """Sound; `data` is base64."""
    return _given(
        ChatCompletionContentPartInputAudioParam,
        type="input_audio",
        input_audio={"data": data, "format": format},
        prompt_cache_breakpoint=prompt_cache_breakpoint,
    )


def file_part(
    *,
    file_data: str | None = None,
    file_id: str | None = None,
    filename: str | None = None,
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None,
) -> ChatCompletionContentPartFileParam:
    """A file: `file_id` as it was uploaded, or `file_data` in base64 with a `filename`."""
    return _given(
        ChatCompletionContentPartFileParam,
        type="file",
        file=_given(dict, file_data=file_data, file_id=file_id, filename=filename),
        prompt_cache_breakpoint=prompt_cache_breakpoint,
    )


def refusal_part(refusal: str) -> ChatCompletionContentPartRefusalParam:
    """A refusal that the assistant had given."""
    return {"type": "refusal", "refusal": refusal}


def _given(shape: type[T], **fields: Any) -> T:
    """A dict of the given shape with those fields that are not None."""
    del shape
    return cast("T", {name: value for name, value in fields.items() if value is not None})


def _settled(content: Any) -> Any:
    """An iterable as a list, so that it can be sent more than once."""
    return content if content is None or isinstance(content, str) else list(content)
