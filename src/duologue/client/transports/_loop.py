"""An event loop in a thread of its own, for blocking callers."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from ...protocol.transport import TransportError

__all__ = ["JOIN_S", "LATE_S", "LoopThread", "soon"]

# How long whoever stops the loop waits for its thread, in seconds.
JOIN_S = 1.0

# How long after its deadline a result is given up whose loop does not see to the deadline, in seconds.
LATE_S = 0.25

T = TypeVar("T")

_log = logging.getLogger("duologue.client")


class LoopThread:
    """A running event loop. It ends when it is stopped, or when nobody refers to this object any more.

    After a fork the child has the loop but not its thread, so nothing can be run on it there.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        thread = threading.Thread(target=_run, args=(self._loop,), name="duologue-asgi", daemon=True)
        thread.start()
        self._end = weakref.finalize(self, _stop, self._loop, thread, self._process)

    @property
    def here(self) -> bool:
        """Whether the thread is one of this process."""
        return self._process == os.getpid()

    def run(self, coroutine: Coroutine[Any, Any, T], by: float | None = None) -> T:
        """What `coroutine` returns on the loop, which ought to be there `by` that moment on the monotonic clock.

        Raises `TransportError`; `TimeoutError` when it is not there `LATE_S` after, for the loop is blocked.
        """
        if not self.here:
            coroutine.close()
            forked = RuntimeError("this answer was open before the fork; only the parent process can read it")
            raise TransportError("reset", str(forked)) from forked
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise TransportError("reset", "the client was closed") from None
        try:
            return future.result(None if by is None else max(by - time.monotonic(), 0) + LATE_S)
        except CancelledError:
            raise TransportError("reset", "the client was closed") from None
        except BaseException:
            future.cancel()
            raise

    def soon(self, function: Callable[[], None]) -> None:
        """Have `function` called on the loop, if it still runs."""
        if self.here:
            soon(self._loop, function)

    def stop(self) -> None:
        """End the loop and what runs on it."""
        self._end()


def soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Have `function` called on `loop`, from any thread, if the loop has not ended."""
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:  # the loop has ended, and everything on it
        pass


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        _run_until_stopped(loop)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:  # one that goes on all the same is left alone
            loop.run_until_complete(asyncio.wait(left, timeout=JOIN_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            return loop.run_forever()
        except (SystemExit, KeyboardInterrupt):  # these two leave the loop; others are waiting on it
            _log.exception("A task in the application tried to end the process")


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    if process == os.getpid():
        soon(loop, loop.stop)
        if thread is not threading.current_thread():
            thread.join(JOIN_S)
