"""A request as the server sees it: checked, with every field in its place.

These are the twins of the TypedDicts in `completion_create_params`. Limits are those of the official
schema; where it names none and the API enforces one, the comment says so. A null for an optional
parameter is the same as leaving it out, as it is for the API.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from .chat_completion import ServiceTier

__all__ = [
    "AllowedTools",
    "AllowedToolsChoice",
    "AssistantAudio",
    "AssistantMessage",
    "AudioOptions",
    "AudioPart",
    "ChatRequest",
    "ContentPart",
    "CustomCall",
    "CustomFormat",
    "CustomTool",
    "CustomToolCall",
    "CustomToolDefinition",
    "DeveloperMessage",
    "FilePart",
    "FunctionCallOption",
    "FunctionCallRequest",
    "FunctionDefinition",
    "FunctionMessage",
    "FunctionTool",
    "FunctionToolCall",
    "GrammarFormat",
    "ImagePart",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "LegacyFunction",
    "Message",
    "NamedCustomChoice",
    "NamedFunctionChoice",
    "Prediction",
    "RefusalPart",
    "ResponseFormat",
    "StreamOptions",
    "SystemMessage",
    "TextFormat",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolMessage",
    "UserMessage",
    "WebSearchOptions",
]


class _Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of everything inside a request."""


# The schema's prose: "a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64".
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
# The schema has no lower limit; the API refuses 0.
TokenLimit = Annotated[int, Meta(ge=1)]


# --- content parts -------------------------------------------------------------------------------------


class CacheBreakpoint(_Part):
    """Where a cached prefix of the prompt ends."""

    mode: Literal["explicit"] = "explicit"
    ttl: Literal["30m", "12h"] | None = None


class TextPart(_Part, tag_field="type", tag="text"):
    """Text."""

    type: ClassVar[Literal["text"]] = "text"
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class ImageURL(_Part):
    """An image by its address, or as a `data:` URL."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(_Part, tag_field="type", tag="image_url"):
    """An image."""

    type: ClassVar[Literal["image_url"]] = "image_url"
    image_url: ImageURL
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputAudio(_Part):
    """Sound in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(_Part, tag_field="type", tag="input_audio"):
    """Sound."""

    type: ClassVar[Literal["input_audio"]] = "input_audio"
    input_audio: InputAudio
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class FileSource(_Part):
    """A file by its id, or its base64 data with a name."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(_Part, tag_field="type", tag="file"):
    """A file."""

    type: ClassVar[Literal["file"]] = "file"
    file: FileSource
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(_Part, tag_field="type", tag="refusal"):
    """A refusal that the assistant had given."""

    type: ClassVar[Literal["refusal"]] = "refusal"
    refusal: str


ContentPart = TextPart | ImagePart | AudioPart | FilePart | RefusalPart
TextParts = Annotated[list[TextPart], Meta(min_length=1)]
UserParts = Annotated[list[TextPart | ImagePart | AudioPart | FilePart], Meta(min_length=1)]
AssistantParts = Annotated[list[TextPart | RefusalPart], Meta(min_length=1)]


# --- messages ------------------------------------------------------------------------------------------


class _Message(_Part):
    @property
    def text(self) -> str:
        """The text of the content: a string as it is, the text parts joined, `""` for none."""
        content: Any = getattr(self, "content", None)
        if content is None or isinstance(content, str):
            return content or ""
        return "".join(part.text for part in content if isinstance(part, TextPart))


class DeveloperMessage(_Message, tag_field="role", tag="developer"):
    """Instructions of the developer."""

    role: ClassVar[Literal["developer"]] = "developer"
    content: str | TextParts
    name: str | None = None


class SystemMessage(_Message, tag_field="role", tag="system"):
    """Instructions, by their older name."""

    role: ClassVar[Literal["system"]] = "system"
    content: str | TextParts
    name: str | None = None


class UserMessage(_Message, tag_field="role", tag="user"):
    """What the user said."""

    role: ClassVar[Literal["user"]] = "user"
    content: str | UserParts
    name: str | None = None


class AssistantAudio(_Part):
    """A spoken answer given before, by its id."""

    id: str


class FunctionCallRequest(_Part):
    """A function's name and its arguments as JSON text."""

    arguments: str
    name: str


class CustomCall(_Part):
    """A custom tool's name and the text it was given."""

    input: str
    name: str


class FunctionToolCall(_Part, tag_field="type", tag="function"):
    """A call of a function that the assistant had made."""

    type: ClassVar[Literal["function"]] = "function"
    id: str
    function: FunctionCallRequest


class CustomToolCall(_Part, tag_field="type", tag="custom"):
    """A call of a custom tool that the assistant had made."""

    type: ClassVar[Literal["custom"]] = "custom"
    id: str
    custom: CustomCall


ToolCall = FunctionToolCall | CustomToolCall


