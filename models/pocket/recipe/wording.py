"""How a request or a text gives the values of its fields: in their places, or added in one of many ways."""

from __future__ import annotations

import re
from typing import Any

from .trades import Parameter, Trade
from .values import chosen, declared, drawn, parts
from .voice import Voice

__all__ = ["Keys", "camel", "ended", "extended", "filled", "given", "keyed", "value_of"]

Json = Any
# The keys of a trade's parameters by their place, each with the keys of its fields where it is an object.
Keys = dict[int, tuple[str, list[str]]]
# What share of the parameters that may be left out a request gives.
SHARES = (0.05, 0.35, 0.6)


def keyed(
    voice: Voice, trade: Trade, *, described: bool = False, camels: bool = False
) -> tuple[Keys, dict[str, Json]]:
    """Names for the parameters, but for some that are optional, and their schemas."""
    properties: dict[str, Json] = {}
    keys: Keys = {}
    order = list(enumerate(trade.parameters))
    if voice.chance(0.35):
        voice.random.shuffle(order)
    for at, parameter in order:
        if parameter.added and not parameter.always and voice.chance(0.3):
            continue
        key = _key(voice, parameter, properties, camels=camels)
        inner = [voice.pick(part.names.split()) for part in parts(parameter)]
        properties[key] = _schema(voice, parameter, inner, described=described)
        keys[at] = key, inner
    return keys, properties


def given(
    voice: Voice, trade: Trade, keys: Keys, *, bare: bool = False
) -> tuple[dict[str, Json], list[str], list[str]]:
    """The arguments, how those values are said that stand in a request, and what is added to it."""
    arguments: dict[str, Json] = {}
    spoken: dict[int, str] = {}
    added: list[str] = []
    short, share = voice.chance(0.08), voice.random.choice(SHARES)
    for at, (key, inner) in keys.items():
        parameter = trade.parameters[at]
        if not parameter.added:
            value, spoken[at] = value_of(voice, trade, parameter)
        elif parameter.always or (not bare and voice.chance(share)):
            value, said = _option(voice, trade, parameter, short=short)
            added.append(said)
        else:
            continue
        arguments[key] = dict(zip(inner, value, strict=True)) if inner else value
    voice.random.shuffle(added)
    return arguments, [spoken[at] for at in sorted(spoken)], added


def extended(voice: Voice, form: str, spoken: list[str], added: list[str]) -> str:
    """A form with its values in it and what is added: after it, now and then some of it before."""
    mark = "?" if form.endswith("?") else ""
    form, before = form.rstrip("?.!"), added[0]
    if before[:1] == " " and before[1:2].isalpha() and voice.chance(0.12):
        first = form[:1] if form.startswith("I") and not form[1:2].isalpha() else form[:1].lower()
        text = f"{before[1:2].upper()}{before[2:]}, {filled(first + form[1:], spoken)}"
        added = added[1:]
    else:
        text = filled(form, spoken)
    for one in added:
        text += "," + one if one[:1] == " " and voice.chance(0.12) else one
    return text + ("" if text.endswith((".", "!", "?")) or not voice.chance(0.8) else mark)


def ended(voice: Voice, request: str) -> str:
    """Now and then with a full stop after the last value, or with thanks."""
    if request[-1:].isalnum() and voice.chance(0.25):
        return request + voice.pick((".", ".", ".", "!", ", please", " please.", ", thanks", ". Thanks!"))
    return request


def filled(form: str, spoken: list[str]) -> str:
    """The form with the values in its places {0}, {1}, ..."""
    return re.sub(r"\{(\d)\}", lambda match: spoken[int(match[1])], form)


def _key(voice: Voice, parameter: Parameter, taken: dict[str, Json], *, camels: bool) -> str:
    free = [name for name in parameter.names.split() if name not in taken and camel(name) not in taken]
    name = voice.pick(free or [voice.made_up()])
    if voice.chance(0.05):
        name = f"{name}_{voice.pick(('value', 'name', 'arg', 'param', 'input'))}"
    return camel(name) if camels else name


def camel(name: str) -> str:
    """A name of several words in camel case."""
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
    value, said = value_of(voice, trade, parameter)
    if short:
        name = voice.pick(parameter.names.split()).replace("_", " ")
        return value, voice.pick((", {n} {}", ", {n}: {}", " {n}={}")).replace("{n}", name).replace(
            "{}", said
        )
    return value, form.replace("{}", said)


def value_of(voice: Voice, trade: Trade, parameter: Parameter) -> tuple[Json, str]:
    """A value and how it is said."""
    if parameter.kind == "flag":
        return trade.meaning, ""
    return chosen(voice, parameter.options) if parameter.kind == "enum" else drawn(voice, parameter.kind)
