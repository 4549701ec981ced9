"""Many cases in a row: what came of them, and which of them broke what must hold."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .bodies import case
from .check import BYTES_EACH, BYTES_MORE, check, peak

__all__ = ["MAX_GROWTH", "Finding", "Report", "resident", "run"]

# Each so-manieth case is looked at closely, and of each so-manieth the memory is measured: both take longer.
CLOSELY = 5
MEASURED = 500  # tracemalloc itself keeps some 7 KB of each measure
MAX_FINDINGS = 20  # more are only counted
TELL_S = 5.0

# By how much the memory of a process may grow over any number of cases, in bytes, once it is warm.
MAX_GROWTH = 64 * 1024 * 1024
WARM_CASES = 2000


class Finding(NamedTuple):
    """A case that breaks something: `python -m tests.fuzz --seed SEED --first NUMBER --count 1` shows it again."""

    seed: int
    number: int
    what: str


class Report:
    """What came of the cases."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.broken = 0
        self.slowest = (0.0, -1)  # seconds of processor time, and the number of the case
        self.growth = 0

    def broke(self, seed: int, number: int, what: str) -> None:
        self.broken += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(seed, number, what))


def run(seed: int, numbers: Iterable[int], tell: Callable[[int, Report], None] | None = None) -> Report:
    """Check the cases of these numbers. `tell` is called now and then, with how many are done."""
    report, told, warm = Report(), time.monotonic(), 0
    for done, number in enumerate(numbers):
        begun = time.process_time()
        try:
            each = case(seed, number)
            report.outcomes[check(each, closely=number % CLOSELY == 0)] += 1
            if number % MEASURED == 0 and (taken := peak(each)) > BYTES_MORE + BYTES_EACH * len(each.body):
                report.broke(seed, number, f"{taken} bytes of memory for a body of {len(each.body)}")
        except Exception:
            report.broke(seed, number, traceback.format_exc(limit=-4))
        report.slowest = max(report.slowest, (time.process_time() - begun, number))
        if done == WARM_CASES:
            warm = resident()
        if tell is not None and time.monotonic() - told > TELL_S:
            told = time.monotonic()
            tell(done + 1, report)
    report.growth = resident() - warm if warm else 0
    if report.growth > MAX_GROWTH:
        report.broke(seed, -1, f"the process grew by {report.growth} bytes")
    return report


def resident() -> int:
    """The memory of this process in bytes; 0 where the system does not tell."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file of a disk
        return int(file.read().split()[1]) * 4096
