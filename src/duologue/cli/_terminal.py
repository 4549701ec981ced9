"""What all commands do alike at the user's terminal."""

from __future__ import annotations

__all__ = ["INTERRUPTED", "printable"]

# The conventional exit status of a program that Ctrl-C ended.
INTERRUPTED = 130

# Control characters but newline and tab, and the marks that turn the direction of writing: what a model or a
# server writes must neither drive the terminal nor show something else than it says.
_REMOVED = dict.fromkeys(
    (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)


def printable(text: str) -> str:
    """`text` without what would drive a terminal."""
    return text.translate(_REMOVED)
