"""A deadline for blocking code that cannot be told of one: a thread that does something about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Alarm"]


class Alarm:
    """Calls `ring` once the moment that was set last has come, unless it is stopped before.

    The thread begins with the first moment that is set, and ends when it has rung or is stopped.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._changed = threading.Condition()
        self._moment: float | None = None
        self._over = False
        self._thread: threading.Thread | None = None

    def set(self, moment: float | None) -> None:
        """Ring at `moment` on the monotonic clock; None for not at all for now."""
        with self._changed:
            sooner = moment is not None and (self._moment is None or moment < self._moment)
            self._moment = moment
            if self._thread is None and moment is not None and not self._over:
                self._thread = threading.Thread(target=self._wait, name="duologue-alarm", daemon=True)
                self._thread.start()
            elif sooner:
                self._changed.notify()

    def stop(self) -> None:
        """Never ring."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def _wait(self) -> None:
        with self._changed:
            while not self._over:
                left = None if self._moment is None else self._moment - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
            if self._over:
                return
        self._ring()
