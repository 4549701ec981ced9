"""What an exception of the system or of a library says, for people."""

from __future__ import annotations

import os

__all__ = ["first_line", "words_of"]


def words_of(error: BaseException) -> str:
    """The system's own words where there are any, else the exception's."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:  # the resolver's numbers are negative
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def first_line(text: str) -> str:
    """The first line of a message that goes on to show the bytes it is about."""
    return text.strip().partition("\n")[0].rstrip(":")
