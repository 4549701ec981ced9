"""How models write tool calls and thoughts: a table, from which the chat template's text chooses."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Form", "Thoughts"]


@dataclass(frozen=True, slots=True)
class Form:
    """How a family of models writes a tool call."""

    name: str


@dataclass(frozen=True, slots=True)
class Thoughts:
    """The tags around a model's thoughts; `opened` says that the prompt has written the first already."""

    open: str
    close: str
    opened: bool = False
