"""Mutated bodies through the client's state machine: a slice of what `python -m tests.fuzz` runs.

Slice `DUOLOGUE_FUZZ_SLICE` has `DUOLOGUE_FUZZ_COUNT` bodies, those after the ones of the slice before. Continuous
integration takes the number of commits for it: each run looks at new bodies, and 42 runs at a million.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from duologue.protocol.accumulate import CompletionBuilder
from duologue.protocol.read import StreamReader

from .bodies import CORPUS, case
from .check import Broken, check
from .run import run

COUNT = int(os.environ.get("DUOLOGUE_FUZZ_COUNT", "24000"))
FIRST = COUNT * int(os.environ.get("DUOLOGUE_FUZZ_SLICE", "0"))
SEED = 0
PARTS = 4


@pytest.mark.timeout(max(120, COUNT // 100))
@pytest.mark.parametrize("part", range(PARTS))
def test_every_body_is_read_to_one_known_outcome(part: int) -> None:
    """Nothing is raised but this package's errors, pieces make no difference, and memory is bounded."""
    report = run(SEED, range(FIRST + part, FIRST + COUNT, PARTS))
    assert report.findings == []
    assert set(report.outcomes) == {"complete", "truncated", "failed"}
    assert all(count > COUNT / PARTS / 50 for count in report.outcomes.values())


def test_a_seed_gives_the_same_bodies_again() -> None:
    """And another seed gives others."""
    assert [case(3, number) for number in range(50)] == [case(3, number) for number in range(50)]
    assert [case(3, number) for number in range(50)] != [case(4, number) for number in range(50)]


def test_bodies_differ_in_all_that_matters() -> None:
    """Dialects, endings, pieces, limits: each is met, and most bodies are no longer what they were."""
    cases = [case(SEED, number) for number in range(400)]
    assert {each.dialect for each in cases} == {"repair", "strict", "off"}
    assert {each.ending for each in cases} == {"eof", "reset", "timeout"}
    assert {each.accumulate for each in cases} == {True, False}
    assert len({each.max_event_bytes for each in cases}) > 3
    assert sum(each.body in CORPUS for each in cases) < 200
    assert len({each.body for each in cases}) > 200


@pytest.mark.parametrize(
    ("owner", "method", "broken"),
    [
        pytest.param(StreamReader, "close", lambda *_: None, id="no-outcome"),
        pytest.param(CompletionBuilder, "add", lambda *_: 1 / 0, id="raises"),
    ],
)
def test_what_breaks_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, broken: object
) -> None:
    """A reader with a fault does not pass, and the case is named."""
    monkeypatch.setattr(owner, method, broken)
    report = run(SEED, range(20))
    assert report.broken > 1
    seed, number, what = report.findings[0]
    assert "Error" in what or "Broken" in what
    with pytest.raises((Broken, ZeroDivisionError)):
        check(case(seed, number), closely=True)


def test_the_command_tells_what_it_found() -> None:
    """In one process or several, the same bodies."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.fuzz", "--count", "60", "--seed", "1", "--jobs"]
    one, two = (
        subprocess.run(
            [*command, jobs], cwd=root, capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for jobs in ("1", "2")
    )
    assert "60 bodies" in one
    assert "0 broken" in one
    assert one.splitlines()[0].partition(":")[2] == two.splitlines()[0].partition(":")[2]
