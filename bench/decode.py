"""Server-sent events to typed chunks, in process: the cost of a chunk before any network."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import msgspec
from openai._models import construct_type
from openai._streaming import SSEDecoder
from openai.types.chat import ChatCompletionChunk as PeerChunk

from duologue.protocol.read import StreamReader
from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk

from .material import FORMS, frames, frames_of
from .rounds import Comparison, Measure, compare, effort

__all__ = ["run"]

COUNT = 2000
ROUNDS = 15  # each takes half a second


def run() -> Iterator[Comparison]:
    """Text; text in the forms of other servers; then what else streams for long."""
    bare = msgspec.json.Decoder(ChatCompletionChunk).decode
    count = effort.of(COUNT)
    yield _beside_peers("known fields", frames(count), bare)
    for form in FORMS:
        strange = form in ("unknown fields", "OpenRouter's form")
        yield _beside_peers(form, frames(count, form), msgspec.json.decode if strange else bare)
    yield _beside_peers("arguments of a tool call", frames_of("tools", count), bare)
    yield _beside_peers("thoughts", frames_of("thoughts", count), bare)
    yield _beside_peers("log probabilities", frames_of("logprobs", count), bare)


def _beside_peers(what: str, events: list[bytes], typed: Callable[[bytes], object]) -> Comparison:
    return compare(
        f"decode, {what}",
        "µs per chunk",
        {
            "duologue": _timed(_read, events),
            "duologue, accumulating": _timed(_accumulate, events),
            "openai": _timed(_peer, events),
            **_bare(events, typed),
        },
        ours="duologue",
        peer="openai",
        floor="msgspec alone",
        rounds=ROUNDS,
    )


def _bare(events: list[bytes], typed: Callable[[bytes], object]) -> dict[str, Measure]:
    """The payloads alone: msgspec to types, or to dicts where a type would refuse them; the others to dicts."""
    decoders: dict[str, Callable[[bytes], object]] = {"msgspec alone": typed, "json alone": json.loads}
    if find_spec("orjson") is not None:
        decoders["orjson alone"] = importlib.import_module("orjson").loads
    return {name: _timed(_each(decode), events) for name, decode in decoders.items()}


def _each(decode: Callable[[bytes], object]) -> Callable[[list[bytes]], None]:
    def work(events: list[bytes]) -> None:
        for event in events[:-1]:  # none keeps its objects: they would wake the garbage collector
            decode(event[6:-2])

    return work


def _timed(work: Callable[[list[bytes]], None], events: list[bytes]) -> Measure:
    def measure() -> float:
        begun = time.process_time()
        work(events)
        return (time.process_time() - begun) / len(events) * 1e6

    return measure


def _read(events: list[bytes]) -> None:
    _feed(StreamReader(accumulate=False), events)


def _accumulate(events: list[bytes]) -> None:
    _feed(StreamReader(), events)


def _feed(reader: StreamReader, events: list[bytes]) -> None:
    for event in events:
        for chunk in reader.feed(event):
            assert chunk.choices
    assert reader.outcome == "complete"


def _peer(events: list[bytes]) -> None:
    for event in SSEDecoder().iter_bytes(iter(events)):
        if event.data.startswith("[DONE]"):
            return
        construct_type(type_=PeerChunk, value=event.json())
