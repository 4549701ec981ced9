"""What tools return, and what is said to it."""

from __future__ import annotations

import json
import re
from typing import Any

from .actions import tell
from .records import listed
from .trades import NUMBERS, Trade
from .voice import Voice
from .wording import keyed, value_of

__all__ = ["report", "result"]


def result(voice: Voice, trade: Trade) -> str:
    """What a tool of this trade returns, an error now and then."""
    if voice.chance(0.06):
        return voice.pick(('{"error": "%s"}', "error: %s")) % voice.words(1, 3)
    if voice.chance(0.35):
        return _found(voice)

    def fill(match: re.Match[str]) -> str:
        kind = match[1]
        if kind == "decimal":
            return f"{float(voice.decimal())}"
        return str(voice.integer(*NUMBERS[kind])) if kind in NUMBERS else voice.value(kind)

    return re.sub(r"<([a-z_]+)>", fill, voice.pick(trade.results))


def _found(voice: Voice) -> str:
    """JSON of any shape, about what some action takes: with objects, lists, nulls and truths."""
    trade = tell(voice)
    keys, _ = keyed(voice, trade)
    whole: dict[str, Any] = {}
    for at, (key, inner) in keys.items():
        parameter = trade.parameters[at]
        if parameter.kind == "flag":
            whole[key] = voice.chance(0.5)
        else:
            value, _ = value_of(voice, trade, parameter)
            whole[key] = dict(zip(inner, value, strict=True)) if inner else value
    if voice.chance(0.08):
        whole[voice.pick(list(whole))] = None
    roll = voice.random.random()
    if roll < 0.12:
        whole = {voice.value("nouns"): whole}
    elif roll < 0.24:
        rows = [
            {key: _again(voice, value) for key, value in whole.items()} for _ in range(voice.integer(1, 3))
        ]
        return json.dumps(
            rows if voice.chance(0.5) else {f"{voice.value('nouns')}s": rows}, ensure_ascii=False
        )
    return json.dumps(whole, ensure_ascii=False)


def _again(voice: Voice, value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return voice.chance(0.5)
    if isinstance(value, int):
        return voice.number()
    return (
        voice.value(voice.pick(("name", "word", "code", "city", "title")))
        if isinstance(value, str)
        else value
    )


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
        text = _facts(value)
        return f"{text[0].upper()}{text[1:]}."
    return (
        f"The results are {_plain(value)}." if isinstance(value, list) else f"The result is {_plain(value)}."
    )


def _facts(value: dict[str, Any]) -> str:
    return listed([f"the {key.replace('_', ' ')} is {_plain(item)}" for key, item in value.items()])


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return listed([f"{key.replace('_', ' ')} {_plain(item)}" for key, item in value.items()])
    if isinstance(value, list):
        parts = [_plain(item) for item in value]
        return (
            "; ".join(parts) if any(isinstance(item, dict) for item in value) else listed(parts or ["none"])
        )
    return str(value)
