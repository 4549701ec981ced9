"""What a check of a stream may look at besides the part itself: the request, and what has come before."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from ..accumulate import CallFinder, CompletionBuilder
from .values import Act, Fix

__all__ = ["Asked", "Seen", "apply", "asked_by", "setting"]

T = TypeVar("T")


class Asked(NamedTuple):
    """What the request says that an answer can be held to; the names are the request's."""

    n: int = 1
    include_usage: bool = False
    tool_choice: Any = None
    response_format: Any = None
    max_tokens: int | None = None

    @property
    def any_tool(self) -> bool:
        """Whether some tool must be called."""
        choice = self.tool_choice
        allowed = choice.get("allowed_tools") if isinstance(choice, Mapping) else None
        return choice == "required" or (isinstance(allowed, Mapping) and allowed.get("mode") == "required")

    @property
    def a_call(self) -> bool:
        """Whether something must be called; then OpenAI itself finishes with `stop`."""
        return self.any_tool or self.one_tool is not None

    @property
    def one_tool(self) -> str | None:
        """The name of the tool that must be called, where it is one."""
        choice = self.tool_choice
        for kind in ("function", "custom"):
            if isinstance(choice, Mapping) and isinstance(tool := choice.get(kind), Mapping):
                return tool.get("name")
        return None


def asked_by(body: Mapping[str, Any]) -> Asked:
    """What a request says, as far as it is what the protocol has there."""
    n, options = body.get("n"), body.get("stream_options")
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return Asked(
        n if isinstance(n, int) and n > 0 else 1,
        isinstance(options, Mapping) and bool(options.get("include_usage")),
        body.get("tool_choice"),
        body.get("response_format"),
        limit if isinstance(limit, int) else None,
    )


class Seen:
    """What the chunks so far have said."""

    def __init__(self, asked: Asked, builder: CompletionBuilder | None) -> None:
        self.asked = asked
        self._builder = builder
        self.identity: dict[str, Any] = {}
        self.begun: set[int] = set()
        self.roles: set[int] = set()
        self.finishes: dict[int, str] = {}  # the finish reasons of choices
        self.usages = 0
        self.calls: dict[int, CallFinder] = {}
        self.ids: set[tuple[int, int]] = set()
        self.names: dict[tuple[int, int], str] = {}

    def arguments(self, choice: int, call: int, at_most: int) -> str | None:
        """Those of a tool call so far; None where nobody keeps them, or they are longer than `at_most`."""
        return self._builder.arguments(choice, call, at_most) if self._builder is not None else None


def apply(checks: Mapping[str, Callable[[T, Seen], Fix | None]], part: T, seen: Seen, act: Act) -> None:
    """Run the checks on a part; what they find goes to `act`."""
    for rule, check in checks.items():
        fix = check(part, seen)
        if fix is not None:
            act(rule, fix)


def setting(obj: Any, name: str, value: Any) -> Fix:
    """A repair: the field is given the value."""
    return functools.partial(setattr, obj, name, value)
