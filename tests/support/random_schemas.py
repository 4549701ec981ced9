"""Random JSON schemas of the keywords that local models are held to, the same for the same seed."""

from __future__ import annotations

import random
from typing import Any

__all__ = ["random_object", "random_root"]

WORDS = ("name", "age", "city", "tags", "unit", "a b", "é", 'q"', "x-1", "", "$ref", "type")
PATTERNS = ("^[a-c]{1,3}$", "[0-9]{2}", "^(yes|no)$", r"^\d+-\w$", "b$", '^"[^"]"$')
FORMATS = ("date", "date-time", "uuid", "ipv4", "email", "hostname")


def random_schema(random: random.Random, depth: int = 2) -> dict[str, Any]:
    """A schema, nested so many levels deep at the most."""
    makers = [_string, _string, _integer, _number, _simple, _enum]
    if depth:
        makers += [random_object, random_object, _array, _any_of, _all_of]
    return random.choice(makers)(random, depth)


def random_object(random: random.Random, depth: int = 2) -> dict[str, Any]:
    """A schema of an object."""
    names = random.sample(WORDS, random.randint(0, 3))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: random_schema(random, max(0, depth - 1)) for name in names},
        "required": [name for name in names if random.random() < 0.7],
        "title": "ignored",
    }
    match random.randrange(5):
        case 0:
            schema["additionalProperties"] = random_schema(random, 0)
            schema["maxProperties"] = 4
            schema["required"] = names
        case 1:
            schema["patternProperties"] = {"^p_[a-z]$": random_schema(random, 0)}
            schema["additionalProperties"] = False
        case 2 | 3:
            schema["additionalProperties"] = False
    return schema


def _string(random: random.Random, _depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    match random.randrange(4):
        case 0:
            schema["pattern"] = random.choice(PATTERNS)
        case 1:
            schema["format"] = random.choice(FORMATS)
        case 2:
            schema["minLength"] = random.randint(0, 3)
            schema["maxLength"] = schema["minLength"] + random.randint(0, 4)
        case _:
            schema["maxLength"] = random.randint(0, 12)
    return schema


def _integer(random: random.Random, _depth: int) -> dict[str, Any]:
    low = random.randint(-200, 200)
    schema: dict[str, Any] = {"type": "integer"}
    schema[random.choice(("minimum", "exclusiveMinimum"))] = low
    schema[random.choice(("maximum", "exclusiveMaximum"))] = low + random.randint(20, 5000)
    if random.random() < 0.3:
        schema["multipleOf"] = random.choice((2, 3, 10))
    return schema


def _number(random: random.Random, _depth: int) -> dict[str, Any]:
    low = random.choice((-1.5, 0, 0.25, 3))
    return {"type": "number", "minimum": low, random.choice(("maximum", "exclusiveMaximum")): low + 2.5}


def _simple(random: random.Random, _depth: int) -> dict[str, Any]:
    return {"type": random.choice(("boolean", "null", ["boolean", "null"], ["integer", "null"]))}


def _enum(random: random.Random, _depth: int) -> dict[str, Any]:
    values = ["a", "é\n", 1, -2.5, None, True, {"k": [1]}, ["x"], 'q"\\']
    if random.random() < 0.3:
        return {"const": random.choice(values)}
    return {"enum": random.sample(values, random.randint(1, 4))}


def _array(random: random.Random, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "items": random_schema(random, depth - 1), "maxItems": 3}
    if random.random() < 0.4:
        schema["minItems"] = random.randint(0, 2)
    if random.random() < 0.3:
        schema["prefixItems"] = [random_schema(random, 0)]
    return schema


def _any_of(random: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [random_schema(random, depth - 1) for _ in range(random.randint(1, 3))]}


def _all_of(random: random.Random, _depth: int) -> dict[str, Any]:
    return {
        "allOf": [
            {"type": "object", "properties": {"a": random_schema(random, 0)}, "required": ["a"]},
            {"properties": {"b": random_schema(random, 0)}, "required": ["b"], "maxProperties": 2},
        ]
    }


def random_root(random: random.Random) -> dict[str, Any]:
    """A schema that stands alone; some have references, to a list of parts among others."""
    if random.random() < 0.7:
        return random_schema(random)
    part, parts = {"$ref": "#/$defs/part"}, {"$ref": "#/$defs/parts"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {
            "part": random_schema(random, 1),
            "parts": {
                "type": "object",
                "properties": {"part": part, "more": {"anyOf": [{"type": "null"}, parts]}},
                "required": ["part", "more"],
                "additionalProperties": False,
            },
        },
        "type": "object",
        "properties": {"one": part, "all": parts},
        "required": ["one"],
    }
