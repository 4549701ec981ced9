"""Several choices at once, each at its own pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ...engine import Event

__all__ = ["MAX_AHEAD", "merged"]

# How many events all choices together may be ahead of the reader.
MAX_AHEAD = 64


class _End:
    """The end of one choice, with what ended it where that was an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


async def merged(choices: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
    """The events of all choices as they come. Each runs in a task of its own, from its begin to its end."""
    queue: asyncio.Queue[Event | _End] = asyncio.Queue(MAX_AHEAD)
    tasks = [asyncio.ensure_future(_pump(choice, queue)) for choice in choices]
    running = len(tasks)
    try:
        while running:
            event = queue.get_nowait() if not queue.empty() else await queue.get()
            if not isinstance(event, _End):
                yield event
            elif event.error is not None:
                raise event.error
            else:
                running -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(choice: AsyncGenerator[Event, None], queue: asyncio.Queue[Event | _End]) -> None:
    error: BaseException | None = None
    try:
        async with aclosing(choice):
            async for event in choice:
                if queue.full():
                    await queue.put(event)
                else:
                    queue.put_nowait(event)
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        error = cancelled  # nobody cancelled it: the engine did that to itself
    except BaseException as raised:  # the reader raises it, where even sys.exit() is an engine's error
        error = raised
    await queue.put(_End(error))
