"""Several choices at once, each at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ...engine import Event, Head

__all__ = ["MAX_AHEAD", "merged"]

# How many events all choices together may be ahead of the reader.
MAX_AHEAD = 64


async def merged(choices: Sequence[AsyncGenerator[Event | str, None]]) -> AsyncGenerator[Event | str, None]:
    """The events of all choices as they come. Each runs in a task of its own, from its begin to its end."""
    meeting: _Meeting = _Meeting(len(choices))
    tasks = [asyncio.ensure_future(_pump(choice, meeting)) for choice in choices]
    begun = False
    try:
        while True:
            while meeting.events:
                event = meeting.events.popleft()
                # The answer has one head, that of the choice that is first.
                if not begun or not isinstance(event, Head):
                    yield event
                begun = begun or bool(event)  # not by what only shows that an engine is at work
            if meeting.error is not None:
                raise meeting.error
            if not meeting.running:
                return
            meeting.room.set()
            meeting.news.clear()
            meeting.waiting = True
            await meeting.news.wait()
            meeting.waiting = False
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Meeting:
    """Where the choices meet their reader. An `asyncio.Queue` does the same, at some microseconds an event."""

    def __init__(self, running: int) -> None:
        self.events: deque[Event | str] = deque()
        self.running = running
        self.error: BaseException | None = None
        self.waiting = False  # the reader, for news
        self.news = asyncio.Event()
        self.room = asyncio.Event()


async def _pump(choice: AsyncGenerator[Event | str, None], meeting: _Meeting) -> None:
    try:
        async with aclosing(choice):
            async for event in choice:
                meeting.events.append(event)
                if meeting.waiting:
                    meeting.news.set()
                while len(meeting.events) >= MAX_AHEAD:
                    meeting.room.clear()
                    await meeting.room.wait()
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        meeting.error = meeting.error or cancelled  # nobody cancelled it: the engine did that to itself
    except BaseException as raised:  # the reader raises it, where even sys.exit() is an engine's error
        meeting.error = meeting.error or raised
    meeting.running -= 1
    meeting.news.set()
