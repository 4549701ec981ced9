"""One request's answer, as an iterator of turns.

A turn is a small piece of work: writing the prompt, reading a slice of it, or one token of one choice. What
a turn brought forth is a list of events. So whoever runs the turns can run those of other requests between
them, and stop after any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from ...engine import Event, Head, Usage
from ...types.chat.request import ChatRequest
from .llama import Cache
from .model import Model
from .plan import Plan, plan
from .prediction import Draft
from .sampling import Logits, Sampler, likeliest, logprobs
from .speaker import Speaker, Token

__all__ = ["PREFILL_SLICE", "answer"]

# How many tokens of a prompt are read in one turn.
PREFILL_SLICE = 64


def answer(model: Model, request: ChatRequest, *, fingerprint: str) -> Iterator[list[Event]]:
    """The turns of the answer to a request. All its choices share one evaluation of the prompt.

    Raises `BadRequestError` for what the model cannot take, and for messages too long for its context.
    """
    asked = plan(model, request)
    llama = model.weights()
    yield [Head(system_fingerprint=fingerprint)]
    cache = llama.cache(len(asked.prompt) + asked.limit)
    # The last token of the prompt is left to the choices: each begins by reading a token, as it goes on.
    *shared, _ = asked.prompt
    for start in range(0, len(shared), PREFILL_SLICE):
        llama.forward(shared[start : start + PREFILL_SLICE], cache)
        yield []
    choices = [
        _Choice(model, asked, index, cache.fork() if index else cache) for index in range(asked.choices)
    ]
    live = list(choices)
    while live:
        for choice in tuple(live):
            yield choice.turn()
            if choice.speaker.ended:
                live.remove(choice)
    yield [_usage(asked, choices)]


class _Choice:
    """One choice while it is written."""

    def __init__(self, model: Model, asked: Plan, index: int, cache: Cache) -> None:
        self.speaker = Speaker(asked, model.ends, index)
        self.draft = Draft(asked.prediction or [])
        self._llama = model.weights()
        self._pieces = model.tokenizer.pieces
        self._cache = cache
        self._last = asked.prompt[-1]
        self._limit = asked.limit
        self._top = asked.top_logprobs if asked.logprobs else None
        self._sampler = Sampler(asked.sampling, len(self._pieces), index=index)

    def turn(self) -> list[Event]:
        """Read the last token and pick the next; with guesses at it, as many as turn out right and one more."""
        guesses = self.draft.propose(self._limit - self.speaker.tokens - 1)
        start = self._cache.length
        rows = self._llama.logits(self._llama.forward((self._last, *guesses), self._cache))
        picked: list[int] = []
        events: list[Event] = []
        for row, guess in zip_longest(rows, guesses):
            token = self._sampler.pick(row)
            picked.append(token)
            events += self.speaker.push(self._token(token, row))
            if self.speaker.ended or token != guess:
                break
        self.draft.follow(guesses, picked)
        self._cache.length = start + len(picked)
        self._last = picked[-1]
        return events

    def _token(self, token: int, logits: Logits) -> Token:
        piece = self._pieces[token]
        if self._top is None:
            return Token(token, piece)
        values = logprobs(logits)
        top = [(self._pieces[other], float(values[other])) for other in likeliest(values, self._top)]
        return Token(token, piece, float(values[token]), top)


def _usage(asked: Plan, choices: Sequence[_Choice]) -> Usage:
    """The exact counts. As the protocol has it, guesses that were wrong are tokens of the completion, too."""
    accepted = sum(choice.draft.accepted for choice in choices)
    rejected = sum(choice.draft.rejected for choice in choices)
    predicts = asked.prediction is not None
    return Usage(
        prompt_tokens=len(asked.prompt),
        completion_tokens=sum(choice.speaker.tokens for choice in choices) + rejected,
        reasoning_tokens=sum(choice.speaker.reasoning_tokens for choice in choices),
        accepted_prediction_tokens=accepted if predicts else None,
        rejected_prediction_tokens=rejected if predicts else None,
    )
