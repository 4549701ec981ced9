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


class _Seen:
    """What is left by one reading, which is believed until it is older than another one for sure."""

    __slots__ = ("at", "left", "until")

    def __init__(self, at: float, until: float, left: float) -> None:
        self.at = at
        self.until = until
        self.left = left


class _Meter:
    """What is left of one limit. What a request costs is 1, or else is learned from what the answers tell.

    Answers to requests that were on their way side by side come in any order, so that of several readings nobody
    may know the latest: all of them are kept, and the one that tells of the least counts.
    """

    def __init__(self, cost: float | None) -> None:
        self._learns = cost is None
        self._cost = cost or 0.0
        self._limit: float | None = None
        self._seen: list[_Seen] = []
        # What the cost is learned from: a reading, and how many have told of less since.
        self._told: float | None = None
        self._told_at = self._told_until = 0.0
        self._less = 0

    def delay(self, now: float, last: float) -> float:
        """How long the next request is to wait, when the last one went at `last`."""
        return max((self._delay(seen, now, last) for seen in self._seen), default=0.0)

    def _delay(self, seen: _Seen, now: float, last: float) -> float:
        rest = seen.until - now
        if not 0 < rest <= MAX_ASKED_S:
            return 0.0
        if seen.left <= 0 or seen.left < self._cost:
            return rest
        if self._limit is None or seen.left > SPARE * self._limit:
            return 0.0
        return last + rest * self._cost / seen.left - now

    def spend(self) -> None:
        """A request goes."""
        for seen in self._seen:
            seen.left -= self._cost

    def read(self, reading: _Reading, sent: float, now: float, unheard: int) -> None:
        """The answer to the request that went at `sent` tells this; so many others are on their way."""
        self._limit = reading.limit or self._limit
        if self._learns:
            self._learn(reading, sent, now)
        # What came before that request went is older.
        self._seen = [seen for seen in self._seen if seen.at > sent]
        self._seen.append(_Seen(now, now + reading.reset, reading.remaining - unheard * self._cost))

    def _learn(self, reading: _Reading, sent: float, now: float) -> None:
        newer = self._told is None or sent >= self._told_at
        self._less += newer or reading.remaining < (self._told or 0)
        if not newer:
            return
        before = self._limit if self._told is None else self._told
        same = self._told is None or now < self._told_until
        if same and before is not None and before > reading.remaining:
            each = (before - reading.remaining) / self._less
            self._cost = max(each, self._cost + _FALL * (each - self._cost))
        self._told, self._told_at, self._told_until, self._less = (
            reading.remaining,
            now,
            now + reading.reset,
            0,
        )
