"""One request's answer, as an iterator of turns.

A turn is a small piece of work: writing the prompt, reading a slice of it, or one token of one choice. What
a turn brought forth is a list of events. So whoever runs the turns can run those of other requests between
them, and stop after any.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...engine import Event, Head, Usage
from ...types.chat.request import ChatRequest
from .llama import Cache
from .model import Model
from .plan import Plan, plan
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
    yield [
        Usage(
            prompt_tokens=len(asked.prompt),
            completion_tokens=sum(choice.speaker.tokens for choice in choices),
            reasoning_tokens=sum(choice.speaker.reasoning_tokens for choice in choices),
        )
    ]


class _Choice:
    """One choice while it is written."""

    def __init__(self, model: Model, asked: Plan, index: int, cache: Cache) -> None:
        self.speaker = Speaker(asked, model.ends, index)
        self._llama = model.weights()
        self._pieces = model.tokenizer.pieces
        self._cache = cache
        self._last = asked.prompt[-1]
        self._top = asked.top_logprobs if asked.logprobs else None
        self._sampler = Sampler(asked.sampling, len(self._pieces), index=index)

    def turn(self) -> list[Event]:
        """Read the last token and pick the next."""
        logits = self._llama.logits(self._llama.forward((self._last,), self._cache))
        self._last = token = self._sampler.pick(logits)
        return self.speaker.push(self._token(token, logits))

    def _token(self, token: int, logits: Logits) -> Token:
        piece = self._pieces[token]
        if self._top is None:
            return Token(token, piece)
        values = logprobs(logits)
        top = [(self._pieces[other], float(values[other])) for other in likeliest(values, self._top)]
        return Token(token, piece, float(values[token]), top)
