"""What pocket cannot do: questions and tasks of all kinds, to which the answer is that it does not know."""

from __future__ import annotations

from collections.abc import Callable

from . import memory
from .lists import PHRASES, WORDS, phrases, table
from .manners import asked, question, quoted
from .voice import Voice

__all__ = ["UNKNOWN", "unknown"]

TABLE = table("unknown")
UNKNOWN: str = TABLE["answer"]
KINDS = {name: phrases(block) for name, block in TABLE["kinds"].items()}
LISTS = {name: phrases(block) for name, block in TABLE["lists"].items()}
# Words that mean something in Duologue, and so may not stand for the unknown.
OURS = frozenset(LISTS["ours"][0].split())
SHARES = {
    "world": 6,
    "about": 4,
    "how": 4,
    "create": 4,
    "programs": 3,
    "language": 4,
    "now": 4,
    "advice": 4,
    "mathematics": 2,
    "noise": 4,
}
# Kinds that are told to do something, not asked.
ORDERS = ("create", "programs", "language")


def unknown(voice: Voice) -> tuple[str, str]:
    """A question beyond pocket, and that it does not know."""
    if voice.chance(0.05):  # what the user has not told
        return question(voice, memory.told(voice)[1]), UNKNOWN
    (kind,) = voice.random.choices(list(SHARES), list(SHARES.values()))
    if kind == "about":
        said = voice.pick(PHRASES["about"]).replace("{}", _topic(voice))
    else:
        said = voice.fill(voice.pick(KINDS[kind]), DRAWN)
        if kind == "how":
            said = voice.pick(PHRASES["do"]).replace("{}", said)
        elif kind in ORDERS:
            said = asked(voice, said)
    if said[-1:].isalnum() and voice.chance(0.6):
        said += voice.pick((".", "?", "!"))
    return question(voice, said), UNKNOWN


def _noun(voice: Voice) -> str:
    while True:
        word = voice.pick(WORDS[voice.pick(("nouns", "things", "animals", "jobs"))])
        if word not in OURS:
            return word


def _topic(voice: Voice) -> str:
    (form,) = voice.random.choices(
        (
            "{topics}",
            "{software}",
            "{a|the} {adjectives} {noun}",
            "{somebody}",
            "{place}",
            "{the|a} {noun}",
            "{noun}",
        ),
        (50, 10, 15, 6, 4, 10, 5),
    )
    return voice.fill(form, DRAWN)


def _one_of(options: tuple[str, ...]) -> Callable[[Voice], str]:
    return lambda voice: voice.pick(options)


DRAWN: dict[str, Callable[[Voice], str]] = {
    **{name: _one_of(options) for name, options in LISTS.items()},
    "noun": _noun,
    "topic": _topic,
    "place": lambda voice: voice.fill("{countries}") if voice.chance(0.5) else voice.city(),
    "somebody": lambda voice: voice.person() if voice.chance(0.1) else voice.pick(LISTS["famous"]),
    "quoted": lambda voice: quoted(voice, voice.sentence() if voice.chance(0.5) else voice.word()),
    "sentence": Voice.sentence,
}
