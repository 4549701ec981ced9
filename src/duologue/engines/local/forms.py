"""How models write tool calls and thoughts: two tables, from which a chat template's text chooses.

The texts of a form are patterns. In them `@` is the tool's name, `#` an id that the model makes up; a space, a
line break and `~` are any white space, none included, which is written as the space, the line break, and nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

__all__ = [
    "FORMS",
    "ID",
    "MAX_SPACE",
    "SPACE",
    "TAGS",
    "Carrier",
    "Form",
    "Match",
    "Thoughts",
    "as_regex",
    "as_written",
    "form_of",
    "literals",
    "match",
    "thoughts_of",
]

# The most white space that is looked through for what may follow it, in characters, and what it is made of.
MAX_SPACE = 8
SPACE = " \t\r\n"

# How a call carries what the tool is given: a function's arguments as JSON; a custom tool's text in JSON, as
# the argument `input`; or as it is, up to the end of the answer.
Carrier = Literal["json", "input", "raw"]


@dataclass(frozen=True, slots=True)
class Form:
    """How a family of models writes tool calls.

    The first call comes behind one of the `marks` and `head`, each further one behind `between`, and `tail`
    ends them. A call is an opening (the first is how it is written, the others are read as well), what the
    tool is given, and `closing`. The mark "" is none: calls are then the answer, from its very beginning.
    `needs` and `lacks` are what the templates of these models contain, and do not; `short_ids` says that these
    insist on ids of calls with nine letters and digits.
    """

    name: str
    marks: tuple[str, ...]
    head: str
    openings: tuple[str, ...]
    closing: str
    between: str
    tail: str
    needs: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    short_ids: bool = False

    @property
    def marked(self) -> tuple[str, ...]:
        """The marks that are a text."""
        return tuple(mark for mark in self.marks if mark)

    @property
    def bare(self) -> bool:
        """Whether calls may begin the answer without a mark."""
        return "" in self.marks

    def only_marked(self) -> Form:
        """The form for answers that may be JSON themselves, where only a mark tells a call."""
        return replace(self, marks=self.marked)


FORMS: tuple[Form, ...] = (
    Form(
        name="hermes",
        marks=("<tool_call>",),
        head="",
        openings=('\n{~"name"~: "@"~, "arguments"~: ',),
        closing="~}\n</tool_call>",
        between="\n<tool_call>",
        tail="",
        needs=("<tool_call>", "arguments"),
        lacks=("<function=", "<arg_key>"),
    ),
    Form(
        name="mistral with [ARGS]",
        marks=("[TOOL_CALLS]",),
        head="",
        openings=("@[ARGS]", "@[CALL_ID]#[ARGS]"),
        closing="",
        between="[TOOL_CALLS]",
        tail="",
        needs=("[TOOL_CALLS]", "[ARGS]"),
        short_ids=True,
    ),
    Form(
        name="mistral",
        marks=("[TOOL_CALLS]",),
        head="~[",
        openings=('~{~"name"~: "@"~, "arguments"~: ',),
        closing="~}",
        between="~, ",
        tail="~]",
        needs=("[TOOL_CALLS]",),
        short_ids=True,
    ),
    Form(
        name="llama 3",
        marks=("", "<|python_tag|>"),
        head="",
        openings=(
            '~{~"name"~: "@"~, "parameters"~: ',
            '~{~"type"~: "function"~, "name"~: "@"~, "parameters"~: ',
            '~{~"name"~: "@"~, "arguments"~: ',
        ),
        closing="~}",
        between="~; ",
        tail="",
        needs=("<|start_header_id|>", "parameters"),
    ),
)


@dataclass(frozen=True, slots=True)
class Thoughts:
    """The tags around a model's thoughts; `opened` says that the prompt has written the first already."""

    open: str
    close: str
    opened: bool = False


TAGS: tuple[Thoughts, ...] = (
    Thoughts("<think>", "</think>"),
    Thoughts("[THINK]", "[/THINK]"),
    Thoughts("<thinking>", "</thinking>"),
    Thoughts("<reasoning>", "</reasoning>"),
    Thoughts("<thought>", "</thought>"),
)


def form_of(template: str) -> Form | None:
    """The form that a chat template's text speaks of; None for none of the table."""
    for form in FORMS:
        if all(text in template for text in form.needs) and not any(text in template for text in form.lacks):
            return form
    return None


def thoughts_of(template: str) -> Thoughts | None:
    """The tags of thoughts that a chat template's text speaks of; None for none of the table."""
    return next((tags for tags in TAGS if tags.open in template or tags.close in template), None)


# --- patterns --------------------------------------------------------------------------------------------

_ELEMENT = re.compile(r"(?P<space>[~ \n])|(?P<name>@)|(?P<id>#)|[^~ \n@#]+")
# Longer than any name is, so that no more is ever looked through.
_WORD = re.compile(r"[A-Za-z0-9_-]{0,65}")
ID = "[A-Za-z0-9]{9}"


class Match(NamedTuple):
    """How a text begins with a pattern: up to `end`, with which `name`; `partly` if the text is too short."""

    end: int
    name: str = ""
    partly: bool = False


def match(pattern: str, text: str, start: int, names: Collection[str] = ()) -> Match | None:
    """How the text from `start` begins with the pattern, in which the name is one of `names`; None if not."""
    at, found = start, ""
    for kind, literal in _elements(pattern):
        if kind == "space":
            end = min(at + MAX_SPACE, len(text))
            while at < end and text[at] in SPACE:
                at += 1
            continue
        if kind == "literal":
            if not text.startswith(literal, at):
                return Match(len(text), partly=True) if literal.startswith(text[at:]) else None
            at += len(literal)
            continue
        word = _word(text, at)
        at += len(word)
        if at == len(text):
            partly = kind == "id" or any(name.startswith(word) for name in names)
            return Match(at, partly=True) if partly else None
        if kind == "name":
            if word not in names:
                return None
            found = word
    return Match(at, found)


def _word(text: str, at: int) -> str:
    """The letters, digits, and marks between them that a name or an id is made of."""
    return _WORD.match(text, at)[0]  # type: ignore[index]  # it matches the empty text, too


def as_written(pattern: str, name: str = "") -> str:
    """The text that the pattern is written as; `#` stays for the id."""
    return pattern.replace("~", "").replace("@", name)


def as_regex(pattern: str, names: Collection[str]) -> str:
    """The pattern as a regular expression of what `match` takes."""
    kinds = {
        "space": rf"[ \t\r\n]{{0,{MAX_SPACE}}}",
        "name": "(" + "|".join(map(re.escape, names)) + ")",
        "id": ID,
    }
    return "".join(kinds.get(kind) or re.escape(literal) for kind, literal in _elements(pattern))


def literals(pattern: str) -> list[str]:
    """What the pattern has besides white space, in order."""
    return [literal for kind, literal in _elements(pattern) if kind == "literal"]


@functools.cache
def _elements(pattern: str) -> tuple[tuple[str, str], ...]:
    return tuple((part.lastgroup or "literal", part[0]) for part in _ELEMENT.finditer(pattern))
