"""What happens in a stream, told as events: one class for each `type`.

The names are those of `openai.lib.streaming.chat`; reasoning, custom tools, `choice_index` and the `id` of a
call are additions. What an event shows of the whole so far (`snapshot`, `arguments`, `input`) is made when it
is read, so an event that nobody asks costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec

from .._wire import WireObject, dump
from .chat_completion import ChatCompletion
from .chat_completion_chunk import ChatCompletionChunk
from .chat_completion_token_logprob import ChatCompletionTokenLogprob

__all__ = [
    "ChatCompletionStreamEvent",
    "ChunkEvent",
    "ContentDeltaEvent",
    "ContentDoneEvent",
    "CustomToolCallInputDeltaEvent",
    "CustomToolCallInputDoneEvent",
    "FunctionToolCallArgumentsDeltaEvent",
    "FunctionToolCallArgumentsDoneEvent",
    "LogprobsContentDeltaEvent",
    "LogprobsContentDoneEvent",
    "LogprobsRefusalDeltaEvent",
    "LogprobsRefusalDoneEvent",
    "ReasoningDeltaEvent",
    "ReasoningDoneEvent",
    "RefusalDeltaEvent",
    "RefusalDoneEvent",
]

V = TypeVar("V", covariant=True)

# The type that was asked for; None where none was.
if TYPE_CHECKING:
    import typing_extensions

    T = typing_extensions.TypeVar("T", default=None)
else:
    T = TypeVar("T")


class Growing(Protocol[V]):
    """What only grows, so that what it once was can still be had."""

    def first(self, length: int, /) -> V:
        """The first `length` characters, or items."""
        ...


class Partial(Protocol):
    """A JSON text in the making."""

    @property
    def value(self) -> Any:
        """Its value so far."""
        ...


class Reader(Protocol):
    """What reads whole texts."""

    def content(self, text: str) -> tuple[Any, Exception | None]:
        """The value of a message's content, or why there is none."""
        ...

    def arguments(self, name: str, text: str) -> tuple[Any, Exception | None]:
        """The value of a call's arguments, or why there is none."""
        ...


class Accumulating(Protocol):
    """What a completion is made in."""

    @property
    def completion(self) -> ChatCompletion | None:
        """The completion so far."""
        ...


