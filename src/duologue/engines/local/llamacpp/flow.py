"""A free answer: llama.cpp draws its tokens one after the other, and hands over their text.

It merges tokens that make up one character, and says how many tokens there have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....engine import Event
from ..model import ChatModel
from ..plan import Plan
from ..speaker import Speaker, Token
from .binding import Binding
from .body import base_of, logit_bias, seed_of
from .crew import Job
from .wire import Chunk, Said

__all__ = ["flow"]

# The id of a token of which only the text is known.
UNKNOWN = -1


def flow(
    binding: Binding, model: ChatModel, asked: Plan, speakers: Sequence[Speaker], job: Job[Event]
) -> None:
    """Let the speakers say what llama.cpp makes of the prompt.

    It evaluates the prompt once for all that have a slot; where they are more, others follow when those are done.
    """
    slots = binding.settings.slots
    for first in range(0, len(speakers), slots):
        group = _Group(model, speakers[first : first + slots], job)
        binding.complete(group.body(asked, first), group.take)


class _Group:
    """Choices that llama.cpp makes at once."""

    def __init__(self, model: ChatModel, speakers: Sequence[Speaker], job: Job[Event]) -> None:
        self._model = model
        self._speakers = speakers
        self._job = job

    def body(self, asked: Plan, first: int) -> dict[str, Any]:
        """The request of these choices, of which `first` is the first one's index."""
        hidden = {*asked.sampling.banned, *self._model.ends}
        special = self._model.tokenizer.special
        return {
            **base_of(asked),
            "stream": True,
            "n": len(self._speakers),
            "max_tokens": asked.limit,
            "seed": seed_of(asked.sampling, first),
            "logit_bias": logit_bias(asked.sampling.weights()),
            "timings_per_token": True,
            "return_progress": True,
            # The text of other control tokens is left out.
            "preserved_tokens": [text for text, token in special.items() if token not in hidden],
        }

    def take(self, chunk: Chunk) -> bool:
        """Let the choices of an event say what is new; returns whether that is all."""
        made = 0 if chunk.timings is None else chunk.timings.predicted_n
        for said in chunk.choices:
            speaker = self._speakers[said.index]
            if not speaker.ended:
                self._job.say(self._hear(speaker, said, made))
        return self._job.left or all(speaker.ended for speaker in self._speakers)

    def _hear(self, speaker: Speaker, said: Said, made: int) -> list[Event]:
        """What a choice says with its next tokens, of which it has `made` so many by now."""
        if not said.text and said.finish_reason is None:
            return []  # a part of a character, or the end token: what comes next tells
        events: list[Event] = []
        for _ in range(made - speaker.tokens - 1):
            events += speaker.push(Token(UNKNOWN, b""))
        if said.finish_reason == "stop":
            events += speaker.push(Token(min(self._model.ends), b""))
        elif made > speaker.tokens:
            events += speaker.push(Token(UNKNOWN, said.text.encode()))
        if said.finish_reason is not None and not speaker.ended:
            events += speaker.close("length")
        return events
