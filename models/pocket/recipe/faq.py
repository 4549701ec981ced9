"""Questions about Duologue: every fact of facts.toml, asked after in many ways."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .lists import PHRASES, frozen, table
from .manners import question
from .voice import Voice

__all__ = ["FACTS", "Fact", "faq"]

SYNONYMS: dict[str, list[str]] = table("synonyms")
# A word by itself, and no part of a command, an option or a name.
LOOSE_WORD = re.compile(r"(?<![\w\-./:'])(?<!duologue )[A-Za-z]+(?![\w\-/:'=(]|\.\w)")


@dataclass(frozen=True)
class Fact:
    """One fact: the ways to ask after it, and its answers."""

    answer: str
    about: tuple[str, ...] = ()
    do: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    parameter: str = ""
    more: str = ""

    @property
    def brief(self) -> str:
        """The first sentence of the answer."""
        for mark in (". ", "; "):
            if (at := self.answer.find(mark)) > 0:
                return self.answer[:at] + "."
        return self.answer

    def asked(self, voice: Voice) -> str:
        """One way to ask, without slips."""
        shares = {
            "ask": min(4, len(self.ask)),
            "do": min(5, len(self.do)),
            "about": min(4, len(self.about)),
            "parameter": 5 if self.parameter else 0,
        }
        (form,) = voice.random.choices(list(shares), list(shares.values()))
        if form == "ask":
            return self._reworded(voice, voice.pick(self.ask))
        if form == "do":
            do = self._reworded(voice, voice.pick(self.do))
            return _framed(voice, "do" if voice.chance(0.85) else "do_answers", do)
        if form == "about":
            return _framed(voice, "about", voice.pick(self.about))
        named = _framed(voice, "parameter", self.parameter)
        return _framed(voice, "about" if voice.chance(0.6) else "parameter_ask", named)

    def _reworded(self, voice: Voice, text: str) -> str:
        """The text with another word here and there; the parameter's own name stays."""
        if voice.chance(0.4):
            return text

        def other(match: re.Match[str]) -> str:
            word = match[0]
            options = SYNONYMS.get(word, ())
            return voice.pick(options) if options and word != self.parameter and voice.chance(0.35) else word

        return LOOSE_WORD.sub(other, text)


def _framed(voice: Voice, frames: str, text: str) -> str:
    return voice.pick(PHRASES[frames]).replace("{}", text)


FACTS = tuple(Fact(**frozen(fact)) for fact in table("facts")["fact"])


def faq(voice: Voice, verbosity: str | None = None) -> tuple[str, str]:
    """A question and its answer; `verbosity` low or high makes it shorter or longer."""
    fact = voice.random.choice(FACTS)
    answer = fact.answer
    if verbosity == "low":
        answer = fact.brief
    elif verbosity == "high":
        answer = f"{fact.answer} {fact.more}".strip()
    return question(voice, fact.asked(voice)), answer
