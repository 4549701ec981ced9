"""What tools return, and what is said to it."""

from __future__ import annotations

import json
import re
from typing import Any

from .records import listed
from .trades import NUMBERS, Trade
from .voice import Voice

__all__ = ["report", "result"]


def result(voice: Voice, trade: Trade) -> str:
    """What a tool of this trade returns, an error now and then."""
    if voice.chance(0.06):
        return voice.pick(('{"error": "%s"}', "error: %s")) % voice.words(1, 3)

    def fill(match: re.Match[str]) -> str:
        kind = match[1]
        if kind == "decimal":
            return f"{float(voice.decimal())}"
        return str(voice.integer(*NUMBERS[kind])) if kind in NUMBERS else voice.value(kind)

    return re.sub(r"<([a-z_]+)>", fill, voice.pick(trade.results))


def report(results: list[str], labels: list[str]) -> str:
    """What is said to the results; with several, each begins with its label."""
    said = [_sentence(result) for result in results]
    if len(said) == 1:
        return said[0]
    return " ".join(f"{label}: {text[0].lower()}{text[1:]}" for label, text in zip(labels, said, strict=True))


def _sentence(result: str) -> str:
    try:
        value = json.loads(result)
    except ValueError:
        return f"The result is: {result}" + ("" if result.endswith((".", "!")) else ".")
    if isinstance(value, dict):
        if "error" in value:
            return f"The tool reported an error: {value['error']}."
        text = listed([f"the {key.replace('_', ' ')} is {_plain(item)}" for key, item in value.items()])
        return f"{text[0].upper()}{text[1:]}."
    return (
        f"The results are {_plain(value)}." if isinstance(value, list) else f"The result is {_plain(value)}."
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return listed([_plain(item) for item in value]) if isinstance(value, list) else str(value)
