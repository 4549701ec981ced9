"""One request's answer, as an iterator of turns.

A turn is a small piece of work: writing the prompt, reading a slice of it, or a token for each choice. What
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
from .llama import Cache, Llama
from .model import Model
from .sampling import Sampler

__all__ = ["answer"]

# How many tokens of a prompt are read in one turn.
PREFILL_SLICE = 64


def answer(model: Model, request: ChatRequest, *, fingerprint: str) -> Iterator[list[Event]]:
    """The turns of the answer to a request.

    All choices share one evaluation of the prompt. Raises `BadRequestError` for messages that the model
    cannot take or that are too long for its context.
    """
    llama = model.weights()
    prompt = model.prompts.write(request.messages, most=model.config.context)
    yield [Head(system_fingerprint=fingerprint)]
    limit = model.config.context - len(prompt)
    if request.token_limit is not None:
        limit = min(limit, request.token_limit)
    cache = llama.cache(len(prompt) + limit)
    for start in range(0, len(prompt), PREFILL_SLICE):
        hidden = llama.forward(prompt[start : start + PREFILL_SLICE], cache)
        yield []
    ...
