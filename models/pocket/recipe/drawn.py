"""Values that only requests for tools and texts to extract from have: sayings, machine names, padded times."""

from __future__ import annotations

from collections.abc import Callable

from .lexicon import SENTENCES
from .voice import Voice

__all__ = ["DRAWN"]


def _saying(voice: Voice) -> str:
    """Something that one tells somebody."""
    text = voice.pick(SENTENCES) if voice.chance(0.2) else voice.value("sayings")
    text = text[:1].upper() + text[1:] if voice.chance(0.4) else text
    return text if voice.chance(0.2) else text.rstrip(".")


DRAWN: dict[str, Callable[[Voice], str]] = {
    "clock24": lambda voice: (
        f"{voice.integer(0, 23):02d}:{voice.integer(0, 59):02d}:{voice.integer(0, 59):02d}"
    ),
    "iso": lambda voice: f"{voice.integer(1990, 2035)}-{voice.integer(1, 12):02d}-{voice.integer(1, 28):02d}",
    "memory": lambda voice: str(2 ** voice.integer(1, 10)),
    "number": lambda voice: str(voice.number()),
    "saying": _saying,
    "slug": lambda voice: voice.value("slug_words").lower(),
}
"""By their kind, beside those that a voice knows."""
