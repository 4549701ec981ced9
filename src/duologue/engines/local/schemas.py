"""JSON schemas of requests, made ready to hold a model to them: every keyword enforced, or refused by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import unquote

from .schema_values import DATED, Place, bound_days, check_text, check_value

__all__ = [
    "MAX_COMBINATIONS",
    "MAX_DEPTH",
    "MAX_MULTIPLES",
    "MAX_PROPERTIES",
    "WORDS",
    "blame",
    "in_short",
    "ready",
]

# How deep schemas may be nested, references followed.
MAX_DEPTH = 64
# What the work of enforcing a schema grows with: the properties of one object, and all values of `multipleOf`
# together, without their decimal points.
MAX_PROPERTIES = 1000
MAX_MULTIPLES = 5000
# In how many ways the alternatives of schemas that all apply to one value may be combined.
MAX_COMBINATIONS = 1000
# How many smaller schemas are tried to find out what is wrong with one.
MAX_TRIALS = 100

# What is wrong with a schema that there was no time to look at for longer.
UNKNOWN = "it is too large or too complex; simplify it"
# The most of the grammar engine's own words that an error repeats, and what they are where those are no help.
MAX_WORDS = 300
HINTS = {"oneOf constraints are not supported": "its alternatives overlap, or nobody can tell; say 'anyOf'."}

# The keywords, by what their value is.
ONE = frozenset(("additionalProperties", "items"))
SEVERAL = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
NAMED = frozenset(("$defs", "definitions", "patternProperties", "properties"))
PLAIN = frozenset(
    (
        "$ref", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength",
        "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf",
        "pattern", "required", "type",
    )
)  # fmt: skip
# These say something to people. So do those that begin with "x-".
ANNOTATIONS = frozenset(
    (
        "$comment", "$schema", "default", "deprecated", "description", "example", "examples", "readOnly",
        "title", "writeOnly",
    )
)  # fmt: skip
# All words that a schema is written in.
TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
WORDS = ONE | SEVERAL | NAMED | PLAIN | ANNOTATIONS | TYPES
# Keywords that ask for nothing at this value.
IDLE: Mapping[str, Any] = {"uniqueItems": False, "nullable": False}
# Keywords that apply to the value itself, and not to one inside of it.
IN_PLACE = ("allOf", "anyOf", "oneOf")
SHARING = frozenset(("$ref", *IN_PLACE))
OF_OBJECTS = frozenset(
    ("additionalProperties", "maxProperties", "minProperties", "patternProperties", "properties", "required")
)


def ready(schema: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The schema with nothing but what is enforced.

    An object that names its properties, and does not say whether there may be others, has no others, as far as
    that takes nothing from what the rest of the schema asks for: a model would only invent them.

    Raises `BadRequestError` that names the keyword and its place for what cannot be enforced.
    """
    cleaned: dict[str, Any] = _clean(
        {name: value for name, value in schema.items() if name != "$id"}, place, 0
    )
    _check_references(cleaned, place)
    _check_multiples(cleaned, place)
    _check_combinations(cleaned, place)
    return _closed(cleaned) if _closable(cleaned) else cleaned


def _clean(schema: Any, place: Place, depth: int) -> Any:
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, Mapping):
        place.refuse("a schema is an object, or true or false.")
    if depth > MAX_DEPTH:
        place.refuse(f"schemas may be nested {MAX_DEPTH} deep; make this one flatter.")
    cleaned: dict[str, Any] = {}
    for name, value in schema.items():
        inner = place.inside(name)
        if name in ONE:
            cleaned[name] = _clean(value, inner, depth + 1)
        elif name in SEVERAL:
            if not isinstance(value, list) or not value:
                inner.refuse(f"'{name}' is a list of schemas.")
            cleaned[name] = [_clean(item, inner.inside(i), depth + 1) for i, item in enumerate(value)]
        elif name in NAMED:
            if not isinstance(value, Mapping):
                inner.refuse(f"'{name}' is an object of schemas by name.")
            for key in value:
                check_text(key, inner, is_pattern=name == "patternProperties")
            cleaned[name] = {key: _clean(item, inner.inside(key), depth + 1) for key, item in value.items()}
        elif name in PLAIN:
            check_value(name, value, inner)
            cleaned[name] = value
        elif not (name in ANNOTATIONS or name.startswith("x-")) and (name not in IDLE or value != IDLE[name]):
            inner.refuse(
                f"the keyword '{name}' cannot be enforced; take it out, or say the same with others."
            )
    _check_counts(cleaned, place)
    if cleaned.get("format") in DATED:
        bound_days(cleaned)
    return cleaned


