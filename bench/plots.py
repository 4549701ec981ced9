"""Plots of the results as SVG: no background of their own, and colours that are seen on light and on dark."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .budgets import SHORTEST
from .rounds import Comparison

__all__ = ["PLOTS", "draw"]


class Plot(NamedTuple):
    """The title of a plot, and its axes; the unit of the vertical one is the comparisons' own."""

    title: str
    across: str
    up: str


PLOTS: Mapping[str, Plot] = {
    "accumulate": Plot("Cost of a chunk by the length of its stream", "chunks in the stream", "CPU"),
    "accumulate, events": Plot(
        "Cost of a chunk of `.stream()` by the length of its stream", "chunks in the stream", "CPU"
    ),
    "accumulate, structured": Plot(
        "Cost of a chunk of a structured answer by its length", "chunks in the stream", "CPU"
    ),
    "accumulate=False": Plot(
        "Cost of a chunk where nothing is kept, by the length of its stream", "chunks in the stream", "CPU"
    ),
    "structured answer": Plot(
        "Cost of a token of a structured answer, whether each value so far is read or none",
        "tokens in the answer",
        "CPU",
    ),
    "client-memory": Plot("Clients: memory by open streams", "open streams", "memory"),
    "server-memory": Plot("Servers: memory by open streams", "open streams", "memory"),
    "client-first-chunk": Plot(
        "Clients: time to the first chunk by concurrency", "paced streams at once", "time to the first chunk"
    ),
    "server-first-chunk": Plot(
        "Servers: time to the first chunk by concurrency",
        "unpaced streams at once",
        "time to the first chunk",
    ),
}
# Each has a contrast of 3 or more on white and on black.
COLOURS = ("#2f81f7", "#d9730d", "#2da44e", "#a371f7", "#e5534b", "#0e9aa7", "#8a8f98", "#c25fb0")
MARKERS = "osD^vPX*"
INK = "#808690"
STYLE: Any = {
    "svg.hashsalt": "duologue",  # the same results make the same file
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.transparent": True,
}


def draw(comparisons: Sequence[Comparison], folder: Path, form: str = "svg") -> dict[Path, str]:
    """One plot for each name that comparisons give, with its caption; files that are old go."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"*.{form}"):
        old.unlink()
    paths = {}
    for name, plot in PLOTS.items():
        points = [comparison for comparison in comparisons if comparison.plot == name]
        if not points:
            continue
        with rc_context(STYLE):
            figure = Figure(figsize=(7.5, 4.2), layout="constrained")
            axes = figure.subplots()
            for number, (label, line) in enumerate(_lines(points).items()):
                colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
                axes.plot(*zip(*line, strict=True), marker=marker, color=colour, label=label)
            axes.set(xscale="log", yscale="log", title=plot.title)
            axes.set(xlabel=plot.across, ylabel=f"{plot.up} ({points[0].unit})")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter("")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))  # where decades are few
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
            path = folder / f"{name.replace(',', '').replace(' ', '-').replace('=', '-')}.{form}"
            figure.savefig(path, metadata={"Date": None} if form == "svg" else None)
            paths[path] = f"{plot.title}. {_ends(points)}".strip()
    return paths


def _ends(points: Iterable[Comparison]) -> str:
    """Where and why the line of a contestant ends before the others."""
    ends: dict[str, str] = {}
    for point in points:
        for name, reason in point.absent.items():
            ends.setdefault(name, f"{name} has no point at {point.at:,.0f} and beyond: {reason}.")
    return " ".join(ends.values())


def _lines(points: Iterable[Comparison]) -> dict[str, list[tuple[float, float]]]:
    """The points of each contestant; a value of nothing has no place on a logarithmic axis."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        for name, values in point.samples.items():
            line = lines.setdefault(name, [])
            if name != SHORTEST and (middle := statistics.median(values)) > 0:
                line.append((point.at, middle))
    return {name: line for name, line in lines.items() if line}
