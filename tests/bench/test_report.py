"""The page of performance: what it says of results that are kept, and of those that are missing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench.__main__ import SUITES
from bench.budgets import BUDGETS
from bench.report import Kept

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
        assert list(table) == [(budget.title, budget.peer) for budget in BUDGETS]


def test_what_was_measured(kept: list[Kept]) -> None:
    """The machine's class and each version stand there once; each suite has its tables, the absent included."""
    page = report.page(kept, {}, ["performance/client-first-chunk.svg"])
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
    assert "![client first chunk](performance/client-first-chunk.svg)" in page


def test_notes(kept: list[Kept]) -> None:
    """A note stands where its budget is missed, the others after; a budget that is missed without one says so."""
    missed, _, tried = report.page(kept, report.notes(NOTES)).partition("### Notes on others")
    missed = missed.partition("### Where a budget is missed")[2]
    assert "**decode, unknown fields**: missed by 20%. The dict is made twice." in missed
    assert f"first chunk**: missed by 2 ms. {report.UNKNOWN}" in missed
    assert "known fields**: kept" not in missed
    assert "**server, n=4**: Four choices share a send." in tried


def test_parts_of_the_work_make_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of a tried scale, or none, are refused before anything is written."""
    scaled = json.loads((RESULTS / "decode.json").read_text("utf-8")) | {"scale": 0.02}
    (tmp_path / "decode.json").write_text(json.dumps(scaled), "utf-8")
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    with pytest.raises(SystemExit, match="no results"):
        report.write(SUITES, tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="decode"):
        report.write(SUITES, tmp_path)
    assert not (tmp_path / "page.md").exists()


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_plots(kept: list[Kept], tmp_path: Path) -> None:
    """A plot names its contestants, and its axes with their units; it has no background of its own."""
    from bench import plots

    comparisons = [comparison for each in kept for comparison in each.comparisons]
    (tmp_path / "old.svg").write_text("")
    (path,) = plots.draw(comparisons, tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    text = path.read_text("utf-8")
    assert plots.draw(comparisons, tmp_path)[0].read_text("utf-8") == text
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
        *(f"server, {name}" for name in server.ASKED),
        *(f"decode, {form}" for form in ("known fields", *material.FORMS)),
        "first chunk",
    }
    assert {budget.title for budget in BUDGETS} <= titles
    contestants = {*client.CLIENTS, *frameworks.SERVERS, "msgspec alone", accumulate.SHORTEST}
    assert {budget.peer for budget in BUDGETS} <= contestants
