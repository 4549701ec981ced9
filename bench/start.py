"""Import and start: from a fresh interpreter, whose own start does not count, to a client that can be called.

And from there to the end of its first streamed answer, of two words: what is loaded only with the first request
counts there.
"""

from __future__ import annotations

from collections.abc import Iterator

from .client import worker
from .rounds import Comparison, compare_all
from .source import serving

__all__ = ["UNITS", "WAYS", "run"]

ENVIRONMENTS = {"duologue": "", "openai": "openai", "litellm": "litellm", "nothing": ""}
ANSWERING = {"duologue": "", "openai": "openai", "litellm": "litellm"}
WAYS = ("sync", "async")
UNITS = {"CPU": "ms", "time": "ms", "memory": "MiB of the whole process, peak"}


def run() -> Iterator[Comparison]:
    """Time and memory; an empty program shows the memory of the interpreter."""
    yield from compare_all(
        "start",
        UNITS,
        {name: worker(where, "start.py", {"client": name}) for name, where in ENVIRONMENTS.items()},
        ours="duologue",
        beside=("openai",),
        rounds=9,
        warm_up=1,  # files that nobody has read yet
    )
    with serving() as url:
        for way in WAYS:
            yield from compare_all(
                f"start to the first answer, {way}",
                UNITS,
                {
                    name: worker(where, "start.py", {"client": f"{name}_{way}", "url": url})
                    for name, where in ANSWERING.items()
                },
                ours="duologue",
                beside=("openai",),
                rounds=5,
                rarely={"litellm": 1},
            )
