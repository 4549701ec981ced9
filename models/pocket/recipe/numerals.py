"""Numbers in words."""

from __future__ import annotations

from .lists import WORDS

__all__ = ["number_word"]

SMALL, TENS = WORDS["small_numbers"], WORDS["tens"]


def number_word(number: int) -> str:
    """A number from 0 to 99 in words."""
    if number < len(SMALL):
        return SMALL[number]
    tens, ones = divmod(number, 10)
    return f"{TENS[tens - 2]}-{SMALL[ones]}" if ones else TENS[tens - 2]