def _check_counts(schema: Mapping[str, Any], place: Place) -> None:
    """What is compiled without an error, and still not enforced or not in any bearable time."""
    if len(schema.get("properties", ())) > MAX_PROPERTIES:
        place.inside("properties").refuse(f"'properties' may have {MAX_PROPERTIES} names.")
    least, required = schema.get("minProperties", 0), schema.get("required", [])
    # A name that comes twice would count twice; those that are required come once.
    names = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    if isinstance(least, int) and least > len(names) + 1:
        place.inside("minProperties").refuse(
            "'minProperties' cannot be enforced beyond one more than are required; name them in 'required'."
        )


def _check_multiples(root: Mapping[str, Any], place: Place) -> None:
    total = 0
    for schema, where in _walk(root, place):
        multiple = schema.get("multipleOf") if isinstance(schema, Mapping) else None
        if isinstance(multiple, (int, float)) and not isinstance(multiple, bool):
            number = Decimal(str(multiple)).normalize()
            _, _, exponent = number.as_tuple()
            total += abs(int(number.scaleb(-min(int(exponent), 0))))
            if total > MAX_MULTIPLES:
                where.inside("multipleOf").refuse(
                    f"the values of 'multipleOf' may be {MAX_MULTIPLES} together, without decimal points."
                )


def _check_combinations(root: Mapping[str, Any], place: Place) -> None:
    """Raise for alternatives that multiply; no reference leads in a circle."""
    known: dict[int, int] = {}
    for schema, where in _walk(root, place):
        if isinstance(schema, Mapping):
            factors = [ways for ways in _factors(schema, root, known) if ways > 1]
            if len(factors) > 1 and math.prod(factors) > MAX_COMBINATIONS:
                where.refuse(
                    f"there are more than {MAX_COMBINATIONS} ways to combine its alternatives; list those meant."
                )


def _factors(schema: Mapping[str, Any], root: Mapping[str, Any], known: dict[int, int]) -> list[int]:
    """How many alternatives each part of a schema has that applies to the value itself."""

    def ways(part: Any) -> int:
        if not isinstance(part, Mapping):
            return 1
        if id(part) not in known:
            known[id(part)] = min(math.prod(_factors(part, root, known)), MAX_COMBINATIONS + 1)
        return known[id(part)]

    factors = [ways(part) for part in schema.get("allOf", ())]
    factors += [sum(map(ways, schema[name])) for name in ("anyOf", "oneOf") if name in schema]
    if "$ref" in schema:
        factors.append(ways(_target(schema["$ref"], root, Place("", ""))))
    return factors


# --- references ------------------------------------------------------------------------------------------


def _check_references(root: Mapping[str, Any], place: Place) -> None:
    """Raise for a reference that leads nowhere, or only back to itself."""
    known: set[int] = set()
    for schema, where in _walk(root, place):
        if isinstance(schema, Mapping) and "$ref" in schema:
            _follow(schema, root, where, [], known)


def _follow(schema: Any, root: Mapping[str, Any], place: Place, trail: list[int], known: set[int]) -> None:
    """Go through all schemas that apply to the same value, but those that are known to lead on."""
    if not isinstance(schema, Mapping) or id(schema) in known:
        return
    if id(schema) in trail or len(trail) > MAX_DEPTH:
        place.inside("$ref").refuse(f"'$ref' leads in a circle, or over more than {MAX_DEPTH} references.")
    trail.append(id(schema))
    if "$ref" in schema:
        _follow(_target(schema["$ref"], root, place.inside("$ref")), root, place, trail, known)
    for name in IN_PLACE:
        for item in schema.get(name, ()):
            _follow(item, root, place, trail, known)
    known.add(trail.pop())


