"""A request as the server sees it: checked, with every field in its place.

These are the twins of the TypedDicts in `completion_create_params`; the messages' stand in `request_message`,
the tools' in `request_tool`, and all can be imported from here. Limits are those of the official schema;
where it names none and the API enforces one, the comment says so. A null for an optional parameter is the
same as leaving it out, as it is for the API.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta

from . import request_message, request_tool
from .chat_completion import ServiceTier
from .request_message import *  # noqa: F403 - re-exported
from .request_message import Checked, Message, TextParts
from .request_tool import *  # noqa: F403 - re-exported
from .request_tool import FunctionCallOption, LegacyFunction, Name, Tool, ToolChoice

__all__ = [
    "AudioOptions",
    "ChatRequest",
    "ChatUpdate",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "Prediction",
    "ResponseFormat",
    "StreamOptions",
    "TextFormat",
    "WebSearchOptions",
]
__all__ += request_message.__all__
__all__ += request_tool.__all__

Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
# The schema has no lower limit; the API refuses 0.
TokenLimit: TypeAlias = Annotated[int, Meta(ge=1)]
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
# The schema has no limit of length. A server that looks for a stop sequence in a stream holds back as much text.
MAX_STOP_LENGTH = 1024
StopSequence: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_STOP_LENGTH)]
# The schema's prose: "The two-letter ISO country code".
Country: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z]{2}\Z")]


class TextFormat(Checked, tag_field="type", tag="text"):
    """Any text."""

    type: ClassVar[Literal["text"]] = "text"


class JsonObjectFormat(Checked, tag_field="type", tag="json_object"):
    """Any JSON object."""

    type: ClassVar[Literal["json_object"]] = "json_object"


class JsonSchema(Checked):
    """A named JSON schema; `strict` asks that the answer follows it exactly."""

    name: Name
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class JsonSchemaFormat(Checked, tag_field="type", tag="json_schema"):
    """JSON that a schema describes."""

    type: ClassVar[Literal["json_schema"]] = "json_schema"
    json_schema: JsonSchema


ResponseFormat: TypeAlias = TextFormat | JsonObjectFormat | JsonSchemaFormat


class VoiceId(Checked):
    """A custom voice."""

    id: str


class AudioOptions(Checked):
    """How a spoken answer sounds."""

    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | VoiceId


class Prediction(Checked):
    """Text that the answer will largely repeat."""

    type: Literal["content"]
    content: str | TextParts


class StreamOptions(Checked):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Location(Checked):
    """Where the user roughly is."""

    city: str | None = None
    country: Country | None = None
    region: str | None = None
    timezone: str | None = None


class UserLocation(Checked):
    """The user's place, for a web search."""

    type: Literal["approximate"]
    approximate: Location


class WebSearchOptions(Checked):
    """How the model searches the web."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None


class ModerationMode(Checked):
    """Whether a flagged text is only scored, or blocked."""

    mode: Literal["score", "block"]


class ModerationPolicy(Checked):
    """What is done with the prompt and with the answer."""

    input: ModerationMode | None = None
    output: ModerationMode | None = None


class ModerationOptions(Checked):
    """The model that moderates, and its policy."""

    model: str
    policy: ModerationPolicy | None = None


class PromptCacheOptions(Checked):
    """How the prompt is cached."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class ChatUpdate(Checked):
    """The body of `POST /chat/completions/{id}`, checked."""

    metadata: Metadata | None


class ChatRequest(Checked):
    """The body of `POST /chat/completions`, checked."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str
    audio: AudioOptions | None = None
    frequency_penalty: Penalty | None = None
    function_call: Literal["none", "auto"] | FunctionCallOption | None = None
    functions: Annotated[list[LegacyFunction], Meta(min_length=1, max_length=128)] | None = None
    logit_bias: dict[str, Annotated[int, Meta(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    max_completion_tokens: TokenLimit | None = None
    max_tokens: TokenLimit | None = None
    metadata: Metadata | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    moderation: ModerationOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: Prediction | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    service_tier: ServiceTier | None = None
    stop: StopSequence | Annotated[list[StopSequence], Meta(min_length=1, max_length=4)] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tool_choice: ToolChoice | None = None
    tools: list[Tool] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: WebSearchOptions | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences, none or up to four."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def token_limit(self) -> int | None:
        """The most tokens an answer may have, by either of the parameter's names; None for no limit."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that carries the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)