class AssistantMessage(_Message, tag_field="role", tag="assistant"):
    """What the assistant said or called.

    The last three are not of the schema's request, but stand in answers that people send back as they are.
    """

    role: ClassVar[Literal["assistant"]] = "assistant"
    content: str | AssistantParts | None = None
    refusal: str | None = None
    name: str | None = None
    audio: AssistantAudio | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCallRequest | None = None
    annotations: list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ToolMessage(_Message, tag_field="role", tag="tool"):
    """What a tool answered."""

    role: ClassVar[Literal["tool"]] = "tool"
    content: str | TextParts
    tool_call_id: str


class FunctionMessage(_Message, tag_field="role", tag="function"):
    """Deprecated: what a function answered."""

    role: ClassVar[Literal["function"]] = "function"
    content: str | None
    name: str


Message = DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


# --- tools ---------------------------------------------------------------------------------------------


class FunctionDefinition(_Part):
    """A function the model may call; `parameters` is a JSON schema."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(_Part, tag_field="type", tag="function"):
    """A function tool."""

    type: ClassVar[Literal["function"]] = "function"
    function: FunctionDefinition

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name


class Grammar(_Part):
    """A grammar in Lark's syntax, or a regular expression."""

    definition: str
    syntax: Literal["lark", "regex"]


class TextToolFormat(_Part, tag_field="type", tag="text"):
    """Any text."""

    type: ClassVar[Literal["text"]] = "text"


class GrammarFormat(_Part, tag_field="type", tag="grammar"):
    """Text that a grammar describes."""

    type: ClassVar[Literal["grammar"]] = "grammar"
    grammar: Grammar


CustomFormat = TextToolFormat | GrammarFormat


class CustomToolDefinition(_Part):
    """A tool whose input is text."""

    name: Name
    description: str | None = None
    format: CustomFormat | None = None


class CustomTool(_Part, tag_field="type", tag="custom"):
    """A custom tool."""

    type: ClassVar[Literal["custom"]] = "custom"
    custom: CustomToolDefinition

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.custom.name


Tool = FunctionTool | CustomTool


class ToolName(_Part):
    """A tool by its name."""

    name: str


class NamedFunctionChoice(_Part, tag_field="type", tag="function"):
    """The model must call this function."""

    type: ClassVar[Literal["function"]] = "function"
    function: ToolName


class NamedCustomChoice(_Part, tag_field="type", tag="custom"):
    """The model must call this custom tool."""

    type: ClassVar[Literal["custom"]] = "custom"
    custom: ToolName


class AllowedTools(_Part):
    """The tools that may be called; `tools` name them as a tool choice would."""

    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class AllowedToolsChoice(_Part, tag_field="type", tag="allowed_tools"):
    """The model may, or must, call one of these."""

    type: ClassVar[Literal["allowed_tools"]] = "allowed_tools"
    allowed_tools: AllowedTools


ToolChoice = (
    Literal["none", "auto", "required"] | AllowedToolsChoice | NamedFunctionChoice | NamedCustomChoice
)


class LegacyFunction(_Part):
    """Deprecated: a function the model may call."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class FunctionCallOption(_Part):
    """Deprecated: the function that must be called."""

    name: str


# --- the other parameters ------------------------------------------------------------------------------


class TextFormat(_Part, tag_field="type", tag="text"):
    """Any text."""

    type: ClassVar[Literal["text"]] = "text"


class JsonObjectFormat(_Part, tag_field="type", tag="json_object"):
    """Any JSON object."""

    type: ClassVar[Literal["json_object"]] = "json_object"


class JsonSchema(_Part):
    """A named JSON schema; `strict` asks that the answer follows it exactly."""

    name: Name
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class JsonSchemaFormat(_Part, tag_field="type", tag="json_schema"):
    """JSON that a schema describes."""

    type: ClassVar[Literal["json_schema"]] = "json_schema"
    json_schema: JsonSchema


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat


class VoiceId(_Part):
    """A custom voice."""

    id: str


class AudioOptions(_Part):
    """How a spoken answer sounds."""

    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | VoiceId


class Prediction(_Part):
    """Text that the answer will largely repeat."""

    type: Literal["content"]
    content: str | TextParts


class StreamOptions(_Part):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Location(_Part):
    """Where the user roughly is."""

    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class UserLocation(_Part):
    """The user's place, for a web search."""

    type: Literal["approximate"]
    approximate: Location


class WebSearchOptions(_Part):
    """How the model searches the web."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None


class ModerationMode(_Part):
    """Whether a flagged text is only scored, or blocked."""

    mode: Literal["score", "block"]


class ModerationPolicy(_Part):
    """What is done with the prompt and with the answer."""

    input: ModerationMode | None = None
    output: ModerationMode | None = None


class ModerationOptions(_Part):
    """The model that moderates, and its policy."""

    model: str
    policy: ModerationPolicy | None = None


class PromptCacheOptions(_Part):
    """How the prompt is cached."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class ChatRequest(_Part):
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
    metadata: (
        Annotated[
            dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
            Meta(max_length=16),
        ]
        | None
    ) = None
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
    stop: str | Annotated[list[str], Meta(min_length=1, max_length=4)] | None = None
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
