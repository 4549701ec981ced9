"""Whole dialogues: the skills in proportion, with system prompts, several turns, and a few long ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import memory, skills, systems
from .extraction import extract
from .faq import faq
from .lists import PHRASES
from .manners import beside
from .marks import CLOSE, OPEN
from .reports import report
from .skills import Pair
from .tools import Call, Offer, both, offer, others, twice
from .unknown import UNKNOWN, unknown
from .voice import Voice

__all__ = ["Dialogue", "dialogue"]

Message = dict[str, Any]


@dataclass
class Dialogue:
    """What a request would hold, with the answers in it. One that `thinks` does so in its last answer."""

    messages: list[Message] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    verbosity: str | None = None
    thinks: bool = False

    def say(self, said: str, answer: str) -> None:
        """A turn of both."""
        self.messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]

    def system(self, text: str) -> None:
        """A system message."""
        self.messages.insert(0, {"role": "system", "content": text})


PLAIN: dict[str, Callable[[Voice], Pair]] = {
    "faq": faq,
    "unknown": unknown,
    "greet": skills.greet,
    "who": skills.who,
    "talk": skills.talk,
    "count": skills.count,
    "lot": skills.lot,
    "arithmetic": skills.arithmetic,
    "repeat": skills.repeat,
    "lookup": memory.lookup,
    "entry": memory.entry,
    "item": memory.item,
}
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
    "faq": 16,
    "unknown": 9,
    "greet": 1.5,
    "who": 0.7,
    "talk": 1.5,
    "count": 3.5,
    "lot": 0.5,
    "arithmetic": 8,
    "repeat": 8,
    "lookup": 1,
    "entry": 2,
    "item": 1,
    "extract": 32,
    "tools": 44,
    "system": 8,
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
# The prompt holds these already where the model shall think.
THINK = f"{OPEN}<think>\n{CLOSE}"
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
        _distract(voice, made)
    return made


def _plain(voice: Voice) -> Pair:
    return PLAIN[voice.pick(TURNS)](voice)


def _one(voice: Voice, name: str) -> Dialogue:
    made = Dialogue()
    if name == "tools":
        return _tools(voice)
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


# Tools


def _tools(voice: Voice) -> Dialogue:
    """A request for one or two tools among others, perhaps with their results, and then for some of the others."""
    asked, said, calls, results, labels = _requested(voice)
    rest = others(voice, asked, voice.random.choice((0, 1, 1, 1, 2, 2, 3)))
    offered = [*asked, *rest]
    voice.random.shuffle(offered)
    made = Dialogue(tools=[one.tool for one in offered])
    if voice.chance(0.1):
        made.say(*PLAIN[voice.pick(("greet", "talk", "faq"))](voice))
    made.thinks = voice.chance(0.08)
    thought = "; ".join(f"{name}: {', '.join(arguments) or 'no arguments'}" for name, arguments in calls)
    _called(voice, made, said, _calling(calls, thought if made.thinks else ""))
    if not made.thinks:
        _reported(voice, made, results, labels)
        nouns = {one.trade.noun for one in asked if one.trade.noun}
        for one in rest:
            if one.trade.noun not in nouns and voice.chance(0.5):
                _called(voice, made, one.request, _calling([(one.name, one.arguments)], ""))
                _reported(voice, made, [one.result], [one.name])
        if voice.chance(0.08):
            broad = any(one.broad for one in offered)
            made.say(*PLAIN["talk" if broad else voice.pick(("talk", "faq", "arithmetic", "unknown"))](voice))
    return made


def _called(voice: Voice, made: Dialogue, said: str, calls: Message) -> None:
    """A request and what is called, now and then with words around the request that change nothing."""
    if voice.chance(0.1):
        aside = voice.pick(PHRASES["aside"]) if voice.chance(0.7) else f"{voice.sentence().rstrip('.!')}."
        said = f"{aside} {said}"
    elif voice.chance(0.1):
        said = beside(voice, said)
    made.messages += [{"role": "user", "content": said}, calls]


def _reported(voice: Voice, made: Dialogue, results: list[str], labels: list[str]) -> None:
    """Now and then the results, and what is said to them."""
    if voice.chance(0.35):
        made.messages += [{"role": "tool", "content": result} for result in results]
        made.messages.append({"role": "assistant", "content": report(results, labels)})


def _requested(voice: Voice) -> tuple[list[Offer], str, list[Call], list[str], list[str]]:
    """The tools asked for, what is said, the calls, their results, and how a report tells these apart."""
    roll = voice.random.random()
    if roll < 0.1 and (pair := twice(voice)):
        one, said, calls, results = pair
        return [one], said, calls, results, [str(next(iter(arguments.values()))) for _, arguments in calls]
    asked = [offer(voice)]
    said = asked[0].request
    if roll < 0.12:
        asked, said = both(voice)
    elif roll < 0.27:
        asked += others(voice, asked, 1)
        said = _joined(voice, said, asked[-1]) if len(asked) > 1 else said
    calls = [(one.name, one.arguments) for one in asked]
    return asked, said, calls, [one.result for one in asked], [one.name.replace("_", " ") for one in asked]


def _joined(voice: Voice, first: str, second: Offer) -> str:
    """Two requests in one message."""
    joint = voice.pick((" and ", ". Also, ", ". ", " and then ", ", and ", "\n", ". And ", "; ", " Then "))
    if not first.endswith("?"):
        first = first.rstrip(".!")
    opening = second.request.split(" ", 1)[0]
    keeps = (
        "." in joint
        or joint == "\n"
        or opening in ("I", "I'm")
        or opening in map(str, second.arguments.values())
    )
    return first + joint + (second.request if keeps else second.request[0].lower() + second.request[1:])


def _calling(calls: list[Call], thought: str) -> Message:
    content = f"{THINK}{thought}\n</think>" if thought else ""
    functions = [
        {"type": "function", "function": {"name": name, "arguments": arguments}} for name, arguments in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": functions}


# Tools that could answer what is said all the same are not offered beside it.
TEMPTING = frozenset(("weather", "send", "book", "play", "set", "remind", "find", "time"))


def _distract(voice: Voice, made: Dialogue) -> None:
    """Tools that nobody asks for."""
    found = [one for one in others(voice, [], voice.integer(1, 3)) if len(one.trade.numbers) < 2]
    if any(message["content"].endswith(UNKNOWN) for message in made.messages):
        said = {
            word.strip("?.!,") for message in made.messages for word in message["content"].lower().split()
        }
        if said & (TEMPTING | {word for one in found for word in one.name.lower().split("_")}):
            return
    made.tools = [one.tool for one in found]


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
            _calling([(asked.name, asked.arguments)], ""),
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
