"""Tools at work: the calls of one turn, side by side, each with a deadline.

A function that is not asynchronous runs in a thread, which nothing can end: after its deadline, or when it is
cancelled, nobody waits for it any more, and what it returns is dropped.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from queue import SimpleQueue
from typing import Any

from .._threads import run_in_thread
from ..protocol.schema.errors import words_of
from ..protocol.turns import CANCELLED, TIMED_OUT, Ended, Job
from ..tools.result import result_text, sendable

__all__ = ["BlockingCalls", "run_jobs"]

CANCEL_GRACE_S = 2.0  # for tools that are cancelled to clean up


async def run_jobs(
    jobs: Sequence[Job], context: Any, *, limit: int, seconds: float | None
) -> AsyncGenerator[Ended]:
    """How the calls end, as they do; at most `limit` at a time, each within so many `seconds`."""
    room = asyncio.Semaphore(limit)
    tasks = [asyncio.create_task(_ended(job, context, room, seconds)) for job in jobs]
    try:
        for next_one in asyncio.as_completed(tasks):
            yield await next_one
    finally:
        if open_ := [task for task in tasks if not task.done()]:
            for task in open_:
                task.cancel()
            await asyncio.wait(open_, timeout=CANCEL_GRACE_S)


async def _ended(job: Job, context: Any, room: asyncio.Semaphore, seconds: float | None) -> Ended:
    async with room:
        task = asyncio.create_task(_invoke(job, context))
        task.add_done_callback(_seen)
        try:
            await asyncio.wait([task], timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_GRACE_S)
            raise
    if not task.done():  # it may be deaf to this; nobody waits for it
        task.cancel()
        late = TIMED_OUT.format(seconds=seconds or 0)
        return Ended(job.key, late, None, TimeoutError(late))
    if task.cancelled():
        return Ended(job.key, CANCELLED, None, RuntimeError("the tool was cancelled"))
    error = task.exception()
    if isinstance(error, Exception):
        return Ended(job.key, sendable(f"Error: {words_of(error)}"), None, error)
    value = task.result()
    try:
        return Ended(job.key, result_text(value), value)
    except Exception as problem:  # a value's own methods may raise anything
        return Ended(job.key, sendable(f"Error: the result cannot be told: {problem}"), value, problem)


async def _invoke(job: Job, context: Any) -> Any:
    call = partial(job.tool.invoke, job.call.arguments, context=context)
    value = call() if job.tool.is_async else await run_in_thread(call)
    return await value if isawaitable(value) else value


def _seen(task: asyncio.Task[Any]) -> None:
    """What a call that was given up raises later is nobody's."""
    if not task.cancelled():
        task.exception()


class BlockingCalls:
    """The same for blocking code: the calls have an event loop of their own, in a thread."""

    def __init__(self, results: AsyncGenerator[Ended]) -> None:
        self._results = results
        self._ended: SimpleQueue[Ended | BaseException] = SimpleQueue()  # holds one for each call at most
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._work,), name="duologue-tools", daemon=True
        )
        self._thread.start()

    def wait(self) -> Ended:
        """How the next call ends."""
        ended = self._ended.get()
        if isinstance(ended, BaseException):
            raise ended
        return ended

    def close(self) -> None:
        """Cancel the calls that are still going on; wait a little for those that can be cancelled."""
        self._begun.wait()
        if self._loop is not None and self._task is not None:
            try:
                self._loop.call_soon_threadsafe(self._task.cancel)
            except RuntimeError:  # the loop is closed: all have ended
                return
            self._thread.join(CANCEL_GRACE_S)

    def _work(self) -> None:
        try:
            asyncio.run(self._collect())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # whoever waits raises it
            self._ended.put(error)
        finally:
            self._begun.set()

    async def _collect(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._begun.set()
        async with aclosing(self._results) as results:
            async for ended in results:
                self._ended.put(ended)
