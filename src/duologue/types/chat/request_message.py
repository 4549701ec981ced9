"""The messages of a request, checked: the twins of the TypedDicts in `chat_completion_message_param`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

__all__ = [
    "AssistantAudio",
    "AssistantMessage",
    "AudioPart",
    "Checked",
    "ContentPart",
    "CustomCall",
    "CustomToolCall",
    "DeveloperMessage",
    "FilePart",
    "FunctionCallRequest",
    "FunctionMessage",
    "FunctionToolCall",
    "ImagePart",
    "Message",
    "RefusalPart",
    "SystemMessage",
    "TextPart",
    "TextParts",
    "ToolCall",
    "ToolMessage",
    "UserMessage",
]


class Checked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of everything inside a request."""


# --- content parts -------------------------------------------------------------------------------------


class CacheBreakpoint(Checked):
    """Where a cached prefix of the prompt ends."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class TextPart(Checked, tag_field="type", tag="text"):
    """Text."""

    type: ClassVar[Literal["text"]] = "text"
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


if TYPE_CHECKING:
    OnlyTextPart: TypeAlias = TextPart
else:

    class OnlyTextPart(TextPart, tag=False, kw_only=True):
        """Text where no other part may stand: a decoder asks for the tag only where it has a choice."""

        type: Literal["text"]


class ImageURL(Checked):
    """An image by its address, or as a `data:` URL."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Checked, tag_field="type", tag="image_url"):
    """An image."""

    type: ClassVar[Literal["image_url"]] = "image_url"
    image_url: ImageURL
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputAudio(Checked):
    """Sound in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Checked, tag_field="type", tag="input_audio"):
    """Sound."""

    type: ClassVar[Literal["input_audio"]] = "input_audio"
    input_audio: InputAudio
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class FileSource(Checked):
    """A file by its id, or its base64 data with a name."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Checked, tag_field="type", tag="file"):
    """A file."""

    type: ClassVar[Literal["file"]] = "file"
    file: FileSource
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(Checked, tag_field="type", tag="refusal"):
    """A refusal that the assistant had given."""

    type: ClassVar[Literal["refusal"]] = "refusal"
    refusal: str


ContentPart: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | RefusalPart
TextParts: TypeAlias = Annotated[list[OnlyTextPart], Meta(min_length=1)]
UserParts: TypeAlias = Annotated[list[TextPart | ImagePart | AudioPart | FilePart], Meta(min_length=1)]
AssistantParts: TypeAlias = Annotated[list[TextPart | RefusalPart], Meta(min_length=1)]


# --- messages ------------------------------------------------------------------------------------------


class _Message(Checked):
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


class AssistantAudio(Checked):
    """A spoken answer given before, by its id."""

    id: str


# That of a tool which may not be offered any more; the API takes none that is empty.
CalledName: TypeAlias = Annotated[str, Meta(min_length=1)]


class FunctionCallRequest(Checked):
    """A function's name and its arguments as JSON text.

    What the official client has parsed of them is sent back with them, and means nothing more.
    """

    arguments: str
    name: CalledName
    parsed_arguments: Any = None


class CustomCall(Checked):
    """A custom tool's name and the text it was given."""

    input: str
    name: CalledName


class FunctionToolCall(Checked, tag_field="type", tag="function"):
    """A call of a function that the assistant had made.

    What the official client has put together of a stream is sent back with its `index`, which means nothing more.
    """

    type: ClassVar[Literal["function"]] = "function"
    id: str
    function: FunctionCallRequest
    index: int | None = None


class CustomToolCall(Checked, tag_field="type", tag="custom"):
    """A call of a custom tool that the assistant had made."""

    type: ClassVar[Literal["custom"]] = "custom"
    id: str
    custom: CustomCall


ToolCall: TypeAlias = FunctionToolCall | CustomToolCall


class AssistantMessage(_Message, tag_field="role", tag="assistant"):
    """What the assistant said or called.

    The last four are not of the schema's request, but stand in answers that people send back as they are.
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
    parsed: Any = None


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


Message: TypeAlias = (
    DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage
)
