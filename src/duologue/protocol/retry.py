"""When a request is sent again, where to, and after how long.

- again after: no answer (connect, reset, timeout), 408, 409, 429, 500 and above; and a stream that ended, or
  brought an error event of such a status, before its first chunk;
- never after: the first chunk of a stream, or the head of a good answer that is no stream;
- `x-should-retry: true` or `false` wins over the status;
- `retry-after-ms`, else `retry-after` (seconds or a date), is waited if it is at most `MAX_ASKED_S`; a
  longer one means no retry;
- else the wait is min(0.5 · 2ⁿ, 8) s, less up to a quarter at random;
- with several servers the next one is asked each time, round and round, and the wait is for those that have
  been asked before: n counts the rounds.

The clock and the random numbers are passed in, and what shall be done is yielded: the same generator
serves blocking and asynchronous callers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import NamedTuple

__all__ = ["MAX_ASKED_S", "MAX_RETRIES", "Failure", "Send", "Sleep", "attempts", "wait_asked"]

MAX_RETRIES = 2  # unless the caller says otherwise
MAX_ASKED_S = 120.0  # a server that asks for a longer wait is not asked again
FIRST_DELAY_S = 0.5
LAST_DELAY_S = 8.0
JITTER = 0.25

_STATUSES = frozenset({408, 409, 429})


class Send(NamedTuple):
    """Send the request to the server of that number; `retry` is 0 the first time."""

    retry: int
    server: int = 0


class Sleep(NamedTuple):
    """Wait so many seconds."""

    seconds: float


class Failure(NamedTuple):
    """How an attempt failed: with the status and the headers of an answer, or with none at all.

    `final` says that the same server would fail again in the same way.
    """

    status: int | None = None
    headers: Mapping[str, str] = {}
    final: bool = False


def attempts(
    max_retries: int,
    *,
    servers: int = 1,
    left: Callable[[], float],
    wall: Callable[[], float],
    uniform: Callable[[], float],
) -> Generator[Send | Sleep, Failure | None, None]:
    """Yields `Send`, is sent the `Failure` of that attempt, and yields `Sleep` before the next `Send`.

    It ends when the request shall not be sent again; after a success it is simply left. `left` tells how
    many seconds remain of the whole call: a wait that would outlast them is not begun. `wall` tells the time
    in Unix seconds, `uniform` a random number from 0 to 1.
    """
    asked: list[float | None] = [None] * servers
    for retry in range(max_retries + 1):
        server, following = retry % servers, (retry + 1) % servers
        failure = yield Send(retry, server)
        if failure is None or retry == max_retries:
            return
        asked[server] = wait_asked(failure.headers, wall)
        if not _again(failure, elsewhere=following != server):
            return
        delay = asked[following]
        if delay is None:
            delay = 0.0 if retry + 1 < servers else _backoff((retry + 1) // servers - 1, uniform())
        if delay > MAX_ASKED_S or delay >= left():
            return
        yield Sleep(delay)


def _again(failure: Failure, *, elsewhere: bool) -> bool:
    if failure.final:
        return elsewhere
    should = failure.headers.get("x-should-retry")
    if should in ("true", "false"):
        return should == "true"
    return failure.status is None or failure.status in _STATUSES or failure.status >= 500


def _backoff(retry: int, random: float) -> float:
    # The exponent is bounded so that no number of retries overflows.
    return min(FIRST_DELAY_S * 2.0 ** min(retry, 8), LAST_DELAY_S) * (1 - JITTER * random)


def wait_asked(headers: Mapping[str, str], wall: Callable[[], float]) -> float | None:
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
