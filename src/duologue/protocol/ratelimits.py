"""What a server tells of its limits in the headers of an answer.

| header                             | what it holds                                     |
|------------------------------------|---------------------------------------------------|
| `x-ratelimit-limit-requests`       | how many there are in one period                  |
| `x-ratelimit-remaining-requests`   | how many are left                                 |
| `x-ratelimit-reset-requests`       | until when: `6m0s`, `12ms`, `59.7` or a moment    |
| `x-ratelimit-…-tokens`             | the same of tokens                                |
| `retry-after-ms`, `retry-after`    | how long to wait: a number, or a date             |

Each may be missing, and each is believed by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from .retry import wait_asked

__all__ = ["Kind", "RateLimit", "RateLimits", "rate_limit", "rate_limits"]

Kind = Literal["requests", "tokens"]

_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

# A reset from here on is no number of seconds to wait but a moment, in Unix seconds or in milliseconds.
_MOMENT_S, _MOMENT_MS = 1e9, 1e12


class RateLimit(NamedTuple):
    """One limit: how much there is, how much of it is left, and in how many seconds it begins anew.

    What was not told, or not in a way that can be read, is None.
    """

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


class RateLimits(NamedTuple):
    """The limits that came with an answer. `retry_after` is how many seconds the server asks to wait."""

    requests: RateLimit = RateLimit()
    tokens: RateLimit = RateLimit()
    retry_after: float | None = None


def rate_limits(headers: Mapping[str, str], wall: Callable[[], float]) -> RateLimits:
    """Both limits in the headers of an answer. `wall` tells the time in Unix seconds, for moments and dates."""
    return RateLimits(
        rate_limit(headers, "requests", wall), rate_limit(headers, "tokens", wall), wait_asked(headers, wall)
    )


def rate_limit(headers: Mapping[str, str], kind: Kind, wall: Callable[[], float]) -> RateLimit:
    """The limit of one kind."""
    return RateLimit(
        _number(headers.get(f"x-ratelimit-limit-{kind}")),
        _number(headers.get(f"x-ratelimit-remaining-{kind}")),
        _seconds(headers.get(f"x-ratelimit-reset-{kind}"), wall),
    )


def _seconds(text: str | None, wall: Callable[[], float]) -> float | None:
    if text and _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    number = _number(text)
    if number is None or number < _MOMENT_S:
        return number
    return max(0.0, number * (0.001 if number >= _MOMENT_MS else 1.0) - wall())


def _number(text: str | None) -> float | None:
    """A number from 0; None for anything else, NaN and infinity among it."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
