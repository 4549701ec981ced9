"""The usage of an answer, and what it may be where nobody counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..types.chat.request import ChatRequest

__all__ = ["estimate_prompt_tokens", "estimate_tokens", "text_size", "usage_fields"]


def estimate_tokens(size: int) -> int:
    """How many tokens a text of `size` UTF-8 bytes may have: about four bytes make one."""
    return -(-size // 4)


def estimate_prompt_tokens(request: ChatRequest) -> int:
    """How many tokens the messages of a request may have."""
    return estimate_tokens(sum(text_size(message.text) for message in request.messages))


def text_size(text: str) -> int:
    """The UTF-8 bytes of a text; half a surrogate pair counts as one."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def usage_fields(
    prompt: int,
    answer: int,
    prompt_details: Mapping[str, int | None],
    answer_details: Mapping[str, int | None],
) -> dict[str, Any]:
    """The usage of an answer on the wire; of the details those that are known."""
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }
    for name, details in (
        ("prompt_tokens_details", prompt_details),
        ("completion_tokens_details", answer_details),
    ):
        known = {key: value for key, value in details.items() if value is not None}
        if known:
            usage[name] = known
    return usage
