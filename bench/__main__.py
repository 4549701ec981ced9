"""`python -m bench [SUITE ...]`: measure beside the peers; keep the results; show each ratio beside its budget."""

from __future__ import annotations

import argparse
import importlib
import sys

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
    "server",
    "frameworks",
    "load",
    "local",
)


def main() -> int:
    """Measure, keep and show; the exit status is 2 for a suite that does not exist."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(SUITES)}, or all (default)")
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
    names = SUITES if asked.suites in ([], ["all"]) else asked.suites
    if unknown := [name for name in names if name not in SUITES]:
        print(f"No such suite: {', '.join(unknown)}. There are: {', '.join(SUITES)}.", file=sys.stderr)
        return 2
    effort.rounds, effort.scale = asked.rounds, asked.scale
    if not asked.no_install:
        peers.install()
    for name in names:
        _measure(name, asked.build_peers)
    if asked.write:
        report.write()
    return 0


def _measure(name: str, build_peers: bool) -> None:
    suite = importlib.import_module(f"bench.{name}")
    if build_peers and hasattr(suite, "build_peers"):
        suite.build_peers()
    found = []
    for comparison in suite.run():
        show(comparison)
        found.append(comparison)
    report.keep(name, found)


if __name__ == "__main__":
    raise SystemExit(main())
