"""`python -m bench [SUITE ...]`: run the suites named, or all, and show each ratio beside its budget."""

from __future__ import annotations

import importlib
import platform
import sys

from .rounds import show

SUITES = ("decode", "server", "first_chunk", "local")


def main() -> int:
    """Measure and show; the exit status is 2 for a suite that does not exist."""
    names = sys.argv[1:] or SUITES
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"No such suite: {', '.join(unknown)}. There are: {', '.join(SUITES)}.", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()} on {platform.machine()}\n")
    for name in names:
        for comparison in importlib.import_module(f"bench.{name}").run():
            show(comparison)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
