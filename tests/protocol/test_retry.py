"""When a request is sent again, and after how long: tables, with the clock and the dice in the test's hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from duologue.protocol.retry import MAX_ASKED_S, MAX_RETRIES, Failure, Send, Sleep, attempts
from duologue.protocol.transport import Headers

NOW = 1_750_000_000.0  # Sun, 15 Jun 2025 15:06:40 GMT


def course(
    *failures: Failure | None,
    max_retries: int = MAX_RETRIES,
    servers: int = 1,
    random: float = 0.0,
    left: float = math.inf,
) -> list[Send | Sleep]:
    """Every step, when the attempts fail in these ways."""
    plan = attempts(max_retries, servers=servers, left=lambda: left, wall=lambda: NOW, uniform=lambda: random)
    steps: list[Send | Sleep] = [next(plan)]
    answers = iter(failures)
    try:
        while True:
            steps.append(plan.send(next(answers) if isinstance(steps[-1], Send) else None))
    except StopIteration:
        return steps


def delay(random: float = 0.0, status: int = 503, **headers: str) -> float | None:
    """The wait after a failure with these headers; None for no retry."""
    fields = Headers((name.replace("_", "-"), value) for name, value in headers.items())
    steps = course(Failure(status, fields), None, random=random)
    if len(steps) == 1:
        return None
    assert isinstance(steps[1], Sleep)
    return steps[1].seconds


@pytest.mark.parametrize(
    ("failure", "retried"),
    [
        pytest.param(Failure(), True, id="no-answer"),
        pytest.param(Failure(final=True), False, id="no-answer-that-would-fail-again"),
        pytest.param(Failure(408), True, id="408"),
        pytest.param(Failure(409), True, id="409"),
        pytest.param(Failure(429), True, id="429"),
        pytest.param(Failure(500), True, id="500"),
        pytest.param(Failure(503), True, id="503"),
        pytest.param(Failure(529), True, id="529"),
        pytest.param(Failure(301), False, id="301"),
        pytest.param(Failure(400), False, id="400"),
        pytest.param(Failure(401), False, id="401"),
        pytest.param(Failure(404), False, id="404"),
        pytest.param(Failure(422), False, id="422"),
        pytest.param(Failure(400, {"x-should-retry": "true"}), True, id="400-should"),
        pytest.param(Failure(500, {"x-should-retry": "false"}), False, id="500-should-not"),
        pytest.param(Failure(400, {"x-should-retry": "maybe"}), False, id="400-nonsense"),
        pytest.param(
            Failure(500, {"x-should-retry": "true", "retry-after": "121"}), False, id="too-long-goes-first"
        ),
    ],
)
def test_what_is_sent_again(failure: Failure, retried: bool) -> None:
    """By kind of failure, and by what the server says of it."""
    assert len(course(failure, None)) == (3 if retried else 1)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.5),
        ({"retry_after": "3"}, 3),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "120"}, MAX_ASKED_S),
        ({"retry_after": "120.001"}, None),
        ({"retry_after": "1e9"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "0"}, 0.5),
        ({"retry_after": "-4"}, 0.5),
        ({"retry_after": "nan"}, 0.5),
        ({"retry_after": "soon"}, 0.5),
        ({"retry_after": ""}, 0.5),
        ({"retry_after": "Sun, 15 Jun 2025 15:07:10 GMT"}, 30),
        ({"retry_after": "Sun, 15 Jun 2025 17:07:10 +0200"}, 30),
        ({"retry_after": "Sun, 15 Jun 2025 15:06:10 GMT"}, 0.5),
        ({"retry_after": "Sun, 15 Jun 2025 15:09:10 GMT"}, None),
        ({"retry_after": "Sun, 15 Jun 99999999999 15:07:10 GMT"}, 0.5),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9),
        ({"retry_after_ms": "120001"}, None),
    ],
    ids=lambda value: str(value),
)
def test_what_the_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds or a date; nonsense counts as nothing, too long a wait as a no."""
    assert delay(**headers) == (None if seconds is None else pytest.approx(seconds))


