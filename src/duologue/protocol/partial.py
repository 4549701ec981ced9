"""The beginning of a JSON text, as the value that it has so far.

    partial = PartialJSON()
    partial.feed('{"title": "On the Shor')
    partial.value                               {'title': 'On the Shor'}

Text is only kept when it is fed, and read when `value` is asked for, each character once: a loop that never asks
pays nothing, and one that asks each time pays for what is new and for what is still open. What has ended is shared
between the values that are given; what is open is copied, so that a value does not change after it was given.
"""

from __future__ import annotations

import re
from typing import Any, Literal

__all__ = ["MAX_DEPTH", "MAX_NUMBER", "PartialJSON"]

# How deep lists and objects may be nested, and how many characters a number may have.
MAX_DEPTH = 256
MAX_NUMBER = 4000

SPACE = re.compile(r"[ \t\n\r]*")
PLAIN = re.compile(r'[^"\\]*')
NUMBER = re.compile(r"[-+.0-9eE]+")
WORD = re.compile(r"[a-z]+")
WORDS = {"true": True, "false": False, "null": None}
LITERAL = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
HEX = re.compile(r"[0-9a-fA-F]{4}")
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_NOTHING: Any = object()

Expected = Literal[
    "a value",
    "a value or the end",
    "a key",
    "a key or the end",
    "a colon",
    "a comma or the end",
    "string",
    "nothing",
]


class _Broken(Exception):  # noqa: N818 - no error: `PartialJSON.error` tells it
    """The text is not the beginning of any JSON."""


