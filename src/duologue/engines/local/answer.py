"""One request's answer, as an iterator of turns.

A turn is a small piece of work: writing the prompt, reading a slice of it, or one token of one choice. What
a turn brought forth is a list of events. So whoever runs the turns can run those of other requests between
them, and stop after any.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from ...engine import Event, Finish, Head, Text, Usage
from ...types.chat.chat_completion import FinishReason
from ...types.chat.request import ChatRequest
from .._stops import StopFilter
from .llama import Cache
from .model import Model
from .sampling import Sampler

__all__ = ["PREFILL_SLICE", "answer"]

# How many tokens of a prompt are read in one turn.
PREFILL_SLICE = 64


def answer(model: Model, request: ChatRequest, *, fingerprint: str) -> Iterator[list[Event]]:
    """The turns of the answer to a request. All its choices share one evaluation of the prompt.

    Raises `BadRequestError` for messages that the model cannot take or that are too long for its context.
    """
    llama = model.weights()
    prompt = model.prompts.write(request.messages, most=model.config.context)
    yield [Head(system_fingerprint=fingerprint)]
    room = model.config.context - len(prompt)
    limit = room if request.token_limit is None else min(room, request.token_limit)
    cache = llama.cache(len(prompt) + limit)
    # The last token of the prompt is left to the choices: each begins by reading a token, as it goes on.
    *shared, last = prompt
    for start in range(0, len(shared), PREFILL_SLICE):
        llama.forward(shared[start : start + PREFILL_SLICE], cache)
        yield []
    live = [
        _Choice(model, request, index, cache.fork() if index else cache, last, limit)
        for index in range(request.n or 1)
    ]
    completion = 0
    while live:
        for choice in tuple(live):
            yield choice.turn()
            if choice.ended:
                live.remove(choice)
                completion += choice.tokens
    yield [Usage(prompt_tokens=len(prompt), completion_tokens=completion)]


class _Choice:
    """One choice while it is written. `tokens` counts what the model has made, the end token included."""

    def __init__(
        self, model: Model, request: ChatRequest, index: int, cache: Cache, last: int, limit: int
    ) -> None:
        self.ended = False
        self.tokens = 0
        self._model = model
        self._llama = model.weights()
        self._index = index
        self._cache = cache
        self._last = last
        self._limit = limit
        self._sampler = Sampler(
            temperature=1.0 if request.temperature is None else request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
            seed=request.seed,
            index=index,
            forbidden=model.forbidden,
        )
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._visible = StopFilter(request.stops)
        self._unsaid = 0

    def turn(self) -> list[Event]:
        """Read the last token and pick the next."""
        logits = self._llama.logits(self._llama.forward((self._last,), self._cache))
        self._last = token = self._sampler.pick(logits)
        self.tokens += 1
        if token in self._model.ends:
            return self._end("stop", self._rest())
        self._unsaid += 1
        text = self._visible.push(self._characters.decode(self._model.tokenizer.pieces[token]))
        if self._visible.stopped:
            return self._end("stop", text)
        if self.tokens == self._limit:
            return self._end("length", text + self._rest())
        return self._say(text)

    def _rest(self) -> str:
        """What was held back: a character cut off in the middle, or what might have begun a stop."""
        return self._visible.push(self._characters.decode(b"", final=True)) + self._visible.flush()

    def _end(self, reason: FinishReason, text: str) -> list[Event]:
        self.ended = True
        return [*self._say(text), Finish(reason, self._index)]

    def _say(self, text: str) -> list[Event]:
        """Text as an event that counts the tokens since the last one; no event for no text."""
        if not text:
            return []
        tokens, self._unsaid = self._unsaid, 0
        return [Text(text, self._index, tokens=tokens)]
