"""An answer token by token: each is a request of its own, whose logits are shifted as the tokens before it ask.

So it is exact where llama.cpp's own ways are not: penalties count what was generated and not the prompt, the
constraint is the very one that answers with numpy have, and every token has its own log probability. A step
evaluates the one token that is new; what was before it is in llama.cpp's cache.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....engine import Event
from ..model import ChatModel
from ..plan import Plan
from ..speaker import Speaker, Token
from .binding import PREFILL_SLICE, Binding
from .body import SEEDS, base_of, logit_bias
from .crew import Job
from .wire import Entry

__all__ = ["needs_steps", "steps"]

# What lifts tokens above all others, and is small enough to leave the differences between them exact.
LIFT = 1000.0
# How many of the likeliest tokens are looked at first for one whose probability llama.cpp leaves out.
SEARCHED = 256
# The protocol's log probability of what is next to impossible.
LEAST_LOGPROB = -9999.0


def needs_steps(asked: Plan) -> bool:
    """Whether the answer must be made token by token."""
    sampling = asked.sampling
    penalties = sampling.presence_penalty or sampling.frequency_penalty
    return asked.grammar is not None or asked.logprobs or bool(penalties)


def steps(
    binding: Binding,
    model: ChatModel,
    asked: Plan,
    speakers: Sequence[Speaker],
    job: Job[Event],
) -> None:
    """Let the speakers say what llama.cpp makes of the prompt, a token of each in turn."""
    if len(speakers) > 1 or len(asked.prompt) > PREFILL_SLICE or asked.sampling.seed is not None:
        _evaluate(binding, asked, min(len(speakers), binding.settings.slots), job)
    live = [_Choice(binding, model, asked, index, speaker) for index, speaker in enumerate(speakers)]
    while live and not job.left:
        for choice in live:
            job.say(choice.step())
        live = [choice for choice in live if not choice.speaker.ended]


def _evaluate(binding: Binding, asked: Plan, slots: int, job: Job[Event]) -> None:
    """Have the prompt evaluated once, for so many slots; it can be given up on the way."""
    body = {**base_of(asked), "stream": True, "return_progress": True, "n": slots, "max_tokens": 1}
    binding.complete(body, lambda _: job.left)


class _Drawn(NamedTuple):
    """A token that was drawn, and what is known of its probability; nothing of a part of a character's."""

    token: int
    entry: Entry | None


class _Choice:
    """One choice while it is written."""

    def __init__(self, binding: Binding, model: ChatModel, asked: Plan, index: int, speaker: Speaker) -> None:
        self.speaker = speaker
        self._binding = binding
        self._base = base_of(asked)
        self._pieces = model.tokenizer.pieces
        self._constraint = None if asked.constraint is None else asked.constraint.fork()
        self._ids = list(asked.prompt)
        self._weights = asked.sampling.weights()
        self._sampling = asked.sampling
        self._brought: set[int] = set()
        self._top = asked.top_logprobs if asked.logprobs else None
        seed = asked.sampling.seed
        self._random = random.Random(None if seed is None else (seed + index) % 2**64)  # it takes -1 for 1

    def step(self) -> list[Event]:
        """Draw the next token."""
        drawn = self._draw(self._allowed())
        token = self._token(drawn)
        self._ids.append(drawn.token)
        self._remember(drawn.token)
        events = self.speaker.push(token)
        if self._constraint is not None and self._constraint.done and not self.speaker.ended:
            events += self.speaker.close("stop")
        return events

    def _allowed(self) -> NDArray[np.bool_] | None:
        """Which tokens the constraint lets through."""
        return None if self._constraint is None else self._constraint.allowed()

    def _draw(self, allowed: NDArray[np.bool_] | None) -> _Drawn:
        """A token that is allowed, drawn as if there were no others.

        Most of what a model wants to say is allowed, so it is asked freely first: where the whole distribution
        is drawn from, a token that turns out to be allowed has the chance that it would have among those alone.
        """
        if allowed is None:
            return self._ask(self._weights)
        if self._top is None and np.count_nonzero(allowed) == 1:
            return _Drawn(int(allowed.argmax()), None)
        if self._sampling.temperature == 0 or self._sampling.top_p == 1:
            drawn = self._ask(self._weights)
            if allowed[drawn.token]:
                return drawn
        return self._ask(_restricted(self._weights, allowed))

    def _ask(self, shifts: dict[int, float]) -> _Drawn:
        verbose, entries = self._complete(
            logit_bias=logit_bias(shifts),
            seed=self._random.randrange(SEEDS),
            n_probs=0 if self._top is None else max(self._top, 1),
        )
        return _Drawn(verbose[-1], entries[-1] if entries else None)

    def _complete(self, **body: Any) -> tuple[list[int], list[Entry]]:
        """One token behind the ids: its id, and its log probability where that was asked for."""
        body |= {"prompt": self._ids, "max_tokens": 1, "cache_prompt": True}
        chunk = self._binding.ask({**self._base, **body})
        logprobs = chunk.choices[0].logprobs
        return chunk.verbose.tokens, logprobs.content if logprobs else []

    def _remember(self, token: int) -> None:
        if self._constraint is not None:
            self._constraint.accept(token)
        sampling = self._sampling
        if sampling.frequency_penalty or sampling.presence_penalty:
            first = token not in self._brought
            self._brought.add(token)
            penalty = sampling.frequency_penalty + (sampling.presence_penalty if first else 0.0)
            self._weights[token] = self._weights.get(token, 0.0) - penalty

    def _token(self, drawn: _Drawn) -> Token:
        token = drawn.token
        piece = self._pieces[token]
        if self._top is None:
            return Token(token, piece)
        entry = drawn.entry or self._search(token)
        top = [(self._pieces[other.id], _finite(other.logprob)) for other in entry.top_logprobs[: self._top]]
        return Token(token, piece, _finite(entry.logprob), top)

    def _search(self, token: int) -> Entry:
        """The entry of a part of a character, left out by llama.cpp: it stands in the top of a whole one's."""
        whole = next(i for i, piece in enumerate(self._pieces) if piece.isalnum())
        for count in (SEARCHED, len(self._pieces)):
            _, (entry,) = self._complete(logit_bias=[(whole, 2 * LIFT)], n_probs=count)
            for other in entry.top_logprobs:
                if other.id == token:
                    return Entry(token, other.logprob, entry.top_logprobs)
        raise RuntimeError(f"llama.cpp knows no probability of token {token}")


def _restricted(shifts: dict[int, float], allowed: NDArray[np.bool_]) -> dict[int, float]:
    """The shifts with all but the allowed tokens out of reach, as few as may be said."""
    if 2 * int(allowed.sum()) > len(allowed):
        return {**shifts, **dict.fromkeys(np.flatnonzero(~allowed).tolist(), -math.inf)}
    return {token: shifts.get(token, 0.0) + LIFT for token in np.flatnonzero(allowed).tolist()}


def _finite(logprob: float | None) -> float:
    return LEAST_LOGPROB if logprob is None else max(logprob, LEAST_LOGPROB)
