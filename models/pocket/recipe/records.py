"""Records: keys with values, and how a text writes the values."""

from __future__ import annotations

from typing import Any

from .numerals import number_word
from .voice import Voice

__all__ = ["Number", "Record", "Value", "listed", "written"]

LARGEST_WORD = 12


class Number(str):
    """A number as it is written: JSON without quotation marks."""

    __slots__ = ()


Value = Any  # text, a Number, and what else JSON knows
Record = dict[str, Value]


def written(voice: Voice, value: Value) -> str:
    """A value in a sentence; small numbers now and then in words, large ones with commas."""
    if isinstance(value, list):
        return listed(value)
    if not isinstance(value, Number):
        return str(value)
    if value.isdigit() and int(value) <= LARGEST_WORD and voice.chance(0.12):
        return number_word(int(value))
    whole, point, rest = value.partition(".")
    large = len(whole) > 4 or (len(whole) == 4 and point)
    return f"{int(whole):,}{point}{rest}" if large and voice.chance(0.3) else str(value)


def listed(parts: list[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
