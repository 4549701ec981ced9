"""The page of the table: `pytest tests/effects --write-effects` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from . import accepted, sampling, shape, tools
from .chat import Row

__all__ = ["MODELS", "PAGE", "ROWS", "Table", "rows_of"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "parameter-effects.md"
# The columns, by the models' names: an architecture, None for the embedded model's file, and a backend.
MODELS: Mapping[str, tuple[str | None, str]] = {
    "pocket": (None, "numpy"),
    "qwen3": ("qwen3", "numpy"),
    "qwen3-llama.cpp": ("qwen3", "llama.cpp"),
}
ROWS: tuple[Row, ...] = (*shape.ROWS, *sampling.ROWS, *tools.ROWS, *accepted.ROWS)

HEAD = """\
# What each parameter does to a local model

Every request parameter has its real effect on the models that run on this machine. This table was written by
a test run that looked: each row asked each model with the parameter and without it, or with two values, and
would have failed if nothing had changed.

- `pocket` is the embedded model.
- `qwen3` is a model of another architecture whose weights are random numbers. It knows how to say nothing, so
  what is seen with it is the engine's doing alone.
- `qwen3-llama.cpp` is the same file, run by llama.cpp.

Where nothing else is said, the temperature is 0.
"""


class Table:
    """What was seen, by row and model."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], dict[str, str]] = {}

    def add(self, row: Row, model: str, effect: str) -> None:
        """Note what a row saw with a model."""
        self._seen.setdefault((row.parameter, row.asked), {})[model] = effect

    def page(self) -> str:
        """The page. Raises `KeyError` for a row that was not seen with every model."""
        lines = [_line("Parameter", "Asked", *(f"Seen with `{model}`" for model in MODELS))]
        lines.append("|---" * (2 + len(MODELS)) + "|")
        for row in ROWS:
            seen = self._seen[row.parameter, row.asked]
            lines.append(_line(f"`{row.parameter}`", row.asked, *(seen[model] for model in MODELS)))
        return HEAD + "\n" + "\n".join(lines) + "\n"


def rows_of(page: str) -> list[tuple[str, str]]:
    """The parameter and what is asked of every row on a page."""
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return [(cells[0].removeprefix("| ").strip("`"), cells[1]) for cells in lines]


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
