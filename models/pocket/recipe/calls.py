"""Dialogues with tools: what is asked of them, the calls, their results; and tools that nobody asks for."""

from __future__ import annotations

from .lists import PHRASES
from .manners import beside
from .reports import report
from .tools import Call, Offer, both, offer, others, twice
from .turns import PLAIN, THINK, Dialogue, Message
from .unknown import UNKNOWN
from .voice import Voice

__all__ = ["calling", "distract", "with_tools"]


def with_tools(voice: Voice) -> Dialogue:
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
    _called(voice, made, said, calling(calls, thought if made.thinks else ""))
    if not made.thinks:
        _reported(voice, made, results, labels)
        nouns = {one.trade.noun for one in asked if one.trade.noun}
        for one in rest:
            if (one.trade.kin or one.trade.noun not in nouns) and voice.chance(0.5):
                _called(voice, made, one.request, calling([(one.name, one.arguments)], ""))
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
    if roll < 0.14:
        asked, said = both(voice)
    elif roll < 0.29:
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


def calling(calls: list[Call], thought: str) -> Message:
    content = f"{THINK}{thought}\n</think>" if thought else ""
    functions = [
        {"type": "function", "function": {"name": name, "arguments": arguments}} for name, arguments in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": functions}


# Tools that could answer what is said all the same are not offered beside it.
TEMPTING = frozenset(("weather", "send", "book", "play", "set", "remind", "find", "time"))


def distract(voice: Voice, made: Dialogue) -> None:
    """Tools that nobody asks for."""
    found = [one for one in others(voice, [], voice.integer(1, 3)) if len(one.trade.numbers) < 2]
    if any(message["content"].endswith(UNKNOWN) for message in made.messages):
        said = {
            word.strip("?.!,") for message in made.messages for word in message["content"].lower().split()
        }
        if said & (TEMPTING | {word for one in found for word in one.name.lower().split("_")}):
            return
    made.tools = [one.tool for one in found]
