"""Threads that work for readers on event loops: a few at once, the others wait their turn.

A job is a function that is handed its `Job` and says there what it has made. Each runs in a thread of its own,
which spends its time in llama.cpp. A job whose reader leaves is told so, and ends by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from ..mailbox import MAX_UNREAD, MAX_WAITING, End, Mailbox, closed, too_busy

__all__ = ["Crew", "Job"]

T = TypeVar("T")


class Job(Generic[T]):
    """One reader's work. `left` says that nobody waits for it any more."""

    def __init__(self, work: Callable[[Job[T]], None], size: int) -> None:
        self.size = size
        self.left = False
        self._work = work
        self._mail: Mailbox[T] = Mailbox()
        self._fewer = threading.Condition()

    def say(self, items: Sequence[T]) -> None:
        """Hand items to the reader. Waits while it is too far behind; in the job's own thread."""
        if not items:
            return
        self._post(items)
        with self._fewer:
            self._fewer.wait_for(lambda: self.left or not self._mail.full)

    def run(self) -> None:
        """Do the work and give the reader its last item, the error if there was one."""
        error: BaseException | None = None
        try:
            self._work(self)
        except BaseException as raised:  # the reader raises it
            error = raised
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Give the reader its last item, and let the work know that no more is wanted."""
        self.leave()
        self._post([End(error)])

    def leave(self) -> None:
        """Nobody waits for this any more."""
        with self._fewer:
            self.left = True
            self._fewer.notify()

    async def take(self) -> T | End:
        """The next item; on the reader's loop."""
        item = await self._mail.take()
        if len(self._mail) == MAX_UNREAD - 1:
            with self._fewer:
                self._fewer.notify()
        return item

    def _post(self, items: Iterable[T | End]) -> None:
        if not self._mail.post(items):
            self.left = True


class Crew:
    """Runs jobs, so many places' worth at once and in the order in which they came. `name` is its threads'."""

    def __init__(self, name: str, places: int, *, max_waiting: int = MAX_WAITING) -> None:
        self._name = name
        self._places = places
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        self._live: dict[Job[Any], threading.Thread] = {}
        self._waiting: deque[Job[Any]] = deque()

    async def run(
        self,
        work: Callable[[Job[T]], None],
        *,
        size: int = 1,
        before: Callable[[], object] | None = None,
    ) -> AsyncGenerator[T, None]:
        """What a job of so many places says. It is told to end when the reader closes this iterator.

        `before` is done first, in another thread, while no place is taken. Raises what it and the work raise, and
        `InternalServerError` with status 503 where too many jobs wait.
        """
        if before is not None:
            await asyncio.to_thread(before)
        job = Job(work, min(size, self._places))
        self._submit(job)
        try:
            while True:
                item = await job.take()
                if isinstance(item, End):
                    if item.error is not None:
                        raise item.error
                    return
                yield item
        finally:
            self._leave(job)

    def close(self) -> None:
        """End all jobs and wait for their threads. Their readers get an error; new jobs may come after it."""
        with self._lock:
            jobs = [*self._live, *self._waiting]
            threads = [*self._live.values()]
            self._waiting.clear()
        for job in jobs:
            job.end(closed())
        for thread in threads:
            thread.join()

    def _submit(self, job: Job[Any]) -> None:
        with self._lock:
            self._waiting.append(job)
            self._admit()
            if len(self._waiting) > self._max_waiting:
                self._waiting.pop()
                raise too_busy(self._max_waiting)

    def _leave(self, job: Job[Any]) -> None:
        job.leave()
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)

    def _admit(self) -> None:
        """Start the jobs that there is room for; with the lock held."""
        taken = sum(job.size for job in self._live)
        while self._waiting and taken + self._waiting[0].size <= self._places:
            job = self._waiting.popleft()
            taken += job.size
            # Daemons, so that a process that ends without closing its engine does not wait for an answer.
            thread = threading.Thread(target=self._work, args=(job,), name=self._name, daemon=True)
            self._live[job] = thread
            thread.start()

    def _work(self, job: Job[Any]) -> None:
        try:
            job.run()
        finally:
            with self._lock:
                del self._live[job]
                self._admit()
