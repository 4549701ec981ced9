"""What a choice may say, as a grammar in llguidance's Lark: thoughts, then text, JSON, or calls of tools.

The grammar allows just what the reader reads: a call that begins is a whole call of a tool that is offered,
and text is never taken for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .forms import ID, MAX_SPACE, Carrier, Form, Thoughts, as_regex, as_written
from .vocabulary import any_of

__all__ = ["ANY_OBJECT", "MAX_CALLS", "Calls", "Offered", "compose", "json_rule"]

# The most calls in one answer.
MAX_CALLS = 128
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
# JSON as models are used to it, on one line. It is put into every schema, in which a request has no such word.
# No character is written in two ways: so a property that is named cannot come again under another spelling.
STYLE = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    "json_allowed_escapes": 'nrbtf\\"',
}

ANY = "(?s:.*)"
SPACES = rf"[ \t\r\n]{{1,{MAX_SPACE}}}"


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool that may be called: what carries its arguments, and the rule that they follow."""

    name: str
    carrier: Carrier
    rule: str


@dataclass(frozen=True, slots=True)
class Calls:
    """The tools of an answer.

    `must` be called, `may` be called beside text, or must `not` be; `many` allows several calls.
    """

    form: Form
    tools: Sequence[Offered]
    mode: Literal["must", "may", "not"]
    many: bool


def json_rule(schema: Mapping[str, Any]) -> str:
    """The rule for JSON that follows a schema of `schemas.ready`."""
    return "%json " + json.dumps({"x-guidance": STYLE, **schema})


def compose(
    calls: Calls | None,
    answer: str | None,
    thoughts: Thoughts | None,
    control: Mapping[str, int],
    *,
    silent: bool = False,
) -> str | None:
    """The grammar of an answer; None for one that may be any text.

    `answer` is the rule of an answer that is no call, None for text. `control` are the ids of the model's control
    tokens by what they are spelled as: text never spells them. `silent` says that no thoughts may come, and that
    no text may begin as they do.
    """
    if answer is None and calls is None and not silent:
        return None
    return _Composer(calls, answer, thoughts, control, silent).grammar()


