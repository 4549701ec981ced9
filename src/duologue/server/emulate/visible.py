"""The visible text of one choice: what stands before a stop sequence, with the logprobs that belong to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from ...protocol.stops import StopFilter
from ...types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

__all__ = ["Shown", "Visible"]

Logprobs: TypeAlias = Sequence[ChatCompletionTokenLogprob]
# A text, and the tokens that begin in it.
Shown: TypeAlias = tuple[str, list[ChatCompletionTokenLogprob] | None]


class Visible:
    """Lets text through up to the first of `stops`. A token's logprobs come with its first visible character.

    `stopped` says whether a stop sequence has come, `behind` what of the last piece stood behind it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stopped = False
        self.behind = ""
        self._filter = StopFilter(stops) if stops else None
        self._entries: deque[tuple[int, ChatCompletionTokenLogprob]] = deque()  # and where each begins
        self._taken = 0
        self._shown = 0

    def push(self, text: str, logprobs: Logprobs | None = None) -> Shown:
        """Take a piece; return what is now certain to be visible, with its logprobs."""
        if logprobs:
            at = self._taken
            for entry in logprobs:
                self._entries.append((at, entry))
                at += len(entry.token)
        self._taken += len(text)
        if self._filter is not None:
            text = self._filter.push(text)
            if self._filter.stopped:
                self.stopped, self.behind = True, self._filter.behind
        return self._show(text)

    def flush(self) -> Shown:
        """The end of the text: what was held back is visible after all."""
        if self.stopped:
            return "", None
        return self._show(self._filter.flush() if self._filter is not None else "", last=True)

    def _show(self, text: str, *, last: bool = False) -> Shown:
        self._shown += len(text)
        if not self._entries:
            return text, None
        entries = []
        while self._entries and (last or self._entries[0][0] < self._shown):
            entries.append(self._entries.popleft()[1])
        return text, entries or None
