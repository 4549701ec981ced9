"""Blocking code behind an event loop: a function, or an iterator, run in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from typing import Any, TypeVar

from .protocol.errors import InternalServerError

__all__ = ["MAX_AHEAD", "MAX_THREADS", "iterate_in_thread", "run_in_thread"]

T = TypeVar("T")

# How many items a blocking iterator may be ahead of its reader.
MAX_AHEAD = 16

# How many blocking engines may run at once. One that its reader has left counts until its next item.
MAX_THREADS = 1024

_threads = threading.BoundedSemaphore(MAX_THREADS)
_END: Any = object()

# What an event loop takes for its own end, or for that of a coroutine. From a thread it is neither.
_MISLEADING = (GeneratorExit, KeyboardInterrupt)


async def run_in_thread(function: Callable[..., T], *args: Any) -> T:
    """What `function(*args)` returns, run in a thread with the caller's context variables."""

    def once() -> Iterator[T]:
        yield function(*args)

    results = iterate_in_thread(once())
    try:
        return await anext(results)
    finally:
        await results.aclose()


async def iterate_in_thread(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """The items of a blocking iterable, made in a thread that is at most `MAX_AHEAD` items ahead.

    When the reader leaves, the thread stops at its next item and closes the iterator. Raises
    `InternalServerError`, a 503, when `MAX_THREADS` are at work.
    """
    if not _threads.acquire(blocking=False):
        raise InternalServerError(
            f"All {MAX_THREADS} threads of this server are at work. Try again later.",
            status_code=503,
            headers={"retry-after": "1"},
        )
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
        except _MISLEADING as error:
            post(_END, _as_error(error))
        except BaseException as error:  # the reader raises it
            post(_END, error)
        finally:
            close = getattr(iterator, "close", None)
            try:
                if close is not None:
                    close()
            finally:
                _threads.release()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(produce,), name="duologue-engine", daemon=True)
    try:
        thread.start()
    except BaseException:
        _threads.release()
        raise
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


def _as_error(raised: BaseException) -> RuntimeError:
    error = RuntimeError(f"blocking code raised {type(raised).__name__}")
    error.__cause__ = raised
    return error
