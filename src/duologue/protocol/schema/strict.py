"""Any JSON schema as one that strict mode takes, or the place and reason why it cannot be.

The rules are those of OpenAI's guide "Structured model outputs", sections "Supported schemas" and "Supported
properties". What means the same in other words is put in those words: `oneOf` of alternatives that cannot both
hold, `allOf` of objects, `$ref` with siblings, a tuple. A keyword that cannot be enforced is refused; but for a
type, whose values are checked when they are read (`checked`), it is told to the model in the description instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from .errors import SchemaError
from .limits import check_limits
from .merge import ANNOTATIONS, disjoint, listed, merged, types_of
from .names import Definitions
from .references import Root, title_of

__all__ = ["FORMATS", "MAX_DEPTH", "MAX_SCHEMAS", "strict_schema"]

# How deep schemas may be nested, and how many there may be once references with siblings are written out.
MAX_DEPTH = 100
MAX_SCHEMAS = 20_000

# The only formats that there are.
FORMATS = frozenset(("date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"))
TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))
# Keywords whose values stay as they are.
PLAIN = frozenset(
    (
        "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maximum",
        "minItems", "minLength", "minimum", "multipleOf",
    )
)  # fmt: skip
# Keywords with rules of their own.
RULED = frozenset(("additionalProperties", "items", "prefixItems", "properties", "required", "type"))
# Those that say nothing of values, and are left out. So are those that begin with "x-".
SILENT = frozenset(
    (
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "definitions",
        "deprecated",
        "discriminator",
        "readOnly",
        "writeOnly",
    )
)
# Those that are told in the description: always, and where values are checked. OpenAI takes a default in strict
# mode, Azure does not; none has an effect there, because every property is required.
TOLD = frozenset(("default", "examples"))
TOLD_IF_CHECKED = frozenset(
    (
        "contentEncoding", "contentMediaType", "contentSchema", "format", "maxProperties", "minProperties",
        "pattern", "propertyNames", "uniqueItems",
    )
)  # fmt: skip

OPEN = (
    "strict mode has no objects with keys that are not known; use a list of objects with a key and a value, "
    "list the keys, or pass strict=False."
)


class _Place(NamedTuple):
    """Where a schema stands, how deep, and which references it has been written out from. `top`: the whole."""

    path: str
    depth: int = 0
    inside: frozenset[str] = frozenset()
    top: bool = False

    def step(self, path: str) -> _Place:
        """A place inside of the value."""
        return _Place(self.path + path, self.depth + 1, self.inside)

    def deeper(self) -> _Place:
        """The same value, by another schema."""
        return self._replace(depth=self.depth + 1)


def strict_schema(
    schema: Mapping[str, Any], *, name: str = "schema", checked: bool = False
) -> dict[str, Any]:
    """The strict schema of a JSON schema for an object; the one that is given stays as it is.

    `name` is what errors call it. `checked` says that values are checked when they are read, so that the model
    need not be held to all of it. Raises `SchemaError`.
    """
    if not isinstance(schema, Mapping):
        raise SchemaError(name, f"a schema is an object, not {schema!r}.")
    work = _Work(Root(schema), checked)
    strict = work.convert(schema, _Place(name, top=True))
    if strict.get("type") != "object":
        raise SchemaError(
            name, "the whole must be an object without alternatives; put what it is into a property."
        )
    work.define()
    if work.definitions.schemas:
        strict["$defs"] = work.definitions.schemas
    check_limits(strict, name)
    return strict


class _Work:
    """One schema on its way to a strict one."""

    def __init__(self, root: Root, checked: bool) -> None:
        self.definitions = Definitions()
        self._root = root
        self._checked = checked
        self._count = 0
        self._asked: set[str] = set()
        self._waiting: list[tuple[str, str]] = []

    def convert(self, schema: Any, place: _Place) -> dict[str, Any]:
        """The strict schema of one that stands at `place`."""
        self._check(schema, place)
        own = _own(schema)
        branches = [branch for branch in _branches(schema, place) if branch is not True]
        if "$ref" in schema and not branches and not place.top:
            reference = self._root.final(schema["$ref"], place.path)
            # Inside of its own definition, what is said beside a reference would be written out without end.
            if not own or (reference in place.inside and own.keys() <= ANNOTATIONS):
                return self._refer(reference)
        if not own and "$ref" not in schema and len(branches) == 1:
            return self.convert(branches[0], place.deeper())
        trail: list[str] = []
        parts = self._parts(schema, place, trail)
        return self._emit(
            merged(parts, place.path), place._replace(inside=place.inside.union(trail), top=False)
        )

    def define(self) -> None:
        """Convert the definitions that were referred to, and those that they refer to."""
        while self._waiting:
            name, reference = self._waiting.pop()
            target = self._root.target(reference, name)
            self.definitions.schemas[name] = self.convert(
                target, _Place(name, inside=frozenset((reference,)))
            )

    def _check(self, schema: Any, place: _Place) -> None:
        self._count += 1
        if not isinstance(schema, Mapping):
            raise SchemaError(place.path, f"a schema is an object, not {schema!r}; say what the value is.")
        if place.depth > MAX_DEPTH:
            raise SchemaError(place.path, f"schemas may be nested {MAX_DEPTH} deep; make this one flatter.")
        if self._count > MAX_SCHEMAS:
            raise SchemaError(
                place.path, f"this becomes more than {MAX_SCHEMAS} schemas; say less beside each `$ref`."
            )
        if "$id" in schema and place.depth:
            raise SchemaError(place.path, "`$id` begins another schema inside of this one; take it out.")

    def _refer(self, reference: str) -> dict[str, Any]:
        if reference == "#":
            return {"$ref": "#"}
        found = self.definitions.refer(reference, title_of(reference), dict)
        if reference not in self._asked:
            self._asked.add(reference)
            self._waiting.append((found["$ref"].removeprefix("#/$defs/"), reference))
        return found

    def _parts(self, schema: Any, place: _Place, trail: list[str]) -> list[dict[str, Any]]:
        """All schemas that apply to the value: its own, those it refers to, those of `allOf`."""
        self._check(schema, place)
        parts = [own] if (own := _own(schema)) else []
        if "$ref" in schema:
            reference = self._root.final(schema["$ref"], place.path)
            if reference in trail:
                raise SchemaError(
                    place.path, f"`$ref` leads in a circle: {reference!r}; say what it is to be."
                )
            trail.append(reference)
            parts += self._parts(self._root.target(reference, place.path), place.deeper(), trail)
        for branch in _branches(schema, place):
            if branch is not True:
                parts += self._parts(branch, place.deeper(), trail)
        return parts

    def _emit(self, schema: dict[str, Any], place: _Place) -> dict[str, Any]:
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._union(keyword, schema, place)
        kinds = types_of(schema)
        if not kinds or not all(isinstance(kind, str) and kind in TYPES for kind in kinds):
            raise SchemaError(place.path, "any value may stand here; say of which type it is.")
        if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
            raise SchemaError(place.path, "`enum` is a list of values, and not empty.")
        strict: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
        told: list[str] = []
        for keyword, value in schema.items():
            if _is_kept(keyword, value):
                strict[keyword] = value
            elif keyword not in RULED:
                told += self._told(keyword, value, place)
        if "object" in kinds:
            strict.update(self._object(schema, place))
        if "array" in kinds:
            strict.update(self._array(schema, place, told))
        return _described(strict, told)

    def _told(self, keyword: str, value: Any, place: _Place) -> list[str]:
        """What to say in the description of a keyword that cannot be enforced; raises `SchemaError`."""
        if keyword in TOLD or (self._checked and keyword in TOLD_IF_CHECKED):
            return _words(keyword, value)
        if keyword == "patternProperties":
            raise SchemaError(place.path, OPEN)
        if self._checked or (keyword == "uniqueItems" and value is False):
            return []
        if keyword == "format":
            raise SchemaError(
                place.path, f"the format {value!r} is none of strict mode: {', '.join(sorted(FORMATS))}."
            )
        raise SchemaError(
            place.path, f"`{keyword}` cannot be enforced in strict mode; take it out, or pass strict=False."
        )

    def _union(self, keyword: str, schema: dict[str, Any], place: _Place) -> dict[str, Any]:
        options = schema.pop(keyword)
        if not isinstance(options, list) or "oneOf" in schema:
            raise SchemaError(place.path, "`anyOf` or `oneOf` is one list of schemas.")
        if keyword == "oneOf" and not self._checked:
            self._check_disjoint(options, place)
        notes = {name: value for name, value in schema.items() if name in ANNOTATIONS}
        rest = {name: value for name, value in schema.items() if name not in ANNOTATIONS}
        options = [option for option in options if option is not False]
        if rest.keys() == {"type"} and all(self._is_of(option, types_of(rest), place) for option in options):
            rest = {}
        if rest:
            options = [{"allOf": [option, rest]} for option in options]
        if len(options) == 1:
            return self.convert({**notes, "allOf": options}, place.deeper())
        if not options:
            raise SchemaError(place.path, f"`{keyword}` has no alternative that a value could be.")
        return {"anyOf": [self.convert(option, place.step("")) for option in options], **_said(notes)}

    def _is_of(self, option: Any, kinds: Sequence[str], place: _Place) -> bool:
        """Whether an alternative has no other types than these anyway."""
        schema = merged(self._parts(option, place, []), place.path)
        return bool(named := types_of(schema)) and set(named) <= set(kinds)

    def _check_disjoint(self, options: Sequence[Any], place: _Place) -> None:
        for one, other in combinations(options, 2):
            if not disjoint(one, other, self._root, place.path):
                raise SchemaError(
                    place.path,
                    "alternatives of `oneOf` could both hold, which cannot be enforced; use `anyOf`.",
                )

    def _object(self, schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        properties, required = schema.get("properties"), schema.get("required", [])
        others = schema.get("additionalProperties", properties is None and place.depth > 0)
        if others is not False:
            raise SchemaError(place.path, OPEN)
        properties = {} if properties is None else properties
        if not isinstance(properties, Mapping):
            raise SchemaError(place.path, "`properties` is an object of schemas by name.")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise SchemaError(place.path, "`required` is a list of names.")
        for name in required:
            if name not in properties:
                raise SchemaError(
                    place.path, f"{name!r} is required and not among the properties; say what it is."
                )
        strict: dict[str, Any] = {}
        for name, value in properties.items():
            inner = place.step(f".{name}")
            strict[name] = self.convert(value, inner)
            if not self._checked and name not in required and not self._takes_null(value, inner):
                raise SchemaError(
                    inner.path, "strict mode has no optional properties; require it, or let it be null, too."
                )
        return {"properties": strict, "required": list(strict), "additionalProperties": False}

    def _takes_null(self, schema: Any, place: _Place) -> bool:
        whole = merged(self._parts(schema, place, []), place.path)
        kinds, values = types_of(whole), listed(whole)
        options = whole.get("anyOf", whole.get("oneOf"))
        return (
            (not kinds or "null" in kinds)
            and (values is None or None in values)
            and (options is None or any(self._takes_null(option, place.deeper()) for option in options))
            and (bool(kinds) or options is not None)
        )

    def _array(self, schema: Mapping[str, Any], place: _Place, told: list[str]) -> dict[str, Any]:
        places, items = schema.get("prefixItems"), schema.get("items")
        if isinstance(places, list):
            return self._tuple(places, items is False, schema, place, told)
        if items is None or items is True or items == {}:
            raise SchemaError(place.path, "a list of anything; say in `items` what is in it: list[str], say.")
        return {"items": self.convert(items, place.step("[]"))}

    def _tuple(
        self, places: list[Any], closed: bool, schema: Mapping[str, Any], place: _Place, told: list[str]
    ) -> dict[str, Any]:
        """A list with a kind for each place, as one with a known length whose items are of any of the kinds."""
        length = len(places)
        least, most = schema.get("minItems", 0), length if closed else schema.get("maxItems", length + 1)
        same = all(item == places[0] for item in places)
        if not places or most > length or not (self._checked or (same and least == length)):
            raise SchemaError(
                place.path,
                "a list with a kind for each place cannot be enforced; use an object with a key for each.",
            )
        kinds = [self.convert(item, place.step(f"[{at}]")) for at, item in enumerate(places)]
        several = [kind for at, kind in enumerate(kinds) if kind not in kinds[:at]]
        if len(several) > 1:
            told.append(f"in this order: {', '.join(map(_kind_words, kinds))}")
        return {
            "items": several[0] if len(several) == 1 else {"anyOf": several},
            "minItems": least,
            "maxItems": most,
        }


def _branches(schema: Mapping[str, Any], place: _Place) -> list[Any]:
    branches = schema.get("allOf", [])
    if not isinstance(branches, list):
        raise SchemaError(place.path, "`allOf` is a list of schemas.")
    return branches


def _own(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a schema says itself, and not by others."""
    return {
        name: value
        for name, value in schema.items()
        if name not in SILENT and name not in ("$ref", "allOf") and not name.startswith("x-")
    }


