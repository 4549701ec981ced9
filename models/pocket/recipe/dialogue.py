"""Whole dialogues: the skills in proportion, with system prompts, several turns, and a few long ones."""

from __future__ import annotations

from . import memory, skills, systems
from .calls import calling, distract, with_tools
from .extraction import extract
from .faq import faq
from .lists import PHRASES
from .skills import Pair
from .tools import offer, others
from .turns import PLAIN, THINK, Dialogue
from .voice import Voice

__all__ = ["Dialogue", "dialogue"]

# How often each skill comes: at first, while copying is being learned, and later.
FIRST = {
    "faq": 9,
    "unknown": 6,
    "greet": 2,
    "who": 1,
    "talk": 1,
    "count": 4,
    "lot": 1,
    "arithmetic": 4,
    "repeat": 24,
    "lookup": 5,
    "entry": 9,
    "item": 4,
    "extract": 11,
    "tools": 15,
    "system": 2,
    "recall": 3,
}
LATER = {
    "faq": 13,
    "unknown": 8,
    "greet": 1.2,
    "who": 0.6,
    "talk": 1.5,
    "count": 3,
    "lot": 0.5,
    "arithmetic": 6.5,
    "repeat": 6.5,
    "lookup": 0.7,
    "entry": 1,
    "item": 0.7,
    "extract": 36,
    "tools": 48,
    "system": 7,
    "recall": 1,
}
# What may follow on another turn.
TURNS = (
    "faq",
    "faq",
    "unknown",
    "talk",
    "count",
    "arithmetic",
    "arithmetic",
    "repeat",
    "repeat",
    "greet",
    "lookup",
    "who",
)
THOUGHTS = {
    "faq": "This is a question about Duologue.",
    "unknown": "I do not know about this.",
    "greet": "The user greets me.",
    "who": "The user asks who I am.",
    "talk": "This is small talk.",
    "count": "I have to count.",
    "repeat": "I have to repeat the words exactly.",
}
# What one says in passing, and no tool is for.
CHATTY = ("greet", "who", "talk")
DEFAULT_THOUGHT = "The answer is in what the user said."
LONG_SHARE, LONG_SHARE_FIRST = 0.004, 0.006
LONG_CHARACTERS = 1200, 5200


def dialogue(voice: Voice, *, early: bool = False) -> Dialogue:
    """One dialogue; `early` ones hold more copying."""
    if voice.chance(LONG_SHARE_FIRST if early else LONG_SHARE):
        return _long(voice)
    shares = FIRST if early else LATER
    (name,) = voice.random.choices(list(shares), list(shares.values()))
    made = _one(voice, name)
    if name in PLAIN and voice.chance(0.22):
        for _ in range(voice.random.choice((1, 1, 2, 3))):
            made.say(*_plain(voice))
    if made.messages[0]["role"] != "system" and voice.chance(0.3):
        made.system(voice.pick(PHRASES["neutral"]) if voice.chance(0.9) else systems.persona(voice)[0])
    if name in (*THOUGHTS, "arithmetic") and not made.tools and voice.chance(0.3 if name in CHATTY else 0.18):
        distract(voice, made)
    return made


def _plain(voice: Voice) -> Pair:
    return PLAIN[voice.pick(TURNS)](voice)


def _one(voice: Voice, name: str) -> Dialogue:
    made = Dialogue()
    if name == "tools":
        return with_tools(voice)
    if name in ("extract", "system"):
        system, said, answer = extract(voice) if name == "extract" else systems.instructed(voice, PLAIN)
        made.say(said, answer)
        if system:
            made.system(system)
    elif name == "recall":
        first, last = memory.recall(voice)
        for turn in (first, *(_plain(voice) for _ in range(voice.random.choice((0, 0, 1, 2)))), last):
            made.say(*turn)
    elif name == "faq" and voice.chance(0.12):
        made.verbosity = voice.pick(("low", "high"))
        made.say(*faq(voice, made.verbosity))
    else:
        made.say(*_thoughtful(voice, name, made))
    return made


def _thoughtful(voice: Voice, name: str, made: Dialogue) -> Pair:
    """A turn that is thought about now and then."""
    if not voice.chance(0.2 if name == "arithmetic" else 0.03):
        return PLAIN[name](voice)
    if name == "arithmetic":
        numbers = skills.sums(voice)
        (said, answer), thought = skills.arithmetic_of(voice, *numbers), skills.thought(*numbers)
    else:
        (said, answer), thought = PLAIN[name](voice), THOUGHTS.get(name, DEFAULT_THOUGHT)
    made.thinks = True
    return said, f"{THINK}{thought}\n</think>\n{answer}"


# Long ones


def _long(voice: Voice) -> Dialogue:
    """A long history, a long list of tools or a long text, up to the whole context."""
    made, form = Dialogue(), voice.random.randrange(3)
    if form == 0:
        size = voice.integer(*LONG_CHARACTERS)
        first, last = memory.recall(voice)
        made.say(*first)
        while sum(len(message["content"]) for message in made.messages) < size:
            made.say(*_plain(voice))
        made.say(*last)
    elif form == 1:
        asked = offer(voice)
        offered = [asked, *others(voice, [asked], voice.integer(5, 16))]
        voice.random.shuffle(offered)
        made.tools = [one.tool for one in offered]
        made.messages = [
            {"role": "user", "content": asked.request},
            calling([(asked.name, asked.arguments)], ""),
        ]
    else:
        made.say(*_long_text(voice))
    return made


def _long_text(voice: Voice) -> Pair:
    facts = {
        question: (told, answer)
        for told, question, answer in (memory.told(voice) for _ in range(voice.integer(8, 40)))
    }
    question = voice.pick(list(facts))
    lines: list[str] = []
    for told, _ in facts.values():
        lines.append(told)
        if voice.chance(0.6):
            lines.append(voice.sentence().rstrip(".!").capitalize() + ".")
    form = voice.pick(("{0}\n\n{1}", "{1}\n\n{0}", "Text: {0}\nQuestion: {1}"))
    return form.format(" ".join(lines), question), facts[question][1]
