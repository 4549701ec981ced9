"""System prompts that change the answer: who the model is, and how it shall speak."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from . import memory, skills
from .faq import faq
from .lists import PHRASES
from .manners import question, quoted
from .skills import Pair
from .voice import Voice

__all__ = ["instructed", "persona"]

# (prompt, who it is): {n} is a name and {r} a role.
PERSONAS = (
    ("You are {n}, {r}.", "I am {n}, {r}."), ("Your name is {n}.", "I am {n}."), ("You are {n}.", "I am {n}."),
    ("You are called {n} and you are {r}.", "I am {n}, {r}."), ("You are {r} named {n}.", "I am {n}, {r}."),
    ("You are {r}.", "I am {r}."), ("Act as {n}, {r}.", "I am {n}, {r}."),
)  # fmt: skip
SHORT = ("arithmetic", "arithmetic", "count", "greet", "repeat", "repeat", "talk", "who")
PASSWORDS = ("Over.", "Arr!", "Sir", "Meow", ":)", "OK", "Yes.", "No.", "Done.", "Amen.")
# Who is I in what the user tells is the user in what a system prompt tells.
THIRD_PERSON = {
    "My ": "The user's ",
    "I am ": "The user is ",
    "I live": "The user lives",
    "I work": "The user works",
    "Our ": "The user's ",
}
FORMS = (
    "persona",
    "only",
    "begin",
    "end",
    "upper",
    "lower",
    "user",
    "told",
    "brief",
    "long",
    "json_key",
    "rule",
)


def persona(voice: Voice) -> Pair:
    """A system prompt that says who the model is, and what it says of itself."""
    prompt, answer = voice.random.choice(PERSONAS)
    role = voice.fill("a {adjectives} ") + voice.fill(
        voice.pick(("{assistant|robot|helper|pirate|bot}", "{jobs}", "{animals}"))
    )
    values = {"n": voice.name(), "r": role}
    return prompt.format(**values), answer.format(**values)


def instructed(voice: Voice, plain: Mapping[str, Callable[[Voice], Pair]]) -> tuple[str, str, str]:
    """A system prompt, what is said, and the answer that follows the prompt."""
    form = voice.pick(FORMS)
    if form == "persona":
        system, answer = persona(voice)
        return system, question(voice, voice.pick(PHRASES["who"][:12])), answer
    if form == "told":
        return _told(voice)
    if form == "rule":
        return _rule(voice, plain)
    if form == "user":
        name = voice.name()
        said = voice.pick(PHRASES["hello"]) + voice.pick(("", "!", "."))
        return _prompt(voice, form, name), said, skills.welcome(name)
    if form in ("brief", "long"):
        return voice.pick(PHRASES[form]), *faq(voice, "low" if form == "brief" else "high")
    said, answer = plain[voice.pick(SHORT)](voice)
    if form == "json_key":
        key = voice.fill("{answer|reply|text|result|{nouns}}".replace("{nouns}", voice.fill("{nouns}")))
        return _prompt(voice, form, key), said, json.dumps({key: answer}, ensure_ascii=False)
    if form in ("upper", "lower"):
        return voice.pick(PHRASES[form]), said, answer.upper() if form == "upper" else answer.lower()
    word = _word(voice)
    prompt = _prompt(voice, form, quoted(voice, word) if voice.chance(0.7) else word)
    if form == "only":
        name = voice.pick(("unknown", "faq", "")) or voice.pick(SHORT)
        return prompt, plain[name](voice)[0], word
    return prompt, said, f"{word} {answer}" if form == "begin" else f"{answer} {word}"


def _prompt(voice: Voice, form: str, text: str) -> str:
    return voice.pick(PHRASES[form]).replace("{}", text)


def _word(voice: Voice) -> str:
    if voice.chance(0.3):
        return voice.pick(PASSWORDS)
    return voice.pick(
        (voice.word(), voice.word().capitalize() + "!", voice.words(2, 3), voice.made_up(), voice.title())
    )


def _rule(voice: Voice, plain: Mapping[str, Callable[[Voice], Pair]]) -> tuple[str, str, str]:
    """What to say to one thing; to all others the answer is the usual one."""
    cue = voice.pick((voice.word(), voice.words(2, 4), voice.pick(PHRASES["hello"]), voice.sentence()))
    word = _word(voice)
    rule = voice.pick(PHRASES["rule"]).replace("{a}", quoted(voice, cue)).replace("{b}", quoted(voice, word))
    if voice.chance(0.7):
        return rule, cue + voice.pick(("", "", "!", "?", ".")), word
    return rule, *plain[voice.pick(SHORT)](voice)


def _told(voice: Voice) -> tuple[str, str, str]:
    told, asked, answer = memory.told(voice)
    for first, third in THIRD_PERSON.items():
        told = told.replace(first, third)
    return f"{voice.pick(PHRASES['neutral'])} {told}" if voice.chance(0.4) else told, asked, answer
