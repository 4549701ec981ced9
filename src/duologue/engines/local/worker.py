"""One thread that does the work of many requests in turn.

A job is a generator of turns, each of which takes a short time and gives a list of items for the reader. The
thread works in rounds of one turn of each job, so that all go on at the same pace and none waits for another's
end. It starts with the first job and ends with the last.

A turn may give an `Ask` instead of items: the questions of a round are answered together, which is faster than
one by one, and each answer is sent to its generator, which goes on to its items. A turn that gives an `Aside`
has its work done in another thread, and rests until then: work that takes long and has nothing to do with others.

Readers sit on event loops, any number of them. A reader that leaves ends its job before the next turn; the
job of one that is slow rests until it has caught up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from .mailbox import MAX_UNREAD, MAX_WAITING, End, Mailbox, closed, too_busy

__all__ = ["MAX_ASIDE", "MAX_LIVE", "Aside", "Ask", "Turns", "Worker"]

T = TypeVar("T")

# The most sequences that are worked on at once; a request with n choices counts n.
MAX_LIVE = 128
# How many threads do work that was put aside.
MAX_ASIDE = 4


class Ask(NamedTuple):
    """What a turn gives that needs an answer first."""

    question: Any


class Aside(NamedTuple):
    """What a turn gives that is to be done in another thread; what it returns or raises comes back."""

    work: Callable[[], Any]


Turns: TypeAlias = Generator[list[T] | Ask | Aside, Any, None]


class _Job(Generic[T]):
    """One reader's work. The worker's lock guards nothing in it but its place in the worker's queues."""

    def __init__(self, turns: Turns[T], size: int) -> None:
        self.size = size
        self.over = False
        self.asks: Ask | None = None
        self.aside: Aside | None = None
        self._turns = turns
        self._settled: Callable[[], list[T] | Ask | Aside] | None = None
        self._mail: Mailbox[T] = Mailbox()

    @property
    def rests(self) -> bool:
        """Whether its reader, or what it put aside, must catch up first."""
        return self.aside is not None or self._mail.full

    def turn(self, answer: Any = None) -> None:
        """Run one turn, with the answer to what it asks; in the worker's thread."""
        self.asks = None
        settled, self._settled = self._settled, None
        try:
            made = settled() if settled is not None else self._turns.send(answer)
        except StopIteration:
            self.end()
        except BaseException as error:  # the reader raises it
            self.end(error)
        else:
            if isinstance(made, Ask):
                self.asks = made
            elif isinstance(made, Aside):
                self.aside = made
            elif made:
                self._post(made)

    def settle(self) -> None:
        """Do what was put aside; in a thread for that. The next turn goes on with it."""
        assert self.aside is not None
        try:
            self._settled = partial(self._turns.send, self.aside.work())
        except BaseException as error:  # raised where it was asked for
            self._settled = partial(self._turns.throw, error)
        self.aside = None

    def end(self, error: BaseException | None = None) -> None:
        """Give the reader its last item; the worker then forgets the job."""
        self.over = True
        self._post([End(error)])

    def release(self) -> None:
        """Free what the turns hold; in the worker's thread, so never while one runs."""
        self._turns.close()

    async def take(self) -> tuple[T | End, bool]:
        """The next item, and whether the job may have been resting before it was taken."""
        item = await self._mail.take()
        return item, len(self._mail) == MAX_UNREAD - 1

    def _post(self, items: Iterable[T | End]) -> None:
        if not self._mail.post(items):
            self.over = True


class Worker:
    """The thread and its jobs. `name` is the thread's, `answer` gives the answers to questions in their order."""

    def __init__(
        self,
        name: str,
        answer: Callable[[list[Any]], Sequence[Any]],
        *,
        max_live: int = MAX_LIVE,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._name = name
        self._answer = answer
        self._max_live = max_live
        self._max_waiting = max_waiting
        self._live: deque[_Job[Any]] = deque()
        self._waiting: deque[_Job[Any]] = deque()
        self._aside: deque[_Job[Any]] = deque()
        self._aside_threads = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    async def run(self, turns: Turns[T], *, size: int = 1) -> AsyncGenerator[T, None]:
        """The items of a job of so many sequences, which ends when the reader closes this iterator.

        Raises what a turn raises, and `InternalServerError` with status 503 where too many jobs wait.
        """
        job = _Job(turns, size)
        self._submit(job)
        try:
            while True:
                item, rested = await job.take()
                if rested:
                    self._wake()
                if isinstance(item, End):
                    if item.error is not None:
                        raise item.error
                    return
                yield item
        finally:
            self._leave(job)

    def close(self) -> None:
        """End all jobs and wait for the thread. Their readers get an error; new jobs may come after it."""
        with self._changed:
            for job in (*self._live, *self._waiting):
                job.end(closed())
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _submit(self, job: _Job[Any]) -> None:
        with self._changed:
            self._waiting.append(job)
            self._admit()
            if len(self._waiting) > self._max_waiting:
                self._waiting.pop()
                raise too_busy(self._max_waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def _leave(self, job: _Job[Any]) -> None:
        job.over = True
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
            self._changed.notify()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _work(self) -> None:
        while jobs := self._ready():
            for job in jobs:
                if job.asks is None and not job.over:
                    self._turn(job)
            self._answer_all([job for job in jobs if job.asks is not None and not job.over])

    def _turn(self, job: _Job[Any], answer: Any = None) -> None:
        job.turn(answer)
        if job.aside is None:
            return
        with self._changed:
            self._aside.append(job)
            if self._aside_threads < MAX_ASIDE:
                self._aside_threads += 1
                threading.Thread(target=self._work_aside, name=f"{self._name}-aside", daemon=True).start()

    def _work_aside(self) -> None:
        while (job := self._next_aside()) is not None:
            if not job.over:
                job.settle()
            self._wake()

    def _next_aside(self) -> _Job[Any] | None:
        """What was put aside first; None, and one thread less, where there is nothing."""
        with self._changed:
            if self._aside:
                return self._aside.popleft()
            self._aside_threads -= 1
            return None

    def _answer_all(self, jobs: list[_Job[Any]]) -> None:
        """Answer what the jobs ask and let each go on."""
        if not jobs:
            return
        try:
            answers = self._answer([job.asks.question for job in jobs if job.asks is not None])
        except BaseException as error:  # nobody can say whose fault it is
            for job in jobs:
                job.end(error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            self._turn(job, answer)

    def _ready(self) -> list[_Job[Any]]:
        """The jobs of the next round, waited for if all of them rest; none, and no thread, if there is none."""
        with self._changed:
            while True:
                self._clear()
                if not self._live:
                    self._thread = None
                    return []
                ready = [job for job in self._live if not job.rests]
                if ready:
                    return ready
                self._changed.wait()

    def _clear(self) -> None:
        """Forget the jobs that are over, and let others in."""
        for job in [job for job in self._live if job.over]:
            self._live.remove(job)
            job.release()
        self._admit()

    def _admit(self) -> None:
        """Let jobs in, in the order in which they came; one that is too large for all places, alone."""
        size = sum(job.size for job in self._live)
        while self._waiting and (not size or size + self._waiting[0].size <= self._max_live):
            self._live.append(self._waiting.popleft())
            size += self._live[-1].size
