"""What a docstring says of the whole, and of each parameter, in Google's, numpy's or Sphinx's style."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["Docstring", "read_docstring"]

# Sections of parameters, and the others that end what is said of the whole.
PARAMETERS = frozenset(
    (
        "args",
        "arguments",
        "attributes",
        "keyword args",
        "keyword arguments",
        "other parameters",
        "parameters",
        "params",
    )
)
OTHERS = frozenset(
    (
        "example", "examples", "note", "notes", "raises", "references", "return", "returns", "see also", "warning",
        "warnings", "warns", "yield", "yields",
    )
)  # fmt: skip
GOOGLE = re.compile(r"\*{0,2}(?P<name>\w+)(?:\s*\([^)]*\))?\s*:\s*(?P<text>.*)")
NUMPY = re.compile(r"(?P<name>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
SPHINX = re.compile(r":(?P<field>\w+)(?:\s+[^:]*?)??(?:\s+\*{0,2}(?P<name>\w+))?:\s*(?P<text>.*)")
SPHINX_PARAMETERS = frozenset(("arg", "argument", "ivar", "key", "keyword", "param", "parameter", "var"))


class Docstring(NamedTuple):
    """The text before any section, and the texts of the parameters by name."""

    text: str = ""
    parameters: Mapping[str, str] = {}


def read_docstring(doc: str | None) -> Docstring:
    """The parts of a docstring; of none, empty ones."""
    lines = inspect.cleandoc(doc).splitlines() if doc else []
    found: dict[str, str] = {}
    start = len(lines)
    for at, name, body in _sections(lines):
        start = min(start, at)
        found.update(_entries(name, body))
    return Docstring("\n".join(lines[:start]).strip(), found)


def _sections(lines: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Where each section begins, what it is (`google`, `numpy`, `sphinx` or nothing), and its lines."""
    heads = [(at, *head) for at in range(len(lines)) if (head := _head(lines, at))]
    for index, (at, kind, skip) in enumerate(heads):
        end = heads[index + 1][0] if index + 1 < len(heads) else len(lines)
        yield at, kind, lines[at + skip : end]


def _head(lines: list[str], at: int) -> tuple[str, int] | None:
    """The kind of the section that begins at a line, and how many lines its head takes; None inside of one."""
    line = lines[at]
    if line[:1].isspace():
        return None
    if SPHINX.match(line) and line.startswith(":"):
        return "sphinx", 0
    title = line.rstrip(": ").lower()
    underlined = at + 1 < len(lines) and re.fullmatch(r"-{3,}\s*", lines[at + 1])
    if title in PARAMETERS | OTHERS and (underlined or line.rstrip().endswith(":")):
        kind = ("numpy" if underlined else "google") if title in PARAMETERS else ""
        return kind, 2 if underlined else 1
    return None


def _entries(kind: str, body: list[str]) -> dict[str, str]:
    """The parameters of a section."""
    if kind == "sphinx":
        match = SPHINX.match(body[0])
        if match is None or match["field"] not in SPHINX_PARAMETERS or not match["name"]:
            return {}
        return {match["name"]: _joined([match["text"], *body[1:]])}
    pattern = {"google": GOOGLE, "numpy": NUMPY}.get(kind)
    if pattern is None:
        return {}
    found: dict[str, list[str]] = {}
    current: list[str] = []
    margin = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    for line in body:
        match = pattern.match(line[margin:])
        if match and not line[margin : margin + 1].isspace():
            current = [match["text"]] if kind == "google" else []
            found.update(dict.fromkeys(re.findall(r"\w+", match["name"]), current))
        else:
            current.append(line)
    return {name: text for name, lines in found.items() if (text := _joined(lines))}


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
