"""Everything that a request for a chat completion may hold.

Messages stand in `chat_completion_message_param`, tools in `chat_completion_tool_param`; all of it can be
imported from here and from `duologue.types.chat`. The server checks a request with the twins of these types
in `request`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Required, TypeAlias, TypedDict

from . import chat_completion_message_param, chat_completion_tool_param
from .chat_completion import ServiceTier
from .chat_completion_message import ChatCompletionMessage
from .chat_completion_message_param import *  # noqa: F403 - re-exported
from .chat_completion_message_param import ChatCompletionContentPartTextParam, ChatCompletionMessageParam
from .chat_completion_tool_param import *  # noqa: F403 - re-exported
from .chat_completion_tool_param import (
    ChatCompletionFunctionCallOptionParam,
    ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolUnionParam,
    FunctionParameters,
)

__all__ = [
    "ChatCompletionAudioParam",
    "ChatCompletionModality",
    "ChatCompletionPredictionContentParam",
    "ChatCompletionReasoningEffort",
    "ChatCompletionStreamOptionsParam",
    "CompletionCommonParams",
    "CompletionCreateParams",
    "CompletionCreateParamsBase",
    "CompletionCreateParamsNonStreaming",
    "CompletionCreateParamsStreaming",
    "JSONSchema",
    "Metadata",
    "ModerationPolicy",
    "ModerationPolicyMode",
    "PromptCacheOptions",
    "ReasoningEffort",
    "ResponseFormat",
    "ResponseFormatJSONObject",
    "ResponseFormatJSONSchema",
    "ResponseFormatText",
    "Verbosity",
    "VoiceID",
    "WebSearchOptions",
    "WebSearchOptionsUserLocation",
    "WebSearchOptionsUserLocationApproximate",
]
__all__ += chat_completion_message_param.__all__
__all__ += chat_completion_tool_param.__all__

ChatCompletionModality: TypeAlias = Literal["text", "audio"]
Metadata: TypeAlias = Mapping[str, str]
ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None
ChatCompletionReasoningEffort: TypeAlias = ReasoningEffort
Verbosity: TypeAlias = Literal["low", "medium", "high"]


class VoiceID(TypedDict, total=False):
    """A custom voice."""

    id: Required[str]


class ChatCompletionAudioParam(TypedDict, total=False):
    """How a spoken answer sounds; `voice` is a name the server knows, such as `alloy`, or a custom one."""

    format: Required[Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]]
    voice: Required[str | VoiceID]


FunctionCall: TypeAlias = Literal["none", "auto"] | ChatCompletionFunctionCallOptionParam


class Function(TypedDict, total=False):
    """Deprecated in favour of a function tool: a function the model may call."""

    name: Required[str]
    description: str
    parameters: FunctionParameters


class ModerationPolicyMode(TypedDict, total=False):
    """Whether a flagged text is only scored, or blocked."""

    mode: Required[Literal["score", "block"]]


class ModerationPolicy(TypedDict, total=False):
    """What is done with the prompt (`input`) and with the answer (`output`)."""

    input: ModerationPolicyMode | None
    output: ModerationPolicyMode | None


class Moderation(TypedDict, total=False):
    """The model that moderates, and its policy."""

    model: Required[str]
    policy: ModerationPolicy | None


class ChatCompletionPredictionContentParam(TypedDict, total=False):
    """Text that the answer will largely repeat, such as a file with few changes."""

    content: Required[str | Iterable[ChatCompletionContentPartTextParam]]
    type: Required[Literal["content"]]


class PromptCacheOptions(TypedDict, total=False):
    """How the prompt is cached: at breakpoints the server finds, or at those of the request."""

    mode: Literal["implicit", "explicit"]
    ttl: Literal["30m"]


class ResponseFormatText(TypedDict, total=False):
    """The answer is any text."""

    type: Required[Literal["text"]]


class ResponseFormatJSONObject(TypedDict, total=False):
    """The answer is any JSON object; the messages must ask for JSON, too."""

    type: Required[Literal["json_object"]]


class JSONSchema(TypedDict, total=False):
    """A JSON schema with a name, of the same letters as a function's; `strict` follows it exactly."""

    name: Required[str]
    description: str
    schema: Mapping[str, object]
    strict: bool | None


class ResponseFormatJSONSchema(TypedDict, total=False):
    """The answer is JSON that a schema describes."""

    json_schema: Required[JSONSchema]
    type: Required[Literal["json_schema"]]


ResponseFormat: TypeAlias = ResponseFormatText | ResponseFormatJSONSchema | ResponseFormatJSONObject


class ChatCompletionStreamOptionsParam(TypedDict, total=False):
    """What a stream carries besides the answer: a last chunk with the usage, padding in every chunk."""

    include_obfuscation: bool
    include_usage: bool


class WebSearchOptionsUserLocationApproximate(TypedDict, total=False):
    """Where the user roughly is: `country` is two letters (ISO 3166-1), `timezone` an IANA name."""

    city: str
    country: str
    region: str
    timezone: str


