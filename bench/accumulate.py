"""Accumulating: what a chunk costs in streams of a thousand to a million.

Events of `.stream()` stand beside those of openai's `.stream()`, plain iteration beside plain iteration: openai
keeps nothing then, which is `accumulate=False`; what we do by default keeps the whole answer.

A length is compared with the shortest one by running both in the same rounds. A peer that takes too long for a
length, or would, is not asked for it.
"""

from __future__ import annotations

import statistics
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
OFTEN = 10_000  # chunks, up to which a peer has two rounds, and one beyond
UNITS = {"CPU": "µs per chunk", "memory grown": "MiB"}


class Kind(NamedTuple):
    """What is done with chunks of which shape, the worker of the peer, and what it is called."""

    title: str
    shape: str
    ours: str
    peer: str
    called: str = "openai"


KINDS = (
    Kind("accumulate", "content", "duologue_plain", "openai_plain", "openai, keeping nothing"),
    Kind("accumulate, events", "content", "duologue_events", "openai_events"),
    Kind("accumulate, structured", "items", "duologue_structured", "openai_structured"),
    Kind("accumulate=False", "content", "duologue_flat", "openai_plain"),
)


def run() -> Iterator[Comparison]:
    """Each length beside the peer and beside our own shortest."""
    for kind in KINDS:
        too_slow = ""
        for at, length in enumerate(LENGTHS):
            found = _compare(kind, length, too_slow)
            yield from found
            longer = LENGTHS[min(at + 1, len(LENGTHS) - 1)]
            too_slow = too_slow or _too_slow(kind, length, longer, found[0])


def _too_slow(kind: Kind, length: int, longer: int, found: Comparison) -> str:
    """Why the peer is not asked for the next length; nothing when it is."""
    if reason := found.absent.get(kind.called, ""):
        return f"{length:,} chunks: {reason}"
    each = statistics.median(found.samples[kind.called])
    would = each / 1e6 * longer
    return f"would take {would:.0f} s, at {each:.0f} µs for each" if would > LIMIT_S else ""


def _compare(kind: Kind, length: int, too_slow: str) -> list[Comparison]:
    frames = _frames(kind.shape)

    def measured(environment: str, client: str, length: int, least: int) -> Measures:
        job = {"client": client, "frames": frames, "count": effort.of(length), "least": effort.of(least)}
        return worker(environment, "accumulate.py", job, LIMIT_S)

    contestants = {"duologue": measured("", kind.ours, length, OURS)}
    if length > LENGTHS[0]:
        contestants[SHORTEST] = measured("", kind.ours, LENGTHS[0], OURS)
    peer = measured("openai", kind.peer, length, PEERS)
    contestants[kind.called] = _absent(too_slow) if too_slow else peer
    return compare_all(
        f"{kind.title}, {length} chunks",
        UNITS,
        contestants,
        ours="duologue",
        beside=(kind.called, SHORTEST),
        rounds=5,
        rarely={kind.called: 2 if length <= OFTEN else 1},
        plots={"CPU": kind.title},
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
