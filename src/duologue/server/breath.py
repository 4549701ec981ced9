"""How those who take an engine's events share an event loop.

An engine that never waits would starve every other request, and its own cancellation: so the loop gets its
turn after a breath of engine time. Where several engines are like that they share this time, and the loop's turn
comes as soon as with one.
"""

from __future__ import annotations

import asyncio
import threading
import time

__all__ = ["Breath"]


class _Loop:
    """Who took an event last, and how many have stepped back."""

    def __init__(self) -> None:
        self.last: Breath | None = None
        self.stepped_back = 0


class _Here(threading.local):
    """The event loop of this thread."""

    def __init__(self) -> None:
        self.loop = _Loop()


_here = _Here()


class Breath:
    """The breaths of one task, `every` so many seconds of its engine's time."""

    def __init__(self, every: float) -> None:
        self.every = every
        self.loop = _here.loop
        self.at = 0.0  # when the next one is due, by the monotonic clock

    def due(self, now: float) -> bool:
        """Whether it is time for one; to be asked after each event."""
        if self.loop.last is not self:  # others had their turn
            self.loop.last = self
            self.at = now + self.every
        return now > self.at

    async def take(self) -> None:
        """Give the event loop its turn."""
        loop = self.loop
        loop.stepped_back += 1
        try:
            await asyncio.sleep(0)
        finally:
            loop.stepped_back -= 1
        loop.last = self
        self.at = time.monotonic() + self.every / (1 + loop.stepped_back)

    def end(self) -> None:
        """There will be no other event."""
        if self.loop.last is self:
            self.loop.last = None
