"""Keeps the results of each suite as JSON under `.bench/results`, and makes the page and its plots from them."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from . import machine, peers
from .budgets import BUDGETS, OWN, Budget, by, limits
from .rounds import Comparison, figure, shown

__all__ = ["UNKNOWN", "Kept", "keep", "kept", "missing", "notes", "page", "write"]

RESULTS = peers.HOME / "results"
PAGE = peers.ROOT / "docs" / "performance.md"
PLOTS = PAGE.with_suffix("")
NOTHING = "nothing"  # a contestant that does nothing: what is ours over it says nothing
UNKNOWN = "What takes the time has not been looked at."
NOTES = Path(__file__).resolve().parent / "notes.md"

INTRODUCTION = """# Performance

<!-- Made by `make bench ARGS="--write all"`: do not edit. -->

Absolute times say more about the machine than about the code. So every figure here is measured beside its peers'
on the same work in one run, and what counts is the ratio.

## How to read it

- Contestants take turns (A B A B ...), for several rounds. A ratio is ours over the peer's *of the same round*:
  what disturbs a round disturbs both. Shown are the median of the rounds, the lowest and the highest. Lower is
  better; 0.1 is a tenth of the peer's cost.
- A budget is kept or missed by the median. *Not in every round* says that it lies between the lowest and the
  highest ratio: another run may say otherwise.
- A row without a budget is only reported. *Limits of our own* are judged in the same way;
  nobody was promised them.
- *Floor* is the ratio, to the same peer, of the least that can be done: msgspec alone for decoding, httptools and
  msgspec on a bare socket for the clients, a bare ASGI app for the server. The floor reads into one
  memory for all connections, has no deadlines, no limits and no errors, and knows one form of an event.
- CPU is user and system time of the process that is measured; in the suites client, big and frameworks with its
  children. The other end runs in a process of its own, over loopback sockets; in the suite first chunk it is
  threads of the same process, for all contestants alike. Paced streams bring 50 chunks a second each and begin
  one after another over a second; unpaced ones come as fast as they are read.
- Peers that take very long have fewer rounds. One that takes longer than its limit is left out, and its row says
  so.

Noise: a machine with two cores runs the source of the streams on one and the client on the other, and nothing else
must run beside them. Ratios of CPU repeat within some percent; times to the first chunk and memory of few streams
do not. Differences of less than the spread mean nothing.

## How to run it

`make bench` measures everything on your machine, `make bench ARGS="client --rounds 3"` one suite of it. Peers are
installed, pinned, into environments of their own under `.bench`. Results are kept in `.bench/results`:
`make bench ARGS=report` makes this page from them, `make bench ARGS="--write all"` does both. Fewer rounds
(`--rounds`) or a part of the work (`--scale`) are only shown: neither results nor this page come of them. A suite
that fails leaves its earlier results, with the commit that they are of.
"""


class Kept(msgspec.Struct):
    """The results of one suite, and what they were measured on."""

    suite: str
    date: str
    commit: str
    seconds: float
    machine: str
    python: str
    versions: dict[str, str]
    comparisons: list[Comparison]


def keep(suite: str, comparisons: list[Comparison], seconds: float) -> None:
    """Write the results of a suite, over those of an earlier run."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    measured = (machine.machine(), machine.python(), machine.versions())
    RESULTS.mkdir(parents=True, exist_ok=True)
    whole = msgspec.json.encode(
        Kept(suite, date, machine.commit(), round(seconds, 1), *measured, comparisons)
    )
    (RESULTS / f"{suite}.json").write_bytes(msgspec.json.format(whole))


def kept(suites: Iterable[str], folder: Path = RESULTS) -> list[Kept]:
    """The results that are there, in the order of the suites, beside the budgets that hold now."""
    paths = [folder / f"{suite}.json" for suite in suites]
    found = [msgspec.json.decode(path.read_bytes(), type=Kept) for path in paths if path.exists()]
    for each in found:
        each.comparisons = [_judged(comparison) for comparison in each.comparisons]
    return found


def _judged(comparison: Comparison) -> Comparison:
    title = comparison.title
    return replace(comparison, budgets={**comparison.budgets, **limits(title)}, by=by(title))


def missing(suites: Iterable[str], folder: Path) -> list[str]:
    """The suites without results."""
    return [suite for suite in suites if not (folder / f"{suite}.json").exists()]


def write(suites: Sequence[str], folder: Path = RESULTS) -> None:
    """Write the page and its plots from the results that are there. `SystemExit` where some are not."""
    from . import plots

    if absent := missing(suites, folder):
        raise SystemExit(
            f"The page is left as it is: there are no results of {', '.join(absent)} in {folder}."
        )
    found = kept(suites, folder)
    comparisons = [comparison for each in found for comparison in each.comparisons]
    drawn = {f"{PLOTS.name}/{path.name}": caption for path, caption in plots.draw(comparisons, PLOTS).items()}
    PAGE.write_text(page(found, notes(NOTES.read_text("utf-8")), drawn), "utf-8")
    print(f"Written: {PAGE.relative_to(peers.ROOT)}")


def notes(text: str) -> dict[str, str]:
    """The sections of a page of notes, each by its heading; what stands before the first is for its readers."""
    sections = (section.partition("\n") for section in text.split("\n## ")[1:])
    return {heading.strip(): body.strip() for heading, _, body in sections}


