"""The page of performance: what it says of results that are kept, and of those that are missing."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench.__main__ import SUITES, main
from bench.budgets import BUDGETS
from bench.peers import Absent
from bench.report import Kept
from bench.rounds import compare_all, shown

from bench import accumulate, client, frameworks, material, report, server, start

RESULTS = Path(__file__).parent / "results"
NOTES = """For those who write here.

## decode, unknown fields

The dict is made twice.

## server, n=4

Four choices share a send.
"""


@pytest.fixture
def kept() -> list[Kept]:
    """Two suites of three rounds; all others have not run."""
    found = report.kept(SUITES, RESULTS)
    assert [each.suite for each in found] == ["decode", "client"]
    return found


def rows(page: str) -> Mapping[tuple[str, str], list[str]]:
    """The cells of the table of budgets, by what is judged and beside whom."""
    table = page.partition("## Budgets")[2].partition("\n#")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[4:] if line]
    return {(what, beside): rest for what, beside, *rest in cells}


VERDICTS: Mapping[tuple[str, str], list[str]] = {
    ("decode, known fields", "openai"): [
        "≤ 1/40",
        "0.02 (0.01 to 0.03)",
        "0.005",
        "kept, not in every round",
    ],
    ("decode, known fields", "msgspec alone"): ["", "4 (2 to 6)", "1", "reported"],
    ("decode, unknown fields", "openai"): ["≤ 1/12", "0.1 (0.1 to 0.1)", "0.01", "**MISSED by 20%**"],
    ("client, async, 100 paced streams, CPU", "openai"): ["≤ 1/5", "0.155 (0.15 to 0.165)", "", "kept"],
    ("client, async, 100 paced streams, CPU", "openai-node"): [
        "≤ 1",
        "",
        "",
        "not measured: took longer than 300 s",
    ],
    ("client, async, 100 paced streams, first chunk", "raw socket"): [
        "≤ 2 ms more",
        "4 (3 to 5)",
        "",
        "**MISSED by 2 ms**",
    ],
    ("start, CPU", "openai"): ["≤ 1/8", "", "", "not measured"],
    ("server, plain generator", "bare ASGI app"): ["≤ 1.25", "", "", "not measured"],
}


@pytest.mark.parametrize(("what", "cells"), VERDICTS.items(), ids=" / ".join)
def test_verdicts(kept: list[Kept], what: tuple[str, str], cells: list[str]) -> None:
    """Each budget has its limit, the median with its spread, the floor and a verdict."""
    assert rows(report.page(kept, {}))[what] == cells


def test_every_budget_has_a_row(kept: list[Kept]) -> None:
    """Also of suites that have not run, and where nothing has."""
    for found in (kept, []):
        table = rows(report.page(found, {}))
        assert list(table) == [(shown(budget.title), shown(budget.peer)) for budget in BUDGETS]


def test_what_was_measured(kept: list[Kept]) -> None:
    """The machine's class and each version stand there once; each suite has its tables, the absent included."""
    page = report.page(kept, {}, {"performance/client-first-chunk.svg": "First chunks. Some are missing."})
    for line in (
        "Some processor, 2 cores, Linux x86_64, CPython 3.11.7.",
        "- duologue 1.0\n",
        "- openai==3.52.0\n",
        "- openai-node==7.55.0\n",
    ):
        assert page.count(line) == 1
    assert "2026-01-02, commit abc1234, in 1.5 minutes." in page
    assert "| openai-node |  | took longer than 300 s |  |  |" in page
    assert "| litellm | 9 | 9 to 9 | 1 | -5 (-5 to -5) |" in page, "of the round that both took part in"
    assert "![First chunks](performance/client-first-chunk.svg)\n\nFirst chunks. Some are missing." in page


