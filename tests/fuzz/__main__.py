"""`python -m tests.fuzz --count 10000000`: that many mutated bodies through the client's state machine.

The same seed gives the same bodies, whatever the number of processes. The exit status is 1 if anything broke.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from functools import partial
from typing import Any

from .run import Report, run


def main() -> int:
    """Read the arguments, run, and tell what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="how many bodies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first body")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    begun = time.monotonic()
    parts = [
        (given.seed, range(given.first + job, given.first + given.count, given.jobs))
        for job in range(given.jobs)
    ]
    if given.jobs == 1:
        reports = [_part(parts[0])]
    else:
        with multiprocessing.Pool(given.jobs) as pool:
            reports = pool.map(_part, parts)
    return _show(reports, time.monotonic() - begun)


def _part(part: tuple[int, range]) -> Report:
    seed, numbers = part
    return run(seed, numbers, partial(_tell, time.monotonic(), len(numbers)))


def _tell(begun: float, count: int, done: int, report: Report) -> None:
    rate = done / (time.monotonic() - begun)
    left = (count - done) / rate
    text = f"{done:,} of {count:,}, {rate:,.0f} per second, {left:,.0f} s left, {report.broken} broken"
    print(text, file=sys.stderr, flush=True)


def _show(reports: list[Report], seconds: float) -> int:
    outcomes: dict[str, Any] = {}
    for report in reports:
        for outcome, count in report.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        for finding in report.findings:
            print(f"--- seed {finding.seed}, number {finding.number}\n{finding.what}")
    count, broken = sum(outcomes.values()), sum(report.broken for report in reports)
    slowest = max(report.slowest for report in reports)
    growth = max(report.growth for report in reports)
    print(
        f"{count:,} bodies in {seconds:,.0f} s: "
        + ", ".join(f"{n:,} {o}" for o, n in sorted(outcomes.items()))
    )
    print(
        f"slowest: {slowest[0] * 1000:.1f} ms (number {slowest[1]}); memory grew by {growth / 2**20:.1f} MiB"
    )
    print(f"{broken} broken")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
