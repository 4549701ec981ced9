"""One choice of an emulated answer: a run of the engine, or several until one passes the checks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from ..._threads import run_in_thread
from ...engine import Engine, Event, closing
from ...protocol.write import invalid
from ...types.chat.request import ChatRequest
from ..breath import Breath
from .count import Tally
from .cut import Cut
from .form import TooMuchError, quickly
from .plan import Made, Plan

__all__ = ["MAX_HELD_EVENTS", "MAX_HELD_TEXT", "MAX_RETRIES", "make_choice"]

# How many further runs there are for a choice that does not pass.
MAX_RETRIES = 2
# How many events of a choice are held back until it passes, and how many characters.
MAX_HELD_EVENTS = 1_000_000
MAX_HELD_TEXT = 32 * 1024 * 1024
# How often a choice that is held back shows that its engine is at work.
SIGN_S = 0.1
# What stands for an event of which nothing is let out yet: the engine is at work, and may need a breath.
_SIGN = ("",)


def make_choice(
    engine: Engine, plan: Plan, index: int, tally: Tally, breath: Breath
) -> AsyncGenerator[Event | str, None]:
    """The events of the choice at `index`. Each run is added to `tally`."""
    if plan.checks:
        return _checked(engine, plan, index, tally, breath)
    return _run(engine, _seeded(plan, index), plan, index, tally, last=True)


async def _checked(
    engine: Engine, plan: Plan, index: int, tally: Tally, breath: Breath
) -> AsyncGenerator[Event | str, None]:
    """The first of several runs that passes the checks."""
    fault: str | None = None
    for number in range(1 + MAX_RETRIES):
        request = _seeded(plan, index + number * plan.choices)
        events: list[Event | str] = []
        async with aclosing(_hold(_run(engine, request, plan, index, tally), events, breath)) as signs:
            async for sign in signs:
                yield sign
        made = Made.of(events)
        try:
            with quickly():
                fault = _fault(plan, made)
        except TooMuchError:  # others shall have their turn meanwhile
            fault = await run_in_thread(_fault, plan, made)
        if fault is None:
            for event in (*events, *tally.close()):
                yield event
            return
    raise invalid(f"{fault} (of {1 + MAX_RETRIES} runs, none passed)")


def _fault(plan: Plan, made: Made) -> str | None:
    """What is wrong with a run, by the first check that it does not pass."""
    return next((fault for check in plan.checks if (fault := check(made)) is not None), None)


async def _run(
    engine: Engine, request: ChatRequest, plan: Plan, index: int, tally: Tally, *, last: bool = False
) -> AsyncGenerator[Event | str, None]:
    """One run, cut where it must end; the engine's iterator is closed before the final events go out.

    `last` says that there will be no other for this choice.
    """
    cut = Cut(plan.stops, plan.limit, index)
    made: list[Event | str] = []
    async with closing(engine.generate(request)) as events:
        async for event in events:
            made = cut.feed(event)
            if cut.ended:
                break
            for each in made or _SIGN:
                yield each
        else:
            made = cut.finish()
    tally.add(cut.usage, cut.limit, cut.reasoning_tokens, whole=not cut.ended)
    for each in (*made, *(tally.close() if last else ())):
        yield each


async def _hold(
    events: AsyncGenerator[Event | str, None], held: list[Event | str], breath: Breath
) -> AsyncGenerator[str, None]:
    """Put all events of a run into `held`; now and then, yield nothing: the run is alive."""
    size = 0
    sign_at = time.monotonic() + SIGN_S
    async with aclosing(events):
        async for event in events:
            now = time.monotonic()
            if breath.due(now):
                await breath.take()
            if now > sign_at:
                yield ""
                sign_at = now + SIGN_S
            if not event:
                continue
            held.append(event)
            size += len(event) if isinstance(event, str) else _size(event)
            if len(held) > MAX_HELD_EVENTS or size > MAX_HELD_TEXT:
                raise invalid("more than is held back until it is checked")


def _size(event: Event) -> int:
    return len(getattr(event, "text", None) or getattr(event, "data", None) or "")


def _seeded(plan: Plan, number: int) -> ChatRequest:
    """The request for the run of this number among all runs: the same seed would make the same choice."""
    seed = plan.request.seed
    if seed is None or not number:
        return plan.request
    # It goes round at the limits of the protocol.
    return msgspec.structs.replace(plan.request, seed=(seed + number + 2**63) % 2**64 - 2**63)
