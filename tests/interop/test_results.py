"""The page with the results of `make interop`: it is read from reports, and that of the pinned versions."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = ("client", "tests", "Python 3")

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="outer">
  <testcase name="a[loose]"/>
  <testcase name="b[loose]"><failure message="no">trace</failure></testcase>
  <testcase name="c[loose]"><skipped message="why"/></testcase>
  <testcase name="d[strict]"/>
  <testsuite name="inner"><testcase name="e[strict]"><error/></testcase><testcase name="f"/></testsuite>
</testsuite></testsuites>
"""


@pytest.fixture
def interop(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("interop")


@pytest.mark.parametrize(
    ("ending", "counts"), [("[loose]", (1, 1, 1)), ("[strict]", (1, 1, 0)), ("", (3, 2, 1))]
)
def test_a_report_is_counted(interop, tmp_path, ending, counts):
    """Passed, failed and skipped, of the tests whose names end so."""
    (tmp_path / "report.xml").write_text(REPORT, "utf-8")
    result = interop.read_report(tmp_path / "report.xml", *ROW, ending)
    assert (result.passed, result.failed, result.skipped) == counts


def test_no_report_is_a_failure(interop, tmp_path):
    """Tests that could not even start leave none."""
    assert interop.read_report(tmp_path / "none.xml", *ROW).failed == 1


def test_the_table(interop):
    """Counts, or why there are none."""
    results = [interop.Result(*ROW, 5, 0, 1), interop.Result(*ROW, note="no Node.js")]
    assert interop.table(results).removeprefix(interop.HEAD).splitlines() == [
        "| client | tests | Python 3 | 5 | 0 | 1 |",
        "| client | tests | Python 3 | no Node.js | | |",
    ]


def test_the_page_is_of_the_pinned_versions_and_nothing_failed(interop):
    """Whoever changes a version runs `make interop`."""
    head, _, table = interop.PAGE.read_text("utf-8").partition(interop.HEAD)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert head
    assert {row[0] for row in rows if not row[0].startswith("schemathesis ")} == {
        f"openai-python {interop.OPENAI_PYTHON}",
        f"openai-node {interop.OPENAI_NODE}",
    }
    counted = [row for row in rows if row[3].isdecimal()]  # the others say why they did not run
    assert len([row for row in counted if row[0].startswith("openai-python")]) == 4
    for row in counted:
        assert int(row[3]) > 0, row
        assert row[4:] == ["0", "0"], row
