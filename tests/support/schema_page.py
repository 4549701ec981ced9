"""The table of types in docs/reference/schemas.md: `PYTHONPATH=tests python -m support.schema_page` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from duologue import typed_format
from duologue.protocol.schema.hints import type_name

from .schema_types import CASES, written

__all__ = ["PAGE", "page_with", "table"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schemas.md"
BEGIN, END = "<!-- types -->\n", "<!-- end of types -->\n"
# Schemas that are longer make no row.
MAX_SCHEMA = 250


def table() -> str:
    """The rows: kind, type, the schema of its value, what a model may write and what it is read as."""
    lines = ["| Kind | Example | Schema | JSON | Read as |", "|---|---|---|---|---|"]
    for kind, (tp, value) in CASES.items():
        param: Any = typed_format(tp).to_param()
        whole = param["json_schema"]["schema"]
        plain, schema = written(whole, value), whole
        if (
            isinstance(plain, dict)
            and plain.keys() == {"value"}
            and type_name(tp) not in ("Node", "Box[int]")
        ):
            plain, schema = plain["value"], whole["properties"]["value"]
        text = json.dumps(schema, ensure_ascii=False)
        is_link = kind == "generic model"  # its repr would be one on the page
        if len(text) <= MAX_SCHEMA and "$ref" not in text and not is_link:
            cells = (type_name(tp), text, json.dumps(plain, ensure_ascii=False), repr(value))
            lines.append(f"| {kind} | {' | '.join(map(_code, cells))} |")
    return "\n".join(lines) + "\n"


def page_with(rows: str) -> str:
    """The page with these rows."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return before + BEGIN + rows + END + rest.partition(END)[2]


def _code(text: str) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()), "utf-8")
