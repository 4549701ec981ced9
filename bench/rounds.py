"""Measuring two or more things in turn, and showing what came out."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .peers import Absent

__all__ = ["Comparison", "Effort", "Measure", "compare", "compare_all", "effort", "show"]

Figures = Mapping[str, float]
Measure = Callable[[], float]
Measures = Callable[[], Figures]


@dataclass
class Effort:
    """How much work is done: rounds in place of each suite's own number, and a part of its amounts."""

    rounds: int | None = None
    scale: float = 1.0

    def of(self, amount: int) -> int:
        """An amount of work, scaled; never none."""
        return max(1, round(amount * self.scale))


# Set once, by the command line.
effort = Effort()


@dataclass
class Comparison:
    """What was measured: the unit, the samples of each contestant in order, and what to compare with what.

    `budgets` are limits on the median ratio of `ours` to each of these peers; a limit of None is only reported.
    `absent` says of each contestant that took no part why it did not. `plot` is the name of a plot, the series
    of this comparison in it being its contestants, and `at` its place on the horizontal axis.
    """

    title: str
    unit: str
    samples: Mapping[str, list[float]]
    ours: str
    budgets: Mapping[str, float | None]
    floor: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)
    plot: str = ""
    at: float = 0.0

    def ratios(self, peer: str) -> list[float]:
        """Ours over the peer's, round by round: what disturbs a round disturbs both."""
        return [a / b for a, b in zip(self.samples[self.ours], self.samples[peer], strict=True) if b]

    def verdict(self, peer: str) -> str:
        """Whether the median ratio keeps the budget, and by how much it is missed."""
        limit, ratios = self.budgets[peer], self.ratios(peer)
        if limit is None or not ratios:
            return ""
        over = statistics.median(ratios) / limit - 1
        return "kept" if over <= 0 else f"MISSED by {over:.0%}"

    def judged(self) -> list[str]:
        """The peers of the budgets that took part, as did we."""
        return [peer for peer in self.budgets if {peer, self.ours} <= self.samples.keys()]


def compare(
    title: str,
    unit: str,
    measures: Mapping[str, Measure],
    *,
    ours: str,
    peer: str,
    budget: float | None,
    also: Mapping[str, float | None] | None = None,
    floor: str = "",
    rounds: int = 7,
) -> Comparison:
    """Run each measure once per round, in turn, after one round that does not count."""
    several = {name: _single(measure) for name, measure in measures.items()}
    samples, absent = _sample(title, several, rounds)
    budgets = {peer: budget, **(also or {})}
    values = {name: [found[""] for found in founds] for name, founds in samples.items()}
    return Comparison(title, unit, values, ours, budgets, floor, absent)


def compare_all(
    title: str,
    units: Mapping[str, str],
    measures: Mapping[str, Measures],
    *,
    ours: str,
    budgets: Mapping[str, Mapping[str, float | None]],
    floor: str = "",
    rounds: int = 7,
    plots: Mapping[str, str] | None = None,
    at: float = 0.0,
) -> list[Comparison]:
    """As `compare`, of measures with several figures each: one comparison for every figure in `units`."""
    samples, absent = _sample(title, measures, rounds)
    comparisons = []
    for figure, unit in units.items():
        values = {name: [found[figure] for found in founds] for name, founds in samples.items()}
        limits = budgets.get(figure, {})
        plot = (plots or {}).get(figure, "")
        comparisons.append(
            Comparison(f"{title}, {figure}", unit, values, ours, limits, floor, absent, plot, at)
        )
    return comparisons


def _single(measure: Measure) -> Measures:
    return lambda: {"": measure()}


def _sample(
    title: str, measures: Mapping[str, Measures], rounds: int
) -> tuple[dict[str, list[Figures]], dict[str, str]]:
    """The figures of each round but the first, and why some take no part."""
    rounds = effort.rounds or rounds
    samples: dict[str, list[Figures]] = {name: [] for name in measures}
    absent: dict[str, str] = {}
    for number in range(rounds + 1):
        _progress(f"{title}: round {number} of {rounds}")
        for name, measure in measures.items():
            if name in absent:
                continue
            try:
                figures = measure()
            except Absent as reason:
                absent[name] = str(reason)
                del samples[name]
                continue
            if number:
                samples[name].append(figures)
    _progress("")
    return samples, absent


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def show(comparison: Comparison) -> None:
    """Print one comparison: each contestant's median and spread, then each ratio beside its budget."""
    print(f"{comparison.title} ({comparison.unit}; median, min to max)")
    for name, values in comparison.samples.items():
        print(f"  {name:34s} {statistics.median(values):12.3f}   {min(values):.3f} to {max(values):.3f}")
    for name, reason in comparison.absent.items():
        print(f"  {name:34s} {'-':>12s}   {reason}")
    for peer in comparison.judged():
        limit, ratios = comparison.budgets[peer], comparison.ratios(peer)
        if ratios:
            spread = f"{statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})"
            judged = "" if limit is None else f", budget {limit:.3g}: {comparison.verdict(peer)}"
            print(f"  {comparison.ours} / {peer}: {spread}{judged}")
    print()
