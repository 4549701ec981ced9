"""The visible text of one choice: what stands before a stop sequence, with the logprobs that belong to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ...engine import Text
from ...protocol.stops import StopFilter
from ...types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

__all__ = ["Visible"]


class Visible:
    """Lets text through up to the first of `stops`. A token's logprobs come with its first visible character."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._filter = StopFilter(stops) if stops else None
        self._entries: deque[tuple[int, ChatCompletionTokenLogprob]] = deque()  # and where each begins
        self._taken = 0
        self._shown = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop sequence has come."""
        return self._filter is not None and self._filter.stopped

    @property
    def behind(self) -> str:
        """What of the last piece stood behind the stop sequence."""
        return self._filter.behind if self._filter is not None else ""

    def push(self, text: str, logprobs: Sequence[ChatCompletionTokenLogprob] | None = None) -> Text | None:
        """Take a piece; return what is now certain to be visible."""
        if logprobs:
            at = self._taken
            for entry in logprobs:
                self._entries.append((at, entry))
                at += len(entry.token)
        self._taken += len(text)
        return self._show(text if self._filter is None else self._filter.push(text))

    def flush(self) -> Text | None:
        """The end of the text: what was held back is visible after all."""
        if self.stopped:
            return None
        return self._show(self._filter.flush() if self._filter is not None else "", last=True)

    def _show(self, text: str, *, last: bool = False) -> Text | None:
        self._shown += len(text)
        entries = []
        while self._entries and (last or self._entries[0][0] < self._shown):
            entries.append(self._entries.popleft()[1])
        return Text(text, 0, entries or None) if text or entries else None
