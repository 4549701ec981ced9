"""Tools in requests: their declaration, what is asked of them, and what is said to their results."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from .actions import act
from .inventions import invent, relatives
from .lists import PHRASES, WORDS
from .manners import asked
from .reports import result
from .trades import TRADES, Parameter, Trade
from .values import LISTS, chosen, declared, drawn, parts
from .voice import Voice

__all__ = ["Call", "Offer", "both", "offer", "others", "twice"]

Json = Any
Call = tuple[str, dict[str, Json]]


@dataclass(frozen=True)
class Offer:
    """A tool: its declaration, a request that calls for it, the arguments, and what it returns.

    `keys` are its parameters by their place in the trade, each with the keys of its fields where it is an object.
    """

    tool: dict[str, Json]
    trade: Trade
    request: str
    arguments: dict[str, Json]
    result: str
    keys: dict[int, tuple[str, list[str]]]

    @property
    def name(self) -> str:
        """The name of the function."""
        name: str = self.tool["function"]["name"]
        return name

    @property
    def about(self) -> str:
        """Its description, or nothing."""
        about: str = self.tool["function"].get("description", "")
        return about

    @property
    def needed(self) -> list[str]:
        """The keys of the parameters that every request gives, in the order of the trade."""
        needed: list[str] = self.tool["function"]["parameters"]["required"]
        return needed

    @property
    def broad(self) -> bool:
        """Whether it might serve for nearly any question."""
        return self.trade.broad


def offer(voice: Voice) -> Offer:
    """A tool and a request for it."""
    roll = voice.random.random()
    if roll < 0.42:
        return _offer(voice, act(voice))
    return _offer(voice, invent(voice) if roll < 0.75 else voice.random.choice(TRADES))


def others(voice: Voice, taken: list[Offer], count: int) -> list[Offer]:
    """Up to `count` further tools with other names and trades, which nobody asks for."""
    names, about = {one.name for one in taken}, {one.about for one in taken}
    found: list[Offer] = []
    for _ in range(4 * count):
        if len(found) == count:
            break
        other = _sibling(voice, taken) or _neighbour(voice, taken) or offer(voice)
        if other.name not in names and other.about not in about and not other.broad:
            found.append(other)
            names.add(other.name)
            about.add(other.about)
    return found


def _sibling(voice: Voice, taken: list[Offer]) -> Offer | None:
    """Another tool about the noun of the first one, where the request for that tells them apart."""
    if not taken or not (trade := taken[0].trade).noun or not voice.chance(0.6):
        return None
    other = invent(voice, trade.noun)
    known = {word for name in (*trade.names, *other.names) for word in (name,)}
    clear = trade.cue in taken[0].request.lower() and other.cue != trade.cue and trade.cue != trade.noun
    return _offer(voice, other) if clear and len(known) == len(trade.names) + len(other.names) else None


def _neighbour(voice: Voice, taken: list[Offer]) -> Offer | None:
    """A known tool that is for the same field of life as the first one, or takes the same kind of thing."""
    if taken and taken[0].trade.life and voice.chance(0.6):
        return _offer(voice, act(voice, taken[0].trade.life))
    if not taken or taken[0].trade.noun or not taken[0].trade.needed or not voice.chance(0.4):
        return None
    kind = taken[0].trade.needed[0].kind
    near = [
        trade
        for trade in TRADES
        if trade.needed and trade.needed[0].kind == kind and trade is not taken[0].trade
    ]
    return _offer(voice, voice.random.choice(near)) if near else None


def twice(voice: Voice) -> tuple[Offer, str, list[Call], list[str]] | None:
    """One tool asked for two or three times at once: the calls and what they return; None where they repeat."""
    roll = voice.random.random()
    if roll < 0.4:
        return _again(voice)
    trade = invent(voice) if roll < 0.75 else voice.random.choice(ALONE)
    if not trade.pairs and len(trade.needed) != 1:
        return None
    one = _offer(voice, trade, bare=True)
    times = 2 if trade.pairs else voice.random.choice((2, 2, 2, 3))
    values = [[_value(voice, trade, parameter) for parameter in trade.needed] for _ in range(times)]
    calls = [
        (one.name, {key: dict(zip(one.needed, each, strict=True))[key][0] for key in one.arguments})
        for each in values
    ]
    if any(calls.count(call) > 1 for call in calls):
        return None
    spoken = [said for each in values for _, said in each]
    if trade.pairs:
        request = _filled(_tone(voice, voice.pick(trade.pairs)), spoken)
    else:
        repeated = "in " if trade.needed[0].kind == "city" and voice.chance(0.3) else ""
        together = f"{', '.join(spoken[:-1])} and {repeated}{spoken[-1]}"
        request = _tone(voice, voice.pick(trade.requests)).replace("{0}", together)
    return one, _ended(voice, request), calls, [result(voice, trade) for _ in calls]


AGAIN = ("another one", "another", "one more", "one", "a second one", "also one")


def _again(voice: Voice) -> tuple[Offer, str, list[Call], list[str]] | None:
    """An action asked for twice, with other values."""
    trade = act(voice)
    one = _offer(voice, trade, bare=True)
    if not one.arguments:
        return None
    form = voice.pick(trade.requests)
    first, second = (_request(voice, trade, one.keys, bare=True) for _ in range(2))
    if first[0] == second[0]:
        return None
    if trade.needed:
        rest = _filled(voice.pick((form, voice.pick(trade.requests))), second[1]) + "".join(second[2])
    else:
        rest = voice.pick(AGAIN) + "".join(second[2])
    begun = _filled(_tone(voice, form), first[1]).rstrip("?.!") + "".join(first[2])
    request = begun + voice.pick((" and ", " and ", ", and ", " and also ", "; ", ". And ")) + rest
    calls = [(one.name, arguments) for arguments in (first[0], second[0])]
    return one, _ended(voice, request), calls, [result(voice, trade) for _ in calls]


def both(voice: Voice) -> tuple[list[Offer], str]:
    """Two tools that are asked for one value, and the request."""
    first, second, request = relatives(voice)
    one, other = _offer(voice, first), _offer(voice, second)
    if one.name == other.name:
        return both(voice)
    (value,) = one.arguments.values()
    arguments = dict.fromkeys(other.arguments, value)
    said = _ended(voice, _tone(voice, request).replace("{0}", str(value)))
    return [one, replace(other, arguments=arguments)], said


# Tools that can be asked for several values by naming them one after the other.
ALONE = [trade for trade in TRADES if len(trade.needed) == 1 and trade.needed[0].kind not in LISTS]


def _offer(voice: Voice, trade: Trade, *, bare: bool = False) -> Offer:
    """The trade as a tool; a bare one is asked for without its optional parameters."""
    properties: dict[str, Json] = {}
    keys: dict[int, tuple[str, list[str]]] = {}
    camel, described = voice.chance(0.18), voice.chance(0.5)
    order = list(enumerate(trade.parameters))
    if voice.chance(0.35):
        voice.random.shuffle(order)
    for at, parameter in order:
        if parameter.added and not parameter.always and voice.chance(0.3):
            continue
        key = _key(voice, parameter, properties, camel=camel)
        inner = [voice.pick(part.names.split()) for part in parts(parameter)]
        properties[key] = _schema(voice, parameter, inner, described=described)
        keys[at] = key, inner
    form = voice.pick(trade.requests)
    arguments, spoken, added = _request(voice, trade, keys, bare=bare)
    request = _filled(_tone(voice, form), spoken)
    if added:
        request = _with(voice, request, added)
    elif voice.chance(0.05):
        request = request.rstrip("?.!") + voice.pick(PHRASES["tail"])
    required = [keys[at][0] for at, one in enumerate(trade.parameters) if not one.added or one.always]
    tool = _declare(voice, trade, properties, required, camel=camel)
    return Offer(tool, trade, _ended(voice, request), arguments, result(voice, trade), keys)


def _request(
    voice: Voice, trade: Trade, keys: dict[int, tuple[str, list[str]]], *, bare: bool
) -> tuple[dict[str, Json], list[str], list[str]]:
    """The arguments, how those values are said that stand in a request, and what is added to it."""
    arguments: dict[str, Json] = {}
    spoken: dict[int, str] = {}
    added: list[str] = []
    short = voice.chance(0.08)
    for at, (key, inner) in keys.items():
        parameter = trade.parameters[at]
        if not parameter.added:
            value, spoken[at] = _value(voice, trade, parameter)
        elif parameter.always or (not bare and voice.chance(0.4)):
            value, said = _option(voice, trade, parameter, short=short)
            added.append(said)
        else:
            continue
        arguments[key] = dict(zip(inner, value, strict=True)) if inner else value
    voice.random.shuffle(added)
    return arguments, [spoken[at] for at in sorted(spoken)], added


def _with(voice: Voice, request: str, added: list[str]) -> str:
    """The request with what is added: after it, now and then some of it before."""
    mark = "?" if request.endswith("?") else ""
    request = request.rstrip("?.!")
    before = added[0]
    if before[:1] == " " and before[1:2].isalpha() and voice.chance(0.12):
        request = f"{before[1:2].upper()}{before[2:]}, {request[:1].lower()}{request[1:]}"
        added = added[1:]
    for one in added:
        request += "," + one if one[:1] == " " and voice.chance(0.12) else one
    return request + ("" if request.endswith(".") or not voice.chance(0.8) else mark)


def _ended(voice: Voice, request: str) -> str:
    """Now and then with a full stop after the last value, or with thanks."""
    if request[-1:].isalnum() and voice.chance(0.25):
        return request + voice.pick((".", ".", ".", "!", ", please", " please.", ", thanks", ". Thanks!"))
    return request


def _filled(form: str, spoken: list[str]) -> str:
    return re.sub(r"\{(\d)\}", lambda match: spoken[int(match[1])], form)


# A request that begins with one of these is an imperative, and may be dressed as one. So is one that begins with a
# capital, but for these questions.
ORDERS = frozenset((*WORDS["verbs"], *WORDS["tool_verbs"], *WORDS["orders"]))
QUESTIONS = frozenset(WORDS["questions"])
TONES = (
    "Hey, {}",
    "Hi! {}",
    "Please: {}",
    "Quick question: {}",
    "{} Thanks!",
    "One thing: {}",
    "Tell me: {}",
)


def _tone(voice: Voice, form: str) -> str:
    """The form of a request in one of many tones, before there are values in it, which must stay as they are."""
    first = form.split(" ", 1)[0]
    if (first.islower() and first not in ORDERS) or first in QUESTIONS:
        return voice.pick(TONES).replace("{}", form) if voice.chance(0.45) else form[0].upper() + form[1:]
    if not first[:1].isalpha():
        return form
    form = asked(voice, form[0].lower() + form[1:])
    return form + voice.pick(("", "", ".", "!")) if form[-1:].isalpha() else form


def _key(voice: Voice, parameter: Parameter, taken: dict[str, Json], *, camel: bool) -> str:
    free = [name for name in parameter.names.split() if name not in taken and _camel(name) not in taken]
    name = voice.pick(free or [voice.made_up()])
    if voice.chance(0.05):
        name = f"{name}_{voice.pick(('value', 'name', 'arg', 'param', 'input'))}"
    return _camel(name) if camel else name


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _schema(voice: Voice, parameter: Parameter, inner: list[str], *, described: bool) -> dict[str, Json]:
    schema = declared(voice, parameter, inner)
    if described and parameter.about:
        schema["description"] = voice.pick(parameter.about)
    return schema


def _option(voice: Voice, trade: Trade, parameter: Parameter, *, short: bool) -> tuple[Json, str]:
    """A value that is added to a request, and what is added for it; a `short` one names it and its value."""
    form = voice.random.choice((*parameter.said, *parameter.flags))
    if not isinstance(form, str):
        added, meant = form
        return meant, added
    value, said = _value(voice, trade, parameter)
    if short:
        name = voice.pick(parameter.names.split()).replace("_", " ")
        return value, voice.pick((", {n} {}", ", {n}: {}", " {n}={}")).replace("{n}", name).replace("{}", said)
    return value, form.replace("{}", said)


def _value(voice: Voice, trade: Trade, parameter: Parameter) -> tuple[Json, str]:
    """A value and how it is said."""
    if parameter.kind == "flag":
        return trade.meaning, ""
    return chosen(voice, parameter.options) if parameter.kind == "enum" else drawn(voice, parameter.kind)


def _declare(
    voice: Voice, trade: Trade, properties: dict[str, Json], required: list[str], *, camel: bool
) -> dict[str, Json]:
    name = voice.pick(trade.names)
    if trade.known and voice.chance(0.08):
        name = voice.pick(
            (voice.made_up(), f"tool_{voice.integer(1, 50)}", f"{voice.made_up()}_{voice.made_up()}")
        )
    elif camel:
        name = _camel(name)
    function: dict[str, Json] = {"name": name}
    if voice.chance(0.88) or "_" not in name:
        function["description"] = voice.pick(trade.about).rstrip(".") + voice.pick(("", "", "."))
    function["parameters"] = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": function}
