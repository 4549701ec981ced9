"""Where in the bytes of an event an object stood, and what its JSON was."""

from __future__ import annotations

import json
from typing import Any, TypeAlias, cast

import msgspec

__all__ = ["Origin", "Place"]

# The keys and indexes that lead from the top of an event to an object.
Place: TypeAlias = tuple[str | int, ...]


class Origin(msgspec.Struct, gc=False):
    """Where an object stood: the bytes of its event, its place in them, and its own JSON object."""

    raw: bytes | None
    place: Place
    fields: dict[str, Any] | None = None

    def own_fields(self) -> dict[str, Any]:
        """The JSON object as it came, parsed on first use; empty where a default stands in for it."""
        if self.fields is None:
            assert self.raw is not None
            value: Any = json.loads(self.raw.decode("utf-8", "replace"))
            try:
                for step in self.place:
                    value = value[step]
            except (LookupError, TypeError):
                value = {}
            self.fields = cast("dict[str, Any]", value)
        return self.fields

    def own_bytes(self) -> bytes | None:
        """The exact bytes of this object inside its event; None where it is not there, or no strict JSON."""
        if self.raw is None:
            return None
        value: bytes | msgspec.Raw = self.raw
        try:
            for step in self.place:
                if isinstance(step, str):
                    value = msgspec.json.decode(value, type=dict[str, msgspec.Raw])[step]
                else:
                    value = msgspec.json.decode(value, type=list[msgspec.Raw])[step]
        except (msgspec.MsgspecError, LookupError, ValueError, RecursionError):
            return None
        return bytes(value)
