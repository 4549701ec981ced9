"""What is to be emulated for one request, found out before its engine begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import msgspec

from ...engine import Event, Finish, Refusal, Text, ToolCall
from ...protocol.errors import BadRequestError
from ...types.chat.chat_completion import FinishReason
from ...types.chat.request import ChatRequest
from .form import form_fault
from .legacy import as_tools
from .tools import choice_fault, parallel_fault

__all__ = ["Made", "Plan", "make_plan"]


class Made(NamedTuple):
    """What a run made, as far as it can be wrong."""

    text: str
    calls: Sequence[ToolCall]
    refused: bool
    reason: FinishReason | None

    @classmethod
    def of(cls, events: Sequence[Event | str]) -> Made:
        """What the events of one run say."""
        return cls(
            "".join(
                event if isinstance(event, str) else event.text
                for event in events
                if isinstance(event, (str, Text))
            ),
            [event for event in events if isinstance(event, ToolCall)],
            any(isinstance(event, Refusal) for event in events),
            next((event.reason for event in events if isinstance(event, Finish)), None),
        )


Check = Callable[[Made], str | None]


class Plan(NamedTuple):
    """`request` is what each run is given, but for its seed; `checks` say what is wrong with what it made."""

    request: ChatRequest
    choices: int
    stops: tuple[str, ...]
    limit: int | None
    checks: tuple[Check, ...]


def make_plan(request: ChatRequest, names: AbstractSet[str], max_fanout: int) -> Plan:
    """The plan for the parameters in `names`, for up to `max_fanout` choices.

    Raises `BadRequestError` for what cannot be emulated.
    """
    choices = request.n or 1
    if choices > max_fanout:
        raise BadRequestError(
            f"'n' is {choices}, and this server makes at most {max_fanout} choices at once, its max_fanout.",
            param="n",
            code="integer_above_max_value",
        )
    inner = as_tools(request) if "functions" in names else request
    return Plan(
        request=inner if inner.n is None else msgspec.structs.replace(inner, n=1),
        choices=choices,
        stops=request.stops if "stop" in names else (),
        limit=request.token_limit if names & _LIMITS else None,
        checks=tuple(_checks(inner, names)),
    )


_LIMITS = frozenset(("max_tokens", "max_completion_tokens"))


def _checks(request: ChatRequest, names: AbstractSet[str]) -> list[Check]:
    checks: list[Check] = []
    if "tool_choice" in names or "function_call" in names:
        choice = choice_fault(request)
        checks.append(lambda made: choice(made.calls, made.reason == "length"))
    if "parallel_tool_calls" in names:
        checks.append(lambda made: parallel_fault(made.calls))
    if "response_format" in names and request.response_format is not None:
        form = form_fault(request.response_format)

        def fault(made: Made) -> str | None:
            # What was cut cannot be whole; a call and a refusal stand in place of the text.
            other = made.refused or made.reason in ("length", "content_filter")
            return None if other or (made.calls and not made.text) else form(made.text)

        checks.append(fault)
    return checks