def page(found: Sequence[Kept], notes: Mapping[str, str], plots: Mapping[str, str] | None = None) -> str:
    """The page, in Markdown, with plots by their paths and captions.

    A note stands where the budget is missed that its heading names by the title of its comparison. Notes on what
    is not missed stand at the end of the budgets.
    """
    parts = [INTRODUCTION, _measured_on(found), _budgets(found), *_missed(found, notes)]
    if plots:
        parts += [
            "## Plots\n",
            *(f"![{said.partition('.')[0]}]({plot})\n\n{said}\n" for plot, said in plots.items()),
        ]
    parts += [_suite(each) for each in found]
    return "\n".join(parts)


# --- what was measured on what -------------------------------------------------------------------------------


def _measured_on(found: Sequence[Kept]) -> str:
    machines = _different(f"{each.machine}, {each.python}" for each in found)
    dates = sorted({each.date for each in found})
    lines = ["## Measured on\n", f"{' and '.join(machines) or 'Nothing yet'}.", f"{' to '.join(dates)}.\n"]
    versions = _different(line for each in found for line in each.versions.values())
    return "\n".join([*lines, *(f"- {line}" for line in versions), ""])


def _different(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))


# --- budgets -------------------------------------------------------------------------------------------------


def _budgets(found: Sequence[Kept]) -> str:
    tables = []
    for heading, budgets in (("## Budgets", BUDGETS), ("### Limits of our own", OWN)):
        head = _row("what", "beside", "budget", "measured (lowest to highest)", "floor", "verdict")
        head += "|---|---|---|---|---|---|\n"
        rows = "".join(_budget(budget, _comparison(budget, found)) for budget in budgets)
        tables.append(f"{heading}\n\n{head}{rows}")
    return "\n".join(tables)


def _comparison(budget: Budget, found: Sequence[Kept]) -> Comparison | None:
    matching = (each for kept in found for each in kept.comparisons if each.title == budget.title)
    return next(matching, None)


def _budget(budget: Budget, comparison: Comparison | None) -> str:
    cells = [shown(budget.title), shown(budget.peer), _limit(budget), "", "", "not measured"]
    if comparison is not None and (values := comparison.beside(comparison.ours, budget.peer)):
        floor = comparison.beside(comparison.floor, budget.peer)
        cells[3] = _spread(values)
        cells[4] = figure(statistics.median(floor)) if floor else ""
        cells[5] = _bold(comparison.verdict(budget.peer))
    elif comparison is not None and budget.peer in comparison.absent:
        cells[5] = f"not measured: {comparison.absent[budget.peer]}"
    return _row(*cells)


def _limit(budget: Budget) -> str:
    if budget.limit is None:
        return ""
    if budget.by == "difference":
        return f"≤ {budget.limit:g} {budget.unit} more"
    return f"≤ 1/{1 / budget.limit:.0f}" if budget.limit < 1 else f"≤ {budget.limit:g}"


def _bold(verdict: str) -> str:
    return f"**{verdict}**" if verdict.startswith("MISSED") else verdict


def _missed(found: Sequence[Kept], notes: Mapping[str, str]) -> Iterator[str]:
    """What is known of each budget that is missed, and of what was done for the others."""
    missed: dict[str, list[str]] = {}
    for budget in (*BUDGETS, *OWN):
        comparison = _comparison(budget, found)
        if comparison is not None and (verdict := comparison.verdict(budget.peer)).startswith("MISSED"):
            missed.setdefault(budget.title, []).append(f"{verdict.lower()} beside {shown(budget.peer)}")
    if missed:
        yield "### Where a budget is missed\n"
    for title, verdicts in missed.items():
        yield f"**{shown(title)}**: {'; '.join(verdicts)}. {notes.get(title, UNKNOWN)}\n"
    others = {title: text for title, text in notes.items() if title not in missed}
    if others:
        yield "### Notes on others\n"
    for title, text in others.items():
        yield f"**{shown(title)}**: {text}\n"


# --- suites --------------------------------------------------------------------------------------------------


def _suite(each: Kept) -> str:
    heading = f"## Suite: {each.suite.replace('_', ' ')}\n"
    commit = f", commit {each.commit}" if each.commit else ""
    lines = [heading, f"{each.date}{commit}, in {each.seconds / 60:.1f} minutes.\n"]
    for comparison in each.comparisons:
        lines.append(f"**{shown(comparison.title)}** ({comparison.unit})\n")
        lines.append(_table(comparison))
    return "\n".join(lines)


def _table(comparison: Comparison) -> str:
    beside = "ours less it" if comparison.by == "difference" else "ours over it"
    rows = [_row("", "median", "lowest to highest", "rounds", beside), "|---|---|---|---|---|\n"]
    for name, values in comparison.samples.items():
        alone = name in (comparison.ours, NOTHING)
        ours = "" if alone else _spread(comparison.beside(comparison.ours, name))
        extremes = f"{figure(min(values), 4)} to {figure(max(values), 4)}"
        rows.append(_row(shown(name), figure(statistics.median(values), 4), extremes, str(len(values)), ours))
    rows += [_row(shown(name), "", reason, "", "") for name, reason in comparison.absent.items()]
    return "".join(rows)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def _spread(values: Sequence[float]) -> str:
    """The median, the lowest and the highest."""
    if not values:
        return ""
    return f"{figure(statistics.median(values))} ({figure(min(values))} to {figure(max(values))})"
