"""One request's answer, as a generator of turns.

A turn is a small piece of work: writing the prompt, reading a slice of it, or one step of every choice. What a
turn brought forth is a list of events. So whoever runs the turns can run those of other requests between them,
decode all their tokens at once, and stop after any.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, zip_longest

from ...engine import Event, Head, Usage
from ...types.chat.request import ChatRequest
from .llama import Cache, Llama
from .model import Model
from .plan import Plan, plan
from .prediction import MAX_DRAFT, Draft, Prediction
from .sampling import Logits, Sampler, likeliest, logprobs
from .speaker import Speaker, Token
from .worker import Aside, Ask, Turns

__all__ = ["PREFILL_SLICE", "answer", "decode"]

# How many tokens of a prompt are read in one turn.
PREFILL_SLICE = 64

# A token to be decoded, and the sequence that it belongs to.
Row = tuple[int, Cache]


def answer(model: Model, request: ChatRequest, *, fingerprint: str) -> Turns[Event]:
    """The turns of the answer to a request. All its choices share one evaluation of the prompt.

    The plan is made aside, since grammars and long prompts take their time. A turn that asks wants a list of rows
    decoded. Raises `BadRequestError` for what the model cannot take, messages too long for its context among it.
    """
    asked: Plan = yield Aside(partial(plan, model, request))
    llama = model.weights()
    yield [Head(system_fingerprint=fingerprint)]
    cache = llama.cache(len(asked.prompt) + asked.limit)
    # The last token of the prompt is left to the choices: each begins by reading a token, as it goes on.
    *shared, _ = asked.prompt
    for start in range(0, len(shared), PREFILL_SLICE):
        llama.forward(shared[start : start + PREFILL_SLICE], cache)
        yield []
    prediction = Prediction(asked.prediction or [])
    choices = [
        _Choice(model, asked, index, cache.fork() if index else cache, Draft(prediction))
        for index in range(asked.choices)
    ]
    while live := [choice for choice in choices if not choice.speaker.ended]:
        steps = [choice.rows(MAX_DRAFT // len(live)) for choice in live]
        logits = yield Ask([row for rows in steps for row in rows])
        own = _split(logits, steps)
        yield [event for choice, rows in zip(live, own, strict=True) for event in choice.step(rows)]
    yield [_usage(asked, choices)]


def decode(llama: Llama, asked: Sequence[Sequence[Row]]) -> list[Logits]:
    """Decode at once all rows that were asked for; for each question, the logits of its rows [T, V]."""
    ids, caches = zip(*(row for rows in asked for row in rows), strict=True)
    return _split(llama.logits(llama.decode(ids, caches)), asked)


def _split(logits: Logits, asked: Sequence[Sequence[Row]]) -> list[Logits]:
    ends = accumulate(map(len, asked))
    return [logits[end - len(rows) : end] for rows, end in zip(asked, ends, strict=True)]


class _Choice:
    """One choice while it is written. It goes on in steps: `rows` to be decoded, `step` with their logits."""

    def __init__(self, model: Model, asked: Plan, index: int, cache: Cache, draft: Draft) -> None:
        self.speaker = Speaker(asked, model.ends, index)
        self.draft = draft
        self._pieces = model.tokenizer.pieces
        self._cache = cache
        self._last = asked.prompt[-1]
        self._guesses: Sequence[int] = ()
        self._predicted = False
        self._limit = asked.limit
        self._top = asked.top_logprobs if asked.logprobs else None
        constraint = None if asked.constraint is None else asked.constraint.fork()
        self._sampler = Sampler(asked.sampling, len(self._pieces), index=index, constraint=constraint)

    def rows(self, most: int) -> list[Row]:
        """The last token, and behind it not more than `most` guesses at those that follow.

        Where the prediction has none, they are what the constraint forces, so those are right.
        """
        most = min(most, self._limit - self.speaker.tokens - 1)
        guesses = self.draft.propose(most)
        self._predicted = bool(guesses)
        self._guesses = guesses or self._sampler.forced[:most]
        tokens = (self._last, *self._guesses)
        self._cache.reserve(len(tokens))  # where there is no memory for it, only this answer ends
        return [(token, self._cache) for token in tokens]

    def step(self, logits: Logits) -> list[Event]:
        """Pick the next token, and where it was guessed, the one behind it."""
        picked: list[int] = []
        events: list[Event] = []
        for row, guess in zip_longest(logits, self._guesses):
            token = self._sampler.pick(row)
            picked.append(token)
            events += self.speaker.push(self._token(token, row))
            if self._sampler.done and not self.speaker.ended:
                events += self.speaker.close("stop")
            if self.speaker.ended or token != guess:
                break
        self.draft.follow(self._guesses, picked, own=self._predicted)
        self._cache.length -= len(logits) - len(picked)
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
