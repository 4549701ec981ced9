"""Names of schemas and functions as the API takes them, and the definitions that a schema refers to by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["MAX_NAME", "NAME", "Definitions", "clean_name"]

# A name of a schema or function (`FunctionDefinition` and `JSONSchema` in the API reference).
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MAX_NAME = 64


def clean_name(text: str) -> str:
    """`text` with the letters of a name only: `Box[int]` is `Box_int`. Of nothing but others, `schema`."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", text).strip("_")[:MAX_NAME] or "schema"


class Definitions:
    """The `$defs` of a schema: each thing once, under a name of its own."""

    def __init__(self) -> None:
        self.schemas: dict[str, dict[str, Any]] = {}
        self._names: dict[Any, str] = {}

    def refer(self, key: Any, title: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A `$ref` to the schema of `key`, which `make` makes when it is asked for first."""
        if key not in self._names:
            name = self._names[key] = self._free(clean_name(title))
            self.schemas[name] = {}  # its place, before what is inside of it
            self.schemas[name] = make()
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _free(self, name: str) -> str:
        taken, number = name, 1
        while name in self.schemas:
            number += 1
            name = f"{taken[: MAX_NAME - 5]}_{number}"
        return name