def test_the_wait_doubles_up_to_a_limit() -> None:
    """0.5 s, twice as long each time, never above 8 s, however many retries there are."""
    steps = course(*[Failure()] * 2000, max_retries=1999)
    waits = [step.seconds for step in steps if isinstance(step, Sleep)]
    assert waits[:6] == [0.5, 1, 2, 4, 8, 8]
    assert len(waits) == 1999
    assert max(waits) == 8


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 0.5), (0.5, 0.4375), (1.0, 0.375)])
def test_the_wait_is_spread(random: float, seconds: float) -> None:
    """Up to a quarter less, so that clients do not come back all at once."""
    assert delay(random) == pytest.approx(seconds)


def test_what_the_server_asks_for_is_not_spread() -> None:
    """A server that names a time gets no request before it."""
    assert delay(random=1.0, retry_after="2") == 2


@pytest.mark.parametrize("max_retries", [0, 1, 2, 5])
def test_attempts_are_counted(max_retries: int) -> None:
    """Each attempt knows its number; after the last one there is no wait."""
    steps = course(*[Failure()] * 9, max_retries=max_retries)
    assert [step.retry for step in steps if isinstance(step, Send)] == list(range(max_retries + 1))
    assert isinstance(steps[-1], Send)


@pytest.mark.parametrize(("left", "retried"), [(0.51, True), (0.5, False), (0.0, False)])
def test_no_wait_outlasts_the_call(left: float, retried: bool) -> None:
    """A wait that would go beyond the deadline of the whole call is not begun."""
    assert len(course(Failure(), None, left=left)) == (3 if retried else 1)


def test_the_clock_is_asked_only_for_dates() -> None:
    """Nothing but the failure decides, unless it names a date."""

    def wall() -> float:
        raise AssertionError

    clock: Callable[[], float] = wall
    plan = attempts(1, left=lambda: math.inf, wall=clock, uniform=lambda: 0.0)
    next(plan)
    assert plan.send(Failure(429, {"retry-after": "2"})) == Sleep(2.0)


def in_words(steps: list[Send | Sleep]) -> str:
    """`A 0.5 A`: the servers by letters, and the waits between them."""
    return " ".join("ABC"[s.server] if isinstance(s, Send) else f"{s.seconds:g}" for s in steps)


BUSY, LONG, WRONG = Failure(503, {"retry-after": "3"}), Failure(429, {"retry-after": "600"}), Failure(400)


@pytest.mark.parametrize(
    ("failures", "servers", "steps"),
    [
        pytest.param([Failure()] * 5, 2, "A 0 B 0.5 A 0.5 B 1 A", id="the-wait-grows-with-the-rounds"),
        pytest.param([Failure()] * 5, 3, "A 0 B 0 C 0.5 A 0.5 B", id="three"),
        pytest.param([BUSY, Failure(), None], 2, "A 0 B 3 A", id="each-gets-the-time-that-it-asked-for"),
        pytest.param([Failure(), BUSY, Failure(), None], 2, "A 0 B 0.5 A 3 B", id="and-not-the-others"),
        pytest.param([LONG, None], 2, "A 0 B", id="a-long-wait-there-is-none-here"),
        pytest.param([LONG, Failure()], 2, "A 0 B", id="but-it-ends-the-round"),
        pytest.param([Failure(final=True), None], 2, "A 0 B", id="hopeless-there"),
        pytest.param([Failure(final=True)], 1, "A", id="hopeless"),
        pytest.param([WRONG], 2, "A", id="wrong-everywhere"),
        pytest.param([Failure(503, {"x-should-retry": "false"})], 2, "A", id="should-not"),
    ],
)
def test_several_servers(failures: list[Failure | None], servers: int, steps: str) -> None:
    """The next one is asked at once; one that was asked before has a wait."""
    assert in_words(course(*failures, servers=servers, max_retries=4)) == steps


def test_no_time_is_left_for_another_server() -> None:
    """Not even at once."""
    assert in_words(course(Failure(), None, servers=2, left=0.0)) == "A"
