"""Measuring two or more things in turn, and showing what came out."""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import budgets as table
from .peers import Absent

__all__ = [
    "OURS",
    "Comparison",
    "Effort",
    "Measure",
    "Measures",
    "compare",
    "compare_all",
    "effort",
    "figure",
    "show",
    "shown",
]

OURS = "duologue"  # how the names of our own contestants begin

Figures = Mapping[str, float]
Measure = Callable[[], float]
Measures = Callable[[], Figures]


@dataclass
class Effort:
    """How much work is done: rounds in place of each suite's own number, and a part of its amounts."""

    rounds: int | None = None
    scale: float = 1.0

    @property
    def whole(self) -> bool:
        """Whether that is all of the work."""
        return self.rounds is None and self.scale == 1

    def of(self, amount: int) -> int:
        """An amount of work, scaled; never none."""
        return max(1, round(amount * self.scale))


# Set once, by the command line.
effort = Effort()


@dataclass
class Comparison:
    """What was measured: the unit, the samples of each contestant in order, and what to compare with what.

    `budgets` are limits on the median of `ours` beside each of these peers, `by` ratio or difference; a limit of
    None is only reported. A slow contestant may have samples of the first rounds only. `absent` says of each
    contestant that took no part why it did not. `plot` is the name of a plot, the series of this comparison in it
    being its contestants, and `at` its place on the horizontal axis.
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
    by: table.By = "ratio"

    def beside(self, name: str, peer: str) -> list[float]:
        """One over the other (or less it), round by round: what disturbs a round disturbs both."""
        pairs = zip(self.samples.get(name, ()), self.samples.get(peer, ()), strict=False)
        if self.by == "difference":
            return [a - b for a, b in pairs]
        return [a / b for a, b in pairs if b]

    def verdict(self, peer: str) -> str:
        """Whether the median keeps the budget, by how much it is missed, and whether each round says the same."""
        limit, found = self.budgets[peer], self.beside(self.ours, peer)
        if not found:
            return "not measured"
        if limit is None:
            return "reported"
        over = statistics.median(found) - limit
        part = over / limit
        percent = f"{part:.0%}" if part >= 0.01 else f"{max(part, 0.001):.1%}"
        by = f"{figure(over)} {self.unit}" if self.by == "difference" else percent
        said = "kept" if over <= 0 else f"MISSED by {by}"
        alike = all((value <= limit) == (over <= 0) for value in found)
        return said if alike else f"{said}, not in every round"


def compare(
    title: str,
    unit: str,
    measures: Mapping[str, Measure],
    *,
    ours: str,
    peer: str,
    floor: str = "",
    rounds: int = 7,
) -> Comparison:
    """Run each measure once per round, in turn, after one round that does not count.

    It is judged by the budgets of its title, and beside `peer`. Raises `RuntimeError` where one of ours gives no
    figures.
    """
    several = {name: _single(measure) for name, measure in measures.items()}
    samples, absent = _sample(title, several, rounds, warm_up=1, rarely={})
    beside = {peer: None, **table.limits(title)}
    values = {name: [found[""] for found in founds] for name, founds in samples.items()}
    return Comparison(title, unit, values, ours, beside, floor, absent, by=table.by(title))


def compare_all(
    title: str,
    units: Mapping[str, str],
    measures: Mapping[str, Measures],
    *,
    ours: str,
    beside: tuple[str, ...] = (),
    floor: str = "",
    rounds: int = 7,
    warm_up: int = 0,
    rarely: Mapping[str, int] | None = None,
    plots: Mapping[str, str] | None = None,
    at: float = 0.0,
) -> list[Comparison]:
    """As `compare`, of measures with several figures each: one comparison for every figure in `units`.

    `beside` are peers that every figure is compared with, more than the budgets name. Those in `rarely` take part
    in that many rounds only. A measure that is a process of its own warms up by itself, and needs no round for it.
    """
    samples, absent = _sample(title, measures, rounds, warm_up, rarely or {})
    comparisons = []
    for figure, unit in units.items():
        name = f"{title}, {figure}"
        values = {name: [found[figure] for found in founds] for name, founds in samples.items()}
        limits = {**dict.fromkeys(beside), **table.limits(name)}
        plot = (plots or {}).get(figure, "")
        comparisons.append(
            Comparison(name, unit, values, ours, limits, floor, absent, plot, at, table.by(name))
        )
    return comparisons


def _single(measure: Measure) -> Measures:
    return lambda: {"": measure()}


def _sample(
    title: str, measures: Mapping[str, Measures], rounds: int, warm_up: int, rarely: Mapping[str, int]
) -> tuple[dict[str, list[Figures]], dict[str, str]]:
    """The figures of each round that counts, and why some take no part."""
    rounds = effort.rounds or rounds
    samples: dict[str, list[Figures]] = {name: [] for name in measures}
    absent: dict[str, str] = {}
    for number in range(-warm_up, rounds):
        _progress(f"{title}: round {number + 1} of {rounds}")
        for name, measure in measures.items():
            if name in absent or number >= rarely.get(name, rounds):
                continue
            try:
                figures = measure()
            except Absent as reason:
                if name.startswith(OURS):
                    raise RuntimeError(f"{title}: {name} gives no figures: {reason}") from None
                absent[name] = str(reason)
                del samples[name]
                continue
            if number >= 0:
                samples[name].append(figures)
    _progress("")
    return samples, absent


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def show(comparison: Comparison) -> None:
    """Print one comparison: each contestant's median and spread, then ours beside the peers of its budgets."""
    print(f"{shown(comparison.title)} ({comparison.unit}; median, min to max)")
    for name, values in comparison.samples.items():
        print(
            f"  {shown(name):34s} {statistics.median(values):12.3f}   {min(values):.3f} to {max(values):.3f}"
        )
    for name, reason in comparison.absent.items():
        print(f"  {shown(name):34s} {'-':>12s}   {reason}")
    sign = "-" if comparison.by == "difference" else "/"
    for peer, limit in comparison.budgets.items():
        if found := comparison.beside(comparison.ours, peer):
            spread = f"{statistics.median(found):.4f} ({min(found):.4f} to {max(found):.4f})"
            judged = "" if limit is None else f", budget {limit:.3g}: {comparison.verdict(peer)}"
            print(f"  {comparison.ours} {sign} {shown(peer)}: {spread}{judged}")
    print(flush=True)


def shown(name: str) -> str:
    """A title, or the name of a contestant, as people read it: 1,000 for 1000."""
    return re.sub(r"(?<![\d.])\d{4,}", lambda number: f"{int(number[0]):,}", name)


def figure(value: float, digits: int = 3) -> str:
    """A number with that many digits that count, and never an exponent for a large one."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