class _Open:
    """A list or object that has not ended, and the key that its next value goes to."""

    __slots__ = ("key", "value")

    def __init__(self, value: list[Any] | dict[str, Any]) -> None:
        self.value = value
        self.key = ""

    def put(self, value: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        else:
            self.value[self.key] = value

    def with_last(self, value: Any) -> Any:
        """A copy, with the value that has not ended."""
        copy = _Open(self.value.copy())
        if value is not _NOTHING:
            copy.key = self.key
            copy.put(value)
        return copy.value


class PartialJSON:
    """Reads JSON that comes in pieces.

    `value` has what is there: lists and objects as far as they go, and texts (with `strings=False` only whole
    ones). A number, `true`, `false` or `null` is there once it has ended, a key once its value is. No value yet is
    None. `inside` names a key of the outermost object: `value` is then the value of that key.

    A text that is not JSON is read up to where it goes wrong; `error` then says where. Raw control characters in
    texts are let pass.
    """

    def __init__(self, *, strings: bool = True, inside: str | None = None) -> None:
        self.error: str | None = None
        self._strings = strings
        self._inside = inside
        self._fed: list[str] = []
        self._rest = ""
        self._before = 0
        self._ended = False
        self._expected: Expected = "a value"
        self._open: list[_Open] = []
        self._parts: list[str] = []
        self._is_key = False
        self._whole: Any = _NOTHING
        self._given: Any = None

    def feed(self, text: str) -> None:
        """Take the next piece of text."""
        if text and self.error is None:
            self._fed.append(text)

    def close(self) -> None:
        """Say that there is no more text, which ends a number that is the whole value."""
        self._ended = True
        self._fed.append("")

    @property
    def value(self) -> Any:
        """The value so far: dicts, lists, texts, numbers, True, False, None. Not to be changed."""
        if self._fed:
            self._read()
            self._given = self._so_far()
        if self._inside is None:
            return self._given
        return self._given.get(self._inside) if isinstance(self._given, dict) else None

    @property
    def complete(self) -> bool:
        """Whether the value has ended."""
        if self._fed:
            _ = self.value
        return self._expected == "nothing"

    def _so_far(self) -> Any:
        value = self._whole
        if self._expected == "string" and not self._is_key and self._strings:
            self._parts = ["".join(self._parts)]
            value = self._parts[0]
        for open_ in reversed(self._open):
            value = open_.with_last(value)
        return None if value is _NOTHING else value

    def _read(self) -> None:
        text, at = "".join((self._rest, *self._fed)), 0
        self._fed.clear()
        try:
            while self.error is None:
                at = SPACE.match(text, at).end() if self._expected != "string" else at  # type: ignore[union-attr]  # matches always
                after = self._step(text, at) if at < len(text) else None
                if after is None:
                    break
                at = after
        except _Broken as broken:
            self.error = f"{broken}, at character {self._before + at}"
        self._before += at
        self._rest = text[at:]

    def _step(self, text: str, at: int) -> int | None:
        """Read one token; return where it ends, None if it may go on behind the text."""
        first, expected = text[at], self._expected
        if expected == "string":
            return self._string(text, at)
        if expected == "nothing":
            raise _Broken(f"{first!r} behind the end of the value")
        if first in "]}" and expected in ("a value or the end", "a key or the end", "a comma or the end"):
            return self._end(first, at)
        if expected == "a comma or the end" and first == ",":
            self._expected = "a value" if isinstance(self._open[-1].value, list) else "a key"
            return at + 1
        if expected == "a colon" and first == ":":
            self._expected = "a value"
            return at + 1
        if expected in ("a key", "a key or the end") and first == '"':
            self._expected, self._is_key, self._parts = "string", True, []
            return at + 1
        if expected in ("a value", "a value or the end"):
            return self._value(text, at)
        raise _Broken(f"{first!r} where {expected} was expected")

    def _value(self, text: str, at: int) -> int | None:
        first = text[at]
        if first == '"':
            self._expected, self._is_key, self._parts = "string", False, []
            return at + 1
        if first in "[{":
            if len(self._open) == MAX_DEPTH:
                raise _Broken(f"nested more than {MAX_DEPTH} deep")
            self._open.append(_Open([] if first == "[" else {}))
            self._expected = "a value or the end" if first == "[" else "a key or the end"
            return at + 1
        token = (NUMBER if first in "-0123456789" else WORD).match(text, at)
        if token is None:
            raise _Broken(f"{first!r} where a value was expected")
        if len(token[0]) > MAX_NUMBER:
            raise _Broken(f"a number of more than {MAX_NUMBER} characters")
        if token.end() == len(text) and not self._ended:
            if token.re is WORD and not any(word.startswith(token[0]) for word in WORDS):
                raise _Broken(f"{token[0]!r} where a value was expected")
            return None
        self._done(_plain_value(token[0]))
        return token.end()

    def _string(self, text: str, at: int) -> int | None:
        """Read on in a text, as far as it is certain."""
        run = PLAIN.match(text, at)
        if run is not None and run.end() > at:
            self._parts.append(run[0])
            return run.end()
        if text[at] == '"':
            whole = "".join(self._parts)
            if self._is_key:
                self._open[-1].key, self._expected = whole, "a colon"
            else:
                self._done(whole)
            return at + 1
        return self._escape(text, at)

    def _escape(self, text: str, at: int) -> int | None:
        kind = text[at + 1 : at + 2]
        if kind in ESCAPES and kind:
            self._parts.append(ESCAPES[kind])
            return at + 2
        unit = _unit(text, at)
        if unit is None:
            return None
        if 0xD800 <= unit < 0xDC00 and text[at + 6 : at + 7] in ("", "\\"):  # its second half may follow
            second = _unit(text, at + 6) if text[at + 7 : at + 8] in ("", "u") else 0
            if second is None:
                return None
            if 0xDC00 <= second < 0xE000:
                self._parts.append(chr(0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00)))
                return at + 12
        self._parts.append(chr(unit))
        return at + 6

    def _end(self, bracket: str, at: int) -> int:
        if isinstance(self._open[-1].value, list) != (bracket == "]"):
            raise _Broken(f"{bracket!r} where {self._expected} was expected")
        self._done(self._open.pop().value)
        return at + 1

    def _done(self, value: Any) -> None:
        """Put a value that has ended where it belongs."""
        if self._open:
            self._open[-1].put(value)
            self._expected = "a comma or the end"
        else:
            self._whole = value
            self._expected = "nothing"


def _unit(text: str, at: int) -> int | None:
    r"""The UTF-16 unit that `\u0041` at `at` stands for; None while it may go on."""
    begun = text[at : at + 6]
    if len(begun) == 6 and begun[1] == "u" and HEX.fullmatch(begun, 2):
        return int(begun[2:], 16)
    if len(begun) < 6 and re.fullmatch(r"(\\(u[0-9a-fA-F]*)?)?", begun):
        return None
    raise _Broken(f"{begun!r} is no escape")


def _plain_value(token: str) -> Any:
    """The value of a number or of `true`, `false`, `null`."""
    if token in WORDS:
        return WORDS[token]
    number = LITERAL.fullmatch(token)
    if number is None:
        raise _Broken(f"{token!r} where a value was expected")
    return float(token) if number[1] or number[2] else int(token)
