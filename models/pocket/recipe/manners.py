"""How people put a request: politely or in haste, with openers and thanks, with slips and typing errors."""

from __future__ import annotations

from .lists import PHRASES
from .voice import Voice

__all__ = ["asked", "beside", "cased", "question", "quoted", "slips"]

# The neighbour of each letter on a keyboard.
BESIDE = {
    letter: row[i - 1] for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm") for i, letter in enumerate(row)
}
QUOTES = ('"{}"', '"{}"', "'{}'", "“{}”", "`{}`")
MARKS = ("??", "!", "?!", "...", " ?")


def asked(voice: Voice, imperative: str, *, after: bool = True) -> str:
    """An imperative as a request, more or less polite; what has a capital is no imperative, and stays.

    Without `after` nothing follows it.
    """
    text, roll = imperative, voice.random.random()
    if text[:1].isupper():
        return text
    if roll < 0.42:
        text = voice.pick(PHRASES["before"]).replace("{}", text)
    elif roll < 0.5 and after:
        text += voice.pick(PHRASES["after"])
    return cased(voice, text)


def cased(voice: Voice, text: str) -> str:
    """With a capital at the start, mostly."""
    return text if voice.chance(0.12) else text[:1].upper() + text[1:]


def question(voice: Voice, text: str) -> str:
    """A whole question with openers, closers and slips."""
    starts_with_name = text[1:2].isupper() or text.split(" ", 1)[0] in ("I", "I'm", "I'd")
    if voice.chance(0.14) and not starts_with_name:
        text = voice.pick(PHRASES["openers"]) + text[:1].lower() + text[1:]
    if voice.chance(0.07):
        text += voice.pick(PHRASES["closers"])
    return slips(voice, text)


def slips(voice: Voice, text: str, *, typos: bool = True) -> str:
    """Small letters, a missing mark, now and then a typing error."""
    roll = voice.random.random()
    if roll < 0.16:
        text = text.lower()
    elif roll < 0.2:
        text = text[:1].lower() + text[1:]
    if voice.chance(0.22):
        text = text.rstrip("?.!")
    elif voice.chance(0.04):
        text = text.rstrip("?.!") + voice.pick(MARKS)
    if voice.chance(0.01):
        text = text.upper()
    if voice.chance(0.02):
        text = text.replace("'", "")
    return _typo(voice, text) if typos and voice.chance(0.07) else text


def quoted(voice: Voice, text: str) -> str:
    """The text in quotation marks of some kind."""
    return voice.pick(QUOTES).replace("{}", text)


def _typo(voice: Voice, text: str) -> str:
    """One or two letters swapped, dropped, doubled or missed."""
    letters = list(text)
    for _ in range(voice.random.choice((1, 1, 2))):
        places = [i for i in range(1, len(letters) - 1) if letters[i].isalpha() and letters[i - 1].isalpha()]
        if not places:
            break
        at, kind = voice.random.choice(places), voice.random.randrange(4)
        if kind == 0:
            letters[at - 1 : at + 1] = letters[at], letters[at - 1]
        elif kind == 1:
            del letters[at]
        elif kind == 2:
            letters.insert(at, letters[at])
        else:
            letters[at] = BESIDE.get(letters[at], letters[at])
    return "".join(letters)


def beside(voice: Voice, text: str) -> str:
    """The text, and something after it that changes nothing."""
    after = voice.fill(voice.pick(PHRASES["excuse"]))
    if text[-1:] in ".!?":
        after = after.lstrip(", ")
        return f"{text} {after[:1].upper()}{after[1:]}{voice.pick(('.', '.', '', '!'))}"
    if voice.chance(0.4):
        after = after.lstrip(", ")
        return f"{text}. {after[:1].upper()}{after[1:]}{voice.pick(('.', '.', '', '!'))}"
    return text + after + voice.pick((".", "", "", "!"))
