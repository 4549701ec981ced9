"""What a tool gave back, as the text of a tool message."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["result_text", "sendable"]


def result_text(value: Any) -> str:
    """A text as it is, if it can be sent; of anything else its JSON. Raises `TypeError` for what has none."""
    if isinstance(value, str):
        return sendable(value)
    try:
        return msgspec.json.encode(value, enc_hook=_plain).decode()
    except (ValueError, RecursionError) as error:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON: {error}") from error


def sendable(text: str) -> str:
    """A text with `?` for what UTF-8 cannot say: halves of surrogates, as in names of files that are no text."""
    return text.encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """pydantic's models say themselves what they are in JSON."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(
            f"{type(value).__name__} cannot be written as JSON; return a text, dict, list or dataclass."
        )
    return dump(mode="json")
