"""Fields taken out of a text, as JSON."""

from __future__ import annotations

import json

from .lists import PHRASES, WORDS
from .manners import asked, cased
from .marks import CLOSE, LIGHT, OPEN
from .notes import About, note
from .records import Number, Record, Value, listed
from .texts import a_line, clauses, loose, whole
from .voice import Voice

__all__ = ["extract"]


def extract(voice: Voice) -> tuple[str | None, str, str]:
    """A system prompt or none, a text with what to take out of it, and the JSON; some of it is marked."""
    (make,) = voice.random.choices((note, a_line, whole, clauses, loose), (14, 7, 2, 2, 2))
    text, record, about = make(voice)
    keys, name = _chosen(voice, record, about), voice.pick(about.names)
    asked_for = {key: record.get(key) for key in keys}
    if voice.chance(0.5):
        return _by_schema(voice, text, asked_for, name)
    if len(asked_for) > 2 and voice.chance(0.1):
        asked_for = _nested(voice, asked_for)
    listed_keys = _listed(voice, asked_for, about.hints)
    if voice.chance(0.05) and all(str(_text(value)) in text for value in asked_for.values()):
        listed_keys += voice.pick((", all strings", " (all as strings)", ", everything as text"))
        asked_for = {key: _text(value) for key, value in asked_for.items()}
    elif None in asked_for.values() and voice.chance(0.4):
        listed_keys += voice.pick((" (null where something is missing)", ", null if unknown", " or null"))
    answer = _json(asked_for)
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
        keys = keys[: voice.integer(min(1 if voice.chance(0.3) else 2, len(keys)), len(keys))]
    if about.keys and voice.chance(0.1):
        absent = [key for key in WORDS["absent_keys"] if key not in about.keys]
        keys.insert(voice.integer(0, len(keys)), voice.pick(absent))
    return keys


def _nested(voice: Voice, record: Record) -> Record:
    """The record with some of its fields in an object of their own."""
    items = list(record.items())
    at = voice.integer(0, len(items) - 2)
    end = voice.integer(at + 2, min(at + 3, len(items)))
    return dict([*items[:at], (voice.value("nouns"), dict(items[at:end])), *items[end:]])


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
        opening = f"{json.dumps(voice.value('nouns'))}: {{"
        fields[at:] = [f"{_light(opening)}{inner}{_light('}')}"]
    return f"{OPEN}{{{CLOSE}{', '.join(fields)}{_light('}')}"


def _light(text: str) -> str:
    return f"{LIGHT}{text}{CLOSE}"


def _text(value: Value) -> Value:
    """A number as a text."""
    return str(value) if isinstance(value, (Number, int, float)) and not isinstance(value, bool) else value


def _object(voice: Voice, record: Record) -> str:
    inner = ", ".join(_typed(voice, name, one) for name, one in record.items())
    return f"{_light('{')}{inner}{_light('}')}"


def _typed(voice: Voice, key: str, value: Value) -> str:
    """A field; digits may be a text or a number."""
    opening = f"{json.dumps(key)}: "
    if isinstance(value, dict):
        return f"{_light(opening)}{_object(voice, value)}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{_light(opening + '[')}{', '.join(_object(voice, one) for one in value)}]"
    if isinstance(value, Number) and voice.chance(0.1):
        value = str(value)
    elif isinstance(value, str) and value.isdigit() and not value.startswith("0") and voice.chance(0.3):
        value = Number(value)
    text = _value(value)
    opening += text[0] if text[0] in '"[' else ""
    return f"{_light(opening)}{text.removeprefix(opening[-1])}"


def _value(value: Value) -> str:
    if isinstance(value, dict):
        return _json(value)
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
# How a single key is called for.
SINGLE = (
    "key {}", "the key {}", 'key "{}"', 'the key "{}"', "one key, {}", "the single key {}", "the field {}",
    'only "{}"', "nothing but {}",
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
    if len(hinted) == 1 and voice.chance(0.6):
        return voice.pick(SINGLE).replace("{}", *hinted.values())
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


ARRAYS = (
    "{} (array)",
    "{} (a list)",
    "{} as a list",
    "{} (list)",
    "{} as an array",
    "{}, an array",
    "an array {}",
    "a list under the key {}",
    "an array under the key {}",
    '"{}" (list)',
)


def _hinted(voice: Voice, key: str, value: Value, hint: str) -> str:
    """The key, with what it may be where nobody could guess that."""
    if isinstance(value, dict):
        return f"{key} (an object with {listed(list(value))})"
    if isinstance(value, list) and voice.chance(0.5 if not hint else 1):
        return voice.pick(ARRAYS).replace("{}", key) if not hint else f"{key} ({hint})"
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
