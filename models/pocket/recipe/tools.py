"""Tools in requests: their declaration, what is asked of them, and what is said to their results."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from .drawn import DRAWN
from .inventions import invent, relatives
from .lists import PHRASES, WORDS
from .manners import asked
from .numerals import number_word
from .records import listed
from .reports import result
from .trades import NUMBERS, TRADES, Parameter, Trade
from .voice import Voice

__all__ = ["Call", "Offer", "both", "offer", "others", "twice"]

Json = Any
Call = tuple[str, dict[str, Json]]


@dataclass(frozen=True)
class Offer:
    """A tool: its declaration, a request that calls for it, the arguments, and what it returns."""

    tool: dict[str, Json]
    trade: Trade
    request: str
    arguments: dict[str, Json]
    result: str

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
    return _offer(voice, invent(voice) if voice.chance(0.55) else voice.random.choice(TRADES))


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
    """A known tool that takes the same kind of thing as the first one."""
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
    trade = invent(voice) if voice.chance(0.6) else voice.random.choice(ALONE)
    if not trade.pairs and len(trade.needed) != 1:
        return None
    one = _offer(voice, trade, bare=True)
    times = 2 if trade.pairs else voice.random.choice((2, 2, 2, 3))
    drawn = [[_value(voice, trade, parameter) for parameter in trade.needed] for _ in range(times)]
    calls = [
        (one.name, {key: dict(zip(one.needed, values, strict=True))[key][0] for key in one.arguments})
        for values in drawn
    ]
    if any(calls.count(call) > 1 for call in calls):
        return None
    spoken = [said for values in drawn for _, said in values]
    if trade.pairs:
        request = _filled(_tone(voice, voice.pick(trade.pairs)), spoken)
    else:
        repeated = "in " if trade.needed[0].kind == "city" and voice.chance(0.3) else ""
        together = f"{', '.join(spoken[:-1])} and {repeated}{spoken[-1]}"
        request = _tone(voice, voice.pick(trade.requests)).replace("{0}", together)
    return one, request, calls, [result(voice, trade) for _ in calls]


def both(voice: Voice) -> tuple[list[Offer], str]:
    """Two tools that are asked for one value, and the request."""
    first, second, request = relatives(voice)
    one, other = _offer(voice, first), _offer(voice, second)
    if one.name == other.name:
        return both(voice)
    (value,) = one.arguments.values()
    arguments = dict.fromkeys(other.arguments, value)
    return [one, replace(other, arguments=arguments)], _tone(voice, request).replace("{0}", str(value))


# Tools that can be asked for several values by naming them one after the other.
ALONE = [trade for trade in TRADES if len(trade.needed) == 1]


def _offer(voice: Voice, trade: Trade, *, bare: bool = False) -> Offer:
    """The trade as a tool; a bare one is asked for without its optional parameters."""
    properties: dict[str, Json] = {}
    arguments: dict[str, Json] = {}
    spoken: dict[int, str] = {}
    keys: dict[int, str] = {}
    added, described = "", voice.chance(0.5)
    order = list(enumerate(trade.parameters))
    if voice.chance(0.25):
        voice.random.shuffle(order)
    for at, parameter in order:
        if parameter.optional and voice.chance(0.3):
            continue
        key = _key(voice, parameter, properties)
        properties[key] = _schema(voice, parameter, described=described)
        if not parameter.optional:
            arguments[key], spoken[at] = _value(voice, trade, parameter)
            keys[at] = key
        elif not bare and voice.chance(0.45):
            arguments[key], said = _option(voice, trade, parameter)
            added += said
    request = _filled(_tone(voice, voice.pick(trade.requests)), [spoken[at] for at in sorted(spoken)])
    if added:
        mark = "?" if request.endswith("?") else ""
        request = request.rstrip("?.!") + added
        request += "" if request.endswith(".") else mark
    elif voice.chance(0.05):
        request = request.rstrip("?.!") + voice.pick(PHRASES["tail"])
    tool = _declare(voice, trade, properties, [keys[at] for at in sorted(keys)])
    return Offer(tool, trade, request, arguments, result(voice, trade))


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


def _key(voice: Voice, parameter: Parameter, taken: dict[str, Json]) -> str:
    name = voice.pick([name for name in parameter.names.split() if name not in taken] or [voice.made_up()])
    return name if voice.chance(0.94) else f"{name}_{voice.pick(('value', 'name', 'arg', 'param', 'input'))}"


def _schema(voice: Voice, parameter: Parameter, *, described: bool) -> dict[str, Json]:
    kind = parameter.kind
    schema: dict[str, Json] = {"type": "string"}
    if kind == "flag":
        schema = {"type": "boolean"}
    elif kind == "enum":
        schema["enum"] = list(parameter.options)
    elif "|" in kind and voice.chance(0.5):
        schema["enum"] = kind.split("|")
    elif kind in LISTS:
        schema = {"type": "array", "items": {"type": "string"}}
    elif kind == "decimal":
        schema = {"type": "number"}
    elif kind in NUMBERS:
        schema = {"type": voice.pick(("integer", "integer", "number"))}
    if described and parameter.about:
        schema["description"] = voice.pick(parameter.about)
    return schema


def _option(voice: Voice, trade: Trade, parameter: Parameter) -> tuple[Json, str]:
    """A value of an optional parameter, and what is added to the request for it."""
    if parameter.flags:
        added, flag = voice.random.choice(parameter.flags)
        return flag, added
    value, said = _value(voice, trade, parameter)
    return value, voice.pick(parameter.said).replace("{}", said)


# Kinds of several values, and the kind of each.
LISTS = {"names": "name", "items": "thing_to_have"}


def _value(voice: Voice, trade: Trade, parameter: Parameter) -> tuple[Json, str]:
    """A value and how it is said."""
    kind = parameter.kind
    if kind == "flag":
        return trade.meaning, ""
    if kind == "enum":
        option = voice.pick(parameter.options)
        return option, option.capitalize() if voice.chance(0.12) else option
    if kind in NUMBERS:
        number = voice.integer(*NUMBERS[kind])
        return number, number_word(number) if number < 100 and voice.chance(0.06) else str(number)
    if kind == "decimal":
        decimal = float(voice.decimal())
        return decimal, f"{decimal}"
    if kind in LISTS:
        several = list(dict.fromkeys(voice.value(LISTS[kind], DRAWN) for _ in range(voice.integer(1, 4))))
        return several, listed(several)
    said = voice.value(kind, DRAWN)
    return said, said


def _declare(voice: Voice, trade: Trade, properties: dict[str, Json], required: list[str]) -> dict[str, Json]:
    name = voice.pick(trade.names)
    if trade.known and voice.chance(0.08):
        name = voice.pick(
            (voice.made_up(), f"tool_{voice.integer(1, 50)}", f"{voice.made_up()}_{voice.made_up()}")
        )
    elif voice.chance(0.12):
        head, *tail = name.split("_")
        name = head + "".join(part.capitalize() for part in tail)
    function: dict[str, Json] = {"name": name}
    if voice.chance(0.88) or "_" not in name:
        function["description"] = voice.pick(trade.about).rstrip(".") + voice.pick(("", "", "."))
    function["parameters"] = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": function}
