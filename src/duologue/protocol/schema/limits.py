"""How large a schema of strict mode may be: the guide "Structured model outputs", "Objects have limitations"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .errors import SchemaError

__all__ = [
    "MAX_ENUM_TEXT",
    "MAX_ENUM_VALUES",
    "MAX_LEVELS",
    "MAX_LONG_ENUM",
    "MAX_PROPERTIES",
    "MAX_TEXT",
    "check_limits",
]

# Properties of all objects together.
MAX_PROPERTIES = 5000
# Objects inside of objects, as they are written: a definition begins anew.
MAX_LEVELS = 10
# Characters of all names of properties and definitions, and of all listed values.
MAX_TEXT = 120_000
# Values of all enums together; and the characters of one that has more than MAX_LONG_ENUM values.
MAX_ENUM_VALUES = 1000
MAX_LONG_ENUM = 250
MAX_ENUM_TEXT = 15_000


def check_limits(schema: Mapping[str, Any], where: str) -> None:
    """Raise `SchemaError` for a strict schema that is over a limit, with the number."""
    properties = text = values = 0
    for part, level in _walk(schema, 0):
        names = part.get("properties", {})
        properties += len(names)
        enum = part.get("enum", [])
        values += len(enum)
        length = sum(len(value) for value in enum if isinstance(value, str))
        if len(enum) > MAX_LONG_ENUM and length > MAX_ENUM_TEXT:
            raise _over(
                where, f"characters in one enum of more than {MAX_LONG_ENUM} values", length, MAX_ENUM_TEXT
            )
        const = part.get("const")
        text += length + sum(map(len, names)) + sum(map(len, part.get("$defs", {})))
        text += len(const) if isinstance(const, str) else 0
        if level > MAX_LEVELS:
            raise _over(where, "levels of objects inside of objects", level, MAX_LEVELS)
    for what, number, most in (
        ("properties", properties, MAX_PROPERTIES),
        ("values in enums", values, MAX_ENUM_VALUES),
        ("characters in names and listed values", text, MAX_TEXT),
    ):
        if number > most:
            raise _over(where, what, number, most)


def _over(where: str, what: str, number: int, most: int) -> SchemaError:
    return SchemaError(
        where, f"strict mode takes {most} {what}, and here are {number}; use a smaller or flatter type."
    )


def _walk(schema: Mapping[str, Any], level: int) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Every schema in a strict one, with the number of objects around it, itself among them."""
    level += "properties" in schema
    yield schema, level
    for inner in schema.get("properties", {}).values():
        yield from _walk(inner, level)
    for inner in schema.get("$defs", {}).values():
        yield from _walk(inner, 0)
    for inner in schema.get("anyOf", ()):
        yield from _walk(inner, level)
    if "items" in schema:
        yield from _walk(schema["items"], level)
