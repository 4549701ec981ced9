"""The token limit, on all that was generated.

A piece whose engine says how many tokens it took counts as many; of any other four bytes of UTF-8 make one, so
that it does not matter how a text is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...protocol.usage import estimate_tokens, text_size
from ...types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

__all__ = ["Limit"]

BYTES_PER_TOKEN = 4


class Limit:
    """Counts what one run generates, and cuts it at `tokens`, unless that is None."""

    def __init__(self, tokens: int | None) -> None:
        self.tokens = 0  # of pieces whose engine counted them
        self.size = 0  # bytes of all others
        self._full = False
        self._most = None if tokens is None else BYTES_PER_TOKEN * tokens

    @property
    def reached(self) -> bool:
        """Whether there is no room for anything more."""
        return self._most is not None and (self._full or self._used >= self._most)

    @property
    def count(self) -> int:
        """How many tokens there were."""
        return self.tokens + estimate_tokens(self.size)

    @property
    def _used(self) -> int:
        return BYTES_PER_TOKEN * self.tokens + self.size

    def take(
        self, text: str, tokens: int | None, logprobs: Sequence[ChatCompletionTokenLogprob] | None = None
    ) -> str:
        """Count a piece; return what of it has room. Of a piece of several tokens that is its share of them."""
        room = None if self._most is None else self._most - self._used
        if tokens is None:
            size = len(text) if text.isascii() else text_size(text)
            if room is not None and size > room:
                # A character that does not fit whole leaves no room either.
                self._full = True
                text = _beginning(text, room)
                size = text_size(text)
            self.size += size
            return text
        if room is None or BYTES_PER_TOKEN * tokens <= room:
            self.tokens += tokens
            return text
        self._full = True
        allowed = room // BYTES_PER_TOKEN
        self.tokens += allowed
        if logprobs is not None and len(logprobs) == tokens:
            return text[: sum(len(entry.token) for entry in logprobs[:allowed])]
        return text[: len(text) * allowed // tokens]

    def give_back(self, text: str) -> None:
        """Take back what stood behind a stop sequence, of a piece whose tokens were not counted."""
        self.size -= text_size(text)


def _beginning(text: str, size: int) -> str:
    """The longest beginning of a text that has no more than `size` bytes."""
    used = 0
    for at, character in enumerate(text):
        used += text_size(character)
        if used > size:
            return text[:at]
    return text
