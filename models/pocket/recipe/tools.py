"""Tools in requests: their declaration, what is asked of them, and what is said to their results."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from .actions import act, kin, twins
from .inventions import invent, relatives
from .lists import PHRASES, WORDS
from .manners import asked
from .reports import result
from .trades import TRADES, Trade
from .values import LISTS
from .voice import Voice
from .wording import Keys, camel, ended, extended, filled, given, keyed, value_of

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
    keys: Keys

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
    if roll < 0.44:
        return _offer(voice, act(voice))
    if roll < 0.59:
        return _offer(voice, kin(voice))
    return _offer(voice, invent(voice) if roll < 0.79 else voice.random.choice(TRADES))


def others(voice: Voice, taken: list[Offer], count: int) -> list[Offer]:
    """Up to `count` further tools with other names and trades, which nobody asks for."""
    names, about = {one.name for one in taken}, {one.about for one in taken}
    found: list[Offer] = []
    for _ in range(4 * count):
        if len(found) == count:
            break
        other = _sibling(voice, [*taken, *found]) or _neighbour(voice, taken) or offer(voice)
        if other.name not in names and other.about not in about and not other.broad:
            found.append(other)
            names.add(other.name)
            about.add(other.about)
    return found


def _sibling(voice: Voice, taken: list[Offer]) -> Offer | None:
    """Another tool about the noun of the first one, where the request for that tells them apart."""
    if not taken or not (trade := taken[0].trade).noun or not voice.chance(0.6 if not trade.kin else 0.8):
        return None
    if trade.kin:
        return _offer(voice, kin(voice, trade.noun, {one.trade.kin for one in taken}))
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
    values = [[value_of(voice, trade, parameter) for parameter in trade.needed] for _ in range(times)]
    calls = [
        (one.name, {key: dict(zip(one.needed, each, strict=True))[key][0] for key in one.arguments})
        for each in values
    ]
    if any(calls.count(call) > 1 for call in calls):
        return None
    spoken = [said for each in values for _, said in each]
    if trade.pairs:
        request = filled(_tone(voice, voice.pick(trade.pairs)), spoken)
    else:
        repeated = "in " if trade.needed[0].kind == "city" and voice.chance(0.3) else ""
        last = voice.pick(LAST).replace("{}", f"{repeated}{spoken[-1]}")
        together = f"{', '.join(spoken[:-1])}{last}"
        request = _tone(voice, voice.pick(trade.requests)).replace("{0}", together)
    return one, ended(voice, request), calls, [result(voice, trade) for _ in calls]


# How the last one of several values is said.
LAST = (
    " and {}",
    " and {}",
    " and {}",
    " and {}",
    " and {} too",
    " and also {}",
    ", and {} as well",
    " and then {}",
)
AGAIN = ("another one", "another", "one more", "one", "a second one", "also one")


def _again(voice: Voice) -> tuple[Offer, str, list[Call], list[str]] | None:
    """An action asked for twice, with other values."""
    trade = act(voice)
    one = _offer(voice, trade, bare=True)
    if not one.arguments:
        return None
    form = voice.pick(trade.requests)
    first, second = (given(voice, trade, one.keys, bare=True) for _ in range(2))
    if trade.needed and all(first[2]) and first[2] and voice.chance(0.3):  # the same matter, said of it twice
        matter = {one.keys[at][0] for at, parameter in enumerate(trade.parameters) if not parameter.added}
        second[0].update((key, value) for key, value in first[0].items() if key in matter)
        rest = "".join(second[2])
    elif trade.needed:
        rest = filled(voice.pick((form, voice.pick(trade.requests))), second[1]) + "".join(second[2])
    elif second[2] and second[2][0][:2].strip().isalpha() and voice.chance(0.4):
        rest = "".join(second[2]).removeprefix(" ")
    else:
        rest = voice.pick(AGAIN) + "".join(second[2])
    begun = filled(_tone(voice, form).rstrip("?.!"), first[1]) + "".join(first[2])
    request = begun + voice.pick((" and ", " and ", ", and ", " and also ", "; ", ". And ")) + rest
    calls = [(one.name, arguments) for arguments in (first[0], second[0])]
    if calls[0] == calls[1]:
        return None
    return one, ended(voice, request), calls, [result(voice, trade) for _ in calls]


def both(voice: Voice) -> tuple[list[Offer], str]:
    """Two tools that are asked for one value, and the request."""
    if voice.chance(0.5):
        return _twins(voice)
    first, second, request = relatives(voice)
    one, other = _offer(voice, first), _offer(voice, second)
    if one.name == other.name:
        return both(voice)
    (value,) = one.arguments.values()
    arguments = dict.fromkeys(other.arguments, value)
    said = ended(voice, _tone(voice, request).replace("{0}", str(value)))
    return [one, replace(other, arguments=arguments)], said


def _twins(voice: Voice) -> tuple[list[Offer], str]:
    """Two tools for one thing, which the request names once."""
    made = twins(voice)
    first, second = (_offer(voice, replace(trade, parameters=tuple(trade.needed))) for trade in made)
    if first.name == second.name:
        return _twins(voice)
    (value,) = first.arguments.values()
    again = re.sub(rf"((the|my) )?({made[1].noun} )?\{{0\}}", "it", voice.pick(made[1].requests))
    opening = first.request.rstrip("?.!")
    request = opening + voice.pick((" and ", ", then ", " and then ", ". Then ", "; ")) + again
    return [first, replace(second, arguments=dict.fromkeys(second.arguments, value))], ended(voice, request)


# Tools that can be asked for several values by naming them one after the other.
ALONE = [trade for trade in TRADES if len(trade.needed) == 1 and trade.needed[0].kind not in LISTS]


def _offer(voice: Voice, trade: Trade, *, bare: bool = False) -> Offer:
    """The trade as a tool; a bare one is asked for without its optional parameters."""
    camels = voice.chance(0.18)
    keys, properties = keyed(voice, trade, described=voice.chance(0.5), camels=camels)
    form = voice.pick(trade.requests)
    arguments, spoken, added = given(voice, trade, keys, bare=bare)
    form = _tone(voice, form)
    request = extended(voice, form, spoken, added) if added else filled(form, spoken)
    if not added and voice.chance(0.05):
        request = request.rstrip("?.!") + voice.pick(PHRASES["tail"])
    required = [keys[at][0] for at, one in enumerate(trade.parameters) if not one.added or one.always]
    tool = _declare(voice, trade, properties, required, camels=camels)
    return Offer(tool, trade, ended(voice, request), arguments, result(voice, trade), keys)


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


def _declare(
    voice: Voice, trade: Trade, properties: dict[str, Json], required: list[str], *, camels: bool
) -> dict[str, Json]:
    name = voice.pick(trade.names)
    if trade.known and voice.chance(0.08):
        name = voice.pick(
            (voice.made_up(), f"tool_{voice.integer(1, 50)}", f"{voice.made_up()}_{voice.made_up()}")
        )
    elif camels:
        name = camel(name)
    function: dict[str, Json] = {"name": name}
    if voice.chance(0.88) or "_" not in name:
        function["description"] = voice.pick(trade.about).rstrip(".") + voice.pick(("", "", "."))
    function["parameters"] = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": function}
