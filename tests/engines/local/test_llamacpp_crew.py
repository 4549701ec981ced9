"""Threads that work for readers: how many at once, in which order, and what becomes of those that leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from duologue.engines.local.llamacpp.crew import Crew, Job
from duologue.engines.local.mailbox import MAX_UNREAD
from duologue.protocol.errors import InternalServerError


class Gate:
    """Work that says its name, and ends when it is let through or its reader has left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun = threading.Event()
        self.through = threading.Event()
        self.left = False

    def __call__(self, job: Job[str]) -> None:
        self.begun.set()
        job.say([self.name])
        while not (self.through.wait(0.002) or job.left):
            pass
        self.left = job.left


async def read(events: AsyncGenerator[str, None]) -> list[str]:
    return [event async for event in events]


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 5)


async def test_what_a_job_says_comes_in_order():
    crew = Crew("test", 1)
    said = [str(number) for number in range(3 * MAX_UNREAD)]

    def work(job: Job[str]) -> None:
        for word in said:
            job.say([word])

    assert await read(crew.run(work)) == said


async def test_jobs_run_at_once_as_far_as_there_are_places():
    """Others begin in the order in which they came, when places are free for all their choices."""
    crew = Crew("test", 3)
    first, second, large, small = (Gate(name) for name in ("first", "second", "large", "small"))
    tasks = [
        asyncio.create_task(read(crew.run(gate, size=size)))
        for gate, size in ((first, 1), (second, 2), (large, 3), (small, 1))
    ]
    await until(first.begun)
    await until(second.begun)
    first.through.set()
    assert await tasks[0] == ["first"]
    assert not large.begun.is_set()
    assert not small.begun.is_set()
    second.through.set()
    await until(large.begun)
    assert not small.begun.is_set()
    large.through.set()
    await until(small.begun)
    small.through.set()
    assert await asyncio.gather(*tasks) == [["first"], ["second"], ["large"], ["small"]]


async def test_a_job_for_more_places_than_there_are_takes_all():
    crew = Crew("test", 2)
    gate = Gate("large")
    gate.through.set()
    assert await read(crew.run(gate, size=128)) == ["large"]


async def test_too_many_that_wait_are_turned_away():
    """With a 503, and when to try again; those who wait are answered."""
    crew = Crew("test", 1, max_waiting=2)
    gates = [Gate(str(number)) for number in range(3)]
    tasks = [asyncio.create_task(read(crew.run(gate))) for gate in gates]
    await until(gates[0].begun)
    await asyncio.sleep(0)
    with pytest.raises(InternalServerError, match="2 requests are waiting") as caught:
        await read(crew.run(Gate("one too many")))
    assert caught.value.status_code == 503
    for gate in gates:
        gate.through.set()
    assert await asyncio.gather(*tasks) == [["0"], ["1"], ["2"]]


async def test_a_reader_that_leaves_ends_its_job():
    """And lets the next one in."""
    crew = Crew("test", 1)
    gate, other = Gate("left"), Gate("next")
    other.through.set()
    events = crew.run(gate)
    assert await anext(events) == "left"
    waiting = asyncio.create_task(read(crew.run(other)))
    await events.aclose()
    assert await waiting == ["next"]
    assert gate.left


async def test_a_reader_that_leaves_the_queue_is_forgotten():
    """Its work never begins."""
    crew = Crew("test", 1)
    busy, never, last = Gate("busy"), Gate("never"), Gate("last")
    last.through.set()
    first = asyncio.create_task(read(crew.run(busy)))
    await until(busy.begun)
    gone = asyncio.create_task(read(crew.run(never)))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    busy.through.set()
    assert await first == ["busy"]
    assert await read(crew.run(last)) == ["last"]
    assert not never.begun.is_set()


async def test_what_a_job_raises_comes_to_its_reader():
    crew = Crew("test", 1)

    def work(job: Job[str]) -> None:
        job.say(["before"])
        raise LookupError("it broke")

    events = crew.run(work)
    assert await anext(events) == "before"
    with pytest.raises(LookupError, match="it broke"):
        await anext(events)


async def test_a_job_rests_while_its_reader_is_behind():
    """It is a bounded number of items ahead, and goes on when the reader does."""
    crew = Crew("test", 1)
    made = 0

    def work(job: Job[int]) -> None:
        nonlocal made
        while made < 4 * MAX_UNREAD:
            made += 1
            job.say([made])

    events = crew.run(work)
    assert await anext(events) == 1
    for _ in range(100):
        before = made
        await asyncio.sleep(0.005)
        if made == before and made > 1:
            break
    assert MAX_UNREAD <= made <= MAX_UNREAD + 2
    assert [event async for event in events] == list(range(2, 4 * MAX_UNREAD + 1))


async def test_closing_ends_all_jobs():
    """Those that wait, too; their readers get a 503, and later jobs are done."""
    crew = Crew("test", 1)
    busy, waiting = Gate("busy"), Gate("waiting")
    tasks = [asyncio.create_task(read(crew.run(gate))) for gate in (busy, waiting)]
    await until(busy.begun)
    await asyncio.to_thread(crew.close)
    for task in tasks:
        with pytest.raises(InternalServerError, match="closed"):
            await task
    assert not waiting.begun.is_set()
    again = Gate("again")
    again.through.set()
    assert await read(crew.run(again)) == ["again"]


async def test_what_is_done_before_takes_no_place():
    """A plain request does not wait for the grammar of another; an error there is the reader's."""
    crew = Crew("test", 1)
    slow, ready = threading.Event(), threading.Event()

    def prepare() -> None:
        ready.set()
        assert slow.wait(5)

    late = asyncio.create_task(read(crew.run(lambda job: job.say(["late"]), before=prepare)))
    await until(ready)
    assert await read(crew.run(lambda job: job.say(["plain"]))) == ["plain"]
    slow.set()
    assert await late == ["late"]

    def fail() -> None:
        raise ValueError("no plan")

    with pytest.raises(ValueError, match="no plan"):
        await read(crew.run(lambda job: job.say(["never"]), before=fail))
