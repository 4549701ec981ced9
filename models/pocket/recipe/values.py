"""Values of parameters by their kind: what they are as JSON, how they are said, and what schema declares them."""

from __future__ import annotations

from typing import Any

from .drawn import DRAWN
from .numerals import number_word
from .records import listed
from .trades import NUMBERS, Parameter
from .voice import Voice

__all__ = ["LISTS", "chosen", "declared", "drawn", "parts"]

Json = Any
# Kinds of several values, and the kind of each.
LISTS = {"names": "name", "items": "thing_to_have"}
MANY = 1, 5
# What a number up to this is now and then said as.
LARGEST_WORD = 20
# How options of two words are written.
JOINTS = ("_", "_", "-", " ")


def parts(parameter: Parameter) -> list[Parameter]:
    """The fields of an object, whose kind is `&kind=names+kind=names`; of others there are none."""
    if not parameter.kind.startswith("&"):
        return []
    entries = (entry.partition("=") for entry in parameter.kind[1:].split("+"))
    return [Parameter(names, kind) for kind, _, names in entries]


def declared(voice: Voice, parameter: Parameter, keys: list[str]) -> dict[str, Json]:
    """The schema of a parameter; `keys` are those of an object's fields."""
    kind = parameter.kind
    if kind.startswith("&"):
        inner = dict(zip(keys, parts(parameter), strict=True))
        fields = {key: declared(voice, field, []) for key, field in inner.items()}
        return {"type": "object", "properties": fields, "required": list(fields)}
    if kind == "flag":
        return {"type": "boolean"}
    if kind == "enum":
        return {"type": "string", "enum": list(parameter.options)}
    if "|" in kind and voice.chance(0.5):
        return {"type": "string", "enum": kind.split("|")}
    if kind in LISTS or kind.endswith("*"):
        return {"type": "array", "items": {"type": "number" if kind.endswith("#*") else "string"}}
    if kind == "decimal" or kind in ("decimal#", "money#"):
        return {"type": "number"}
    if kind in NUMBERS or kind.endswith("#"):
        return {"type": voice.pick(("integer", "integer", "number"))}
    return {"type": "string"}


def chosen(voice: Voice, options: tuple[str, ...]) -> tuple[str, str]:
    """One of the options, and how it is said."""
    option = voice.pick(options)
    said = option.replace("_", " ").replace("-", " ") if voice.chance(0.8) else option
    if said.isupper() and voice.chance(0.8):
        said = said.lower()
    return option, said.capitalize() if voice.chance(0.12) else said.lower() if voice.chance(0.3) else said


def drawn(voice: Voice, kind: str) -> tuple[Json, str]:
    """A value of a kind that is no choice, and how it is said."""
    if kind.startswith("&"):
        inner = [drawn(voice, field.kind) for field in parts(Parameter("", kind))]
        return [value for value, _ in inner], voice.pick((", ", ", ", " ")).join(said for _, said in inner)
    if kind in NUMBERS:
        return _number(voice, str(voice.integer(*NUMBERS[kind])))
    if kind == "decimal":
        return _number(voice, voice.decimal())
    if kind in LISTS or kind.endswith("*"):
        one = LISTS.get(kind) or kind.removesuffix("*")
        several = [drawn(voice, one) for _ in range(voice.integer(*MANY))]
        unique = {said: value for value, said in several if value not in ("",)}
        return list(unique.values()), _listed(voice, list(unique))
    if kind.endswith("#"):
        return _number(voice, voice.value(kind.removesuffix("#"), DRAWN))
    said = voice.value(kind, DRAWN)
    return said, said


def _number(voice: Voice, text: str) -> tuple[Json, str]:
    number = float(text) if "." in text else int(text)
    if isinstance(number, int) and 0 < number <= LARGEST_WORD and voice.chance(0.15):
        return number, number_word(number)
    return number, f"{number}"


def _listed(voice: Voice, said: list[str]) -> str:
    return ", ".join(said) if voice.chance(0.15) else listed(said)
