"""What the asynchronous transports share: the deadlines of a body, and the end of one nobody wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ...protocol.transport import (
    DRAIN_BYTES,
    DRAIN_S,
    EARLY_S,
    AsyncResponse,
    Deadlines,
    Phase,
    TransportError,
)

__all__ = ["Watch", "at_loop_time", "drain", "loop_time"]


class Watch:
    """Tells when a body has been waited for too long.

    There is one timer, which is not put off by every read: when it rings it looks at how long the present
    wait has lasted, and is set again for the rest. `since` is the reader's to set: when its wait began, None
    while it does not wait. So is, by `expect`, the moment at which the wait ends whatever comes.
    """

    def __init__(self, deadlines: Deadlines, ring: Callable[[TransportError], None]) -> None:
        self.since: float | None = None
        self.by: float | None = None
        self._deadlines = deadlines
        self._ring = ring
        self._rings: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._set(deadlines.moment("idle", time.monotonic()))

    def expect(self, by: float | None) -> None:
        """The waits from now on are given up at `by`; None for what `since` alone says."""
        self.by = by
        if by is not None and (self._rings is None or by < self._rings):
            self._set(by)

    def stop(self) -> None:
        """Never ring again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, moment: float | None) -> None:
        self.stop()
        self._rings = moment
        if moment is not None:
            self._timer = self._loop.call_later(max(moment - time.monotonic(), 0), self._look)

    def _look(self) -> None:
        now = time.monotonic()
        deadlines = self._deadlines
        if self.since is None:
            moment, again = deadlines.until, deadlines.moment("idle", now)
            self.by = None  # the next wait says it anew
        else:
            moment = again = deadlines.moment("idle", self.since, self.by)
        if moment is not None and now >= moment - EARLY_S:
            self._timer = None
            self._ring(deadlines.passed("idle", now, self.by))
        else:
            self._set(again)


def loop_time(deadlines: Deadlines, phase: Phase) -> float | None:
    """When a wait in `phase` that begins now is given up, by the clock of the running loop."""
    return at_loop_time(deadlines.moment(phase, time.monotonic()))


def at_loop_time(moment: float | None) -> float | None:
    """`moment` of the monotonic clock by the clock of the running loop."""
    return None if moment is None else asyncio.get_running_loop().time() + moment - time.monotonic()


async def drain(response: AsyncResponse) -> None:
    """Read what is left of a body if it comes at once, and close it."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_S):
            while left > 0 and (data := await response.read()):
                left -= len(data)
    except (TransportError, TimeoutError):
        pass
    finally:
        response.close()
