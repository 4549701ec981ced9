"""Objects with known keys: dataclasses, TypedDicts, Structs, and the arguments of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from .errors import Mismatch
from .names import Definitions
from .nodes import Node

__all__ = ["Field", "Object"]

NO_DEFAULT: Any = msgspec.UNSET


class Field(msgspec.Struct):
    """One key of an object.

    `name` is Python's, `key` is JSON's. `required`: Python has no value for it when it is absent.
    `absent_as_null`: JSON says null for "absent", because strict mode wants every key there. `default` stands in
    the schema.
    """

    name: str
    key: str
    node: Any  # a Node
    required: bool = True
    absent_as_null: bool = False
    default: Any = NO_DEFAULT
    description: str | None = None

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        """The schema of its value; `default` and `description` beside it."""
        schema: dict[str, Any] = self.node.schema(definitions)
        if self.absent_as_null:
            schema = {"anyOf": [schema, {"type": "null"}]}
        if self.description is not None:
            schema.setdefault("description", self.description)
        if self.default is not NO_DEFAULT:
            schema["default"] = self.default
        return schema


class Object(Node):
    """An object with known keys, read into whatever `build` makes of its values by name.

    `constants` are keys that always have one value: the tag of a Struct.
    """

    fields: Sequence[Field] = ()

    def __init__(
        self,
        name: str,
        build: Callable[..., Any],
        *,
        description: str = "",
        constants: Mapping[str, Any] | None = None,
        exact: bool = True,
    ) -> None:
        self.name = name
        self.exact = exact
        self._build = build
        self._words = {"description": description} if description else {}
        self._constants = constants or {}

    def fill(self, fields: Sequence[Field], *, exact: bool = True) -> None:
        """Set the fields, which may lead back to this object."""
        self.fields = fields
        self.exact = self.exact and exact and not any(field.absent_as_null for field in fields)

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        return definitions.refer(self, self.name, lambda: self.body(definitions))

    def body(self, definitions: Definitions) -> dict[str, Any]:
        """The schema itself, where `schema` gives a reference to it."""
        properties: dict[str, Any] = {
            key: {"type": "integer" if isinstance(value, int) else "string", "const": value}
            for key, value in self._constants.items()
        }
        properties.update({field.key: field.schema(definitions) for field in self.fields})
        required = [*self._constants, *(field.key for field in self.fields if field.required)]
        return {
            **self._words, "type": "object", "properties": properties, "required": required,
            "additionalProperties": False,
        }  # fmt: skip

    def read(self, value: Any, path: str) -> Any:
        """The object; raises `Mismatch` with all that is wrong in it."""
        if not isinstance(value, dict):
            raise Mismatch((path, f"Expected `object`, got `{type(value).__name__}`"))
        for key, constant in self._constants.items():
            if value.get(key, constant) != constant:
                raise Mismatch((f"{path}.{key}", f"Expected {constant!r}, got {value[key]!r}"))
        values: dict[str, Any] = {}
        errors: list[tuple[str, str]] = []
        for field in self.fields:
            try:
                self._read_field(field, value, path, values)
            except Mismatch as error:
                errors += error.errors
        if errors:
            raise Mismatch(*errors)
        try:
            return self._build(**values)
        except (TypeError, ValueError) as error:  # of its own checks
            raise Mismatch((path, str(error))) from error

    def _read_field(self, field: Field, value: Mapping[str, Any], path: str, values: dict[str, Any]) -> None:
        given = value.get(field.key)
        absent = field.key not in value or (given is None and field.absent_as_null)
        if not absent:
            values[field.name] = field.node.read(given, f"{path}.{field.key}")
        elif field.required:
            raise Mismatch((path, f"Object missing required field `{field.key}`"))

    def likes(self, value: Any) -> bool:
        """Whether it has just these keys, and the right constants."""
        if not isinstance(value, dict) or value.keys() != {*self._constants, *(f.key for f in self.fields)}:
            return False
        return all(value[key] == constant for key, constant in self._constants.items())

    def parts(self) -> Iterable[Node]:
        return [field.node for field in self.fields]
