"""Fields taken out of a text, as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .drawn import DRAWN
from .lines import line
from .lists import PHRASES, WORDS, frozen, phrases, table
from .manners import asked, cased
from .marks import CLOSE, LIGHT, OPEN
from .notes import About, note
from .records import Number, Record, Value, listed, written
from .voice import Voice

__all__ = ["extract"]


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


def extract(voice: Voice) -> tuple[str | None, str, str]:
    """A system prompt or none, a text with what to take out of it, and the JSON; some of it is marked."""
    (make,) = voice.random.choices((note, _line, _whole, _clauses, _loose), (14, 7, 2, 2, 2))
    text, record, about = make(voice)
    keys, name = _chosen(voice, record, about), voice.pick(about.names)
    asked_for = {key: record.get(key) for key in keys}
    if voice.chance(0.5):
        return _by_schema(voice, text, asked_for, name)
    listed_keys, answer = _listed(voice, asked_for, about.hints), _json(asked_for)
    if voice.chance(0.12):
        return voice.pick(PHRASES["extractor_keys"]).replace("{k}", listed_keys), text, answer
    system = voice.pick(PHRASES["extractor"]).replace("{n}", name) if voice.chance(0.12) else None
    request = voice.pick(PHRASES["with_keys"]).replace("{k}", listed_keys)
    request = cased(voice, request) if request.startswith("{t}") else asked(voice, request)
    return system, request.replace("{t}", text), answer


def _by_schema(voice: Voice, text: str, record: Record, name: str) -> tuple[str | None, str, str]:
    """The same where a schema dictates the keys, of which the request says nothing."""
    system = voice.pick(PHRASES["extractor"]).replace("{n}", name) if voice.chance(0.25) else None
    request = "{t}" if voice.chance(0.6) else voice.pick(PHRASES["without_keys"]).replace("{n}", name)
    return system, cased(voice, request).replace("{t}", text), _dictated(voice, record)


def _chosen(voice: Voice, record: Record, about: About) -> list[str]:
    """Some of the keys in some order, now and then one that the text says nothing of."""
    keys = list(record)
    if voice.chance(0.5):
        voice.random.shuffle(keys)
    if voice.chance(0.4):
        keys = keys[: voice.integer(min(2, len(keys)), len(keys))]
    if about.keys and voice.chance(0.1):
        absent = [key for key in WORDS["absent_keys"] if key not in about.keys]
        keys.insert(voice.integer(0, len(keys)), voice.pick(absent))
    return keys


def _json(record: Record) -> str:
    return f"{{{', '.join(f'{json.dumps(key)}: {_value(value)}' for key, value in record.items())}}}"


def _dictated(voice: Voice, record: Record) -> str:
    """JSON in which all that a schema dictates is marked: keys, types, how objects nest.

    That a text without a request is answered by JSON at all is not learned.
    """
    fields = [_typed(voice, key, value) for key, value in record.items()]
    if len(fields) > 1 and voice.chance(0.1):
        at = voice.integer(0, len(fields) - 1)
        inner = ", ".join(fields[at:])
        fields[at:] = [f"{_light(json.dumps(voice.value('nouns')))}: {{{inner}{_light('}')}"]
    return f"{OPEN}{{{CLOSE}{', '.join(fields)}{_light('}')}"


def _light(text: str) -> str:
    return f"{LIGHT}{text}{CLOSE}"


def _typed(voice: Voice, key: str, value: Value) -> str:
    """A field; digits may be a text or a number."""
    opening = f"{json.dumps(key)}: "
    if isinstance(value, dict):
        inner = ", ".join(_typed(voice, name, one) for name, one in value.items())
        return f"{_light(opening + '{')}{inner}{_light('}')}"
    if isinstance(value, Number) and voice.chance(0.1):
        value = str(value)
    elif isinstance(value, str) and value.isdigit() and not value.startswith("0") and voice.chance(0.3):
        value = Number(value)
    text = _value(value)
    opening += text[0] if text[0] in '"[' else ""
    return f"{_light(opening)}{text.removeprefix(opening[-1])}"


def _value(value: Value) -> str:
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


# How keys are listed: the whole list, each key, what is between two; {t} is the type of a value.
KEY_LISTS = (
    ("{}", "{}", ", "), ("{}", "{}", ", "), ("{}", "{}", ", "), ("{}", "{}", " and "), ("{}", '"{}"', ", "),
    ("{}", "`{}`", ", "), ("{}", '"{}"', " and "), ("{}", "`{}`", " and "), ("{{}}", '"{}": ...', ", "),
    ("{{}}", '"{}": {t}', ", "), ("{{}}", '"{}": {t}', ", "), ("{}", "{} ({t})", ", "), ("{{}}", '"{}": ""', ", "),
    ("\n{}\n", "- {}", "\n"), ("[{}]", "{}", ", "), ("({})", "{}", ", "), ("{}", "{}", "/"), ("{}", "{}", "; "),
    ("{}", "'{}'", ", "), ("fields {}", "{}", ", "), ("keys {}", "{}", ", "), ("keys {}", "{}", " and "),
    ("{}", "{} ({t})", " and "), ("{}", "'{}' ({t})", ", "), ("{{}}", '"{}"', ", "), ("keys {}", '"{}"', " and "),
    ("\n{}\n", "- {} ({t})", "\n"), ("{}", '"{}" ({t})', " and "), ("{}", "{}: {t}", ", "),
    ("{}", "{} as {t}", ", "),
)  # fmt: skip
# What types are called.
TYPES = {
    "string": ("string", "string", "text", "str"),
    "number": ("number", "number", "integer", "num"),
    "boolean": ("boolean", "boolean", "true/false", "true or false", "bool", "yes/no as boolean"),
    "array": ("array", "list", "array of strings", "a list", "an array"),
    "array of numbers": ("array", "list", "array of numbers", "list of numbers", "numbers"),
    "object": ("object with {}", "an object with {}", "object: {}"),
}


def _listed(voice: Voice, record: Record, hints: dict[str, str]) -> str:
    """The keys as people list them; of some they say more."""
    hinted = {key: _hinted(voice, key, value, hints.get(key, "")) for key, value in record.items()}
    if voice.chance(0.45):
        return listed(
            [f"the {key}" for key in hinted.values()] if voice.chance(0.25) else list(hinted.values())
        )
    whole, each, between = voice.random.choice(KEY_LISTS)
    if "{t}" in each:
        hinted = {key: key for key in record}
    keys = (
        each.replace("{}", hinted[key]).replace("{t}", _type(voice, value)) for key, value in record.items()
    )
    return whole.replace("{}", between.join(keys))


def _hinted(voice: Voice, key: str, value: Value, hint: str) -> str:
    """The key, with what it may be where nobody could guess that."""
    if isinstance(value, dict):
        return f"{key} (an object with {listed(list(value))})"
    if isinstance(value, list) and voice.chance(0.4 if not hint else 1):
        return f"{key} ({hint or _type(voice, value)})"
    if isinstance(value, bool) and voice.chance(0.4):
        return f"{key} ({_type(voice, value)})"
    if hint and voice.chance(0.5):
        return f"{key} ({voice.pick(('{}', 'one of {}', 'either {}')).replace('{}', _options(voice, hint))})"
    return key


def _options(voice: Voice, hint: str) -> str:
    options = hint.split("|")
    if voice.chance(0.4):
        return hint.replace("|", "/")
    return f"{', '.join(options[:-1])} or {options[-1]}" if len(options) > 1 else hint


def _type(voice: Voice, value: Value) -> str:
    if isinstance(value, dict):
        return voice.pick(TYPES["object"]).replace("{}", listed(list(value)))
    if isinstance(value, list):
        numbers = value and not isinstance(value[0], (str, dict))
        return voice.pick(TYPES["array of numbers" if numbers else "array"])
    if isinstance(value, bool):
        return voice.pick(TYPES["boolean"])
    return voice.pick(TYPES["number" if isinstance(value, (Number, int, float)) else "string"])


# Texts


def _line(voice: Voice) -> tuple[str, Record, About]:
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


def _whole(voice: Voice) -> tuple[str, Record, About]:
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


def _clauses(voice: Voice) -> tuple[str, Record, About]:
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


def _loose(voice: Voice) -> tuple[str, Record, About]:
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
