"""Rows: what has by its nature no effect on an answer, and what these models cannot do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .chat import Chat, Row

__all__ = ["ROWS"]

INERT: dict[str, Any] = {
    "metadata": {"team": "docs"},
    "prompt_cache_key": "key",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "someone",
    "service_tier": "default",
    "user": "someone",
}
REFUSED: dict[str, dict[str, Any]] = {
    "audio": {"audio": {"format": "wav", "voice": "alloy"}},
    "modalities": {"modalities": ["text", "audio"]},
    "moderation": {"moderation": {"model": "any"}},
    "store": {"store": True},
    "web_search_options": {"web_search_options": {}},
}


def inert(name: str) -> Callable[[Chat], str]:
    def observe(chat: Chat) -> str:
        assert chat.text(**{name: INERT[name]}) == chat.text()
        return "accepted; the answer stays the same"

    return observe


def refused(name: str) -> Callable[[Chat], str]:
    def observe(chat: Chat) -> str:
        error = chat.refusal(**REFUSED[name])
        assert (error.status_code, error.param) == (400, name)
        return "a 400 that names it"

    return observe


ROWS = (
    *(Row(name, "any", inert(name)) for name in INERT),
    *(Row(name, "any", refused(name)) for name in REFUSED),
)
