"""Messages and their parts, as people write them in a request.

Everything here is a `TypedDict`: a plain dict at run time, whose keys a type checker knows. Import it from
`duologue.types.chat`. `duologue.types.chat.constructors` has a function for each message and part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Required, TypeAlias, TypedDict

__all__ = [
    "AssistantAudioParam",
    "CalledCustomParam",
    "CalledFunctionParam",
    "ChatCompletionAssistantMessageParam",
    "ChatCompletionContentPartFileParam",
    "ChatCompletionContentPartImageParam",
    "ChatCompletionContentPartInputAudioParam",
    "ChatCompletionContentPartParam",
    "ChatCompletionContentPartRefusalParam",
    "ChatCompletionContentPartTextParam",
    "ChatCompletionDeveloperMessageParam",
    "ChatCompletionFunctionMessageParam",
    "ChatCompletionMessageCustomToolCallParam",
    "ChatCompletionMessageFunctionToolCallParam",
    "ChatCompletionMessageParam",
    "ChatCompletionMessageToolCallParam",
    "ChatCompletionMessageToolCallUnionParam",
    "ChatCompletionRole",
    "ChatCompletionSystemMessageParam",
    "ChatCompletionToolMessageParam",
    "ChatCompletionUserMessageParam",
    "CreateChatCompletionRequestMessageParam",
    "FileFile",
    "ImageURL",
    "InputAudio",
    "PromptCacheBreakpoint",
]

ChatCompletionRole: TypeAlias = Literal["developer", "system", "user", "assistant", "tool", "function"]


# --- parts of a message's content ------------------------------------------------------------------------


class PromptCacheBreakpoint(TypedDict, total=False):
    """Marks the end of a prefix of the prompt that is worth caching, and how long."""

    mode: Required[Literal["explicit"]]
    ttl: Literal["30m", "12h"]


class ChatCompletionContentPartTextParam(TypedDict, total=False):
    """Text."""

    text: Required[str]
    type: Required[Literal["text"]]
    prompt_cache_breakpoint: PromptCacheBreakpoint


class ImageURL(TypedDict, total=False):
    """An image by its address, or inline as a `data:` URL; `detail` is how closely the model looks."""

    url: Required[str]
    detail: Literal["auto", "low", "high", "original"]


class ChatCompletionContentPartImageParam(TypedDict, total=False):
    """An image."""

    image_url: Required[ImageURL]
    type: Required[Literal["image_url"]]
    prompt_cache_breakpoint: PromptCacheBreakpoint


class InputAudio(TypedDict, total=False):
    """Sound, in base64."""

    data: Required[str]
    format: Required[Literal["wav", "mp3"]]


class ChatCompletionContentPartInputAudioParam(TypedDict, total=False):
    """Sound."""

    input_audio: Required[InputAudio]
    type: Required[Literal["input_audio"]]
    prompt_cache_breakpoint: PromptCacheBreakpoint


class FileFile(TypedDict, total=False):
    """A file by the id it was uploaded under, or its base64 data with a name."""

    file_data: str
    file_id: str
    filename: str


class ChatCompletionContentPartFileParam(TypedDict, total=False):
    """A file."""

    file: Required[FileFile]
    type: Required[Literal["file"]]
    prompt_cache_breakpoint: PromptCacheBreakpoint


class ChatCompletionContentPartRefusalParam(TypedDict, total=False):
    """A refusal that the assistant had given."""

    refusal: Required[str]
    type: Required[Literal["refusal"]]


ChatCompletionContentPartParam: TypeAlias = (
    ChatCompletionContentPartTextParam
    | ChatCompletionContentPartImageParam
    | ChatCompletionContentPartInputAudioParam
    | ChatCompletionContentPartFileParam
)


# --- calls that an assistant's message holds -------------------------------------------------------------


class CalledFunctionParam(TypedDict, total=False):
    """The function that was called, and its arguments as JSON text."""

    arguments: Required[str]
    name: Required[str]


class ChatCompletionMessageFunctionToolCallParam(TypedDict, total=False):
    """A call of a function; the tool message with its result names this `id`."""

    id: Required[str]
    function: Required[CalledFunctionParam]
    type: Required[Literal["function"]]


class CalledCustomParam(TypedDict, total=False):
    """The custom tool that was called, and the text it was given."""

    input: Required[str]
    name: Required[str]


class ChatCompletionMessageCustomToolCallParam(TypedDict, total=False):
    """A call of a custom tool; the tool message with its result names this `id`."""

    id: Required[str]
    custom: Required[CalledCustomParam]
    type: Required[Literal["custom"]]


ChatCompletionMessageToolCallParam: TypeAlias = ChatCompletionMessageFunctionToolCallParam
ChatCompletionMessageToolCallUnionParam: TypeAlias = (
    ChatCompletionMessageFunctionToolCallParam | ChatCompletionMessageCustomToolCallParam
)


# --- messages --------------------------------------------------------------------------------------------


class ChatCompletionDeveloperMessageParam(TypedDict, total=False):
    """Instructions that the model follows whatever the user says; newer models' name for `system`."""

    content: Required[str | Iterable[ChatCompletionContentPartTextParam]]
    role: Required[Literal["developer"]]
    name: str


class ChatCompletionSystemMessageParam(TypedDict, total=False):
    """Instructions that the model follows whatever the user says."""

    content: Required[str | Iterable[ChatCompletionContentPartTextParam]]
    role: Required[Literal["system"]]
    name: str


class ChatCompletionUserMessageParam(TypedDict, total=False):
    """What the user says; `name` tells users of the same role apart."""

    content: Required[str | Iterable[ChatCompletionContentPartParam]]
    role: Required[Literal["user"]]
    name: str


class AssistantAudioParam(TypedDict, total=False):
    """A spoken answer given before, by its id."""

    id: Required[str]


class ChatCompletionAssistantMessageParam(TypedDict, total=False):
    """What the assistant said or called. `content` is required unless there are `tool_calls`.

    `reasoning_content` and `reasoning` are in no official schema; some servers ask for their own back.
    """

    role: Required[Literal["assistant"]]
    audio: AssistantAudioParam | None
    content: str | Iterable[ChatCompletionContentPartTextParam | ChatCompletionContentPartRefusalParam] | None
    function_call: CalledFunctionParam | None
    name: str
    refusal: str | None
    tool_calls: Iterable[ChatCompletionMessageToolCallUnionParam]
    reasoning_content: str | None
    reasoning: str | None


class ChatCompletionToolMessageParam(TypedDict, total=False):
    """The result of the call with this id."""

    content: Required[str | Iterable[ChatCompletionContentPartTextParam]]
    role: Required[Literal["tool"]]
    tool_call_id: Required[str]


class ChatCompletionFunctionMessageParam(TypedDict, total=False):
    """Deprecated in favour of the tool message: the result of a function."""

    content: Required[str | None]
    name: Required[str]
    role: Required[Literal["function"]]


ChatCompletionMessageParam: TypeAlias = (
    ChatCompletionDeveloperMessageParam
    | ChatCompletionSystemMessageParam
    | ChatCompletionUserMessageParam
    | ChatCompletionAssistantMessageParam
    | ChatCompletionToolMessageParam
    | ChatCompletionFunctionMessageParam
)
CreateChatCompletionRequestMessageParam: TypeAlias = ChatCompletionMessageParam
