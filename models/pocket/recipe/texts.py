"""Texts to take fields out of: lines, sentences on a subject, loose keys and values (lines.toml, records.toml)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .drawn import DRAWN
from .lines import line
from .lists import frozen, phrases, table
from .manners import cased
from .notes import About
from .records import Number, Record, Value, listed, written
from .voice import Voice

__all__ = ["a_line", "clauses", "loose", "whole"]


@dataclass(frozen=True)
class Field:
    """Something to know of a subject: names of its key, its values, and how a sentence says it."""

    keys: str
    kind: str = ""
    number: bool = False
    many: tuple[int, int] | None = None
    said: tuple[str, ...] = ()
    flags: tuple[tuple[str, bool], ...] = ()

    def draw(self, voice: Voice) -> Value:
        """A value; None for a flag, which only a predicate gives."""
        if self.many:
            return list(
                dict.fromkeys(voice.value(self.kind, DRAWN) for _ in range(voice.integer(*self.many)))
            )
        value = voice.value(self.kind, DRAWN)
        return Number(value) if self.number else value

    def predicate(self, voice: Voice) -> tuple[Value, str]:
        """A value, and what is said with it."""
        if self.flags:
            said, flag = voice.random.choice(self.flags)
            return flag, said
        value = self.draw(voice)
        return value, voice.pick(self.said).replace("{}", written(voice, value))


@dataclass(frozen=True)
class Kind:
    """A kind of thing that texts are about."""

    names: list[str]
    subject: Field
    fields: tuple[Field, ...]
    whole: tuple[str, ...]
    opening: tuple[str, ...]
    again: tuple[str, ...]

    @property
    def about(self) -> About:
        """What it is called, and all names that its fields may have."""
        keys = {key for field in (self.subject, *self.fields) for key in field.keys.split()}
        return About(self.names, keys, {})


TABLE = table("records")
KINDS = [
    Kind(
        [name.replace("_", " ") for name in kind["names"].split()],
        Field(**kind["subject"]),
        tuple(Field(**frozen(field)) for field in kind["field"]),
        phrases(kind["whole"]),
        tuple(kind["opening"]),
        tuple(kind["again"]),
    )
    for kind in TABLE["kind"]
]
LOOSE_ABOUT = About(["data", "record", "entry", "values", "form"], set(), {})


def a_line(voice: Voice) -> tuple[str, Record, About]:
    """One of many short texts, now and then two, or with something else beside it."""
    text, record = line(voice)
    if voice.chance(0.1):
        more, further = line(voice)
        if not further.keys() & record.keys():
            text, record = f"{text}{voice.pick((' ', ' ', chr(10)))}{more}", record | further
    return _beside(voice, text), record, LOOSE_ABOUT


def _beside(voice: Voice, text: str) -> str:
    """The text, now and then with a sentence beside it that has nothing to do with it."""
    if not voice.chance(0.12):
        return text
    aside = voice.sentence().rstrip(".!")
    return f"{text} {aside.capitalize()}." if voice.chance(0.5) else f"{aside}. {text}"


def whole(voice: Voice) -> tuple[str, Record, About]:
    """One sentence that somebody wrote, with values in its places."""
    kind = voice.random.choice(KINDS)
    fields = {field.keys.split()[0]: field for field in (kind.subject, *kind.fields)}
    record: Record = {}

    def fill(match: re.Match[str]) -> str:
        field = fields[match[1]]
        value = field.draw(voice)
        if match[2]:  # the text has the plural, and so has the answer
            value = f"{value}s"
        record[_key(voice, field, record)] = value
        return written(voice, value)

    return re.sub(r"\{(\w+)\}(s(?!\w))?", fill, voice.pick(kind.whole)), record, kind.about


def clauses(voice: Voice) -> tuple[str, Record, About]:
    """Sentences about one subject, put together from what is known of it."""
    kind = voice.random.choice(KINDS)
    subject = kind.subject.draw(voice)
    record: Record = {_key(voice, kind.subject, {}): subject}
    said: list[str] = []
    for field in voice.random.sample(kind.fields, voice.integer(1, min(5, len(kind.fields)))):
        value, predicate = field.predicate(voice)
        record[_key(voice, field, record)] = value
        said.append(predicate)
    opening = voice.pick(kind.opening).replace("{}", str(subject))
    form = voice.random.random()
    if form < 0.12:
        text = voice.pick((", ", "; ", "\n", " | ")).join(
            f"{key}: {_entry(value)}" for key, value in record.items()
        )
    elif form < 0.2 and kind is KINDS[0]:
        text = f"{voice.pick(('I am', 'My name is', 'Hi, I am'))} {subject}. {' '.join(map(_mine, said))}"
    else:
        cut = len(said) if form < 0.6 else voice.integer(1, len(said))
        text = f"{opening} {listed(said[:cut])}." + "".join(
            f" {voice.pick(kind.again)} {one}." for one in said[cut:]
        )
    return _beside(voice, text), record, kind.about


def _key(voice: Voice, field: Field, record: Record) -> str:
    free = [key for key in field.keys.split() if key not in record]
    return voice.pick(free or [f"other_{field.keys.split()[0]}"])


def _entry(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return listed(value) if isinstance(value, list) else str(value)


def _mine(predicate: str) -> str:
    """A predicate of somebody as one of the speaker."""
    verb, _, rest = predicate.partition(" ")
    mine = {"is": "am", "has": "have", "was": "was", "can": "can", "just": "just"}.get(
        verb, verb.removesuffix("s")
    )
    return f"I {mine} {rest}."


LOOSE: dict[str, list[str]] = TABLE["loose"]


def loose(voice: Voice) -> tuple[str, Record, About]:
    """Loose keys and values, which only the text ties together."""
    record: Record = {}
    for _ in range(voice.integer(2, 5)):
        number = voice.chance(0.2)
        value = str(voice.number()) if voice.chance(0.6) else voice.decimal()
        key = voice.fill(voice.pick(LOOSE["keys"])).replace(" ", "_")
        record[key] = Number(value) if number else voice.value(voice.value("loose_kinds"))
    said = [
        (key.replace("_", " ") if voice.chance(0.5) else key, str(value)) for key, value in record.items()
    ]
    form = voice.random.random()
    if form < 0.3:
        equals = (": ", " = ", " is ", " ")
        text = voice.pick((", ", "; ", "\n")).join(f"{key}{voice.pick(equals)}{value}" for key, value in said)
    elif form < 0.7:
        text = cased(voice, listed([voice.pick(LOOSE["clauses"]).format(*pair) for pair in said])) + "."
    else:
        text = " ".join(voice.pick(LOOSE["sentences"]).format(*pair) for pair in said)
    return text, record, LOOSE_ABOUT
