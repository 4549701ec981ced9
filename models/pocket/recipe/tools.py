"""Tools in requests: their declaration, what is asked of them, and what is said to their results."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .lists import WORDS
from .manners import asked
from .numerals import number_word
from .trades import NUMBERS, TRADES, Parameter, Trade, invent
from .voice import Voice

__all__ = ["Call", "Offer", "offer", "others", "report", "twice"]

Json = Any
Call = tuple[str, dict[str, Json]]


@dataclass(frozen=True)
class Offer:
    """A tool: its declaration, a request that calls for it, the arguments, and what it returns."""

    tool: dict[str, Json]
    request: str
    arguments: dict[str, Json]
    result: str
    broad: bool

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


def offer(voice: Voice) -> Offer:
    """A tool and a request for it."""
    return _offer(voice, invent(voice) if voice.chance(0.4) else voice.random.choice(TRADES))


def others(voice: Voice, taken: list[Offer], count: int) -> list[Offer]:
    """Up to `count` further tools with other names and trades, which nobody asks for."""
    names, about = {one.name for one in taken}, {one.about for one in taken}
    found: list[Offer] = []
    for _ in range(4 * count):
        if len(found) == count:
            break
        other = offer(voice)
        if other.name not in names and other.about not in about and not other.broad:
            found.append(other)
            names.add(other.name)
    return found


def twice(voice: Voice) -> tuple[Offer, str, list[Call], list[str]] | None:
    """One tool asked for two or three values at once: the calls and what they return; None where values repeat."""
    trade = voice.random.choice([trade for trade in TRADES if len(trade.needed) == 1])
    one = _offer(voice, trade, bare=True)
    ((name, value),) = one.arguments.items()
    (parameter,) = trade.needed
    more = (_value(voice, parameter)[0] for _ in range(voice.random.choice((1, 1, 1, 2))))
    values = list(dict.fromkeys([value, *more]))
    if len(values) < 2:
        return None
    repeated = "in " if parameter.kind == "city" and voice.chance(0.3) else ""
    listed = f"{', '.join(map(str, values[:-1]))} and {repeated}{values[-1]}"
    request = voice.pick(trade.requests).replace("{0}", listed)
    return (
        one,
        request,
        [(one.name, {name: each}) for each in values],
        [_result(voice, trade) for _ in values],
    )


def _offer(voice: Voice, trade: Trade, *, bare: bool = False) -> Offer:
    """The trade as a tool; a bare one is asked for without its optional parameters."""
    properties: dict[str, Json] = {}
    arguments: dict[str, Json] = {}
    spoken: list[str] = []
    required: list[str] = []
    added, described = "", voice.chance(0.5)
    for parameter in trade.parameters:
        if parameter.optional and voice.chance(0.3):
            continue
        key = _key(voice, parameter, properties)
        properties[key] = _schema(voice, parameter, described=described)
        if not parameter.optional:
            arguments[key], said = _value(voice, parameter)
            spoken.append(said)
            required.append(key)
        elif not bare and voice.chance(0.45):
            arguments[key], said = _option(voice, parameter)
            added += said
    request = re.sub(
        r"\{(\d)\}", lambda match: spoken[int(match[1])], _tone(voice, voice.pick(trade.requests))
    )
    if added:
        mark = "?" if request.endswith("?") else ""
        request = request.rstrip("?.!") + added
        request += "" if request.endswith(".") else mark
    return Offer(
        _declare(voice, trade, properties, required), request, arguments, _result(voice, trade), trade.broad
    )


# Forms that begin with one of these are no imperatives.
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
    if first in QUESTIONS:
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
    elif kind == "names":
        schema = {"type": "array", "items": {"type": "string"}}
    elif kind == "decimal":
        schema = {"type": "number"}
    elif kind in NUMBERS:
        schema = {"type": voice.pick(("integer", "integer", "number"))}
    if described and parameter.about:
        schema["description"] = voice.pick(parameter.about)
    return schema


def _option(voice: Voice, parameter: Parameter) -> tuple[Json, str]:
    """A value of an optional parameter, and what is added to the request for it."""
    if parameter.flags:
        added, flag = voice.random.choice(parameter.flags)
        return flag, added
    value, said = _value(voice, parameter)
    return value, voice.pick(parameter.said).replace("{}", said)


def _value(voice: Voice, parameter: Parameter) -> tuple[Json, str]:
    """A value and how it is said."""
    kind = parameter.kind
    if kind == "enum":
        option = voice.pick(parameter.options)
        return option, option.capitalize() if voice.chance(0.12) else option
    if kind in NUMBERS:
        number = voice.integer(*NUMBERS[kind])
        return number, number_word(number) if number < 100 and voice.chance(0.06) else str(number)
    if kind == "decimal":
        decimal = float(voice.decimal())
        return decimal, f"{decimal}"
    if kind == "names":
        names = list(dict.fromkeys(voice.name() for _ in range(voice.integer(1, 3))))
        return names, _and(names)
    said = voice.value(kind)
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


# What tools return, and what is said to it


def _result(voice: Voice, trade: Trade) -> str:
    if voice.chance(0.06):
        return voice.pick(('{"error": "%s"}', "error: %s")) % voice.words(1, 3)

    def fill(match: re.Match[str]) -> str:
        kind = match[1]
        if kind == "decimal":
            return f"{float(voice.decimal())}"
        return str(voice.integer(*NUMBERS[kind])) if kind in NUMBERS else voice.value(kind)

    return re.sub(r"<([a-z_]+)>", fill, voice.pick(trade.results))


def report(results: list[str], labels: list[str]) -> str:
    """What is said to the results; with several, each begins with its label."""
    said = [_sentence(result) for result in results]
    if len(said) == 1:
        return said[0]
    return " ".join(f"{label}: {text[0].lower()}{text[1:]}" for label, text in zip(labels, said, strict=True))


def _sentence(result: str) -> str:
    try:
        value = json.loads(result)
    except ValueError:
        return f"The result is: {result}" + ("" if result.endswith((".", "!")) else ".")
    if isinstance(value, dict):
        if "error" in value:
            return f"The tool reported an error: {value['error']}."
        text = _and([f"the {key.replace('_', ' ')} is {_plain(item)}" for key, item in value.items()])
        return f"{text[0].upper()}{text[1:]}."
    return (
        f"The results are {_plain(value)}." if isinstance(value, list) else f"The result is {_plain(value)}."
    )


def _plain(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _and([_plain(item) for item in value]) if isinstance(value, list) else str(value)


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
