"""The lists of words and phrases in the folder data."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

__all__ = ["FORMS", "PHRASES", "WORDS", "frozen", "phrases", "table"]

DATA = Path(__file__).parent / "data"


def table(name: str) -> dict[str, Any]:
    """A file of the folder data."""
    return tomllib.loads((DATA / f"{name}.toml").read_text("utf-8"))


def frozen(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of a table with tuples in the place of lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}


def phrases(block: str) -> tuple[str, ...]:
    r"""The phrases of a block, one on a line; \n in one is a new line, and \s a space at its end."""
    return tuple(line.replace("\\n", "\n").replace("\\s", " ") for line in block.strip("\n").split("\n"))


def _words(entry: str | list[str]) -> tuple[str, ...]:
    """Words in a block, in which an underscore is a space, or in a list, in which it is itself."""
    if isinstance(entry, list):
        return tuple(entry)
    return tuple(word.replace("_", " ") for word in entry.split())


# Loose words by kind, what values are put together from, and phrases by what they are for.
WORDS = {kind: _words(entry) for kind, entry in table("words").items()}
FORMS = {name: phrases(block) for name, block in table("forms").items()}
PHRASES = {name: phrases(block) for name, block in table("phrases").items()}
