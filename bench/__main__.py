"""`python -m bench [--build-peers] [SUITE ...]`: run the suites named, or all; show each ratio beside its budget.

`--build-peers` first compiles the peers that have no wheels, each in an environment of its own under `.bench`.
"""

from __future__ import annotations

import importlib
import platform
import sys

from .rounds import show

BUILD = "--build-peers"
SUITES = ("decode", "typed", "server", "load", "first_chunk", "local")


def main() -> int:
    """Measure and show; the exit status is 2 for a suite that does not exist."""
    arguments = sys.argv[1:]
    names = [name for name in arguments if name != BUILD] or SUITES
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"No such suite: {', '.join(unknown)}. There are: {', '.join(SUITES)}.", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()} on {platform.machine()}\n")
    for suite in [importlib.import_module(f"bench.{name}") for name in names]:
        if BUILD in arguments and hasattr(suite, "build_peers"):
            suite.build_peers()
        for comparison in suite.run():
            show(comparison)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
