"""The text that one choice generates, taken apart: content, reasoning, and tool calls with their arguments.

A reader goes through the text once, and tells each part as soon as it is certain. What may still become the
beginning of a call or of thoughts is held back, and never more than that. What looks like a call at first and
is none after all stays content: nothing is lost but the white space around calls and thoughts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from .forms import MAX_SPACE, SPACE, Carrier, Form, Match, Thoughts, as_written, literals, match
from .json_pieces import IN_STRING, JsonEnd, unescape

__all__ = ["Part", "Reader"]

Kind = Literal["content", "reasoning", "call", "arguments"]

# What follows an opening, by what carries the arguments.
_ENTRANCES: Mapping[Carrier, str] = {"json": "~{", "input": '~{~"input"~:~"'}


class Part(NamedTuple):
    """A piece of what a choice says. For a `call`, `text` is the tool's name.

    `at` is where `text` begins in the raw text of the choice, in characters; `index` is the call's number.
    """

    kind: Kind
    text: str
    at: int
    index: int = 0  # type: ignore[assignment]  # hides a method of tuples that nobody needs here
    custom: bool = False


class Reader:
    """Reads one choice as its text comes. `called` says whether a whole call has been read.

    `tools` are the names of the tools that may be called, and what carries their arguments. `held` says that the
    answer is JSON or a call by its grammar: what it begins with and does not end is then no content.
    """

    def __init__(
        self,
        form: Form | None = None,
        tools: Mapping[str, Carrier] | None = None,
        thoughts: Thoughts | None = None,
        *,
        held: bool = False,
    ) -> None:
        self.called = False
        self._held = held
        self._form = form if tools else None
        self._tools: Mapping[str, Carrier] = tools or {}
        self._thoughts = thoughts
        self._text = ""
        self._at = 0  # where `_text` begins in the raw text
        self._final = False
        self._parts: list[Part] = []
        self._index = -1
        self._json_end = JsonEnd()
        self._custom = False
        self._closings: list[str] = []
        # A state takes what it can from the text, and says whether the next one may look at the rest.
        self._state: Callable[[], bool] = self._answer
        if thoughts is not None:
            self._state = self._thinking_begins if thoughts.opened else self._before_thinking

    def push(self, text: str) -> list[Part]:
        """Take a piece of text; return the parts that are certain by now."""
        self._text += text
        return self._read()

    def flush(self) -> list[Part]:
        """The end of the text: what was held back."""
        self._final = True
        return self._read()

    def _read(self) -> list[Part]:
        self._parts = []
        while self._state():
            pass
        return self._parts

    def _go(self, state: Callable[[], bool]) -> bool:
        self._state = state
        return True

    def _drop(self, count: int) -> None:
        self._text = self._text[count:]
        self._at += count

    def _emit(self, kind: Kind, count: int) -> None:
        """The next characters as a part."""
        if count:
            custom = kind == "arguments" and self._custom
            self._parts.append(Part(kind, self._text[:count], self._at, max(self._index, 0), custom))
            self._drop(count)

    def _skip_space(self) -> bool:
        """Drop white space; whether something follows."""
        self._drop(len(self._text) - len(self._text.lstrip(SPACE)))
        return bool(self._text)

    # --- thoughts ---

    def _before_thinking(self) -> bool:
        assert self._thoughts is not None
        found = match("~" + self._thoughts.open, self._text, 0)
        if found is None or (found.partly and self._final):
            return self._go(self._answer)
        if found.partly:
            return False
        self._drop(found.end)
        return self._go(self._thinking_begins)

    def _thinking_begins(self) -> bool:
        return self._skip_space() and self._go(self._thinking)

    def _thinking(self) -> bool:
        assert self._thoughts is not None
        close = self._thoughts.close
        at = self._text.find(close)
        if at >= 0:
            self._emit("reasoning", _before_space(self._text, at))
            self._drop(self._text.index(close) + len(close))
            return self._go(self._thinking_ended)
        certain = len(self._text)
        if not self._final:
            certain = _before_space(self._text, certain - _overlap(self._text, close))
        self._emit("reasoning", certain)
        return False

    def _thinking_ended(self) -> bool:
        return self._skip_space() and self._go(self._answer)

    # --- content, and where calls begin ---

    def _answer(self) -> bool:
        """The beginning of the answer, which may be a call without a mark."""
        if self._form is not None and self._form.bare:
            found = self._opening(self._form.head, 0)
            if found is not None and not (found.partly and self._final):
                return not found.partly and self._call(found)
            if found is not None and self._held:
                return self._cut_off()
        if self._held and any(text.startswith(self._text) for text in self._beginnings()):
            return self._cut_off()
        return self._go(self._content)

    def _beginnings(self) -> Iterator[str]:
        """What thoughts and calls are told by."""
        if self._thoughts is not None:
            yield self._thoughts.open
        if self._form is not None:
            yield from self._form.marked

    def _cut_off(self) -> bool:
        """Wait for the rest of what has begun; at the end of the text there is none, and it says nothing."""
        if self._final:
            self._drop(len(self._text))
        return False

    def _content(self) -> bool:
        certain = len(self._text)
        for at, mark in self._marks():
            found: Match | None = Match(certain, partly=True)
            if self._text.startswith(mark, at):
                assert self._form is not None
                found = self._opening(self._form.head, at + len(mark))
            elif self._final:
                continue
            if found is None:
                continue
            self._emit("content", _before_space(self._text, at))
            if found.partly:
                if self._final:  # a call that was cut off before it said anything
                    self._drop(len(self._text))
                return False
            shift = certain - len(self._text)
            return self._call(found._replace(end=found.end - shift))
        if self._form is not None and not self._final:
            certain = _before_space(self._text, certain)
        self._emit("content", certain)
        return False

    def _marks(self) -> Iterator[tuple[int, str]]:
        """Where the text has a mark, or ends with the beginning of one."""
        marks = self._form.marked if self._form is not None else ()
        places: list[tuple[int, str]] = []
        for mark in marks:
            at = self._text.find(mark)
            while at >= 0:
                places.append((at, mark))
                at = self._text.find(mark, at + 1)
            if overlap := _overlap(self._text, mark):
                places.append((len(self._text) - overlap, mark))
        return iter(sorted(places))

    def _opening(self, before: str, start: int) -> Match | None:
        """How a call begins at `start`, with its arguments at the match's end."""
        assert self._form is not None
        for opening in self._form.openings:
            # The white space at its end is left to the entrance: a raw text may begin with some itself.
            core = opening.rstrip("~ \n")
            found = match(before + core, self._text, start, self._tools)
            if found is not None and not found.partly:
                found = self._entrance(found, as_written(opening[len(core) :]))
            if found is not None:
                return found
        return None

    def _entrance(self, found: Match, space: str) -> Match | None:
        carrier = self._tools[found.name]
        if carrier == "raw":
            rest = self._text[found.end : found.end + len(space)]
            partly = len(rest) < len(space)
            return Match(found.end + len(space), found.name, partly) if space.startswith(rest) else None
        inner = match(_ENTRANCES[carrier], self._text, found.end)
        if inner is None:
            return None
        # The brace belongs to the arguments where they are JSON.
        return Match(inner.end - (carrier == "json"), found.name, inner.partly)

    def _call(self, found: Match) -> bool:
        """A call begins; its arguments do at the match's end."""
        assert self._form is not None
        carrier = self._tools[found.name]
        self._index += 1
        self._custom = carrier != "json"
        self._parts.append(Part("call", found.name, self._at, self._index, self._custom))
        self._drop(found.end)
        self._json_end = JsonEnd()
        self._closings = literals(self._form.closing)
        if carrier == "raw":
            return self._go(self._raw)
        if carrier == "input":
            self._closings.insert(0, "}")
            return self._go(self._input)
        return self._go(self._json)

    # --- arguments ---

    def _json(self) -> bool:
        end = self._json_end.find(self._text)
        self._emit("arguments", len(self._text) if end is None else end)
        if end is None:
            return False
        self.called = True
        return self._go(self._closing)

    def _input(self) -> bool:
        """A custom tool's text, from inside of a JSON string."""
        while self._text:
            found = IN_STRING.search(self._text)
            self._emit("arguments", found.start() if found else len(self._text))
            if self._text.startswith('"'):
                self._drop(1)
                self.called = True
                return self._go(self._closing)
            unescaped = unescape(self._text, final=self._final) if self._text else None
            if unescaped is None:
                break
            self._parts.append(Part("arguments", unescaped[0], self._at, self._index, True))
            self._drop(unescaped[1])
        return False

    def _raw(self) -> bool:
        """A custom tool's text as it is: all but the form's closing, which ends the answer."""
        assert self._form is not None
        ending = as_written(self._form.closing + self._form.tail)
        if not self._final:
            self._emit("arguments", len(self._text) - _overlap(self._text, ending, whole=True))
            return False
        whole = self._text == ending
        self.called = self.called or whole
        self._emit("arguments", 0 if whole else len(self._text))
        self._text = ""
        return False

    # --- behind a call ---

    def _closing(self) -> bool:
        """What ends a call, each piece of it if it is there."""
        while self._closings:
            found = match("~" + self._closings[0], self._text, 0)
            if found is not None and found.partly:
                if self._final:
                    self._text = ""
                return False
            self._drop(found.end if found is not None else 0)
            del self._closings[0]
        return self._go(self._between)

    def _between(self) -> bool:
        """What comes before another call, or behind the last."""
        assert self._form is not None
        found = self._opening(self._form.between, 0)
        if found is not None and not found.partly:
            return self._call(found)
        if found is not None and not self._final:
            return False
        if found is not None and (not self._text.strip(SPACE) or _begins(self._form.between, self._text)):
            self._text = ""  # another call, cut off before it said anything
        return self._go(self._behind)

    def _behind(self) -> bool:
        assert self._form is not None
        found = match(self._form.tail, self._text, 0)
        if found is not None and found.partly:
            if self._final:
                self._text = ""
            return False
        self._drop(found.end if found is not None else 0)
        return self._go(self._behind_all)

    def _behind_all(self) -> bool:
        return self._skip_space() and self._go(self._content)


def _begins(pattern: str, text: str) -> bool:
    found = match(pattern, text, 0)
    return found is not None and not found.partly


def _before_space(text: str, end: int) -> int:
    """Where the white space before `end` begins, of which no more than `MAX_SPACE` characters count."""
    start = max(0, end - MAX_SPACE)
    return start + len(text[start:end].rstrip(SPACE))


def _overlap(text: str, literal: str, *, whole: bool = False) -> int:
    """How many of the last characters of the text begin the literal, which may be `whole` or not."""
    most = min(len(text), len(literal) - (not whole))
    return next((count for count in range(most, 0, -1) if text.endswith(literal[:count])), 0)
