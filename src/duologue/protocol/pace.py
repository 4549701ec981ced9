"""How fast requests may go: what a server tells of its limits, and when the next request is due.

- While more than a tenth of a limit is left, requests go as they come.
- The last tenth is spread evenly over the time until the limit resets. That suits a limit that begins anew at a
  fixed moment, and one that refills all the time: there it is the pace at which no more is used than comes back.
- With nothing left, none goes until the reset, or until another answer says that there is something left.
- After a 429 or a 503 with `retry-after`, none goes until then.
- A wait of more than `MAX_ASKED_S` is not begun: the request goes, and the server says what there is to say.

Requests on their way are taken as not yet counted by the server: it is better to wait for their answers than to
be refused. The clocks are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .ratelimits import Kind, rate_limit
from .retry import MAX_ASKED_S, wait_asked

__all__ = ["SPARE", "Pace"]

# The part of a limit that is spread over the time until it resets.
SPARE = 0.1

# What a request is taken to cost rises at once with what the answers tell, and falls by this part of the way.
_FALL = 0.125

_REFUSALS = frozenset({429, 503})


class _Reading(NamedTuple):
    """One limit as an answer tells it: what is left, for how many seconds until it resets, of how much."""

    remaining: float
    reset: float
    limit: float | None = None


class Pace:
    """When the next request to one server is due."""

    def __init__(self) -> None:
        self._meters: Mapping[Kind, _Meter] = {"requests": _Meter(1.0), "tokens": _Meter(None)}
        self._not_before = 0.0
        self._last = 0.0
        self._unheard = 0  # requests on their way, of which no head has come

    def delay(self, now: float) -> float:
        """How many seconds from `now` the next request is due; 0 for now."""
        waits = [meter.delay(now, self._last) for meter in self._meters.values()]
        return max(0.0, self._not_before - now, *waits)

    def sent(self, now: float) -> None:
        """A request goes."""
        self._last = now
        self._unheard += 1
        for meter in self._meters.values():
            meter.spend()

    def lost(self) -> None:
        """No answer has come to a request."""
        self._unheard -= 1

    def heard(
        self, status: int, headers: Mapping[str, str], sent: float, now: float, wall: Callable[[], float]
    ) -> None:
        """The head of the answer to the request that went at `sent`."""
        self._unheard -= 1
        for kind, meter in self._meters.items():
            limit, remaining, reset = rate_limit(headers, kind, wall)
            if remaining is not None and reset is not None:
                meter.read(_Reading(remaining, reset, limit), sent, now, self._unheard)
        asked = wait_asked(headers, wall) if status in _REFUSALS else None
        if asked is not None and asked <= MAX_ASKED_S:
            self._not_before = max(self._not_before, now + asked)


class _Meter:
    """What is left of one limit. What a request costs is 1, or else is learned from what the answers tell."""

    def __init__(self, cost: float | None) -> None:
        self._learns = cost is None
        self._cost = cost or 0.0
        self._limit: float | None = None
        self._left = 0.0
        self._until = 0.0  # when it resets; before the first answer nothing is known
        self._as_of = 0.0  # when the answer came that `_left` goes by
        self._told: float | None = None  # what it told, and how many answers have told of less since
        self._less = 0

    def delay(self, now: float, last: float) -> float:
        rest = self._until - now
        if not 0 < rest <= MAX_ASKED_S:
            return 0.0
        if self._left <= 0 or self._left < self._cost:
            return rest
        if self._limit is None or self._left > SPARE * self._limit:
            return 0.0
        return last + rest * self._cost / self._left - now

    def spend(self) -> None:
        self._left -= self._cost

    def read(self, reading: _Reading, sent: float, now: float, unheard: int) -> None:
        self._limit = reading.limit or self._limit
        newer = sent >= self._as_of or now >= self._until
        self._less += newer or self._told is None or reading.remaining < self._told
        if newer and self._learns and (now < self._until or self._told is None):
            self._learn(reading)
        left = reading.remaining - unheard * self._cost
        if newer:
            self._left, self._as_of, self._until = left, now, now + reading.reset
            self._told, self._less = reading.remaining, 0
        else:  # on its way beside the one that is gone by: which of both is later, nobody knows
            self._left = min(self._left, left)
            self._until = max(self._until, now + reading.reset)

    def _learn(self, reading: _Reading) -> None:
        before = self._limit if self._told is None else self._told
        if before is not None and before > reading.remaining:
            each = (before - reading.remaining) / self._less
            self._cost = max(each, self._cost + _FALL * (each - self._cost))
