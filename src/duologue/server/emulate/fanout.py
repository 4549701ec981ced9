"""Several choices at once, each at its own pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ...engine import Event, Head
from ...protocol.write import Together
from ..breath import Breath

__all__ = ["MAX_AHEAD", "merged"]

# How many events all choices together may be ahead of the reader.
MAX_AHEAD = 64


async def merged(
    choices: Sequence[tuple[AsyncGenerator[Event | str, None], Breath]],
) -> AsyncGenerator[Together, None]:
    """The events of all choices as they come, those that are there together.

    Each choice runs in a task of its own, from its begin to its end, and has breaths of its own.
    """
    meeting: _Meeting = _Meeting(len(choices))
    tasks = [asyncio.ensure_future(_pump(choice, breath, meeting)) for choice, breath in choices]
    try:
        while True:
            while meeting.events:
                ready = Together(meeting.events)
                yield ready
                del meeting.events[: len(ready)]
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
        self.events: list[Event | str] = []  # until the reader has done with them
        self.begun = False
        self.running = running
        self.error: BaseException | None = None
        self.waiting = False  # the reader, for news
        self.news = asyncio.Event()
        self.room = asyncio.Event()


async def _pump(choice: AsyncGenerator[Event | str, None], breath: Breath, meeting: _Meeting) -> None:
    try:
        async with aclosing(choice):
            async for event in choice:
                # The answer has one head, that of the choice that is first.
                if meeting.begun and type(event) is Head:
                    continue
                # It has not begun by what only shows that an engine is at work.
                meeting.begun = meeting.begun or bool(event)
                meeting.events.append(event)
                if meeting.waiting:
                    meeting.news.set()
                while len(meeting.events) >= MAX_AHEAD:
                    meeting.room.clear()
                    await meeting.room.wait()
                if breath.due(time.monotonic()):
                    await breath.take()
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        meeting.error = meeting.error or cancelled  # nobody cancelled it: the engine did that to itself
    except BaseException as raised:  # the reader raises it, where even sys.exit() is an engine's error
        meeting.error = meeting.error or raised
    meeting.running -= 1
    meeting.news.set()
