"""How many tokens a completion took. All counts are tokens."""

from __future__ import annotations

from ._wire import ABSENT, WireObject

__all__ = ["CompletionTokensDetails", "CompletionUsage", "PromptTokensDetails"]


class CompletionTokensDetails(WireObject):
    """What the tokens of the answer were spent on."""

    _home = ("usage", "completion_tokens_details")

    accepted_prediction_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    text_tokens: int | None = None


class PromptTokensDetails(WireObject):
    """What the tokens of the prompt were."""

    _home = ("usage", "prompt_tokens_details")

    audio_tokens: int | None = None
    cache_write_tokens: int | None = None
    cached_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class CompletionUsage(WireObject):
    """Tokens of the prompt, of the answer, and of both.

    `estimated` is true where a server counted without the model's tokenizer; only Duologue says so.
    """

    _home = ("usage",)

    completion_tokens: int = ABSENT
    prompt_tokens: int = ABSENT
    total_tokens: int = ABSENT
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    estimated: bool | None = None
