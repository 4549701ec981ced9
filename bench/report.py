"""Keeps the results of each suite as JSON under `.bench/results`, and makes the page and its plots from them."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from . import peers
from .rounds import Comparison, effort

__all__ = ["keep", "page", "write"]

RESULTS = peers.HOME / "results"
PAGE = peers.ROOT / "docs" / "performance.md"
PLOTS = PAGE.with_suffix("")

INTRODUCTION = """# Performance

<!-- Made by `make bench ARGS="--write all"`: do not edit. -->

Absolute times say more about the machine than about the code. So every figure here is measured beside its peers'
on the same work in one run, in turn (A B A B ...), and what counts is the ratio, the median of the rounds, with
the lowest and the highest. CPU time is the user and system time of the process that is measured, its children
included. The servers and clients at the other end run in processes of their own.

`make bench` measures all of this on your machine; `make bench ARGS="client --rounds 3"` one suite of it.
"""


class Kept(msgspec.Struct):
    """The results of one suite, and what they were measured on."""

    suite: str
    date: str
    machine: str
    python: str
    rounds: int | None
    scale: float
    peers: dict[str, str]
    comparisons: list[Comparison]


def keep(suite: str, comparisons: list[Comparison]) -> None:
    """Write the results of a suite, over those of an earlier run."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    kept = Kept(suite, date, _machine(), python, effort.rounds, effort.scale, peers.versions(), comparisons)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{suite}.json").write_bytes(msgspec.json.format(msgspec.json.encode(kept)))


def write() -> None:
    """Write the page and its plots from the results that are there. Raises `SystemExit` for scaled ones."""
    from .__main__ import SUITES

    paths = [RESULTS / f"{suite}.json" for suite in SUITES]
    kept = [msgspec.json.decode(path.read_bytes(), type=Kept) for path in paths if path.exists()]
    scaled = [each.suite for each in kept if each.scale != 1]
    if scaled:
        raise SystemExit(f"These results are of a part of the work, and no page is made of them: {scaled}")
    plots = _plot([comparison for each in kept for comparison in each.comparisons])
    PAGE.write_text(page(kept, plots), "utf-8")
    print(f"Written: {PAGE.relative_to(peers.ROOT)}")


def page(kept: Sequence[Kept], plots: Iterable[Path] = ()) -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION, _budgets(kept)]
    parts += [f"![{path.stem}]({PLOTS.name}/{path.name})\n" for path in plots]
    parts += [_suite(each) for each in kept]
    return "\n".join(parts)


# --- tables --------------------------------------------------------------------------------------------------


def _budgets(kept: Sequence[Kept]) -> str:
    rows = [row for each in kept for comparison in each.comparisons for row in _budget_rows(comparison)]
    head = "| what | beside | ratio (lowest to highest) | budget | | floor |\n|---|---|---|---|---|---|\n"
    return "## Budgets\n\n" + head + "".join(rows)


def _budget_rows(comparison: Comparison) -> Iterator[str]:
    for peer in comparison.judged():
        limit, ratios = comparison.budgets[peer], comparison.ratios(peer)
        if limit is None or not ratios:
            continue
        floor = _floor(comparison, peer)
        verdict = comparison.verdict(peer)
        yield f"| {comparison.title} | {peer} | {_spread(ratios)} | {limit:.3g} | {verdict} | {floor} |\n"


def _floor(comparison: Comparison, peer: str) -> str:
    """What the floor's ratio to the same peer is: nobody can do with less."""
    if comparison.floor not in comparison.samples:
        return ""
    pairs = zip(comparison.samples[comparison.floor], comparison.samples[peer], strict=True)
    return f"{statistics.median(a / b for a, b in pairs if b):.3g}"


def _suite(kept: Kept) -> str:
    versions = "; ".join(sorted(kept.peers.values()))
    lines = [f"## {kept.suite.replace('_', ' ').capitalize()}\n"]
    lines.append(f"{kept.date}, {kept.python}, {kept.machine}. Peers: {versions}.\n")
    for comparison in kept.comparisons:
        lines.append(f"**{comparison.title}** ({comparison.unit})\n")
        lines.append(_table(comparison))
    return "\n".join(lines)


def _table(comparison: Comparison) -> str:
    rows = ["| | median | lowest to highest | ours over it |\n|---|---|---|---|\n"]
    ours = comparison.ours in comparison.samples
    for name, values in comparison.samples.items():
        ratio = _spread(comparison.ratios(name)) if ours and name != comparison.ours else ""
        rows.append(
            f"| {name} | {statistics.median(values):.4g} | {min(values):.4g} to {max(values):.4g} | {ratio} |\n"
        )
    rows += [f"| {name} | | {reason} | |\n" for name, reason in comparison.absent.items()]
    return "".join(rows)


def _spread(ratios: list[float]) -> str:
    if not ratios:
        return ""
    return f"{statistics.median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})"


def _machine() -> str:
    """The class of the machine: nothing that tells whose it is."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


# --- plots ---------------------------------------------------------------------------------------------------

# The labels of the axes, where the unit does not say it all.
ACROSS = {"memory": "open streams", "first-chunk": "streams at once"}


def _plot(comparisons: list[Comparison]) -> list[Path]:
    """One plot for each name that comparisons give, a line for each contestant."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "duologue"  # the same results make the same file
    import matplotlib.pyplot as plt

    PLOTS.mkdir(exist_ok=True)
    paths = []
    for name in dict.fromkeys(comparison.plot for comparison in comparisons if comparison.plot):
        points = [comparison for comparison in comparisons if comparison.plot == name]
        figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
        for label, line in _lines(points).items():
            axes.plot(*zip(*line, strict=True), marker="o", label=label)
        axes.set(
            xscale="log", yscale="log", xlabel=ACROSS.get(name, "chunks"), ylabel=points[0].unit, title=name
        )
        axes.legend()
        paths.append(PLOTS / f"{_slug(name)}.svg")
        figure.savefig(paths[-1], metadata={"Date": None})
        plt.close(figure)
    return paths


def _lines(points: list[Comparison]) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        for name, values in point.samples.items():
            lines.setdefault(name, []).append((point.at, statistics.median(values)))
    return lines


def _slug(name: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
