"""A whole chat completion: the answer to a request that did not stream."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .._wire import ABSENT, Open, WireObject
from ..completion_usage import CompletionUsage
from .chat_completion_message import ChatCompletionMessage
from .chat_completion_moderation import Moderation
from .chat_completion_token_logprob import ChatCompletionTokenLogprob

__all__ = ["ChatCompletion", "FinishReason", "ServiceTier"]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]


class ChoiceLogprobs(WireObject):
    """Log probabilities of the tokens of the content and of the refusal."""

    _nullable = frozenset({"content", "refusal"})

    content: list[ChatCompletionTokenLogprob] | None = None
    refusal: list[ChatCompletionTokenLogprob] | None = None


class Choice(WireObject):
    """One of the `n` answers."""

    _nullable = frozenset({"finish_reason", "logprobs"})

    finish_reason: Open[FinishReason] = ABSENT
    index: int = ABSENT
    logprobs: ChoiceLogprobs | None = None
    message: ChatCompletionMessage = msgspec.field(default_factory=ChatCompletionMessage)


class ChatCompletion(WireObject):
    """The answer to a request. `created` is in Unix seconds."""

    id: str = ABSENT
    choices: list[Choice] = []
    created: int = ABSENT
    model: str = ABSENT
    object: Open[Literal["chat.completion"]] = "chat.completion"
    metadata: dict[str, str] | None = None
    moderation: Moderation | None = None
    service_tier: Open[ServiceTier] | None = None
    system_fingerprint: str | None = None
    usage: CompletionUsage | None = None

    @property
    def text(self) -> str:
        """The content of the first choice, `""` where there is none."""
        return self.choices[0].message.text if self.choices else ""

    @property
    def response(self) -> Any:
        """What a client knows of the HTTP answer: status, headers, request id, timings, deviations.

        It is a `duologue.client.APIResponse`; None for an object that no client received.
        """
        return self._http_response
