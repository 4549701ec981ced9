"""Tools made up on the spot: a pattern of patterns.toml with words drawn for it.

Nothing tells which of them is asked for but the words that its declaration and the request share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .lists import WORDS, phrases, table
from .trades import NUMBERS, RESULTS, Parameter, Trade, parameter
from .voice import Voice

__all__ = ["invent", "relatives"]


@dataclass(frozen=True)
class Pattern:
    """What tools of a sort are like, with {v} and the like in place of their words."""

    names: tuple[str, ...]
    about: tuple[str, ...]
    cue: str
    parameters: tuple[str, ...]
    requests: tuple[str, ...]
    pairs: tuple[str, ...]
    both: tuple[str, ...]
    flags: tuple[tuple[str, ...], ...]


PATTERNS = [
    Pattern(
        tuple(pattern["names"].split()),
        tuple(pattern["about"]),
        pattern["cue"],
        tuple(pattern["parameter"]),
        phrases(pattern.get("requests", "")),
        phrases(pattern["pairs"]) if "pairs" in pattern else (),
        phrases(pattern["both"]) if "both" in pattern else (),
        tuple(map(tuple, pattern.get("flags", ()))),
    )
    for pattern in table("patterns")["pattern"]
]
# Kinds for a parameter that may hold any text, or any number.
TEXTS = WORDS["tool_texts"]
AMOUNTS = (*NUMBERS, "decimal")
OPTIONS = 2, 5


def invent(voice: Voice, noun: str | None = None) -> Trade:
    """A trade that nobody has heard of, about `noun` if given."""
    pattern: Pattern = voice.random.choice(PATTERNS)
    words = _words(voice, noun)
    return _trade(voice, pattern, words, _parameters(voice, pattern, words))


def relatives(voice: Voice) -> tuple[Trade, Trade, str]:
    """Two trades that take the same, and a request for both, in which {0} is the value."""
    pattern = voice.random.choice([pattern for pattern in PATTERNS if pattern.both])
    words = _words(voice, None)
    other = words | {"a": words["b"], "A": words["B"], "b": words["a"], "B": words["A"]}
    parameters = tuple(parameter for parameter in _parameters(voice, pattern, words) if not parameter.added)
    request = _spoken(voice.pick(pattern.both), words)
    return _trade(voice, pattern, words, parameters), _trade(voice, pattern, other, parameters), request


def _trade(voice: Voice, pattern: Pattern, words: dict[str, str], parameters: tuple[Parameter, ...]) -> Trade:
    words = words | {"p0": parameters[0].names.split()[0] if parameters else "name"}
    requests, meaning = pattern.requests, None
    if pattern.flags:
        meaning = voice.chance(0.5)
        requests = pattern.flags[0 if meaning else 1]

    def all_of(forms: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_spoken(form, words) for form in forms)

    return Trade(
        names=tuple(name.replace(" ", "_") for name in all_of(pattern.names)),
        about=all_of(pattern.about),
        requests=all_of(requests),
        results=RESULTS,
        parameters=parameters,
        known=False,
        pairs=all_of(pattern.pairs),
        noun=words["n"],
        cue=words.get(pattern.cue, pattern.cue),
        meaning=meaning,
    )


def _parameters(voice: Voice, pattern: Pattern, words: dict[str, str]) -> tuple[Parameter, ...]:
    """Those of the pattern, now and then with one more that a request may leave out."""
    made = [_parameter(voice, _spoken(entry, words)) for entry in pattern.parameters]
    return (*made, _extra(voice)) if voice.chance(0.22) else tuple(made)


def _spoken(form: str, words: dict[str, str]) -> str:
    """A form with its words in place; values stay open."""
    return re.sub(r"\{([a-zA-Z]\d?)\}", lambda match: words[match[1]], form)


def _words(voice: Voice, noun: str | None) -> dict[str, str]:
    verb = voice.value("tool_verbs") if voice.chance(0.4) else voice.value("verbs")
    if voice.chance(0.12):
        verb = voice.made_up()
    noun = noun or _noun(voice)
    has, other = _noun(voice), _noun(voice)
    words = {"v": verb, "n": noun, "a": has, "b": other, "w": voice.word(), "d": voice.value("adjectives")}
    return words | {name.upper(): word.capitalize() for name, word in words.items()}


def _noun(voice: Voice) -> str:
    kind = voice.pick(
        ("nouns", "nouns", "nouns", "things", "things", "tool_nouns", "tool_nouns", "animals", "patched")
    )
    return voice.value(kind)


def _extra(voice: Voice) -> Parameter:
    """A parameter that a request may leave out."""
    name, kind = _noun(voice), voice.pick((*TEXTS, *NUMBERS, "enum"))
    said = (
        f" with {name} {{}}",
        f", {name} {{}}",
        f" and {name} {{}}",
        f" ({name} {{}})",
        f", {{}} as {name}",
    )
    return Parameter(name, kind, (f"The {name}",), said=said, options=_options(voice))


def _options(voice: Voice) -> tuple[str, ...]:
    return tuple(dict.fromkeys(voice.word() for _ in range(voice.integer(*OPTIONS))))


def _parameter(voice: Voice, entry: str) -> Parameter:
    """The parameter of an entry, with a kind and options drawn where it leaves them open."""
    made = parameter(entry)
    kind = {"?": voice.pick(TEXTS), "#": voice.pick(AMOUNTS)}.get(made.kind, made.kind)
    return replace(made, kind=kind, options=_options(voice) if kind == "enum" else ())