class WebSearchOptionsUserLocation(TypedDict, total=False):
    """The user's place, for a web search."""

    approximate: Required[WebSearchOptionsUserLocationApproximate]
    type: Required[Literal["approximate"]]


class WebSearchOptions(TypedDict, total=False):
    """How the model searches the web, and how much of what it finds goes into the context."""

    search_context_size: Literal["low", "medium", "high"]
    user_location: WebSearchOptionsUserLocation | None


class CompletionCommonParams(TypedDict, total=False):
    """The parameters that every way to ask has, with the same types."""

    messages: Required[Iterable[ChatCompletionMessageParam | ChatCompletionMessage]]
    """The conversation so far, at least one message. An answer's `message` may stand in it as it is."""

    model: Required[str]
    """The id of the model."""

    audio: ChatCompletionAudioParam | None
    """How a spoken answer sounds; for `modalities` with `audio`."""

    frequency_penalty: float | None
    """-2 to 2; positive numbers make words less likely the more often they occurred. Default 0."""

    function_call: FunctionCall
    """Deprecated in favour of `tool_choice`."""

    functions: Iterable[Function]
    """Deprecated in favour of `tools`: 1 to 128 functions."""

    logit_bias: Mapping[str, int] | None
    """Token id to a number from -100 (never) to 100 (always) that is added to the token's logit."""

    logprobs: bool | None
    """Whether the answer carries the log probability of each of its tokens."""

    max_completion_tokens: int | None
    """The most tokens an answer may take, reasoning included; at least 1."""

    max_tokens: int | None
    """Deprecated in favour of `max_completion_tokens`, which not every server knows."""

    metadata: Metadata | None
    """Up to 16 pairs kept with a stored completion; keys up to 64 characters, values up to 512."""

    modalities: Sequence[ChatCompletionModality] | None
    """In which forms the answer comes. Default `["text"]`."""

    moderation: Moderation | None
    """Have the prompt and the answer moderated."""

    n: int | None
    """How many answers, 1 to 128. Default 1."""

    parallel_tool_calls: bool
    """Whether one answer may hold several tool calls. Default true."""

    prediction: ChatCompletionPredictionContentParam | None
    """Text that the answer will largely repeat, which makes it come faster."""

    presence_penalty: float | None
    """-2 to 2; positive numbers make words less likely once they occurred. Default 0."""

    prompt_cache_key: str | None
    """Requests with the same key are likely to find each other's cached prompt."""

    prompt_cache_options: PromptCacheOptions
    """How the prompt is cached."""

    prompt_cache_retention: Literal["in_memory", "24h"] | None
    """Deprecated: how long the prompt stays cached."""

    reasoning_effort: ReasoningEffort
    """How much a reasoning model thinks before it answers."""

    safety_identifier: str | None
    """A stable, hashed name of your user, up to 64 characters, to find abuse."""

    seed: int | None
    """The same seed and parameters give, as far as possible, the same answer; 64 bits, signed."""

    service_tier: ServiceTier | None
    """How the request is queued and charged."""

    stop: str | Sequence[str] | None
    """Up to 4 texts before which the answer ends."""

    store: bool | None
    """Whether the server keeps the completion, to be fetched later."""

    stream_options: ChatCompletionStreamOptionsParam | None
    """What a stream carries besides the answer."""

    temperature: float | None
    """0 to 2; higher numbers make the answer more varied, 0 takes the likeliest token. Default 1."""

    tool_choice: ChatCompletionToolChoiceOptionParam
    """Whether the model calls tools, and which. Default `auto` where there are tools."""

    top_logprobs: int | None
    """0 to 20: how many candidates each token's log probabilities list; needs `logprobs`."""

    top_p: float | None
    """0 to 1: only the likeliest tokens with this total probability are considered. Default 1."""

    user: str
    """Deprecated in favour of `safety_identifier` and `prompt_cache_key`: a name of your user."""

    verbosity: Verbosity | None
    """How long-winded the answer is. Default `medium`."""

    web_search_options: WebSearchOptions
    """Have the model search the web."""


class CompletionCreateParamsBase(CompletionCommonParams, total=False):
    """Every parameter but `stream`, on which the type of the answer depends."""

    response_format: ResponseFormat
    """What the answer's text must be. Default any text."""

    tools: Iterable[ChatCompletionToolUnionParam]
    """The tools that the model may call."""


class CompletionCreateParamsNonStreaming(CompletionCreateParamsBase, total=False):
    """The parameters of a request that is answered with one `ChatCompletion`."""

    stream: Literal[False] | None


class CompletionCreateParamsStreaming(CompletionCreateParamsBase):
    """The parameters of a request that is answered with a stream of chunks."""

    stream: Required[Literal[True]]


CompletionCreateParams: TypeAlias = CompletionCreateParamsNonStreaming | CompletionCreateParamsStreaming
