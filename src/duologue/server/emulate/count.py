"""The usage of an answer that took several runs, or that the server cut short."""

from __future__ import annotations

from ...engine import Usage
from ...protocol.usage import estimate_prompt_tokens
from ...types.chat.request import ChatRequest
from .limit import Limit

__all__ = ["Tally"]

_SUMS = ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")


class Tally:
    """Adds up the runs of an answer of so many choices: the prompt counts once, the completions all."""

    def __init__(self, request: ChatRequest, choices: int) -> None:
        self._request = request
        self._open = choices
        self._prompt: int | None = None
        self._completion = 0
        self._estimated = False
        self._details: dict[str, int] = {}

    def add(self, usage: Usage | None, limit: Limit, reasoning: int, *, whole: bool) -> None:
        """Add a run. The engine's own `usage` holds for a `whole` one, the server's count else."""
        if usage is not None:
            self._prompt = usage.prompt_tokens
            if usage.cached_tokens is not None:
                self._details["cached_tokens"] = usage.cached_tokens
        if usage is not None and whole:
            self._completion += usage.completion_tokens
            self._estimated |= usage.estimated
            found = {name: getattr(usage, name) for name in _SUMS}
        else:
            self._completion += limit.count
            self._estimated |= limit.size > 0
            found = {"reasoning_tokens": reasoning}
        for name, tokens in found.items():
            if tokens is not None:
                self._details[name] = self._details.get(name, 0) + tokens

    def close(self) -> list[Usage]:
        """The end of a choice: that of the last one brings the usage of the whole answer."""
        self._open -= 1
        return [] if self._open else [self._total()]

    def _total(self) -> Usage:
        known = self._prompt is not None
        return Usage(
            prompt_tokens=self._prompt if self._prompt is not None else estimate_prompt_tokens(self._request),
            completion_tokens=self._completion,
            estimated=self._estimated or not known,
            **self._details,
        )
