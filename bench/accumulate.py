"""Accumulating: what a chunk costs in streams of a thousand to a million, beside `.stream()` of openai.

A length is compared with the shortest one by running both in the same rounds. A peer that takes too long for a
length is not asked for longer ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .budgets import SHORTEST
from .client import worker
from .material import frames_of
from .peers import Absent
from .rounds import Comparison, Measures, compare_all, effort

__all__ = ["KINDS", "LENGTHS", "SHORTEST", "UNITS", "run"]

LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
# Chunks that are read at least, in as many streams as it takes: the clock needs something to measure.
OURS, PEERS = 200_000, 20_000
LIMIT_S = 30  # for one run of one contestant
RARELY = {"openai": 2}
UNITS = {"CPU": "µs per chunk", "memory grown": "MiB"}


class Kind(NamedTuple):
    """What is done with chunks of which shape, and the worker of the peer."""

    title: str
    shape: str
    ours: str
    peer: str


KINDS = (
    Kind("accumulate", "content", "duologue_plain", "openai_plain"),
    Kind("accumulate, structured", "items", "duologue_structured", "openai_structured"),
    Kind("accumulate=False", "content", "duologue_flat", ""),
)


def run() -> Iterator[Comparison]:
    """Each length beside the peer and beside our own shortest."""
    for kind in KINDS:
        too_slow = ""
        for length in LENGTHS:
            found = _compare(kind, length, too_slow)
            if reason := found[0].absent.get("openai", ""):
                too_slow = too_slow or f"{length:,} chunks: {reason}"
            yield from found


def _compare(kind: Kind, length: int, too_slow: str) -> list[Comparison]:
    frames = _frames(kind.shape)

    def measured(environment: str, client: str, length: int, least: int) -> Measures:
        job = {"client": client, "frames": frames, "count": effort.of(length), "least": effort.of(least)}
        return worker(environment, "accumulate.py", job, LIMIT_S)

    contestants = {"duologue": measured("", kind.ours, length, OURS)}
    if length > LENGTHS[0]:
        contestants[SHORTEST] = measured("", kind.ours, LENGTHS[0], OURS)
    if kind.peer:
        peer = measured("openai", kind.peer, length, PEERS)
        contestants["openai"] = _absent(too_slow) if too_slow else peer
    return compare_all(
        f"{kind.title}, {length} chunks",
        UNITS,
        contestants,
        ours="duologue",
        beside=("openai", SHORTEST),
        rounds=5,
        rarely=RARELY,
        plots={"CPU": kind.title} if kind.peer else {},
        at=length,
    )


def _absent(reason: str) -> Measures:
    def measure() -> Mapping[str, float]:
        raise Absent(reason)

    return measure


def _frames(shape: str) -> Mapping[str, str]:
    """The first chunks of a stream, one that stands for all others, and its end."""
    begin, first, word, *rest = (frame.decode() for frame in frames_of(shape, 2))
    if shape == "items":  # the end closes what the beginning has opened
        rest[0:0] = [word.replace("1,", "1]}")]
    return {"begin": begin, "first": first, "word": word, "end": "".join(rest)}