def test_notes(kept: list[Kept]) -> None:
    """A note stands where its budget is missed, the others after; a budget that is missed without one says so."""
    missed, _, tried = report.page(kept, report.notes(NOTES)).partition("### Notes on others")
    missed = missed.partition("### Where a budget is missed")[2]
    assert "**decode, unknown fields**: missed by 20% beside openai. The dict is made twice." in missed
    assert f"first chunk**: missed by 2 ms beside raw socket. {report.UNKNOWN}" in missed
    assert "known fields**: kept" not in missed
    assert "**server, n=4**: Four choices share a send." in tried


def test_no_page_of_some_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a suite has no results, the page stays as it was."""
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    with pytest.raises(SystemExit, match="no results of start, first_chunk"):
        report.write(SUITES, RESULTS)
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("decode --rounds 2 --write", "leave out --rounds"),
        ("decode --scale 0.5 --write", "leave out --rounds and --scale"),
        ("decode --write", "measure start, client"),
        ("decode --rounds 0", "invalid number of rounds"),
        ("decode --scale -1", "invalid part of the work"),
    ],
    ids=lambda text: text.replace(" ", "-"),
)
def test_refused(
    asked: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What would make half a page is refused before anything is measured, as numbers are that mean nothing."""
    monkeypatch.setattr(sys, "argv", ["bench", *asked.split()])
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["duologue", "duologue, accumulating"])
def test_ours_may_not_be_absent(name: str) -> None:
    """A peer may; where ours gives no figures the suite has failed, and says why."""

    def absent() -> Mapping[str, float]:
        raise Absent("ended with 1")

    theirs = {"openai": absent, "msgspec alone": lambda: {"CPU": 1.0}}
    (found,) = compare_all("decode", {"CPU": "µs"}, theirs, ours="duologue", rounds=1)
    assert found.absent == {"openai": "ended with 1"}
    with pytest.raises(RuntimeError, match=f"{name} gives no figures: ended with 1"):
        compare_all("decode", {"CPU": "µs"}, {**theirs, name: absent}, ours="duologue", rounds=1)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_plots(kept: list[Kept], tmp_path: Path) -> None:
    """A plot names its contestants, and its axes with their units; it has no background of its own."""
    from bench import plots

    comparisons = [comparison for each in kept for comparison in each.comparisons]
    (tmp_path / "old.svg").write_text("")
    ((path, caption),) = plots.draw(comparisons, tmp_path).items()
    assert "openai-node has no point at 300 and beyond: took longer than 300 s." in caption
    assert list(tmp_path.iterdir()) == [path]
    text = path.read_text("utf-8")
    assert next(iter(plots.draw(comparisons, tmp_path))).read_text("utf-8") == text
    words = {element.text for element in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")}
    assert {"duologue", "raw socket", "time to the first chunk (ms)", "paced streams at once"} <= words
    assert "#ffffff" not in text


def test_budgets_name_what_is_measured() -> None:
    """The titles in the table of budgets are those that the suites give."""
    of_client = (
        f"client, {case.title}, {figure}"
        for case in client.CASES
        for figure in (client.PACED if case.rate else client.UNPACED)
    )
    of_accumulate = (
        f"{kind.title}, {length} chunks, {figure}"
        for kind in accumulate.KINDS
        for length in accumulate.LENGTHS
        for figure in accumulate.UNITS
    )
    titles = {
        *(f"start, {figure}" for figure in start.UNITS),
        *of_client,
        *of_accumulate,
        *(f"start to the first answer, {way}, {figure}" for way in start.WAYS for figure in start.UNITS),
        *(f"server, {name}{more}" for name in server.ASKED for more, _, _ in server.CASES),
        *(f"servers, {said}, CPU" for said in ("1 stream", "10 streams", "100 streams", "1000 streams")),
        "servers, short answers, CPU",
        *(f"decode, {form}" for form in ("known fields", *material.FORMS)),
        "first chunk",
    }
    assert {budget.title for budget in BUDGETS} <= titles
    contestants = {*client.CLIENTS, *frameworks.SERVERS, "msgspec alone", accumulate.SHORTEST}
    assert {budget.peer for budget in BUDGETS} <= contestants
