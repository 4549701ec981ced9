"""Stop sequences in text that comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopFilter", "find_stop"]


def find_stop(text: str, stops: Sequence[str]) -> tuple[int, int] | None:
    """Where the stop sequence that is complete first begins and ends in the text; None for none.

    Of those complete at the same place it is the longest. So how a text is cut into tokens makes no
    difference to where it stops. An empty stop sequence stops nothing.
    """
    found = [(at + len(stop), at) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found:
        return None
    end, start = min(found)
    return start, end


class StopFilter:
    """Lets text through up to the first stop sequence, and holds back no more than may be its beginning.

    After a stop, `behind` is what of the last piece stood behind it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stopped = False
        self.behind = ""
        self._stops = stops
        self._held = ""

    def push(self, text: str) -> str:
        """Take a piece; return what is now certain to be visible. Sets `stopped` at a stop sequence."""
        text = self._held + text
        found = find_stop(text, self._stops)
        if found:
            self.stopped = True
            self.behind = text[found[1] :]
            visible, self._held = text[: found[0]], ""
            return visible
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        visible, self._held = text[: len(text) - held], text[len(text) - held :]
        return visible

    def flush(self) -> str:
        """The end of the text: what was held back is visible after all."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of the text begin the stop sequence."""
    most = min(len(text), len(stop) - 1)
    return next((count for count in range(most, 0, -1) if stop.startswith(text[-count:])), 0)
