"""What the references of a JSON schema mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from .errors import SchemaError

__all__ = ["Root", "title_of"]

# The keywords that hold schemas: one, several in a list, or several by name. References may lead to no others.
ONE = frozenset(("additionalProperties", "items"))
SEVERAL = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
NAMED = frozenset(("$defs", "definitions", "properties"))


def title_of(reference: str) -> str:
    """The last name in a reference."""
    return unquote(reference).rpartition("/")[2].replace("~1", "/").replace("~0", "~")


class Root:
    """A whole JSON schema, inside of which references lead."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def target(self, reference: Any, where: str) -> Any:
        """The schema that a reference means; raises `SchemaError` for one that leads nowhere, or out."""
        if not isinstance(reference, str):
            raise SchemaError(where, f"`$ref` is a text, not {reference!r}.")
        if reference == "#":
            return self.schema
        if not reference.startswith("#/"):
            raise SchemaError(
                where, f"`$ref` leads out of this schema, to {reference!r}; put the target into its `$defs`."
            )
        found = None if re.search("%(?![0-9a-fA-F]{2})", reference) else self._follow(unquote(reference[2:]))
        if found is None:
            raise SchemaError(
                where, f"`$ref` leads to {reference!r}, where no schema is; name one of `$defs`."
            )
        return found

    def final(self, reference: str, where: str) -> str:
        """The reference that one leads to where definitions are nothing but references themselves."""
        seen: list[str] = []
        while isinstance(target := self.target(reference, where), dict) and target.keys() == {"$ref"}:
            if reference in seen:
                raise SchemaError(where, f"`$ref` leads in a circle: {reference!r}; say what it is to be.")
            seen.append(reference)
            reference = target["$ref"]
        return reference

    def _follow(self, pointer: str) -> Any:
        steps = pointer.split("/")
        if any(re.search("~(?![01])", step) for step in steps):
            return None
        names = [step.replace("~1", "/").replace("~0", "~") for step in steps]
        found: Any = self.schema
        while names:
            keyword = names.pop(0)
            found = found.get(keyword) if isinstance(found, dict) else None
            if keyword in NAMED and names and isinstance(found, dict):
                found = found.get(names.pop(0))
            elif keyword in SEVERAL and names and isinstance(found, list):
                index = names.pop(0)
                found = (
                    found[int(index)]
                    if re.fullmatch("0|[1-9][0-9]{0,4}", index) and int(index) < len(found)
                    else None
                )
            elif keyword not in ONE:
                return None
        return found if isinstance(found, (dict, bool)) else None
