"""Writes the table at the end of docs/reference/dialects.md: `python scripts/dialects.py`."""

from __future__ import annotations

from pathlib import Path

from duologue.protocol.dialect import RULES, Rule

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "dialects.md"
SHOWN = ROOT / "tests" / "data" / "dialects"

HEAD = "| rule | action | strict | what | known from | tested |\n|---|---|---|---|---|---|\n"


def page() -> str:
    """The page as it stands, with the table of the rules at its end."""
    text = PAGE.read_text("utf-8").partition(HEAD)[0]
    return text + HEAD + "".join(_row(name, rule) for name, rule in RULES.items())


def _row(name: str, rule: Rule) -> str:
    cells = (
        f"`{name}`",
        rule.action,
        "error" if rule.forbidden else "",
        rule.text,
        rule.source,
        _tested(name, rule),
    )
    return f"| {' | '.join(cells)} |\n"


def _tested(name: str, rule: Rule) -> str:
    files = [rule.seen] if rule.seen else [path.name for path in sorted(SHOWN.glob(f"{name}.*"))]
    return ", ".join(f"`{file}`" for file in files)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
