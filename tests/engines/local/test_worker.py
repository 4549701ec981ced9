"""The thread that works on many requests in turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from duologue.engines.local.mailbox import MAX_UNREAD
from duologue.engines.local.worker import MAX_ASIDE, Aside, Ask, Worker
from duologue.protocol.errors import InternalServerError

NAME = "duologue-test-worker"


class Turns:
    """A job that counts: its items are 0, 1, 2, ... It remembers who ran and whether it was closed."""

    def __init__(
        self, count: int, log: list[Turns] | None = None, *, gate: threading.Event | None = None
    ) -> None:
        self.done = 0
        self.closed = threading.Event()
        self.threads: set[str] = set()
        self._count, self._log, self._gate = count, log, gate

    def __iter__(self) -> Iterator[list[int]]:
        try:
            for number in range(self._count):
                if self._gate is not None:
                    self._gate.wait(5)
                if self._log is not None:
                    self._log.append(self)
                self.threads.add(threading.current_thread().name)
                self.done += 1
                yield [number]
        finally:
            self.closed.set()


async def read(worker, turns, **options):
    return [item async for item in worker.run(iter(turns), **options)]


async def eventually(condition, seconds: float = 2.0) -> None:
    """Wait until a condition holds that other threads bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


def running() -> bool:
    return any(thread.name == NAME for thread in threading.enumerate())


