"""What a thread makes, handed to a reader on an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from ...protocol.errors import InternalServerError

__all__ = ["MAX_UNREAD", "MAX_WAITING", "End", "Mailbox", "closed", "too_busy"]

T = TypeVar("T")

# How many items a reader may be behind before the work for it rests.
MAX_UNREAD = 64
# The most requests that wait for a place; more are turned away.
MAX_WAITING = 256
RETRY_AFTER_S = 1


class End:
    """What a reader gets last: the error that ended the work, or None for the regular end."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Mailbox(Generic[T]):
    """The items on their way to one reader, on whose loop it is made; `post` is for any thread."""

    def __init__(self) -> None:
        self._items: deque[T | End] = deque()
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether the reader must catch up first."""
        return len(self._items) >= MAX_UNREAD

    def post(self, items: Iterable[T | End]) -> bool:
        """Hand over items; False where nobody can read them any more."""
        self._items.extend(items)
        try:
            self._loop.call_soon_threadsafe(self._more.set)
        except RuntimeError:  # the loop is closed
            return False
        return True

    async def take(self) -> T | End:
        """The next item, waited for."""
        while not self._items:
            await self._more.wait()
            self._more.clear()
        return self._items.popleft()


def too_busy(waiting: int) -> InternalServerError:
    """The error for a request that finds so many before it."""
    return InternalServerError(
        f"The model is busy and {waiting} requests are waiting; try again later.",
        status_code=503,
        headers={"retry-after": str(RETRY_AFTER_S)},
    )


def closed() -> InternalServerError:
    """The error for requests under way when the engine is closed."""
    return InternalServerError("The engine was closed.", status_code=503)
