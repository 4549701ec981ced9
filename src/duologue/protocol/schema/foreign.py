"""pydantic's types: their own schema, their own validation.

pydantic is not imported before somebody hands one of its types over, who then has it. Its types are told by the
hook that pydantic asks for a schema.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, get_origin

from .errors import Mismatch, SchemaError
from .hints import type_name
from .names import Definitions
from .nodes import Node

__all__ = ["Foreign", "is_foreign", "is_foreign_note"]

HOOKS = ("__pydantic_core_schema__", "__get_pydantic_core_schema__")
NOTE_HOOKS = ("__get_pydantic_core_schema__", "__get_pydantic_json_schema__")
DEFINITION = "#/$defs/"


def is_foreign(cls: type) -> bool:
    """Whether pydantic says what a class is: its models and dataclasses, and types like its `AnyUrl`."""
    return any(hasattr(cls, hook) for hook in HOOKS)


def is_foreign_note(item: Any) -> bool:
    """Whether what stands in an `Annotated` is for pydantic to follow: a validator, say."""
    return any(hasattr(item, hook) for hook in NOTE_HOOKS)


class Foreign(Node):
    """A type of pydantic's."""

    exact = False

    def __init__(self, tp: Any, path: str) -> None:
        import pydantic

        self._name = type_name(tp)
        self._is_class = get_origin(tp) is not Annotated
        self._error = pydantic.ValidationError
        try:
            self._adapter = pydantic.TypeAdapter(tp)
            self._json_schema = self._adapter.json_schema()
        except (pydantic.errors.PydanticSchemaGenerationError, pydantic.errors.PydanticUserError) as error:
            raise SchemaError(path, str(error)) from error

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        if self._is_class and "$ref" not in self._json_schema:
            return definitions.refer(self, self._name, lambda: self._body(definitions))
        return self._body(definitions)

    def _body(self, definitions: Definitions) -> dict[str, Any]:
        """The schema, with what it defines among the other definitions."""
        inner: dict[str, Any] = self._json_schema.get("$defs", {})
        references = {name: definitions.refer((self._name, name, id(self)), name, dict) for name in inner}
        moved = {DEFINITION + name: reference["$ref"] for name, reference in references.items()}
        for name, schema in inner.items():
            definitions.schemas[references[name]["$ref"].removeprefix(DEFINITION)] = _moved(schema, moved)
        whole: dict[str, Any] = _moved(self._json_schema, moved)
        whole.pop("$defs", None)
        return whole

    def read(self, value: Any, path: str) -> Any:
        return self.read_json(json.dumps(value), path)

    def read_json(self, text: str | bytes, path: str) -> Any:
        """The value of a JSON text; raises `Mismatch`."""
        try:
            return self._adapter.validate_json(text)
        except self._error as error:
            found = error.errors(include_url=False, include_context=False)
            raise Mismatch(*((_place(path, item["loc"]), item["msg"]) for item in found)) from error


def _moved(schema: Any, moved: dict[str, str]) -> Any:
    """A schema with the references of `moved` replaced."""
    if isinstance(schema, list):
        return [_moved(item, moved) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: moved.get(value, value) if name == "$ref" and isinstance(value, str) else _moved(value, moved)
        for name, value in schema.items()
    }


def _place(path: str, steps: tuple[int | str, ...]) -> str:
    return path + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
