"""Several schemas of one value as one, and whether two can hold for the same value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import SchemaError
from .nodes import kind_of
from .references import Root

__all__ = ["ANNOTATIONS", "disjoint", "merged", "types_of"]

# What says something to people or to the model, and nothing about which values are valid.
ANNOTATIONS = frozenset(("default", "description", "examples", "title"))
OF_OBJECTS = frozenset(("additionalProperties", "properties", "required"))


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema names, or that its listed values have; none where it says nothing of them."""
    named = schema.get("type")
    if isinstance(named, str):
        return [named]
    if isinstance(named, list) and all(isinstance(kind, str) for kind in named):
        return list(dict.fromkeys(named))
    values = listed(schema)
    if values is not None:
        return list(dict.fromkeys(kind_of(value) for value in values))
    if schema.get("properties") or schema.get("required"):
        return ["object"]
    return ["array"] if "items" in schema or "prefixItems" in schema else []


def listed(schema: Mapping[str, Any]) -> list[Any] | None:
    """The values that a schema lists; None for one that does not."""
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else None


def merged(parts: Sequence[Mapping[str, Any]], where: str) -> dict[str, Any]:
    """One schema for what all parts ask for; of annotations the first counts. Raises `SchemaError`."""
    result: dict[str, Any] = {}
    for part in parts:
        for keyword, value in part.items():
            if keyword not in result or keyword == "type":
                result[keyword] = value
            elif keyword not in ANNOTATIONS | OF_OBJECTS and result[keyword] != value:
                raise _clash(where, keyword)
    objects = [part for part in parts if part.keys() & OF_OBJECTS]
    if len(objects) > 1:
        result.update(_merged_objects(objects, where))
    kinds = [types_of(part) for part in parts if "type" in part]
    if kinds:
        common = [kind for kind in kinds[0] if all(kind in other for other in kinds)]
        if not common:
            raise _clash(where, "type")
        result["type"] = common[0] if len(common) == 1 else common
    return result


def _merged_objects(parts: Sequence[Mapping[str, Any]], where: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}
    closed: list[set[str]] = []
    for part in parts:
        own, names = part.get("properties", {}), part.get("required", [])
        if not isinstance(own, Mapping) or not isinstance(names, list):
            raise _clash(where, "properties")
        for name, schema in own.items():
            if properties.setdefault(name, schema) != schema:
                raise _clash(where, f"properties.{name}")
        required.update(dict.fromkeys(map(str, names)))
        if part.get("additionalProperties", True) is False:
            closed.append(set(own))
        elif part.get("additionalProperties", True) is not True:
            raise _clash(where, "additionalProperties")
    if closed:  # what is closed has no others
        allowed = set.intersection(*closed)
        if not required.keys() <= allowed:
            raise _clash(where, "required")
        properties = {name: schema for name, schema in properties.items() if name in allowed}
    merged = {"properties": properties, "required": list(required)}
    return merged | ({"additionalProperties": False} if closed else {})


def _clash(where: str, keyword: str) -> SchemaError:
    return SchemaError(
        where,
        f"schemas that all apply differ in `{keyword}`, and cannot be one schema; write out the one meant.",
    )


def disjoint(one: Any, other: Any, root: Root, where: str) -> bool:
    """Whether it is certain that no value satisfies both schemas."""
    one, other = (_direct(schema, root, where) for schema in (one, other))
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    kinds, others = ({*types_of(schema)} for schema in (one, other))
    for names in (kinds, others):
        if "number" in names:
            names.add("integer")
    if kinds and others and not kinds & others:
        return True
    values, other_values = listed(one), listed(other)
    if values is not None and other_values is not None:
        return not any(value == known for value in values for known in other_values)
    mine, theirs = _required(one), _required(other)
    return kinds == others == {"object"} and any(
        disjoint(mine[name], theirs[name], root, where) for name in mine.keys() & theirs.keys()
    )


def _required(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that an object must have."""
    properties, names = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping) or not isinstance(names, list):
        return {}
    return {name: properties[name] for name in names if isinstance(name, str) and name in properties}


def _direct(schema: Any, root: Root, where: str) -> Any:
    """The schema behind a reference."""
    if isinstance(schema, dict) and "$ref" in schema:
        return root.target(root.final(schema["$ref"], where), where)
    return schema
