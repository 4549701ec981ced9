"""A structured answer as it streams: the cost of a token, with and without looking at the value so far.

Both sides get the bytes of the same events and do all that their `.stream(response_format=T)` does with them;
openai-python reads the value so far anew at each event, looked at or not. `accumulate` has it over a socket.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping

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
from .rounds import Comparison, Measures, compare_all, effort

__all__ = ["run"]

LENGTHS = (1_000, 4_000, 16_000, 32_000)  # tokens
FEW = 4_000  # of more, a peer whose cost for a token grows with their number takes part in one round
WARM = 500  # tokens that come before any clock
CHARACTERS = 4  # to a token
SHORTEST = 100  # characters of an answer: it holds an item

UNREAD, READ = "duologue", "duologue, every parsed"


class Item(BaseModel):
    """One of many."""

    number: int
    name: str


class Answer(BaseModel):
    """What is asked for."""

    items: list[Item]


def run() -> Iterator[Comparison]:
    """Each length: what is read at every event beside openai-python, and beside what is not read."""
    contestants: Mapping[str, Callable[[list[bytes]], None]] = {UNREAD: _unread, READ: _read, "openai": _peer}
    warm = answer(WARM)
    for work in contestants.values():
        work(warm)
    for tokens in LENGTHS:
        events = answer(effort.of(tokens))
        yield from compare_all(
            f"structured answer, {tokens} tokens",
            {"CPU": "µs per token"},
            {name: _timed(work, events) for name, work in contestants.items()},
            ours=READ,
            beside=("openai", UNREAD),
            rounds=5,
            rarely={"openai": 1 if tokens > FEW else 3},
            plots={"CPU": "structured answer"},
            at=tokens,
        )


def answer(tokens: int) -> list[bytes]:
    """The events of an answer."""
    size = max(tokens * CHARACTERS, SHORTEST)
    items = [{"number": at, "name": f"the item of number {at}"} for at in range(size // 40 + 1)]
    text = json.dumps({"items": items})[: size - 2]
    cut = text.rindex("}") + 1
    text = text[:cut] + "]}"
    pieces = [text[at : at + CHARACTERS] for at in range(0, len(text), CHARACTERS)]
    values = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces)]
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in [*values, chunk({}, "stop")]]


def _timed(work: Callable[[list[bytes]], None], events: list[bytes]) -> Measures:
    def measure() -> Mapping[str, float]:
        begun = time.process_time()
        work(events)
        return {"CPU": (time.process_time() - begun) / len(events) * 1e6}

    return measure


def _unread(events: list[bytes]) -> None:
    _ours(events, look=False)


def _read(events: list[bytes]) -> None:
    _ours(events, look=True)


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
