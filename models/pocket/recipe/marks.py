"""Marks around parts of an answer that count less than others, or not at all."""

from __future__ import annotations

import re

__all__ = ["CLOSE", "LIGHT", "OPEN", "unmark"]

# What is between the first and the last is not learned: the prompt holds it already, or nothing could tell it.
# What is between the second and the last is learned lightly: a schema dictates it, but no cut into tokens.
OPEN, LIGHT, CLOSE = "\ue000", "\ue002", "\ue001"
SPANS = re.compile(f"([{OPEN}{LIGHT}].*?{CLOSE})", re.DOTALL)


def unmark(text: str) -> tuple[str, list[tuple[int, int, bool]]]:
    """The text without marks, and where they were: from, to, and whether what is there counts lightly."""
    plain, spans, size = [], [], 0
    for part in SPANS.split(text):
        if part[:1] in (OPEN, LIGHT):
            light, part = part[0] == LIGHT, part[1:-1]
            spans.append((size, size + len(part), light))
        plain.append(part)
        size += len(part)
    return "".join(plain), spans
