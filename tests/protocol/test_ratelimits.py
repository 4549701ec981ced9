"""Limits in the headers of an answer, in every spelling that servers have."""

from __future__ import annotations

import pytest

from duologue.protocol.ratelimits import RateLimit, RateLimits, rate_limits

NOW = 1_750_000_000.0


def read(**headers: str) -> RateLimits:
    return rate_limits({name.replace("_", "-"): value for name, value in headers.items()}, lambda: NOW)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("12ms", 0.012),
        ("1h2m3s", 3723),
        ("1m30.5s", 90.5),
        ("2d", 172800),
        ("0", 0),
        ("59.7", 59.7),
        (f"{NOW + 20:.0f}", 20),
        (f"{(NOW + 20) * 1000:.0f}", 20),
        (f"{NOW - 20:.0f}", 0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1s later", None),
    ],
)
def test_resets_are_read_in_every_spelling(reset: str, seconds: float | None) -> None:
    """A duration, a number of seconds, a moment in Unix time; nonsense is nothing at all."""
    found = read(x_ratelimit_reset_tokens=reset).tokens.reset
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_both_limits_and_the_wait() -> None:
    """As the API sends them."""
    found = read(
        x_ratelimit_limit_requests="5000",
        x_ratelimit_remaining_requests="4999",
        x_ratelimit_reset_requests="12ms",
        x_ratelimit_limit_tokens="160000",
        x_ratelimit_remaining_tokens="159976",
        x_ratelimit_reset_tokens="250ms",
        retry_after="20",
    )
    assert found == RateLimits(RateLimit(5000, 4999, 0.012), RateLimit(160000, 159976, 0.25), 20)


@pytest.mark.parametrize("value", ["", "many", "-1", "nan", "inf", "1,2"])
def test_nonsense_is_not_believed(value: str) -> None:
    """What can be read beside it is."""
    found = read(x_ratelimit_limit_requests=value, x_ratelimit_remaining_requests="3")
    assert found.requests == RateLimit(None, 3, None)
    assert found.tokens == RateLimit()


def test_nothing_told() -> None:
    """Then nothing is known, and no wait is asked."""
    assert read() == RateLimits()


def test_a_wait_until_a_date_is_counted_from_the_time_that_is_told() -> None:
    """The answer's own time, so that it does not change when it is looked at later."""
    assert read(retry_after="Sun, 15 Jun 2025 15:07:00 GMT").retry_after == pytest.approx(20)
