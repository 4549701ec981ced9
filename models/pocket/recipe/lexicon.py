"""Every word and every sentence that the tables hold: what is copied must be anything, not a few lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .lists import DATA, table

__all__ = ["LEXICON", "PIECES", "SENTENCES"]

# A word by itself: no form's {name}, no <kind>, no part of one.
WORD = re.compile(r"(?<![\w{<|-])[A-Za-z]+(?:['\u2019-][A-Za-z]+)*(?![\w}>|])")
SENTENCE = re.compile(r"[A-Z][^{}<>\\]{12,110}?[.!?](?=\s|$)")


def _texts(value: Any) -> Iterator[str]:
    """All strings in a table."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


TEXTS = [text for path in sorted(DATA.glob("*.toml")) for text in _texts(table(path.stem))]
LEXICON = tuple(
    dict.fromkeys(word for text in TEXTS for word in WORD.findall(text.replace("_", " ")) if len(word) < 15)
)
SENTENCES = tuple(
    dict.fromkeys(found for text in TEXTS for found in SENTENCE.findall(text) if "\n" not in found)
)
# Runs of two to five letters out of the words.
PIECES = tuple(
    dict.fromkeys(
        word[at : at + size].lower()
        for word in LEXICON
        for size in (2, 3, 4, 5)
        for at in range(0, len(word) - size + 1, size)
        if word.isalpha()
    )
)
