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
    """Measure, keep and show; the exit status is 2 for a suite that does not exist, 1 when one has failed."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument(
        "suites",
        nargs="*",
        metavar="SUITE",
        help=f"{', '.join(SUITES)}; all (default); report: only the page, from the results kept",
    )
    parser.add_argument("--rounds", type=int, help="rounds that count, in place of each suite's own number")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the work, to try the code: 0.01")
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
    names = SUITES if asked.suites in ([], ["all"]) else asked.suites
    if unknown := [name for name in names if name not in SUITES]:
        print(f"No such suite: {', '.join(unknown)}. There are: {', '.join(SUITES)}.", file=sys.stderr)
        return 2
    effort.rounds, effort.scale = asked.rounds, asked.scale
    if not asked.no_install:
        peers.install()
    failed = [name for name in names if not _measured(name, asked.build_peers)]
    if failed:
        print(f"Failed, and without new results: {', '.join(failed)}", file=sys.stderr)
    if asked.write:
        report.write(SUITES)
    return 1 if failed else 0


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
    report.keep(name, found, seconds)
    print(f"{name}: {seconds:.0f} s\n", flush=True)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
