"""When the next request is due, by what the answers tell."""

from __future__ import annotations

import pytest

from duologue.protocol.pace import Pace
from duologue.protocol.retry import MAX_ASKED_S

NOW = 1_750_000_000.0


def wall() -> float:
    return NOW


def told(remaining: float, reset: str, limit: float | None = 100, kind: str = "requests") -> dict[str, str]:
    headers = {f"x-ratelimit-remaining-{kind}": f"{remaining:g}", f"x-ratelimit-reset-{kind}": reset}
    return headers if limit is None else {**headers, f"x-ratelimit-limit-{kind}": f"{limit:g}"}


def after(*answers: dict[str, str], status: int = 200, at: float = 10.0) -> Pace:
    """The pace after requests one after the other, each answered at once at the moment `at`."""
    pace = Pace()
    for headers in answers:
        pace.sent(at)
        pace.heard(status, headers, at, at, wall)
    return pace


def test_nothing_is_known_at_first() -> None:
    """Nor does an answer that tells nothing change that."""
    assert Pace().delay(10) == 0
    assert after({}).delay(10) == 0


def test_a_limit_that_is_not_told_whole() -> None:
    """Without the limit itself what is left still counts; without what is left, or the reset, nothing does."""
    assert after(told(0, "50s", None)).delay(10) == pytest.approx(50)
    assert after({"x-ratelimit-reset-requests": "50s"}).delay(10) == 0
    assert after({"x-ratelimit-remaining-requests": "0"}).delay(10) == 0


def test_as_they_come_while_much_is_left() -> None:
    """More than a tenth of the limit."""
    assert after(told(11, "50s")).delay(10) == 0


def test_the_last_tenth_is_spread_over_the_time_until_the_reset() -> None:
    """Evenly: 10 requests in 50 seconds are one in 5, and it stays so as they go."""
    pace = after(told(10, "50s"))
    assert pace.delay(10) == pytest.approx(5)
    assert pace.delay(15) <= 0.5
    pace.sent(15)
    assert pace.delay(15) == pytest.approx(5)


def test_with_nothing_left_none_goes_before_the_reset() -> None:
    """Then all is as at the beginning."""
    pace = after(told(0, "50s"))
    assert pace.delay(10) == pytest.approx(50)
    assert pace.delay(59) == pytest.approx(1)
    assert pace.delay(60) == 0


def test_without_a_limit_to_compare_only_the_end_counts() -> None:
    """One left may go, none left may not."""
    assert after(told(1, "50s", None)).delay(10) == 0
    assert after(told(0, "50s", None)).delay(10) == pytest.approx(50)


def test_requests_on_their_way_are_not_counted_yet() -> None:
    """Three are on their way when the first answer tells that three are left: all are taken."""
    pace = Pace()
    for _ in range(4):
        pace.sent(10)
    pace.heard(200, told(3, "50s"), 10, 11, wall)
    assert pace.delay(11) == pytest.approx(50)
    pace.lost()  # one has not come through
    pace.heard(200, told(3, "50s"), 11, 12, wall)
    assert 0 < pace.delay(12) < 50


def test_of_answers_side_by_side_the_least_counts() -> None:
    """They come in any order; one that was asked for later is believed, though it tells of more."""
    pace = Pace()
    for _ in range(2):
        pace.sent(10)
    pace.heard(200, told(0, "50s"), 10, 11, wall)
    pace.heard(200, told(1, "50s"), 10, 11, wall)
    assert pace.delay(11) > 40
    pace.sent(12)
    pace.heard(200, told(60, "20s"), 12, 13, wall)
    assert pace.delay(13) == 0


def test_an_answer_that_was_overtaken_is_not_believed() -> None:
    """The server saw the second before the first, whose answer came earlier: nothing is left."""
    pace = after(told(2, "50s"))
    pace.sent(11)
    pace.sent(12)
    pace.heard(200, told(0, "48s"), 11, 13, wall)
    pace.heard(200, told(1, "48s"), 12, 14, wall)
    assert pace.delay(14) > 40


def test_what_a_request_costs_in_tokens_is_learned() -> None:
    """200 each: with 150 left none goes, with 250 left one does."""
    pace = after(told(800, "50s", 1000, "tokens"), told(600, "50s", 1000, "tokens"))
    assert pace.delay(10) == 0
    assert after(told(800, "50s", 1000, "tokens"), told(150, "50s", 1000, "tokens")).delay(
        10
    ) == pytest.approx(50)


def test_the_slower_of_both_limits_counts() -> None:
    """Requests and tokens."""
    assert after(told(90, "1s") | told(0, "30s", 1000, "tokens")).delay(10) == pytest.approx(30)


@pytest.mark.parametrize(
    ("status", "headers", "delay"),
    [
        (429, {"retry-after": "7"}, 7),
        (503, {"retry-after-ms": "1500"}, 1.5),
        (429, {}, 0),
        (500, {"retry-after": "7"}, 0),
        (429, {"retry-after": f"{MAX_ASKED_S + 1:g}"}, 0),
    ],
)
def test_a_refusal_holds_the_others_back(status: int, headers: dict[str, str], delay: float) -> None:
    """For as long as the server asks, if that is not too long."""
    assert after(headers, status=status).delay(10) == pytest.approx(delay)


def test_a_reset_that_is_far_away_is_not_waited_for() -> None:
    """A limit of the day: the server is to say that it is used up."""
    assert after(told(0, "23h59m")).delay(10) == 0
