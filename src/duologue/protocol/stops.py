"""Stop sequences in text that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["StopFilter", "find_stop"]


def find_stop(text: str, stops: Sequence[str]) -> tuple[int, int] | None:
    """Where the stop sequence that is complete first begins and ends in the text; None for none.

    Of those complete at the same place it is the longest. So how a text is cut into tokens makes no
    difference to where it stops. An empty stop sequence stops nothing.
    """
    found = None
    for stop in stops:
        at = text.find(stop)
        if at >= 0 and stop and (found is None or (at + len(stop), at) < found):
            found = at + len(stop), at
    return found and (found[1], found[0])


class StopFilter:
    """Lets text through up to the first stop sequence, and holds back no more than may be its beginning.

    After a stop, `behind` is what of the last piece stood behind it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stopped = False
        self.behind = ""
        self._stops = stops
        self._held = ""
        # Most pieces have no character that begins a stop sequence, and are seen through at once.
        firsts = {stop[0] for stop in stops if stop}
        self._begins = re.compile("|".join(map(re.escape, firsts)) or r"(?!)").search

    def push(self, text: str) -> str:
        """Take a piece; return what is now certain to be visible. Sets `stopped` at a stop sequence."""
        if not self._held and self._begins(text) is None:
            return text
        text = self._held + text
        found = find_stop(text, self._stops)
        if found:
            self.stopped = True
            self.behind = text[found[1] :]
            visible, self._held = text[: found[0]], ""
            return visible
        held = 0
        for stop in self._stops:
            held = max(held, _overlap(text, stop))
        if not held:
            self._held = ""
            return text
        visible, self._held = text[: len(text) - held], text[len(text) - held :]
        return visible

    def flush(self) -> str:
        """The end of the text: what was held back is visible after all."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of the text begin the stop sequence."""
    at = text.find(stop[:1], max(len(text) - len(stop) + 1, 0))
    while 0 <= at < len(text):
        if stop.startswith(text[at:]):
            return len(text) - at
        at = text.find(stop[0], at + 1)
    return 0