def _is_kept(keyword: str, value: Any) -> bool:
    """Whether a keyword stays as it is. No grammar can look ahead or behind, as some patterns do."""
    if keyword == "format":
        return isinstance(value, str) and value in FORMATS
    if keyword == "pattern":
        return isinstance(value, str) and not re.search(r"\(\?<?[=!]", value)
    if keyword in ("description", "title"):
        return isinstance(value, str)
    return keyword in PLAIN


def _said(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a union as it may carry them."""
    said = {
        name: value
        for name, value in notes.items()
        if name in ("title", "description") and _is_kept(name, value)
    }
    told = [word for name, value in notes.items() if name in TOLD for word in _words(name, value)]
    return _described(said, told)


def _words(keyword: str, value: Any) -> list[str]:
    """What a description says of a keyword; of a default that is null, which is as good as none, nothing."""
    if keyword == "default" and value is None:
        return []
    plain = isinstance(value, str) and keyword != "default"
    return [f"{keyword}: {value if plain else json.dumps(value, ensure_ascii=False)}"]


def _described(schema: dict[str, Any], told: Sequence[str]) -> dict[str, Any]:
    """The schema, with what is told put behind its description."""
    if told:
        before = schema.get("description")
        schema["description"] = f"{f'{before} ' if before else ''}({'; '.join(told)})"
    return schema


def _kind_words(schema: Mapping[str, Any]) -> str:
    """A short name of a kind of value."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    return str(schema.get("description") or schema.get("title") or schema.get("type", "one of several"))
