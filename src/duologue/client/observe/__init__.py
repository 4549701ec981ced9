"""Telling others what becomes of a call: those who log, and those who trace.

A call has observers only where somebody wants to know; with none, it costs the question.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from ...protocol.errors import APIError
from ...protocol.response import APIResponse
from ...protocol.transport import Request
from ...types._wire import WireObject
from ...types.completion_usage import CompletionUsage
from . import log

if TYPE_CHECKING:
    from ..call import Call

__all__ = ["Ending", "Observer", "leave", "observers_of"]


class Ending(NamedTuple):
    """What became of a call. `duration` is in seconds; `error` is what is raised, or would be.

    `answer` gives what has come: the completion, or where nobody keeps it the last chunk; None for nothing.
    """

    outcome: Literal["complete", "truncated", "failed", "cancelled"]
    duration: float
    error: BaseException | None = None
    response: APIResponse | None = None
    usage: CompletionUsage | None = None
    answer: Callable[[], WireObject | None] = lambda: None


class Observer(Protocol):
    """Is told of one call. It must not raise, and must not keep anybody waiting."""

    def sends(self, request: Request, retry: int) -> None:
        """A request goes out; `retry` is 0 the first time."""
        ...

    def answered(self, response: APIResponse) -> None:
        """The head of an answer has come."""
        ...

    def retries(self, why: APIResponse | APIError, pause: float) -> None:
        """An attempt has failed; the next one comes after so many seconds."""
        ...

    def receives(self, data: bytes, chunks: int, now: float) -> None:
        """A read of a stream with so many chunks, or a whole body; `now` is in seconds since the call began."""
        ...

    def ends(self, ending: Ending) -> None:
        """The call is over. It is told once, and last."""
        ...


# Calls that ended in a finalizer. That runs at any moment, even inside of who logs or traces, so their observers
# are told later: when the next call begins.
_left: deque[tuple[Sequence[Observer], Ending]] = deque()


def leave(observers: Sequence[Observer], ending: Ending) -> None:
    """Tell the observers of the end of a call as soon as it is safe."""
    _left.append((observers, ending))


def _tell_left() -> None:
    while True:
        try:
            observers, ending = _left.popleft()
        except IndexError:
            return
        for observer in observers:
            observer.ends(ending)


def observers_of(call: Call) -> Sequence[Observer]:
    """Who is to be told of a call."""
    _tell_left()
    observers: list[Observer] = []
    if (found := log.observer(call)) is not None:
        observers.append(found)
    # Who traces has imported it, and set it up; else nobody looks.
    if "opentelemetry.trace" in sys.modules or "opentelemetry.metrics" in sys.modules:
        from . import telemetry

        if (span := telemetry.observer(call)) is not None:
            observers.append(span)
    return observers
