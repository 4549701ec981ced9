"""A structured answer as it streams: the cost of a token, with and without looking at the value so far."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from openai._models import construct_type
from openai._streaming import SSEDecoder
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk as PeerChunk
from pydantic import BaseModel

from duologue.protocol.events import EventMaker
from duologue.protocol.parsing import Parser
from duologue.protocol.read import StreamReader
from duologue.protocol.schema.form import typed_format

from .material import chunk
from .rounds import Comparison, Measure, compare

__all__ = ["run"]

LONG = 32_000  # tokens
SHORT = 1_000  # a peer whose cost for each token grows with the text is measured on few
CHARACTERS = 4  # to a token


class Item(BaseModel):
    """One of many."""

    number: int
    name: str


class Answer(BaseModel):
    """What is asked for."""

    items: list[Item]


def run() -> list[Comparison]:
    """A short answer beside openai-python, and a long one by itself: what is read against what is not."""
    short, long = answer(SHORT), answer(LONG)
    return [
        compare(
            f"structured answer of {SHORT} tokens, events",
            "µs per token",
            {
                "duologue": _timed(short, look=False),
                "duologue, every parsed": _timed(short, look=True),
                "openai": lambda: _per_token(_peer, short),
            },
            ours="duologue, every parsed",
            peer="openai",
            budget=None,
            rounds=3,
        ),
        compare(
            f"structured answer of {LONG} tokens, events",
            "µs per token",
            {"duologue": _timed(long, look=False), "duologue, every parsed": _timed(long, look=True)},
            ours="duologue, every parsed",
            peer="duologue",
            budget=None,
            rounds=3,
        ),
    ]


def answer(tokens: int) -> list[bytes]:
    """The events of an answer."""
    size = tokens * CHARACTERS
    items = [{"number": at, "name": f"the item of number {at}"} for at in range(size // 40)]
    text = json.dumps({"items": items})[: size - 2]
    cut = text.rindex("}") + 1
    text = text[:cut] + "]}"
    pieces = [text[at : at + CHARACTERS] for at in range(0, len(text), CHARACTERS)]
    values = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces)]
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in [*values, chunk({}, "stop")]]


def _timed(events: list[bytes], *, look: bool) -> Measure:
    return lambda: _per_token(lambda given: _ours(given, look=look), events)


def _per_token(work: Callable[[list[bytes]], object], events: list[bytes]) -> float:
    begun = time.process_time()
    work(events)
    return (time.process_time() - begun) / len(events) * 1e6


def _ours(events: list[bytes], *, look: bool) -> None:
    form = typed_format(Answer)
    reader, maker = StreamReader(), EventMaker(Parser(form, {}))
    for event in events:
        for piece in reader.feed(event):
            for told in maker.take(piece):
                if look and told.type == "content.delta":
                    _ = told.parsed
                elif told.type == "content.done":
                    assert isinstance(told.parsed, Answer)


def _peer(events: list[bytes]) -> None:
    state = ChatCompletionStreamState(response_format=Answer)
    for event in SSEDecoder().iter_bytes(iter(events)):
        state.handle_chunk(construct_type(type_=PeerChunk, value=event.json()))
    assert isinstance(state.get_final_completion().choices[0].message.parsed, Answer)
