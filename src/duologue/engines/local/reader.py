"""The text that one choice generates, taken apart: content, reasoning, and tool calls with their arguments."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Part", "Reader"]

Kind = Literal["content", "reasoning", "call", "arguments"]


class Part(NamedTuple):
    """A piece of what a choice says. For a `call`, `text` is the tool's name.

    `at` is where `text` begins in the raw text of the choice, in characters; `index` is the call's number.
    """

    kind: Kind
    text: str
    at: int
    index: int = 0
    custom: bool = False


class Reader:
    """Reads one choice as its text comes. `called` says whether a whole call has been read."""

    def __init__(self) -> None:
        self.called = False
        self._at = 0

    def push(self, text: str) -> list[Part]:
        """Take a piece of text; return the parts that are certain by now."""
        if not text:
            return []
        self._at += len(text)
        return [Part("content", text, self._at - len(text))]

    def flush(self) -> list[Part]:
        """The end of the text: what was held back."""
        return []
