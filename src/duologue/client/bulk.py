"""Many requests over one client: so many at once, their results in order or as they come.

Requests are taken from their iterable only as results are taken: at most `AHEAD` times as many are begun and not
yet delivered as may be in the air at once. So the memory is bounded, however many there are. What has come is
delivered before the next request is waited for.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias

from ..protocol.errors import APITimeoutError, DuologueError
from ..types.chat.chat_completion import ChatCompletion
from .options import MAX_TIMEOUT_S, Options, Timeout, is_count, omit
from .progress import Progress

__all__ = [
    "AHEAD",
    "MAX_CONCURRENCY",
    "AsyncRequests",
    "AsyncResults",
    "BulkResult",
    "Requests",
    "Results",
    "Settings",
    "settings_of",
]

MAX_CONCURRENCY = 16  # unless the caller or the client says otherwise
AHEAD = 4  # how many requests are begun and not delivered, in multiples of those in the air

Request: TypeAlias = Mapping[str, Any]
Requests: TypeAlias = Iterable[Request]
AsyncRequests: TypeAlias = Requests | AsyncIterable[Request]
Create: TypeAlias = Callable[..., ChatCompletion]
AsyncCreate: TypeAlias = Callable[..., Awaitable[ChatCompletion]]


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of one request: `completion`, or the `error` that `create` would have raised.

    `index` is the place of the request among all, from 0.
    """

    index: int
    request: Request
    completion: ChatCompletion | None = None
    error: BaseException | None = None

    def get(self) -> ChatCompletion:
        """The completion; raises the error if there is none."""
        if self.error is not None:
            raise self.error
        assert self.completion is not None
        return self.completion


class Settings(NamedTuple):
    """How the requests are to be made. `until` is the moment on the monotonic clock when all are given up."""

    workers: int
    in_order: bool
    timeout: Timeout
    deadline: float | None
    until: float | None
    progress: Progress

    def arguments(self, request: Request) -> dict[str, Any]:
        """What `create` is called with. Raises what is wrong with the request, or that it is too late."""
        if not isinstance(request, Mapping):
            raise TypeError(
                f"a request must be a mapping of what create() takes, not {type(request).__name__}"
            )
        if request.get("stream"):
            raise DuologueError(
                "create_many() asks for whole completions; leave `stream` out of the request."
            )
        if self.until is None:
            return {**request}
        given = request.get("timeout", omit)
        left = self.until - time.monotonic()
        if left <= 0:
            late = APITimeoutError(
                f"The request was not sent: all of them may take {self.deadline:g} s (deadline)."
            )
            late.phase = "total"
            raise late
        return {**request, "timeout": (self.timeout if given is omit else Timeout.of(given)).within(left)}


def settings_of(
    options: Options,
    requests: object,
    *,
    max_concurrency: int | None,
    in_order: bool,
    deadline: float | None,
    progress: bool,
) -> Settings:
    """The settings for these arguments of `create_many`. Raises `DuologueError` for one that cannot be."""
    workers = max_concurrency or options.max_concurrency or MAX_CONCURRENCY
    if max_concurrency is not None and not is_count(max_concurrency):
        raise DuologueError("max_concurrency must be a number from 1.")
    if deadline is not None and not 0 < deadline <= MAX_TIMEOUT_S:
        raise DuologueError(f"deadline must be more than 0 seconds and at most {MAX_TIMEOUT_S}, or None.")
    until = None if deadline is None else time.monotonic() + deadline
    bar = Progress(len(requests) if isinstance(requests, Sized) else None, shown=progress)
    return Settings(workers, in_order, options.timeout, deadline, until, bar)


class _Desk:
    """Counts the requests, and hands out their results: at once, or each after those before it."""

    def __init__(self, settings: Settings) -> None:
        self._in_order = settings.in_order
        self.window = AHEAD * settings.workers
        self._begun = self._delivered = 0
        self._early: dict[int, BulkResult] = {}

    @property
    def open(self) -> int:
        """How many are begun and not delivered."""
        return self._begun - self._delivered

    @property
    def has_room(self) -> bool:
        """Whether another one may be begun."""
        return self.open < self.window

    def begin(self) -> None:
        """One more is begun."""
        self._begun += 1

    def deliver(self, result: BulkResult) -> Iterator[BulkResult]:
        """What can be handed out now that `result` has come."""
        self._early[result.index] = result
        while (
            found := self._early.pop(self._delivered if self._in_order else result.index, None)
        ) is not None:
            self._delivered += 1
            yield found


