"""Accumulating: what a chunk costs in streams of a thousand to a million, beside `.stream()` of openai.


A length is compared with the shortest one by running both in the same rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .client import worker
from .material import frames_of
from .rounds import Comparison, Measures, compare_all, effort

__all__ = ["run"]

LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
LEAST = 20_000
UNITS = {"CPU": "µs per chunk", "memory": "MiB grown"}


class Kind(NamedTuple):
    """What is done with chunks of which shape; the worker of the peer, and its longest stream."""

    title: str
    shape: str
    ours: str
    peer: str
    longest: int
    flatness: float | None


# A structured answer costs openai-python more with every chunk: its whole text is parsed again for each.
KINDS = (
    Kind("accumulate", "content", "duologue_plain", "openai_plain", 100_000, 1.1),
    Kind("accumulate, structured", "items", "duologue_structured", "openai_structured", 1_000, 1.1),
    Kind("accumulate=False", "content", "duologue_flat", "", 0, 1.1),
)


def run() -> Iterator[Comparison]:
    """Each length beside the peer and beside our own shortest."""
    for kind in KINDS:
        for length in LENGTHS:
            yield from _compare(kind, effort.of(length), effort.of(LENGTHS[0]))


def _compare(kind: Kind, count: int, shortest: int) -> list[Comparison]:
    frames = _frames(kind.shape)

    def measured(environment: str, client: str, count: int) -> Measures:
        job = {"client": client, "frames": frames, "count": count, "least": effort.of(LEAST)}
        return worker(environment, "accumulate.py", job)

    contestants = {"duologue": measured("", kind.ours, count)}
    budgets: dict[str, float | None] = {}
    if count > shortest:
        contestants["duologue, shortest"] = measured("", kind.ours, shortest)
        budgets["duologue, shortest"] = kind.flatness
    if kind.peer and count <= kind.longest:
        contestants["openai"] = measured("openai", kind.peer, count)
        budgets["openai"] = None
    return compare_all(
        f"{kind.title}, {count} chunks",
        UNITS,
        contestants,
        ours="duologue",
        budgets={"CPU": budgets},
        rounds=5,
        plots={"CPU": kind.title} if kind.peer else {},
        at=count,
    )


def _frames(shape: str) -> Mapping[str, str]:
    """The first chunks of a stream, one that stands for all others, and its end."""
    begin, first, word, *rest = (frame.decode() for frame in frames_of(shape, 2))
    if shape == "items":  # the end closes what the beginning has opened
        rest[0:0] = [word.replace("1,", "1]}")]
    return {"begin": begin, "first": first, "word": word, "end": "".join(rest)}
