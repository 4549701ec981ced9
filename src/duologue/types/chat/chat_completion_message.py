"""The message that a model answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from .._wire import ABSENT, Open, WireObject
from .chat_completion_audio import ChatCompletionAudio
from .chat_completion_message_tool_call import ChatCompletionMessageToolCallUnion

if TYPE_CHECKING:
    from .chat_completion_message_param import ChatCompletionAssistantMessageParam

__all__ = ["Annotation", "AnnotationURLCitation", "ChatCompletionMessage"]

# The names that servers have for reasoning; `reasoning_details` is a list of theirs that they want back as it is.
_REASONING = ("reasoning_content", "reasoning", "reasoning_details")


class AnnotationURLCitation(WireObject):
    """A cited page; the indexes are characters of the message's content."""

    end_index: int = ABSENT
    start_index: int = ABSENT
    title: str = ABSENT
    url: str = ABSENT


class Annotation(WireObject):
    """A citation in the answer, as web search makes them."""

    type: Open[Literal["url_citation"]] = "url_citation"
    url_citation: AnnotationURLCitation = ABSENT


class FunctionCall(WireObject):
    """Deprecated in favour of tool calls: a function's name and its arguments as JSON text."""

    arguments: str = ABSENT
    name: str = ABSENT


class ChatCompletionMessage(WireObject):
    """A message of the assistant.

    `reasoning_content` and `reasoning` are two names that servers have for the same thing, the thoughts
    before the answer; neither is in the official schema.
    """

    _nullable = frozenset({"content", "refusal"})

    content: str | None = None
    refusal: str | None = None
    role: Open[Literal["assistant"]] = "assistant"
    annotations: list[Annotation] | None = None
    audio: ChatCompletionAudio | None = None
    function_call: FunctionCall | None = None
    tool_calls: list[ChatCompletionMessageToolCallUnion] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def text(self) -> str:
        """The content, `""` where there is none."""
        return self.content or ""

    @property
    def reasoning_text(self) -> str:
        """The reasoning under whichever name it came, `""` where there is none."""
        return self.reasoning_content or self.reasoning or ""

    def to_param(self, *, reasoning: bool = False) -> ChatCompletionAssistantMessageParam:
        """This message as part of the next request: without what only answers carry.

        With `reasoning` it goes along, under the names it came with: some servers demand it back, others
        refuse it.
        """
        param: ChatCompletionAssistantMessageParam = {"role": "assistant", "content": self.content}
        if self.refusal is not None:
            param["refusal"] = self.refusal
        if self.audio is not None and self.audio.id is not None:
            param["audio"] = {"id": self.audio.id}
        if self.tool_calls:
            param["tool_calls"] = [call.to_param() for call in self.tool_calls]
        if self.function_call is not None:
            called = self.function_call
            param["function_call"] = {"arguments": called.arguments or "", "name": called.name}
        if reasoning:
            held = self.to_dict()
            thoughts = {name: held[name] for name in _REASONING if held.get(name) is not None}
            param = cast("ChatCompletionAssistantMessageParam", {**param, **thoughts})
        return param