class _Event(msgspec.Struct, gc=False, eq=False):
    # What is made when it is read; the other fields are told by the class.
    _made: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON values of everything that the event tells, its `type` first."""
        names = (*(name for name in self.__struct_fields__ if name[0] != "_"), *self._made)
        values = {name: _json_value(getattr(self, name)) for name in names}
        return {"type": type(self).__dict__["type"], **values}

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name[0] != "_")
        return f"{type(self).__name__}({', '.join(shown)})"


class _ChoiceEvent(_Event):
    choice_index: int


class _TextDelta(_ChoiceEvent):
    _made = ("snapshot",)
    delta: str
    _whole: Growing[str]
    _length: int

    @property
    def snapshot(self) -> str:
        """The text up to this event."""
        return self._whole.first(self._length)


class _CallEvent(_ChoiceEvent):
    # `index` numbers the calls of a choice as the server does; `id` and `name` are as far as they are known.
    index: int
    id: str | None
    name: str


class ChunkEvent(_Event):
    """A chunk came; it is about the choice `choice_index`, None where it is about none or several.

    `snapshot` is the completion at the moment when it is read, so read it before going on.
    """

    type: ClassVar[Literal["chunk"]] = "chunk"
    _made = ("snapshot",)
    choice_index: int | None
    chunk: ChatCompletionChunk
    _so_far: Accumulating

    @property
    def snapshot(self) -> ChatCompletion:
        """The completion so far."""
        completion = self._so_far.completion
        assert completion is not None, "there is a chunk"
        return completion


class ContentDeltaEvent(_TextDelta):
    """Content goes on. `snapshot` is all of it up to this event."""

    type: ClassVar[Literal["content.delta"]] = "content.delta"
    _partial: Partial | None = None

    @property
    def parsed(self) -> Any:
        """With a `response_format`, the value so far at the moment when it is read: dicts, lists, texts, …"""
        return None if self._partial is None else self._partial.value


class ContentDoneEvent(_ChoiceEvent, Generic[T]):
    """The content is whole."""

    type: ClassVar[Literal["content.done"]] = "content.done"
    content: str
    _reader: Reader | None = None
    _read: tuple[Any, Exception | None] | None = None

    @property
    def parsed(self) -> T | None:
        """With a `response_format`, the value of the content; None if `parse_error` says why not."""
        value: T | None = self._result()[0]
        return value

    @property
    def parse_error(self) -> Exception | None:
        """Why the content is no value of what was asked for."""
        return self._result()[1]

    def _result(self) -> tuple[Any, Exception | None]:
        if self._read is None:
            self._read = (None, None) if self._reader is None else self._reader.content(self.content)
        return self._read


class RefusalDeltaEvent(_TextDelta):
    """A refusal goes on. `snapshot` is all of it up to this event."""

    type: ClassVar[Literal["refusal.delta"]] = "refusal.delta"


class RefusalDoneEvent(_ChoiceEvent):
    """The refusal is whole."""

    type: ClassVar[Literal["refusal.done"]] = "refusal.done"
    refusal: str


class ReasoningDeltaEvent(_TextDelta):
    """The thoughts before the answer go on. `snapshot` is all of them up to this event."""

    type: ClassVar[Literal["reasoning.delta"]] = "reasoning.delta"


class ReasoningDoneEvent(_ChoiceEvent):
    """The thoughts before the answer are whole."""

    type: ClassVar[Literal["reasoning.done"]] = "reasoning.done"
    reasoning: str


class FunctionToolCallArgumentsDeltaEvent(_CallEvent):
    """The call of a function goes on. `arguments` is all of their JSON text up to this event."""

    type: ClassVar[Literal["tool_calls.function.arguments.delta"]] = "tool_calls.function.arguments.delta"
    _made = ("arguments",)
    arguments_delta: str
    _whole: Growing[str]
    _length: int
    _partial: Partial | None = None

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return self._whole.first(self._length)

    @property
    def parsed_arguments(self) -> Any:
        """Of a known tool, their value so far at the moment when it is read."""
        return None if self._partial is None else self._partial.value


class FunctionToolCallArgumentsDoneEvent(_CallEvent):
    """The call of a function is whole; `arguments` is the JSON text that the model wrote."""

    type: ClassVar[Literal["tool_calls.function.arguments.done"]] = "tool_calls.function.arguments.done"
    arguments: str
    _reader: Reader | None = None
    _read: tuple[Any, Exception | None] | None = None

    @property
    def parsed_arguments(self) -> Any:
        """Of a known tool, their value; None if `parse_error` says why not."""
        return self._result()[0]

    @property
    def parse_error(self) -> Exception | None:
        """Why they are no arguments of the tool."""
        return self._result()[1]

    def _result(self) -> tuple[Any, Exception | None]:
        if self._read is None:
            reader = self._reader
            self._read = (None, None) if reader is None else reader.arguments(self.name, self.arguments)
        return self._read


class CustomToolCallInputDeltaEvent(_CallEvent):
    """The call of a custom tool goes on. `input` is all of its text up to this event."""

    type: ClassVar[Literal["tool_calls.custom.input.delta"]] = "tool_calls.custom.input.delta"
    _made = ("input",)
    input_delta: str
    _whole: Growing[str]
    _length: int

    @property
    def input(self) -> str:
        """The input so far."""
        return self._whole.first(self._length)


class CustomToolCallInputDoneEvent(_CallEvent):
    """The call of a custom tool is whole."""

    type: ClassVar[Literal["tool_calls.custom.input.done"]] = "tool_calls.custom.input.done"
    input: str


class LogprobsContentDeltaEvent(_ChoiceEvent):
    """Log probabilities of more tokens of the content. `snapshot` has those of all up to this event."""

    type: ClassVar[Literal["logprobs.content.delta"]] = "logprobs.content.delta"
    _made = ("snapshot",)
    content: list[ChatCompletionTokenLogprob]
    _whole: Growing[list[ChatCompletionTokenLogprob]]
    _length: int

    @property
    def snapshot(self) -> list[ChatCompletionTokenLogprob]:
        """Those of all tokens so far."""
        return self._whole.first(self._length)


class LogprobsContentDoneEvent(_ChoiceEvent):
    """The log probabilities of the content are whole."""

    type: ClassVar[Literal["logprobs.content.done"]] = "logprobs.content.done"
    content: list[ChatCompletionTokenLogprob]


class LogprobsRefusalDeltaEvent(_ChoiceEvent):
    """Log probabilities of more tokens of the refusal. `snapshot` has those of all up to this event."""

    type: ClassVar[Literal["logprobs.refusal.delta"]] = "logprobs.refusal.delta"
    _made = ("snapshot",)
    refusal: list[ChatCompletionTokenLogprob]
    _whole: Growing[list[ChatCompletionTokenLogprob]]
    _length: int

    @property
    def snapshot(self) -> list[ChatCompletionTokenLogprob]:
        """Those of all tokens so far."""
        return self._whole.first(self._length)


class LogprobsRefusalDoneEvent(_ChoiceEvent):
    """The log probabilities of the refusal are whole."""

    type: ClassVar[Literal["logprobs.refusal.done"]] = "logprobs.refusal.done"
    refusal: list[ChatCompletionTokenLogprob]


ChatCompletionStreamEvent = (
    ChunkEvent
    | ContentDeltaEvent
    | ContentDoneEvent[T]
    | RefusalDeltaEvent
    | RefusalDoneEvent
    | ReasoningDeltaEvent
    | ReasoningDoneEvent
    | FunctionToolCallArgumentsDeltaEvent
    | FunctionToolCallArgumentsDoneEvent
    | CustomToolCallInputDeltaEvent
    | CustomToolCallInputDoneEvent
    | LogprobsContentDeltaEvent
    | LogprobsContentDoneEvent
    | LogprobsRefusalDeltaEvent
    | LogprobsRefusalDoneEvent
)


def _json_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return dump(value) if isinstance(value, WireObject) else value
