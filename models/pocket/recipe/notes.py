"""Texts put together from fields, for extraction: sentences, forms, lines of several things."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .actions import act, tell
from .manners import cased
from .records import Record, listed
from .trades import Parameter, Trade
from .values import drawn
from .voice import Voice
from .wording import Keys, ended, extended, filled, given, keyed, value_of

__all__ = ["About", "note"]

Json = Any
FEW = 2, 5
# Between a name and its value, and between two of these.
EQUALS = (": ", ": ", ": ", " = ", "=", " - ", " ", " is ")
BETWEEN = ("\n", "\n", ", ", ", ", "; ", " | ", ". ")


@dataclass(frozen=True)
class About:
    """What a record is called, the keys that it may have, and what of some may be said beside their names."""

    names: list[str]
    keys: set[str]
    hints: dict[str, str]


def note(voice: Voice) -> tuple[str, Record, About]:
    """A text and all that it says."""
    if voice.chance(0.07):
        return _several(voice)
    trade = act(voice) if voice.chance(0.12) else tell(voice)
    parameters = (replace(one, always=one.always or voice.chance(0.5)) for one in trade.parameters)
    trade = replace(trade, parameters=tuple(parameters))
    keys, _ = keyed(voice, trade, camels=voice.chance(0.06))
    form = _form if voice.chance(0.16) else _sentences
    text, record = form(voice, trade, keys)
    if not record:  # all that it has may be left out, and is
        return note(voice)
    hints = {key: "|".join(trade.parameters[at].options) for at, (key, _) in keys.items()}
    known = {name for parameter in trade.parameters for name in parameter.names.split()}
    return text, record, About([name.replace("_", " ") for name in trade.names], known, hints)


def _sentences(voice: Voice, trade: Trade, keys: Keys) -> tuple[str, Record]:
    """What is said of the matter, and all else; what is not said is null."""
    record, spoken, added = given(voice, trade, keys)
    form = cased(voice, voice.pick(trade.requests))
    text = extended(voice, form, spoken, added) if added else filled(form, spoken)
    if voice.chance(0.12):
        for at, (key, _) in keys.items():
            if key not in record:
                record[key] = None
                text += _unknown(voice, trade.parameters[at]) if voice.chance(0.4) else ""
    return ended(voice, text), record


MISSING = (
    ". No {} yet",
    ". The {} is not known yet",
    ", {} unknown",
    ", no {}",
    ", without a {}",
    ". There is no {}",
    ", {} still open",
    ". I don't know the {}",
)


def _unknown(voice: Voice, parameter: Parameter) -> str:
    """That a value is not known."""
    return voice.pick(MISSING).replace("{}", parameter.names.split()[0].replace("_", " "))


def _form(voice: Voice, trade: Trade, keys: Keys) -> tuple[str, Record]:
    """Names with their values. The names are now and then others than those of the keys."""
    equals, between = voice.pick(EQUALS), voice.pick(BETWEEN)
    record: Record = {}
    lines: list[str] = []
    same, title = voice.chance(0.5), voice.chance(0.6)
    for at, (key, inner) in keys.items():
        parameter = trade.parameters[at]
        if inner:
            continue
        if parameter.kind == "flag":
            value: Json = voice.chance(0.5)
            said = voice.pick(("yes", "true", "yes") if value else ("no", "false", "no"))
        else:
            value, said = value_of(voice, trade, parameter)
        record[key] = value
        label = (key if same else voice.pick(parameter.names.split())).replace("_", " ")
        lines.append(f"{label.capitalize() if title else label}{equals}{said}")
    return between.join(lines), record


# How a thing of several is said: its name is {0}, its number {1}.
EACH = ("{1} {0}", "{1} {0}", "{1} {0}", "{1}x {0}", "{0}: {1}", "{0} x {1}", "{0} ({1})")
ITEMS = (
    Parameter("items products things order lines", "product"),
    Parameter("people guests members players", "name"),
    Parameter("places cities stops offices", "city"),
    Parameter("files documents attachments", "path"),
)
HINTS = ("list of objects with {0} and {1}", "array of {0} and {1}", "each with {0} and {1}", "[{0}, {1}]")
NAMES, NUMBERS = "name item product title label", "count quantity number amount price age size"
FRAMES = (
    "{}",
    "{}",
    "{}, please",
    "please bring {}",
    "we have {}",
    "list: {}",
    "here they are: {}",
    "I need {}",
    "there are {}",
)


def _several(voice: Voice) -> tuple[str, Record, About]:
    """Things with a number each, as a list of objects or as keys."""
    parameter = voice.random.choice(ITEMS)
    made = [(drawn(voice, parameter.kind)[0], drawn(voice, "1-99#")) for _ in range(voice.integer(2, 4))]
    each = voice.pick(EACH)
    said = [each.replace("{0}", name).replace("{1}", words) for name, (_, words) in made]
    text = cased(
        voice, voice.pick(FRAMES).replace("{}", ", ".join(said) if voice.chance(0.4) else listed(said))
    )
    key, number = voice.pick(NAMES.split()), voice.pick(NUMBERS.split())
    rows = [{key: name, number: count} for name, (count, _) in made]
    whole = voice.pick(parameter.names.split())
    hints = {whole: voice.pick(HINTS).replace("{0}", key).replace("{1}", number)}
    return ended(voice, text), {whole: rows}, About(["list", "order", whole], {whole}, hints)
