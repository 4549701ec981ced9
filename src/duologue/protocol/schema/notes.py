"""What stands beside a type in `Annotated`: descriptions and bounds, in the words of several libraries.

They are told by their attributes: `msgspec.Meta`, pydantic's `Field` and `StringConstraints`, `annotated_types`
and `Doc` all use the same names. Nothing of theirs is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

__all__ = ["NUMBERS", "SIZES", "Notes", "read_notes"]

# Bounds of numbers, and of the length of texts and lists, by the names that `msgspec.Meta` has for them.
NUMBERS = ("gt", "ge", "lt", "le", "multiple_of")
SIZES = ("min_length", "max_length")


class Notes(msgspec.Struct):
    """What was noted of one type. `foreign`: some bounds are none that msgspec itself reads."""

    words: dict[str, Any]
    bounds: dict[str, Any]
    foreign: bool = False


def read_notes(metadata: Iterable[Any]) -> Notes:
    """The notes of an `Annotated`; later ones win. What says nothing that is known here is passed over."""
    notes = Notes({}, {})
    for item in metadata:
        _read(item, notes)
    return notes


def _read(item: Any, notes: Notes) -> None:
    if isinstance(item, str):
        notes.words["description"] = item
        return
    documentation = getattr(item, "documentation", None)
    if isinstance(documentation, str):
        notes.words["description"] = documentation
    for name, kind in (("title", str), ("description", str), ("examples", list)):
        value = getattr(item, name, None)
        if isinstance(value, kind) and value:
            notes.words[name] = value
    bounds = {name: getattr(item, name, None) for name in (*NUMBERS, *SIZES)}
    found = {name: value for name, value in bounds.items() if _is_number(value)}
    pattern = getattr(item, "pattern", None)
    pattern = getattr(pattern, "pattern", pattern)  # of a compiled one, its text
    if isinstance(pattern, str):
        found["pattern"] = pattern
    if isinstance(item, msgspec.Meta):
        if item.tz is not None:
            found["tz"] = item.tz
        notes.words.update(item.extra_json_schema or {})
    elif found:
        notes.foreign = True
    notes.bounds.update(found)
    more = getattr(item, "metadata", None)  # of pydantic's Field, which keeps its bounds there
    if isinstance(more, (list, tuple)):
        for inner in more:
            _read(inner, notes)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
