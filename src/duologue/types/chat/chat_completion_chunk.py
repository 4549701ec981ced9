"""A streamed part of a chat completion."""

from __future__ import annotations

from typing import Literal

import msgspec

from .._wire import ABSENT, Open, WireObject
from ..completion_usage import CompletionUsage
from .chat_completion import FinishReason, ServiceTier
from .chat_completion_moderation import Moderation
from .chat_completion_token_logprob import ChatCompletionTokenLogprob

__all__ = [
    "ChatCompletionChunk",
    "ChoiceDelta",
    "ChoiceDeltaAudio",
    "ChoiceDeltaFunctionCall",
    "ChoiceDeltaToolCall",
    "ChoiceDeltaToolCallCustom",
    "ChoiceDeltaToolCallFunction",
]

_DELTA = ("choices", 0, "delta")
_TOOL_CALL = (*_DELTA, "tool_calls", 0)


class ChoiceDeltaAudio(WireObject):
    """A part of a spoken answer: base64 `data` and `transcript` go on, `expires_at` (Unix s) ends it."""

    _home = (*_DELTA, "audio")

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class ChoiceDeltaFunctionCall(WireObject):
    """Deprecated in favour of tool calls: a part of a function call."""

    _home = (*_DELTA, "function_call")

    arguments: str | None = None
    name: str | None = None


class ChoiceDeltaToolCallFunction(WireObject):
    """A part of the function that a tool call names."""

    _home = (*_TOOL_CALL, "function")

    arguments: str | None = None
    name: str | None = None


class ChoiceDeltaToolCallCustom(WireObject):
    """A part of the custom tool that a call names; real on the wire, absent from the official schema."""

    _home = (*_TOOL_CALL, "custom")

    input: str | None = None
    name: str | None = None


class ChoiceDeltaToolCall(WireObject):
    """A part of a tool call; parts of the same call share an `index`, the first carries id and name."""

    _home = _TOOL_CALL

    index: int = ABSENT
    id: str | None = None
    function: ChoiceDeltaToolCallFunction | None = None
    type: Open[Literal["function", "custom"]] | None = None
    custom: ChoiceDeltaToolCallCustom | None = None


class ChoiceDelta(WireObject):
    """What a chunk adds to the message of its choice.

    `reasoning_content` and `reasoning` are two names that servers have for the same thing, the thoughts
    before the answer; neither is in the official schema.
    """

    _home = _DELTA

    content: str | None = None
    role: Open[Literal["developer", "system", "user", "assistant", "tool"]] | None = None
    tool_calls: list[ChoiceDeltaToolCall] | None = None
    refusal: str | None = None
    function_call: ChoiceDeltaFunctionCall | None = None
    audio: ChoiceDeltaAudio | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def reasoning_text(self) -> str:
        """The reasoning in this chunk under whichever name it came, `""` where there is none."""
        return self.reasoning_content or self.reasoning or ""


class ChoiceLogprobs(WireObject):
    """Log probabilities of the tokens in this chunk."""

    _home = ("choices", 0, "logprobs")
    _nullable = frozenset({"content", "refusal"})

    content: list[ChatCompletionTokenLogprob] | None = None
    refusal: list[ChatCompletionTokenLogprob] | None = None


class Choice(WireObject):
    """The part of one choice in this chunk."""

    _home = ("choices", 0)
    _nullable = frozenset({"finish_reason"})

    delta: ChoiceDelta = msgspec.field(default_factory=ChoiceDelta)
    finish_reason: Open[FinishReason] | None = None
    index: int = ABSENT
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(WireObject):
    """One event of a stream. `choices` is empty in the chunk that carries `usage`."""

    id: str = ABSENT
    choices: list[Choice] = []
    created: int = ABSENT
    model: str = ABSENT
    object: Open[Literal["chat.completion.chunk"]] = "chat.completion.chunk"
    moderation: Moderation | None = None
    obfuscation: str | None = None
    service_tier: Open[ServiceTier] | None = None
    system_fingerprint: str | None = None
    usage: CompletionUsage | None = None

    @property
    def text(self) -> str:
        """The content that this chunk adds to the first choice, `""` where it adds none."""
        for choice in self.choices:
            if not choice.index:
                return choice.delta.content or ""
        return ""
