"""Measuring two or more things in turn, and showing what came out."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Comparison", "compare", "show"]

Measure = Callable[[], float]


class Comparison(NamedTuple):
    """What was measured: the unit, the samples of each contestant in order, and what to compare with what.

    `budget` is a limit on the median ratio of `ours` to `peer`.
    """

    title: str
    unit: str
    samples: Mapping[str, list[float]]
    ours: str
    peer: str
    budget: float

    @property
    def ratios(self) -> list[float]:
        """Ours over the peer's, round by round: what disturbs a round disturbs both."""
        return [a / b for a, b in zip(self.samples[self.ours], self.samples[self.peer], strict=True)]

    @property
    def kept(self) -> bool:
        """Whether the median ratio keeps the budget."""
        return statistics.median(self.ratios) <= self.budget


def compare(
    title: str,
    unit: str,
    measures: Mapping[str, Measure],
    *,
    ours: str,
    peer: str,
    budget: float,
    rounds: int = 7,
) -> Comparison:
    """Run each measure once per round, in turn, after one round that does not count."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        _progress(f"{title}: round {number} of {rounds}")
        for name, measure in measures.items():
            value = measure()
            if number:
                samples[name].append(value)
    _progress("")
    return Comparison(title, unit, samples, ours, peer, budget)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def show(comparison: Comparison) -> None:
    """Print one comparison: each contestant's median and spread, then the ratio beside its budget."""
    print(f"{comparison.title} ({comparison.unit}; median, min to max)")
    for name, values in comparison.samples.items():
        print(f"  {name:34s} {statistics.median(values):10.3f}   {min(values):.3f} to {max(values):.3f}")
    ratios = comparison.ratios
    verdict = "kept" if comparison.kept else "MISSED"
    print(
        f"  {comparison.ours} / {comparison.peer}: {statistics.median(ratios):.4f} "
        f"({min(ratios):.4f} to {max(ratios):.4f}), budget {comparison.budget:g}: {verdict}\n"
    )