class Results:
    """The results of many requests: an iterator and a context manager.

    A loop that is left by `break` leaves the rest: no further request is sent, and the answers of those that are
    in the air are dropped when they come.
    """

    def __init__(self, create: Create, requests: Requests, settings: Settings) -> None:
        self._results = _results(create, requests, settings)

    def __iter__(self) -> Iterator[BulkResult]:
        try:
            yield from self._results
        finally:
            self.close()

    def __next__(self) -> BulkResult:
        return next(self._results)

    def close(self) -> None:
        """Leave the rest; does nothing once all are delivered."""
        self._results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncResults:
    """The results of many requests: an asynchronous iterator and context manager.

    A loop that is left by `break` leaves the rest, as soon as the event loop comes to it: no further request is
    sent, and those that are in the air are cancelled.
    """

    def __init__(
        self,
        create: AsyncCreate,
        requests: AsyncRequests,
        settings: Settings,
    ) -> None:
        self._results = _async_results(create, requests, settings)

    async def __aiter__(self) -> AsyncIterator[BulkResult]:
        try:
            async for result in self._results:
                yield result
        finally:
            await self.close()

    async def __anext__(self) -> BulkResult:
        return await anext(self._results)

    async def close(self) -> None:
        """Leave the rest; does nothing once all are delivered."""
        await self._results.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


Task = tuple[int, Request]


def _results(create: Create, requests: Requests, settings: Settings) -> Generator[BulkResult, None, None]:
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    results: SimpleQueue[BulkResult] = SimpleQueue()
    left = threading.Event()
    threads = 0

    def work() -> None:
        while (task := tasks.get()) is not None and not left.is_set():
            number, request = task
            try:
                result = BulkResult(number, request, create(**settings.arguments(request)))
            except BaseException as error:  # whatever it is: somebody waits for this result
                result = BulkResult(number, request, error=error)
            results.put(result)

    desk, broken = _Desk(settings), list[Exception]()
    source = _numbered(requests, broken)
    try:
        with settings.progress as progress:
            while (task := next(source, None) if desk.has_room else None) is not None or desk.open:
                if task is not None:
                    desk.begin()
                    tasks.put(task)
                    if threads < min(settings.workers, desk.open):
                        threads += 1
                        run = contextvars.copy_context().run
                        threading.Thread(target=run, args=(work,), name="duologue-many", daemon=True).start()
                try:
                    result = results.get(block=task is None)
                except Empty:
                    continue
                progress.step(failed=result.error is not None)
                yield from desk.deliver(result)
    finally:
        left.set()
        for _ in range(threads):
            tasks.put(None)
    for error in broken:
        raise error


async def _async_results(
    create: AsyncCreate,
    requests: AsyncRequests,
    settings: Settings,
) -> AsyncGenerator[BulkResult]:
    import asyncio

    tasks: asyncio.Queue[Task] = asyncio.Queue()
    results: asyncio.Queue[BulkResult | None] = asyncio.Queue()  # None: there are no further requests
    running: list[asyncio.Task[None]] = []

    async def take() -> None:
        try:
            while await room.acquire() and (task := await anext(source, None)) is not None:
                desk.begin()
                tasks.put_nowait(task)
                if len(running) <= min(settings.workers, desk.open):
                    running.append(asyncio.create_task(work()))
        finally:
            results.put_nowait(None)

    async def work() -> None:
        while True:
            number, request = await tasks.get()
            try:
                result = BulkResult(number, request, await create(**settings.arguments(request)))
            except Exception as error:
                result = BulkResult(number, request, error=error)
            results.put_nowait(result)

    desk, broken = _Desk(settings), list[Exception]()
    room = asyncio.Semaphore(desk.window)
    source = _async_numbered(requests, broken)
    taking = asyncio.create_task(take())
    running.append(taking)
    try:
        with settings.progress as progress:
            all_taken = False
            while desk.open or not all_taken:
                result = await results.get()
                if result is None:
                    all_taken = True
                    await taking  # raises what has ended it, if anything has
                    continue
                progress.step(failed=result.error is not None)
                for found in desk.deliver(result):
                    room.release()
                    yield found
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await source.aclose()
    for error in broken:
        raise error


def _numbered(requests: Requests, broken: list[Exception]) -> Iterator[Task]:
    """The requests with their numbers, up to where their iterable raises, which is put into `broken`.

    It is raised when what was asked before has been delivered: that is not to be lost.
    """
    try:
        yield from enumerate(requests)
    except Exception as error:
        broken.append(error)


async def _async_numbered(requests: AsyncRequests, broken: list[Exception]) -> AsyncGenerator[Task]:
    try:
        if isinstance(requests, AsyncIterable):
            number = 0
            async for request in requests:
                yield number, request
                number += 1
        else:
            for task in enumerate(requests):
                yield task
    except Exception as error:
        broken.append(error)
