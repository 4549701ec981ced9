"""When a request is sent again, and after how long.

- again after: no answer (connect, reset, timeout), 408, 409, 429, 500 and above;
- never after: the head of a good answer, so never in the middle of a stream;
- `x-should-retry: true` or `false` wins over the status;
- `retry-after-ms`, else `retry-after` (seconds or a date), is waited if it is at most `MAX_ASKED_S`; a
  longer one means no retry;
- else the wait is min(0.5 · 2ⁿ, 8) s, less up to a quarter at random.

The clock and the random numbers are passed in, and what shall be done is yielded: the same generator
serves blocking and asynchronous callers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import NamedTuple

__all__ = ["MAX_ASKED_S", "MAX_RETRIES", "Failure", "Send", "Sleep", "attempts"]

MAX_RETRIES = 2  # unless the caller says otherwise
MAX_ASKED_S = 120.0  # a server that asks for a longer wait is not asked again
FIRST_DELAY_S = 0.5
LAST_DELAY_S = 8.0
JITTER = 0.25

_STATUSES = frozenset({408, 409, 429})


class Send(NamedTuple):
    """Send the request; `retry` is 0 the first time."""

    retry: int


class Sleep(NamedTuple):
    """Wait so many seconds."""

    seconds: float


class Failure(NamedTuple):
    """How an attempt failed: with the status and the headers of an answer, or with none at all.

    `final` says that it would fail again in the same way.
    """

    status: int | None = None
    headers: Mapping[str, str] = {}
    final: bool = False


def attempts(
    max_retries: int,
    *,
    left: Callable[[], float],
    wall: Callable[[], float],
    uniform: Callable[[], float],
) -> Generator[Send | Sleep, Failure | None, None]:
    """Yields `Send`, is sent the `Failure` of that attempt, and yields `Sleep` before the next `Send`.

    It ends when the request shall not be sent again; after a success it is simply left. `left` tells how
    many seconds remain of the whole call: a wait that would outlast them is not begun. `wall` tells the time
    in Unix seconds, `uniform` a random number from 0 to 1.
    """
    for retry in range(max_retries + 1):
        failure = yield Send(retry)
        if failure is None or failure.final or retry == max_retries:
            return
        asked = _asked(failure.headers, wall)
        if not _again(failure, asked):
            return
        delay = asked if asked is not None else _backoff(retry, uniform())
        if delay >= left():
            return
        yield Sleep(delay)


def _again(failure: Failure, asked: float | None) -> bool:
    if asked is not None and asked > MAX_ASKED_S:
        return False
    should = failure.headers.get("x-should-retry")
    if should in ("true", "false"):
        return should == "true"
    return failure.status is None or failure.status in _STATUSES or failure.status >= 500


def _backoff(retry: int, random: float) -> float:
    # The exponent is bounded so that no number of retries overflows.
    return min(FIRST_DELAY_S * 2.0 ** min(retry, 8), LAST_DELAY_S) * (1 - JITTER * random)


def _asked(headers: Mapping[str, str], wall: Callable[[], float]) -> float | None:
    """The seconds that the server asks to wait; None where it asks for none, or for nonsense."""
    seconds = _number(headers.get("retry-after-ms"), 0.001)
    if seconds is None:
        text = headers.get("retry-after")
        seconds = _number(text, 1.0)
        if seconds is None and text:
            seconds = _until(text, wall())
    return seconds if seconds is not None and seconds > 0 else None


def _number(text: str | None, unit: float) -> float | None:
    try:
        number = float(text or "") * unit
    except ValueError:
        return None
    return None if number != number else number  # NaN is no wait


def _until(text: str, now: float) -> float | None:
    from email.utils import mktime_tz, parsedate_tz  # imported where it is needed: few answers carry a date

    date = parsedate_tz(text)
    try:
        return mktime_tz(date) - now if date is not None else None
    except (ValueError, OverflowError):
        return None
