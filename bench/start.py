"""Import and start: from a fresh interpreter, whose own start does not count, to a client that can be called."""

from __future__ import annotations

from .client import worker
from .rounds import Comparison, compare_all

__all__ = ["UNITS", "run"]

ENVIRONMENTS = {"duologue": "", "openai": "openai", "litellm": "litellm", "nothing": ""}
UNITS = {"CPU": "ms", "time": "ms", "memory": "MiB of the whole process, peak"}


def run() -> list[Comparison]:
    """Time and memory; an empty program shows the memory of the interpreter."""
    return compare_all(
        "start",
        UNITS,
        {name: worker(where, "start.py", {"client": name}) for name, where in ENVIRONMENTS.items()},
        ours="duologue",
        beside=("openai",),
        rounds=9,
        warm_up=1,  # files that nobody has read yet
    )
