"""JSON text that comes in pieces: where a value ends, and what the escapes in a string stand for."""

from __future__ import annotations

import json
import re

__all__ = ["IN_STRING", "JsonEnd", "unescape"]

# What matters inside of a string, and outside.
IN_STRING = re.compile(r'["\\]')
_STRUCTURE = re.compile(r'["\[\]{}]')
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^u])")
# The first half of a surrogate pair, and perhaps a piece of the second.
_HALF_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
# An escape of so many characters is not cut off.
_LENGTH = 6


class JsonEnd:
    """Looks for the end of one object or list."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = self._escaped = False

    def find(self, text: str) -> int | None:
        """Where the value ends in the next piece; None if it goes on behind it."""
        at = int(self._escaped and bool(text))
        self._escaped = self._escaped and not text
        while found := (IN_STRING if self._quoted else _STRUCTURE).search(text, at):
            at = found.end()
            if found[0] == '"':
                self._quoted = not self._quoted
            elif found[0] == "\\":
                self._escaped = at == len(text)
                at += 1
            else:
                self._depth += 1 if found[0] in "[{" else -1
                if not self._depth:
                    return at
        return None


def unescape(text: str, *, final: bool) -> tuple[str, int] | None:
    """What the escape at the beginning of the text stands for, and its length; None if more must be seen.

    Half a surrogate pair stands for the replacement character, and what is no escape for itself. The text is
    not empty, and `final` if nothing follows.
    """
    found = _ESCAPE.match(text)
    waits = len(text) < _LENGTH if found is None else _HALF_PAIR.fullmatch(text) is not None
    if waits and not final:
        return None
    escape = text[: found.end() if found else 2]
    try:
        letters: str = json.loads(f'"{escape}"')
    except ValueError:
        letters = escape
    return letters.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), len(escape)