def answer(questions: list[int]) -> list[tuple[int, int]]:
    """The square of what is asked, and how many were asked together."""
    return [(100 // question and question**2, len(questions)) for question in questions]


@pytest.fixture
async def worker():
    worker = Worker(NAME, answer, max_live=4, max_waiting=2)
    yield worker
    await asyncio.to_thread(worker.close)


async def test_a_job_is_done_in_the_workers_thread_which_ends_with_it(worker):
    assert not running()
    turns = Turns(3)
    assert await read(worker, turns) == [0, 1, 2]
    assert turns.threads == {NAME}
    await eventually(lambda: not running())
    assert await read(worker, Turns(2)) == [0, 1]


async def test_jobs_take_turns(worker):
    """One turn of each after the other: once all are there, no one ever gets more than a turn ahead."""
    log: list[Turns] = []
    gate = threading.Event()
    jobs = [Turns(20, log, gate=gate) for _ in range(3)]
    readers = [asyncio.create_task(read(worker, job)) for job in jobs]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*readers) == [list(range(20))] * 3
    begin = max(map(log.index, jobs))
    assert begin < 6
    for at in range(begin, begin + 50):
        counts = [log[begin:at].count(job) for job in jobs]
        assert max(counts) - min(counts) <= 1


async def test_the_job_of_a_reader_that_leaves_stops_at_once(worker):
    turns = Turns(10**9)
    items = worker.run(iter(turns))
    assert await anext(items) == 0
    await items.aclose()
    assert await asyncio.to_thread(turns.closed.wait, 1)
    await eventually(lambda: not running())


async def test_the_job_of_a_cancelled_task_stops_at_once(worker):
    turns = Turns(10**9)
    task = asyncio.create_task(read(worker, turns))
    await eventually(lambda: turns.done)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(turns.closed.wait, 1)


async def test_a_reader_that_is_slow_makes_its_job_rest_and_no_other(worker):
    slow, other = Turns(10 * MAX_UNREAD), Turns(5 * MAX_UNREAD)
    items = worker.run(iter(slow))
    assert await anext(items) == 0
    assert len(await read(worker, other)) == 5 * MAX_UNREAD
    await asyncio.sleep(0.05)
    assert slow.done <= MAX_UNREAD + 2
    rest = [item async for item in items]
    assert rest == list(range(1, 10 * MAX_UNREAD))


def asks(questions: list[int], *, gate: threading.Event | None = None):
    """A job that gives what it is answered."""
    for question in questions:
        if gate is not None:
            gate.wait(5)
        answered = yield Ask(question)
        yield [answered]


async def test_questions_are_answered_and_those_of_a_round_together(worker):
    assert await read(worker, asks([2, 3])) == [(4, 1), (9, 1)]
    gate = threading.Event()
    jobs = [asyncio.create_task(read(worker, asks([2, 3, 4, 5], gate=gate))) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*jobs)
    assert [[square for square, _ in job] for job in answers] == [[4, 9, 16, 25]] * 3
    assert [together for _, together in answers[0]][1:] == [3, 3, 3]


async def test_a_job_may_ask_again_at_once(worker):
    def twice():
        first, _ = yield Ask(2)
        second, _ = yield Ask(first)
        yield [second]

    assert await asyncio.gather(read(worker, twice()), read(worker, Turns(5))) == [[16], [0, 1, 2, 3, 4]]


async def test_an_answer_that_fails_ends_those_who_asked_and_no_others(worker):
    failing = [asyncio.create_task(read(worker, asks([0]))) for _ in range(2)]
    other = asyncio.create_task(read(worker, Turns(50)))
    for reader in failing:
        with pytest.raises(ZeroDivisionError):
            await reader
    assert await other == list(range(50))
    assert await read(worker, asks([2])) == [(4, 1)]


async def test_too_many_jobs_are_turned_away_and_leaving_makes_room(worker):
    gate = threading.Event()
    live = asyncio.create_task(read(worker, Turns(1, gate=gate), size=4))
    waiting = [asyncio.create_task(read(worker, Turns(1))) for _ in range(2)]
    await eventually(running)
    await asyncio.sleep(0.01)
    with pytest.raises(InternalServerError, match="2 requests are waiting") as caught:
        await read(worker, Turns(1))
    assert caught.value.status_code == 503
    assert caught.value.headers == {"retry-after": "1"}
    waiting[0].cancel()
    await asyncio.sleep(0)
    late = asyncio.create_task(read(worker, Turns(1)))
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(live, waiting[1], late) == [[0]] * 3


async def test_no_more_sequences_are_live_than_allowed(worker):
    """Jobs of 3, 1 and 2 sequences with 4 places: the last one begins when another has ended."""
    log: list[Turns] = []
    gate = threading.Event()
    three, one, two = (Turns(10, log, gate=gate) for _ in range(3))
    tasks = [
        asyncio.create_task(read(worker, job, size=size)) for job, size in ((three, 3), (one, 1), (two, 2))
    ]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    first = log.index(two)
    assert log[:first].count(three) == 10
    assert log.index(one) < log[:first].count(three)


async def test_a_job_that_is_too_large_for_all_places_is_done_alone(worker):
    assert await asyncio.gather(read(worker, Turns(3), size=99), read(worker, Turns(3))) == [[0, 1, 2]] * 2


async def test_an_error_goes_to_its_reader_and_spares_the_others(worker):
    def fails() -> Iterator[list[int]]:
        yield [1, 2]
        raise LookupError("mine")

    failing, other = worker.run(fails()), asyncio.create_task(read(worker, Turns(50)))
    assert [await anext(failing), await anext(failing)] == [1, 2]
    with pytest.raises(LookupError, match="mine"):
        await anext(failing)
    assert await other == list(range(50))


async def test_close_ends_all_jobs_and_the_thread(worker):
    turns = Turns(10**9)
    items = worker.run(iter(turns))
    assert await anext(items) == 0
    await asyncio.to_thread(worker.close)
    assert turns.closed.is_set()
    assert not running()
    with pytest.raises(InternalServerError, match="closed") as caught:
        async for _ in items:
            pass
    assert caught.value.status_code == 503
    assert await read(worker, Turns(2)) == [0, 1]


async def test_readers_may_sit_on_several_loops(worker):
    here = asyncio.create_task(read(worker, Turns(200)))
    there = await asyncio.gather(
        *(asyncio.to_thread(asyncio.run, read(worker, Turns(200))) for _ in range(2))
    )
    assert [await here, *there] == [list(range(200))] * 3


async def test_a_loop_that_is_gone_ends_its_jobs(worker):
    """Its reader was never closed: the loop just stopped."""
    turns = Turns(10**9)

    def leave() -> None:
        loop = asyncio.new_event_loop()
        items.append(worker.run(iter(turns)))
        loop.run_until_complete(anext(items[0]))
        loop.close()

    items: list = []
    await asyncio.to_thread(leave)
    assert await asyncio.to_thread(turns.closed.wait, 1)
    await eventually(lambda: not running())


# --- work that is put aside ---


async def test_what_is_put_aside_does_not_hold_up_others(worker):
    gate, others = threading.Event(), Turns(50)

    def patient():
        yield [(yield Aside(lambda: gate.wait(5)))]

    waits = asyncio.create_task(read(worker, patient()))
    try:
        assert await read(worker, others) == list(range(50))
        assert not waits.done()
    finally:
        gate.set()
    assert await waits == [True]


async def test_an_error_in_what_is_put_aside_is_raised_where_it_was_asked_for(worker):
    def divide():
        try:
            yield Aside(lambda: 1 // 0)
        except ZeroDivisionError as error:
            yield [type(error)]
        yield [(yield Aside(lambda: "more"))]

    assert await read(worker, divide()) == [ZeroDivisionError, "more"]


async def test_an_error_in_what_is_put_aside_ends_the_job_that_does_not_catch_it(worker):
    def divide():
        yield Aside(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        await read(worker, divide())


async def test_no_more_than_so_many_threads_do_what_is_put_aside():
    worker = Worker(NAME, answer, max_live=64)
    at_work, most, gate = set(), [], threading.Event()

    def work():
        at_work.add(threading.get_ident())
        most.append(len(at_work))
        gate.wait(5)
        at_work.discard(threading.get_ident())

    def job():
        yield Aside(work)

    tasks = [asyncio.create_task(read(worker, job())) for _ in range(3 * MAX_ASIDE)]
    await eventually(lambda: len(at_work) == MAX_ASIDE)
    gate.set()
    await asyncio.gather(*tasks)
    assert max(most) == MAX_ASIDE
    await asyncio.to_thread(worker.close)


async def test_what_nobody_waits_for_any_more_is_not_done(worker):
    gate, done = threading.Event(), []

    def job(number):
        yield Aside(lambda: (gate.wait(5), done.append(number)))

    first = [asyncio.create_task(read(worker, job(number))) for number in range(4)]
    last = asyncio.create_task(read(worker, job(4)))
    await asyncio.sleep(0.05)
    last.cancel()
    await asyncio.wait([last])
    gate.set()
    await asyncio.gather(*first)
    assert sorted(done) == [0, 1, 2, 3]
