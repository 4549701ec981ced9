"""Fields taken out of a text, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from .lists import PHRASES, WORDS, frozen, phrases, table
from .manners import asked, cased
from .numerals import number_word
from .voice import Voice

__all__ = ["CLOSE", "OPEN", "extract"]

# What stands between these marks in an answer is not learned: a schema dictates it, or the prompt holds it.
OPEN, CLOSE = "\ue000", "\ue001"


class Number(str):
    """A number as it is written: JSON without quotation marks."""

    __slots__ = ()


Value = str | Number | bool | list[str] | None
Record = dict[str, Value]


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
        return value, voice.pick(self.said).replace("{}", _written(voice, value))


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
    def keys(self) -> set[str]:
        """All names that its fields may have."""
        return {key for field in (self.subject, *self.fields) for key in field.keys.split()}


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
VENUES = ("{city}", "room {1-400}", "the {adjectives} {hall|park|office|cafe|school}")
FIRMS = ("{company}", "{surname} {Ltd|Inc|GmbH|and Sons|Group|Labs}", "{title}")
AMOUNTS = ("1-20", "1-100", "1-1000", "1-20000")
DRAWN: dict[str, Callable[[Voice], str]] = {
    "occasion": lambda voice: voice.value("occasions") if voice.chance(0.7) else voice.words(1, 2),
    "venue": lambda voice: voice.fill(voice.pick(VENUES)),
    "money": lambda voice: voice.decimal() if voice.chance(0.35) else voice.value(voice.pick(AMOUNTS)),
    "gate": lambda voice: voice.fill("{A|B|C|D|E|F}") + str(voice.integer(1, 60)),
    "firm": lambda voice: voice.fill(voice.pick(FIRMS)),
}  # fmt: skip
LOOSE_NAMES = ["data", "record", "entry", "values", "form"]


def extract(voice: Voice) -> tuple[str | None, str, str]:
    """A system prompt or none, a text with what to take out of it, and the JSON; some keys are marked."""
    (make,) = voice.random.choices((_whole, _clauses, _loose), (3, 5, 2))
    text, record, kind = make(voice)
    keys, name = _chosen(voice, record, kind), voice.pick(kind.names if kind else LOOSE_NAMES)
    named = voice.chance(0.75)
    system = (
        voice.pick(PHRASES["extractor"]).replace("{n}", name)
        if voice.chance(0.15 if named else 0.5)
        else None
    )
    if named:
        request = voice.pick(PHRASES["with_keys"]).replace("{k}", _listed(voice, keys))
    elif system and voice.chance(0.3):
        request = "{t}"
    else:
        request = voice.pick(PHRASES["without_keys"]).replace("{n}", name)
    request = cased(voice, request) if not named or request.startswith("{t}") else asked(voice, request)
    answer = _json({key: record.get(key) for key in keys}, marked=not named)
    return system, request.replace("{t}", text), answer


def _chosen(voice: Voice, record: Record, kind: Kind | None) -> list[str]:
    """Some of the keys in some order, now and then one that the text says nothing of."""
    keys, said = list(record), kind.keys if kind else record.keys()
    voice.random.shuffle(keys)
    keys = keys[: voice.integer(min(2, len(keys)), len(keys))]
    if voice.chance(0.35):
        keys.sort(key=list(record).index)
    if voice.chance(0.12):
        keys.insert(
            voice.integer(0, len(keys)),
            voice.pick([key for key in WORDS["absent_keys"] if key not in said]),
        )
    return keys


def _json(record: Record, *, marked: bool) -> str:
    opening, closing = (OPEN, CLOSE) if marked else ("", "")
    fields = (f"{opening}{json.dumps(key)}{closing}: {_value(value)}" for key, value in record.items())
    return f"{{{', '.join(fields)}}}"


def _value(value: Value) -> str:
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def _written(voice: Voice, value: Value) -> str:
    if isinstance(value, list):
        return _and(value)
    if isinstance(value, Number) and value.isdigit() and int(value) <= 12 and voice.chance(0.12):
        return number_word(int(value))
    return str(value)


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _listed(voice: Voice, keys: list[str]) -> str:
    """The keys as people list them."""
    form = voice.random.random()
    if form < 0.12:
        return ", ".join(f'"{key}"' for key in keys)
    if form < 0.17:
        return ", ".join(f"`{key}`" for key in keys)
    if form < 0.22:
        return "{" + ", ".join(f'"{key}": ...' for key in keys) + "}"
    if form < 0.26:
        return "\n" + "\n".join(f"- {key}" for key in keys) + "\n"
    if form < 0.4:
        return ", ".join(keys)
    return _and([f"the {key}" for key in keys] if form < 0.5 else keys)


# Texts


def _whole(voice: Voice) -> tuple[str, Record, Kind | None]:
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
        return _written(voice, value)

    return re.sub(r"\{(\w+)\}(s(?!\w))?", fill, voice.pick(kind.whole)), record, kind


def _clauses(voice: Voice) -> tuple[str, Record, Kind | None]:
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
        text = f"{opening} {_and(said[:cut])}." + "".join(
            f" {voice.pick(kind.again)} {one}." for one in said[cut:]
        )
    if voice.chance(0.12):
        aside = voice.sentence().rstrip(".!")
        text = f"{text} {aside.capitalize()}." if voice.chance(0.5) else f"{aside}. {text}"
    return text, record, kind


def _key(voice: Voice, field: Field, record: Record) -> str:
    free = [key for key in field.keys.split() if key not in record]
    return voice.pick(free or [f"other_{field.keys.split()[0]}"])


def _entry(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _and(value) if isinstance(value, list) else str(value)


def _mine(predicate: str) -> str:
    """A predicate of somebody as one of the speaker."""
    verb, _, rest = predicate.partition(" ")
    mine = {"is": "am", "has": "have", "was": "was", "can": "can", "just": "just"}.get(
        verb, verb.removesuffix("s")
    )
    return f"I {mine} {rest}."


LOOSE: dict[str, list[str]] = TABLE["loose"]


def _loose(voice: Voice) -> tuple[str, Record, Kind | None]:
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
        text = cased(voice, _and([voice.pick(LOOSE["clauses"]).format(*pair) for pair in said])) + "."
    else:
        text = " ".join(voice.pick(LOOSE["sentences"]).format(*pair) for pair in said)
    return text, record, None
