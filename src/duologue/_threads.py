"""Blocking code behind an event loop: a function, or an iterator, run in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeVar

__all__ = ["MAX_AHEAD", "iterate_in_thread", "run_in_thread"]

T = TypeVar("T")

# How many items a blocking iterator may be ahead of its reader.
MAX_AHEAD = 16

_END: Any = object()


async def run_in_thread(function: Callable[..., T], *args: Any) -> T:
    """What `function(*args)` returns, run in a worker thread with the caller's context variables."""

    def call() -> T:
        try:
            return function(*args)
        except StopIteration as error:  # a future cannot hold it, and would never be done
            raise RuntimeError(f"{function!r} raised StopIteration") from error

    return await asyncio.to_thread(call)


async def iterate_in_thread(items: Iterable[T]) -> AsyncIterator[T]:
    """The items of a blocking iterable, made in a thread that is at most `MAX_AHEAD` items ahead.

    When the reader leaves, the thread stops at its next item and closes the iterator.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[T, BaseException | None]] = asyncio.Queue()
    room = threading.Semaphore(MAX_AHEAD)
    left = threading.Event()

    def post(item: T, error: BaseException | None = None) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, (item, error))
        except RuntimeError:  # the loop is closed, so nobody is waiting
            left.set()

    def produce() -> None:
        iterator: Any = None
        try:
            iterator = iter(items)
            for item in iterator:
                room.acquire()
                if left.is_set():
                    return
                post(item)
            post(_END)
        except BaseException as error:  # the reader raises it
            post(_END, error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(produce,), name="duologue-engine", daemon=True).start()
    try:
        while True:
            item, error = await queue.get()
            if error is not None:
                raise error
            if item is _END:
                return
            room.release()
            yield item
    finally:
        left.set()
        room.release()
