"""Whole characters: halves of a surrogate pair that come in different pieces are joined.

Half a character cannot be written in UTF-8. One that stays alone is replaced by U+FFFD.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["WholeCharacters", "whole_characters"]


Key = TypeVar("Key", bound=Hashable)


class WholeCharacters(Generic[Key]):
    """Joins the pieces of several texts, each known by a key."""

    def __init__(self) -> None:
        # The first half of a pair whose second has not come, by the key of its text.
        self.waiting: dict[Key, str] = {}

    def push(self, key: Key, text: str) -> str:
        """Take a piece; return it without a half at its end, and with the half that was before it."""
        if not text:
            return ""
        text = self.waiting.pop(key, "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self.waiting[key] = text[:-1], text[-1]
        return whole_characters(text)

    def flush(self, key: Key) -> str:
        """The end of a text: a half that stayed alone is no character, and is replaced."""
        return "\N{REPLACEMENT CHARACTER}" if self.waiting.pop(key, "") else ""


def whole_characters(text: str) -> str:
    """The text with its pairs of halves joined, and each lone half replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
