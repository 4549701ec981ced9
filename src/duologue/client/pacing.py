"""At most so many requests at once, and no faster than the server lets them: what `max_concurrency` means.

A request is in the air from its sending until its answer has ended, was left, or was dropped. Those that wait
go in the order in which they came, for each server. `protocol.pace` says when the next one is due.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from ..protocol.pace import Pace
from ..protocol.transport import (
    AsyncResponse,
    AsyncTransport,
    Deadlines,
    Head,
    Request,
    Response,
    Transport,
    TransportError,
)

__all__ = ["AsyncPaced", "Gate", "Paced"]

# Servers of which the pace is remembered; those that nobody waits for are forgotten first.
MAX_SERVERS = 64

Wake = Callable[[], object]


class Gate:
    """What clients that share their connections share, too: their places, and the pace of each server.

    Used by threads and by tasks of any event loop. After a fork the child has places of its own.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._crowd = _Crowd(places)

    def ticket(self, url: str) -> Ticket:
        """A ticket for one request to `url`."""
        if self._crowd.process != os.getpid():
            self._crowd = _Crowd(self.places)
        return Ticket(self._crowd, self._crowd.lane(urlsplit(url).netloc))


class _Lane:
    """The requests that wait for one server, each as what wakes it."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.queue: deque[Wake] = deque()

    def wake_first(self) -> None:
        while True:
            try:
                first = self.queue[0]
            except IndexError:
                return
            try:
                first()
            except RuntimeError:  # its event loop is closed: it will never come
                self.forget(first)
            else:
                return

    def forget(self, wake: Wake) -> bool:
        """Take a request out of the queue; whether it was still there."""
        try:
            self.queue.remove(wake)
        except ValueError:
            return False
        return True


class _Crowd:
    def __init__(self, places: int) -> None:
        self.process = os.getpid()
        self._lock = threading.Lock()
        # Places are given back by finalizers, too, which may run at any moment, even in a thread that holds the
        # lock. So they are the items of a deque, whose `append` and `popleft` need none.
        self._free = deque([None] * places)
        self._lanes: dict[str, _Lane] = {}

    def lane(self, server: str) -> _Lane:
        with self._lock:
            lane = self._lanes.get(server)
            if lane is None:
                if len(self._lanes) >= MAX_SERVERS:
                    idle = (name for name, lane in self._lanes.items() if not lane.queue)
                    self._lanes.pop(next(idle, ""), None)
                lane = self._lanes[server] = _Lane()
            return lane

    def admit(self, lane: _Lane, wake: Wake, now: float) -> float:
        """0 when the request that `wake` wakes goes now; else how long it is to wait unless it is woken."""
        with self._lock:
            if lane.queue[0] is not wake:
                return math.inf
            delay = lane.pace.delay(now)
            if delay > 0:
                return delay
            try:
                self._free.popleft()
            except IndexError:
                return math.inf
            lane.queue.popleft()
            lane.pace.sent(now)
        lane.wake_first()
        return 0.0

    def withdraw(self, lane: _Lane, wake: Wake) -> None:
        """The request does not go after all."""
        if lane.forget(wake):
            lane.wake_first()
        else:  # it had been let in
            self.lost(lane)

    def heard(self, lane: _Lane, head: Head, sent: float) -> None:
        with self._lock:
            lane.pace.heard(head.status, head.headers, sent, time.monotonic(), time.time)
        lane.wake_first()

    def lost(self, lane: _Lane) -> None:
        """No answer has come, and none will."""
        with self._lock:
            lane.pace.lost()
        self.leave()

    def leave(self) -> None:
        """A place is free again. May be called at any moment, by any thread."""
        self._free.append(None)
        for lane in list(self._lanes.values()):
            lane.wake_first()


class Ticket:
    """One request, from its wait for a place to the end of its answer."""

    def __init__(self, crowd: _Crowd, lane: _Lane) -> None:
        self._crowd = crowd
        self._lane = lane
        self._sent = 0.0

    def enter(self, deadlines: Deadlines) -> None:
        """Wait until the request may go. Raises `TransportError` when the time for the whole call is over."""
        bell: SimpleQueue[None] = SimpleQueue()
        wake = partial(bell.put, None)
        self._lane.queue.append(wake)
        try:
            while (pause := self._pause(wake, deadlines)) > 0:
                try:
                    bell.get(timeout=None if pause == math.inf else pause)
                except Empty:
                    pass
        except BaseException:
            self._crowd.withdraw(self._lane, wake)
            raise

    async def enter_async(self, deadlines: Deadlines) -> None:
        """`enter`, for an event loop."""
        import asyncio  # here, because blocking code does without

        bell = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, bell.set)
        self._lane.queue.append(wake)
        try:
            while (pause := self._pause(wake, deadlines)) > 0:
                try:
                    async with asyncio.timeout(None if pause == math.inf else pause):
                        await bell.wait()
                except TimeoutError:
                    pass
                bell.clear()
        except BaseException:
            self._crowd.withdraw(self._lane, wake)
            raise

    def heard(self, head: Head) -> None:
        """The head of the answer has come."""
        self._crowd.heard(self._lane, head, self._sent)

    def lost(self) -> None:
        """No answer has come, and none will."""
        self._crowd.lost(self._lane)

    def leave(self) -> None:
        """The answer has ended."""
        self._crowd.leave()

    def _pause(self, wake: Wake, deadlines: Deadlines) -> float:
        now = self._sent = time.monotonic()
        pause = self._crowd.admit(self._lane, wake, now)
        if pause > 0 and deadlines.until is not None:
            if now >= deadlines.until:
                raise deadlines.passed("connect", now)
            pause = min(pause, deadlines.until - now)
        return pause


class Paced:
    """A transport behind a gate."""

    def __init__(self, transport: Transport, gate: Gate) -> None:
        self._transport = transport
        self._gate = gate

    def send(self, request: Request, deadlines: Deadlines) -> _Response:
        """Wait for a place, send a request, and wait for the head of its answer. Raises `TransportError`."""
        ticket = self._gate.ticket(request.url)
        ticket.enter(deadlines)
        try:
            response = self._transport.send(request, deadlines)
        except BaseException:
            ticket.lost()
            raise
        return _Response(response, ticket)

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


class _Response:
    """An answer that holds a place until it ends."""

    def __init__(self, response: Response, ticket: Ticket) -> None:
        self.head = response.head
        self._response = response
        self._leave = weakref.finalize(self, ticket.leave)
        ticket.heard(response.head)

    def read(self, by: float | None = None) -> bytes:
        try:
            data = self._response.read(by)
        except TransportError:
            self._leave()
            raise
        if not data:
            self._leave()
        return data

    def release(self) -> None:
        try:
            self._response.release()
        finally:
            self._leave()

    def close(self) -> None:
        self._response.close()
        self._leave()


class AsyncPaced:
    """A transport behind a gate."""

    def __init__(self, transport: AsyncTransport, gate: Gate) -> None:
        self._transport = transport
        self._gate = gate

    async def send(self, request: Request, deadlines: Deadlines) -> _AsyncResponse:
        """Wait for a place, send a request, and wait for the head of its answer. Raises `TransportError`."""
        ticket = self._gate.ticket(request.url)
        await ticket.enter_async(deadlines)
        try:
            response = await self._transport.send(request, deadlines)
        except BaseException:
            ticket.lost()
            raise
        return _AsyncResponse(response, ticket)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()


class _AsyncResponse:
    """An answer that holds a place until it ends."""

    def __init__(self, response: AsyncResponse, ticket: Ticket) -> None:
        self.head = response.head
        self._response = response
        self._leave = weakref.finalize(self, ticket.leave)
        ticket.heard(response.head)

    async def read(self, by: float | None = None) -> bytes:
        try:
            data = await self._response.read(by)
        except TransportError:
            self._leave()
            raise
        if not data:
            self._leave()
        return data

    async def release(self) -> None:
        try:
            await self._response.release()
        finally:
            self._leave()

    def close(self) -> None:
        self._response.close()
        self._leave()
