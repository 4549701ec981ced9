"""Options that are given by keyword: the error for a name that is none of them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["check_names"]


def check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise `TypeError` for the first name in `given` that is no option of `what`, with what may be meant."""
    names = list(known)
    for name in sorted(set(given) - set(names)):
        close = get_close_matches(name, names, 1)
        meant = f"Did you mean {close[0]!r}? " if close else ""
        raise TypeError(f"{name!r} is no option of {what}. {meant}There are: {', '.join(names)}")
