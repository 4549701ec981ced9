"""`python -m bench [SUITE ...]`: measure beside the peers; keep the results; show each ratio beside its budget."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback

from . import peers, report
from .rounds import effort, show

# In the order of the page.
SUITES = (
    "start",
    "decode",
    "client",
    "first_chunk",
    "big",
    "accumulate",
    "typed",
    "server",
    "frameworks",
    "load",
    "local",
)


def main() -> int:
    """Measure, keep and show; the exit status is 2 for what cannot be asked, 1 when a suite has failed."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument(
        "suites",
        nargs="*",
        metavar="SUITE",
        help=f"{', '.join(SUITES)}; all (default); report: only the page, from the results kept",
    )
    parser.add_argument(
        "--rounds", type=_count, help="rounds that count, in place of each suite's own number"
    )
    parser.add_argument("--scale", type=_part, default=1.0, help="a part of the work, to try the code: 0.01")
    parser.add_argument("--no-install", action="store_true", help="leave out the peers that are not there")
    parser.add_argument(
        "--build-peers", action="store_true", help="compile the peers that have no wheels, too"
    )
    parser.add_argument(
        "--write", action="store_true", help="write docs/performance.md from the results kept"
    )
    asked = parser.parse_args()
    if asked.suites == ["report"]:
        report.write(SUITES)
        return 0
    names = SUITES if not asked.suites or "all" in asked.suites else asked.suites
    if unknown := [name for name in names if name not in SUITES]:
        print(f"No such suite: {', '.join(unknown)}. There are: {', '.join(SUITES)}.", file=sys.stderr)
        return 2
    effort.rounds, effort.scale = asked.rounds, asked.scale
    if asked.write and not effort.whole:
        parser.error("--write takes whole results: leave out --rounds and --scale")
    others = [name for name in SUITES if name not in names]
    if asked.write and (absent := report.missing(others, report.RESULTS)):
        parser.error(f"--write takes the results of all suites: measure {', '.join(absent)}, too")
    if not asked.no_install:
        peers.install()
    try:
        failed = [name for name in names if not _measured(name, asked.build_peers)]
    except KeyboardInterrupt:
        print("\nInterrupted. The suites that had come to their end are kept.", file=sys.stderr)
        return 130
    if failed:
        print(f"Failed, and without new results: {', '.join(failed)}", file=sys.stderr)
    if asked.write:
        report.write(SUITES)
    return 1 if failed else 0


def _count(text: str) -> int:
    """A number of rounds. Raises `ValueError`."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _part(text: str) -> float:
    """A part of the work. Raises `ValueError`."""
    if not 0 < (number := float(text)) <= 1:
        raise ValueError(text)
    return number


_count.__name__, _part.__name__ = "number of rounds", "part of the work"  # in what argparse says of others


def _measured(name: str, build_peers: bool) -> bool:
    """Whether a suite ran to its end; another one's end is not the end of the run."""
    begun = time.monotonic()
    found = []
    try:
        suite = importlib.import_module(f"bench.{name}")
        if build_peers and hasattr(suite, "build_peers"):
            suite.build_peers()
        for comparison in suite.run():
            show(comparison)
            found.append(comparison)
    except Exception:
        traceback.print_exc()
        return False
    seconds = time.monotonic() - begun
    if effort.whole:
        report.keep(name, found, seconds)
    print(f"{name}: {seconds:.0f} s{'' if effort.whole else ', not kept: a part of the work'}\n", flush=True)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
