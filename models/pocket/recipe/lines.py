"""Texts with fields in their places, of lines.toml."""

from __future__ import annotations

import re

from .drawn import DRAWN
from .lists import phrases, table
from .records import Number, Record, Value, written
from .voice import Voice

__all__ = ["line"]

LINES = phrases(table("lines")["texts"])
SLOT = re.compile(
    r"""\{(?P<keys>[a-z_ ]*)
    (?: =(?P<meaning>[^{}]+) | :(?P<kind>[^{}#*]+)(?P<sort>[\#*]?) | \?(?P<yes>[^{}|]*)\|(?P<no>[^{}]*) )
    \}(?P<plural>s(?!\w))?""",
    re.VERBOSE,
)
MANY = 2, 4


def line(voice: Voice) -> tuple[str, Record]:
    """A text and all that it says."""
    record: Record = {}

    def fill(match: re.Match[str]) -> str:
        value, said = _drawn(voice, match)
        free = [key for key in match["keys"].split() if key not in record]
        if free:
            # The first name is the most fitting one.
            record[free[0] if voice.chance(0.4) else voice.pick(free)] = value
        return said

    return SLOT.sub(fill, voice.pick(LINES)), record


def _drawn(voice: Voice, match: re.Match[str]) -> tuple[Value, str]:
    """A value for a slot, and how the text says it."""
    kind = match["kind"]
    if match["meaning"]:
        return match["meaning"], ""
    if kind is None:
        flag = voice.chance(0.5)
        return flag, match["yes"] if flag else match["no"]
    if match["sort"] == "*":
        many = list(dict.fromkeys(voice.value(kind, DRAWN) for _ in range(voice.integer(*MANY))))
        return many, written(voice, many)
    value = voice.value(kind, DRAWN) + (match["plural"] or "")
    if match["sort"] == "#":
        return Number(value), written(voice, Number(value))
    return value, value
