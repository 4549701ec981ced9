"""Numbers of JSON that every reader can hold: what takes them beyond, by its exponent or its length, is kept out.

Grammars allow a number as many digits as it likes. A double ends at about 1.8e308.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_MAGNITUDE", "Numbers"]

# The most digits before the point, the exponent added: so 0.99e308 is a number yet, and 10e308 is none.
MAX_MAGNITUDE = 308

# The number that a text ends with, if it does, and what is in front of it.
TAIL = re.compile(rb"[^-+.0-9eE]?[-+.0-9eE]*$")
# A number as far as it goes; what stands in front of it is the end of no word, and no quote.
NUMBER = re.compile(rb'[^"\w]?-?([0-9]+)(?:\.[0-9]*)?(?:[eE](?:\+?0*([0-9]*)|-[0-9]*))?$')
# How a token goes on with a number, and whether it brings an exponent of its own.
MORE = re.compile(rb"[-+.eE]*[0-9][-+.0-9eE]*")
EXPONENT = re.compile(rb"[eE]\+?[0-9]")
# What may come next in a text, and never in a number.
TEXT = (b'"', b"x")


class Numbers:
    """What one vocabulary can make of numbers. The state of a text is its `tail`, b"" at the beginning."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._more = {token: found[0] for token, piece in enumerate(pieces) if (found := MORE.match(piece))}
        self._longest = max(map(len, self._more.values()), default=0)
        self._exponents = [token for token, more in self._more.items() if EXPONENT.search(more)]
        self._text = [token for token, piece in enumerate(pieces) if piece in TEXT]

    def follow(self, tail: bytes, token: int) -> bytes:
        """The tail behind another token."""
        found = TAIL.search(tail + self._pieces[token])
        return found[0] if found else b""

    def bound(self, tail: bytes, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What is left of the allowed tokens [V] where the tail is a number, which is to stay one.

        All of them where none would be left: then it is no number of JSON, but a text that looks like one.
        """
        found = NUMBER.match(tail)
        if found is None or allowed[self._text].any():
            return allowed
        near = found[2] is not None or len(found[1]) > MAX_MAGNITUDE - self._longest
        beyond = [
            token
            for token in (self._more if near else self._exponents)
            if allowed[token] and not _fits(tail + self._more[token])
        ]
        left = allowed.copy()
        left[beyond] = False
        return left if left.any() else allowed


def _fits(text: bytes) -> bool:
    found = NUMBER.match(text)
    if found is None:
        return True
    whole, exponent = len(found[1]), found[2] or b"0"
    return len(exponent) <= len(str(MAX_MAGNITUDE)) and whole + int(exponent) <= MAX_MAGNITUDE