class _Composer:
    """Writes one grammar, rule by rule."""

    def __init__(
        self,
        calls: Calls | None,
        answer: str | None,
        thoughts: Thoughts | None,
        control: Mapping[str, int],
        silent: bool,
    ) -> None:
        self._calls = calls
        self._answer = answer
        self._thoughts = thoughts
        self._silent = silent
        self._control = control
        self._spelled = re.compile(f"({any_of(control)})")
        self._rules: dict[str, str] = {}

    def grammar(self) -> str:
        self._rules["body"] = " | ".join(self._bodies())
        self._rules["start"] = self._start()
        rules = "\n".join(f"{name}: {rule}" for name, rule in self._rules.items())
        return f"%llguidance {{}}\n{rules}\n"

    def _start(self) -> str:
        if self._thoughts is None or self._silent:
            return "body"
        self._rules["BLANK"] = f"/{SPACES}/"
        self._rules["thought"] = f"{self._up_to('thinking', self._thoughts.close)} BLANK?"
        if self._thoughts.opened:
            return "thought body"
        return f"body | {self._literal(self._thoughts.open)} thought body"

    def _bodies(self) -> Iterator[str]:
        """The kinds of answers that there may be."""
        calls = self._calls
        if calls is not None and calls.mode != "not":
            self._list_calls(calls)
            if calls.mode == "must" or self._answer is not None:
                yield f"{self._literal(calls.form.marks[0])} first"
            else:
                yield from self._behind_text(calls)
        if self._answer is not None and (calls is None or calls.mode != "must"):
            self._rules["json"] = self._answer
            yield "json"
        elif calls is None or calls.mode != "must":
            told_by = calls.form.marked if calls is not None else ()
            marks = [f"{ANY}{_escape(mark)}{ANY}" for mark in told_by]
            self._rules["TEXT"] = _without((*marks, *self._beginnings()))
            yield "TEXT"

    def _behind_text(self, calls: Calls) -> Iterator[str]:
        """Calls where text may come first, and those that need no mark."""
        for index, mark in enumerate(calls.form.marked):
            yield f"{self._up_to(f'lead{index}', mark, self._beginnings())} first"
        if calls.form.bare:
            yield "bare"

    def _beginnings(self) -> Iterator[str]:
        """What text may not begin with, since thoughts or calls do."""
        if self._thoughts is not None and not self._thoughts.opened:
            yield f"{_regex('~', ())}{_escape(self._thoughts.open)}{ANY}"
        if self._calls is not None and self._calls.form.bare:
            form, names = self._calls.form, [tool.name for tool in self._calls.tools]
            for opening in form.openings:
                yield f"{_regex(form.head + opening.rstrip(), names)}{ANY}"

    def _up_to(self, name: str, end: str, excluded: Iterable[str] = ()) -> str:
        """What stands for text and the `end` of it, where that comes first."""
        terminal = name.upper()
        if self._spelled.search(end):  # as a token of its own, which text never is
            self._rules[terminal] = _without((*excluded, f"{ANY}{_escape(end)}{ANY}"))
            return f"{terminal} {self._literal(end)}"
        self._rules[terminal] = f"({_without(excluded)}) {json.dumps(end)}"
        self._rules[f"{name}[lazy]"] = terminal
        return name

    def _list_calls(self, calls: Calls) -> None:
        """The rules `first`, behind a mark, and `bare`, without one."""
        form = calls.form
        for index, tool in enumerate(calls.tools):
            self._rules[f"given{index}"] = tool.rule
        plain = [index for index, tool in enumerate(calls.tools) if tool.carrier != "raw"]
        # A text as it is runs to the end of the answer, so no call can come behind it.
        last = [index for index, tool in enumerate(calls.tools) if tool.carrier == "raw"]
        openings = [f"({_choice(self._opening(form, tool.name))})" for tool in calls.tools]
        head, between, closing, tail = (
            self._literal(as_written(part)) for part in (form.head, form.between, form.closing, form.tail)
        )
        for name, indexes in (("call", plain), ("last", last)):
            if indexes:
                self._rules[name] = _choice(f"{openings[i]} given{i} {closing}" for i in indexes)
        further = f"({between} call){{0,{MAX_CALLS - 1}}}" if calls.many and plain else ""
        end = f"{further} ({between} last)? {tail}" if calls.many and last else f"{further} {tail}"
        firsts = [f"{head} call {end}"] * bool(plain) + [f"{head} last {tail}"] * bool(last)
        self._rules["first"] = _choice(firsts)
        if form.bare:
            for index, tool in enumerate(calls.tools):
                self._rules[f"OPENING{index}"] = self._bare_opening(form, tool)
            bares = [f"OPENING{index} given{index} {closing} {end}" for index in plain]
            self._rules["bare"] = _choice(
                bares + [f"OPENING{index} given{index} {closing} {tail}" for index in last]
            )

    def _opening(self, form: Form, name: str) -> Iterator[str]:
        """The ways to begin a call of a tool."""
        for opening in form.openings:
            yield f" /{ID}/ ".join(map(self._literal, as_written(opening, name).split("#")))

    def _bare_opening(self, form: Form, tool: Offered) -> str:
        """A call's opening with all the white space that the reader bears: no mark makes sure of it."""
        patterns = [form.head + opening for opening in form.openings]
        if tool.carrier == "raw":
            return "|".join(
                f"/{_regex(pattern.rstrip(), [tool.name])}{pattern[len(pattern.rstrip()) :]}/"
                for pattern in patterns
            )
        return "|".join(f"/{_regex(pattern, [tool.name])}/" for pattern in patterns)

    def _literal(self, text: str) -> str:
        """A text, in which control tokens are the tokens themselves."""
        parts = enumerate(self._spelled.split(text))
        return " ".join(
            f"<[{self._control[part]}]>" if index % 2 else json.dumps(part) for index, part in parts if part
        )


def _without(excluded: Iterable[str]) -> str:
    """Any text that is none of the regular expressions."""
    return " & ".join((f"/{ANY}/", *(f"~/{each}/" for each in excluded)))


def _choice(rules: Iterable[str]) -> str:
    return " | ".join(rules)


def _regex(pattern: str, names: Sequence[str]) -> str:
    return as_regex(pattern, names).replace("/", r"\/")


def _escape(text: str) -> str:
    return re.escape(text).replace("/", r"\/")