def _target(reference: Any, root: Mapping[str, Any], place: Place) -> Any:
    """The schema that a reference means."""
    if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
        place.refuse("'$ref' can refer to places in this schema only, such as '#/$defs/name'.")
    if "%2f" in reference.lower():
        place.refuse(
            "'$ref' writes a '/' in a name as '~1', not as '%2F', which not everybody reads as the same."
        )
    names = [unquote(step).replace("~1", "/").replace("~0", "~") for step in reference[2:].split("/")]
    target: Any = root
    left = names if reference != "#" else []
    while left:
        # By keywords that hold schemas only: nobody has looked at what is in others, such as 'const'.
        found = next(
            (
                (inner, left[len(steps) :])
                for inner, steps in _children(target)
                if left[: len(steps)] == list(map(str, steps))
            ),
            None,
        )
        if found is None:
            place.refuse(f"'$ref' leads to {reference[:100]!r}, where no schema is.")
        target, left = found
    return target


def _walk(schema: Any, place: Place) -> Iterator[tuple[Any, Place]]:
    """The schema and all inside of it, outermost first."""
    yield schema, place
    for inner, steps in _children(schema):
        yield from _walk(inner, place.inside(*steps))


def _children(schema: Any) -> Iterator[tuple[Any, tuple[object, ...]]]:
    if not isinstance(schema, Mapping):
        return
    for name, value in schema.items():
        if name in ONE:
            yield value, (name,)
        elif name in SEVERAL:
            for index, item in enumerate(value):
                yield item, (name, index)
        elif name in NAMED:
            for key, item in value.items():
                yield item, (name, key)


# --- closing objects -------------------------------------------------------------------------------------


def _closable(root: Mapping[str, Any]) -> bool:
    """Whether no two schemas share the properties of one object, which closing one of them would divide."""
    shared = [
        (SHARING & schema.keys(), OF_OBJECTS & schema.keys())
        for schema, _ in _walk(root, Place("", ""))
        if isinstance(schema, Mapping)
    ]
    return not any(
        "allOf" in sharing or len(sharing) > 1 or (sharing and of_objects) for sharing, of_objects in shared
    )


def _closed(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    closed: dict[str, Any] = {}
    for name, value in schema.items():
        if name in ONE:
            closed[name] = _closed(value)
        elif name in SEVERAL:
            closed[name] = [_closed(item) for item in value]
        elif name in NAMED:
            closed[name] = {key: _closed(item) for key, item in value.items()}
        else:
            closed[name] = value
    properties, required = schema.get("properties"), schema.get("required", [])
    if (
        properties is not None
        and "minProperties" not in schema
        and isinstance(required, list)
        and all(name in properties for name in required)
    ):
        closed.setdefault("additionalProperties", False)
    return closed


# --- what is wrong with a schema -------------------------------------------------------------------------


def blame(schema: Mapping[str, Any], place: Place, check: Callable[[Mapping[str, Any]], str]) -> NoReturn:
    """Raise the error for a schema that does not compile, of the innermost place and keyword at fault.

    `check` says what is wrong with a schema, "" for nothing.
    """
    shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    trials = MAX_TRIALS

    def wrong(part: Mapping[str, Any]) -> str:
        nonlocal trials
        trials -= 1
        return check({**shared, **part}) if trials > 0 else ""

    def inside(part: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[object, ...]] | None:
        children = ((inner, steps) for inner, steps in _children(part) if isinstance(inner, Mapping))
        return next(((inner, steps) for inner, steps in children if wrong(inner)), None)

    words, culprit = check(schema) or UNKNOWN, schema
    while found := inside(culprit):
        culprit, steps = found
        words, place = check({**shared, **culprit}) or words, place.inside(*steps)
    reason = in_short(words)
    # The type comes last: without it hardly any keyword asks for anything.
    for name in sorted(culprit, key="type".__eq__):
        mended = name not in shared and not wrong({key: culprit[key] for key in culprit if key != name})
        if mended and trials > 0:
            place.inside(name).refuse(f"the keyword '{name}' cannot be enforced as it is here: {reason}")
    place.refuse(f"the schema cannot be enforced: {reason}")


def in_short(words: str) -> str:
    """The grammar engine's words about a grammar, without where in our own text it is."""
    words = re.split(r"\n +[0-9]+ \|", words)[0].rpartition("failed to compile JSON schema: ")[2]
    hint = next((hint for known, hint in HINTS.items() if known in words), None)
    return hint or " ".join(words.split())[:MAX_WORDS]
