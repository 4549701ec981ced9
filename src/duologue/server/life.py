"""The life of an engine: started once, before its first answer, and closed."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from typing import Any

from ..engine import Engine, Event, closing
from ..types.chat.request import ChatRequest

__all__ = ["Life"]


class Life:
    """One engine's `start` and `close`, which it need not have; coroutines, or functions that do not block.

    A server calls both at its own start and end. An app that is mounted in another hears of neither: its
    engines are started by their first request.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.double: bool = getattr(engine, "double", False)  # it is none that anybody would take for a model
        self.started = not hasattr(engine, "start")
        self._lock = threading.Lock()  # an app may be called from several event loops
        self._starting: Future[None] | None = None
        self._task: asyncio.Task[None] | None = None  # the loop itself would not keep it alive

    async def start(self) -> None:
        """Start the engine, unless it is started; who comes meanwhile waits for the same start.

        Raises what the engine raised. A start that failed is tried again by the next call.
        """
        if self.started:
            return
        with self._lock:
            starting = self._starting
            if starting is None:
                starting = self._starting = Future()
                self._task = asyncio.ensure_future(self._start(starting))
        # A request that is cancelled leaves the start to the others.
        await asyncio.shield(asyncio.wrap_future(starting))

    async def close(self) -> None:
        """Close the engine, if it was started. What comes later starts it anew."""
        started, self.started = self.started, not hasattr(self._engine, "start")
        if started and hasattr(self._engine, "close"):
            await self._hook("close")

    def over(self, engine: Engine) -> Engine:
        """`engine`, which is this one or stands for it, as one that needs no start."""
        return engine if self.started else _Started(self, engine)

    async def _start(self, starting: Future[None]) -> None:
        try:
            await self._hook("start")
        except BaseException as error:
            self._starting = None
            if isinstance(error, asyncio.CancelledError):
                starting.set_exception(RuntimeError("the event loop ended while the engine was starting"))
                raise
            starting.set_exception(error)
        else:
            self.started = True
            self._starting = None
            starting.set_result(None)

    async def _hook(self, name: str) -> None:
        hook: Callable[[], Any] = getattr(self._engine, name)
        done = hook()
        if inspect.isawaitable(done):
            await done


class _Started:
    """An engine that is started before it answers, while the client is watched and told that it is awaited."""

    def __init__(self, life: Life, engine: Engine) -> None:
        self.models = engine.models
        self.supports = engine.supports
        self._life = life
        self._engine = engine

    async def generate(self, request: ChatRequest) -> AsyncGenerator[Event | str, None]:
        await self._life.start()
        async with closing(self._engine.generate(request)) as events:
            async for event in events:
                yield event
