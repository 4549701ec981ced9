"""What the values of a chat template cost, and how much one rendering may spend on them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from jinja2.exceptions import SecurityError

__all__ = ["MAX_MADE", "MAX_SECONDS", "PLACE", "WEIGHED", "Meter", "cost"]

# The most that one rendering may make, in characters, and the longest that it may compute, in seconds of its
# thread. A place in a list, and a step of a loop, count as so many characters.
MAX_MADE = 2**28
MAX_SECONDS = 10.0
PLACE = 16
# What has places with values in them, besides a dict.
GROUPS: tuple[type[Any], ...] = (list, tuple, type({}.keys()), type({}.values()), type({}.items()))


class Meter(threading.local):
    """What the rendering of this thread may still make, and how long it may go on."""

    left = 0
    end = 0.0

    def begin(self) -> None:
        """Let this thread spend as much as one rendering may."""
        self.left = MAX_MADE
        self.end = time.thread_time() + MAX_SECONDS

    def spend(self, characters: int) -> None:
        """Raise `SecurityError` where no more is left, of characters or of time."""
        self.left -= max(characters, 0)
        if self.left < 0:
            raise SecurityError(f"it makes more than {MAX_MADE} characters")
        if time.thread_time() > self.end:
            raise SecurityError(f"it computes for more than {MAX_SECONDS:g} seconds")

    def weigh(self, value: Any) -> int:
        """Spend about what a text of the value takes; return it."""
        if isinstance(value, dict):
            inside = sum(self.weigh(key) + self.weigh(item) for key, item in value.items())
        elif isinstance(value, GROUPS):
            inside = sum(map(self.weigh, value))
        else:
            inside = 0
        own = cost(value)
        self.spend(own)
        return inside + own


def cost(value: Any) -> int:
    """What it takes to hold a value; not what is in its places."""
    if isinstance(value, (str, bytes)):
        return 1 + len(value)
    return PLACE * (1 + len(value)) if isinstance(value, (dict, GROUPS)) else PLACE


def _replaced(text: str, old: Any, new: Any, *_: Any, **__: Any) -> int:
    return len(text) + text.count(str(old)) * len(str(new))


def _indented(text: str, width: int | str = 4, *_: Any, **__: Any) -> int:
    return len(text) + (1 + len(text.splitlines())) * (len(width) if isinstance(width, str) else width)


def _formatted(text: str, *args: Any, **named: Any) -> int:
    most = len(text)
    arguments = len(str((args, named)))
    for _, field, spec, _ in Formatter().parse(text):
        if not re.fullmatch(r"\w*", field or "") or "{" in (spec or ""):
            raise SecurityError("it formats with more than names and widths, which is not known here")
        most += arguments + sum(map(int, re.findall(r"\d+", spec or "")))
    return most


# What comes of a text may be much longer than the text: how long it becomes at most.
WEIGHED: Mapping[str, Callable[..., int]] = {
    "replace": _replaced,
    "indent": _indented,
    "format": _formatted,
}
