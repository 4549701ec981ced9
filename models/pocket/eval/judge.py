"""Whether an answer is what a held-out case expects, by the rules of README.md. Pure: two dicts in, a bool out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["judge"]

Json = Any

ADMITS = (
    "do not know", "don't know", "does not know", "no idea", "cannot", "can not", "can't", "not able", "unable",
    "too hard", "too big", "too large", "too difficult", "too much for me", "too small", "beyond me",
    "beyond what i can", "do not have", "don't have", "have no", "not something i can", "not trained",
    "only a small", "only a tiny", "only a very small", "small model", "small language model",
    "tiny model", "tiny language model",
)  # fmt: skip
"""What an answer says that admits a limit."""

WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
    "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
    "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
"""Numbers that may also be spelled out."""

NUMBER = re.compile(rf"(?<!\w)-?\d+(?:\.\d+)?|(?<![\w-])(?:{'|'.join(WORDS)})(?![\w-])")
PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2212\u00a0", "''\"\"- ")
"""Quotation marks, the minus sign and the fixed space as a keyboard writes them."""

SHORT = 3  # letters: so short a keyword must be a whole word, else "no" would be found in "not"


def judge(case: Mapping[str, Json], message: Mapping[str, Json]) -> bool:
    """Whether `message`, an assistant message as the protocol has it, meets every condition of `case["expect"]`.

    An answer without text meets no condition but `calls`. A condition that is not known raises KeyError.
    """
    conditions: Mapping[str, Json] = case["expect"]
    if "calls" in conditions:
        return _calls(conditions["calls"], message.get("tool_calls") or [])
    text = (message.get("content") or "").strip()
    if not text or (conditions.get("no_call") and message.get("tool_calls")):
        return False
    return all(CHECKS[name](text, wanted) for name, wanted in conditions.items())


def _calls(wanted: list[Json], made: list[Json]) -> bool:
    """The same calls in any order, each made once."""
    left = [(call["function"]["name"], _parse(call["function"]["arguments"])) for call in made]
    for call in wanted:
        found = next((at for at in left if at[0] == call["name"] and _same(call["arguments"], at[1])), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _parse(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _same(wanted: Json, got: Json) -> bool:
    """Equal as JSON; strings without regard to case and outer space; any value of `any_of` will do."""
    match wanted:
        case {"any_of": [*values]}:
            return any(_same(value, got) for value in values)
        case dict():
            return (
                isinstance(got, dict)
                and wanted.keys() == got.keys()
                and all(_same(v, got[k]) for k, v in wanted.items())
            )
        case list():
            return isinstance(got, list) and len(wanted) == len(got) and all(map(_same, wanted, got))
        case str():
            return isinstance(got, str) and _bare(wanted) == _bare(got)
        case _:
            return isinstance(got, bool) == isinstance(wanted, bool) and wanted == got


def _bare(text: str) -> str:
    return " ".join(text.translate(PLAIN).split()).casefold()


def _repeated(text: str) -> str:
    """`text` without what an echo may add: outer space, quotation marks around it, one final full stop."""
    text = " ".join(text.translate(PLAIN).split())
    for _ in range(2):  # the stop may be inside the marks, or after them
        text = text.removesuffix(".")
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
            text = text[1:-1]
    return text


def _has(text: str, keyword: str) -> bool:
    """Whether `keyword` is in `text` as a word, or as the beginning of one where it is long enough."""
    keyword = keyword.translate(PLAIN).casefold()
    whole = keyword[-1].isdigit() or (keyword.isalpha() and len(keyword) <= SHORT)
    end = f"(?!{_beside(keyword[-1])})" if whole else ""
    return bool(re.search(f"(?<!{_beside(keyword[0])}){re.escape(keyword)}{end}", _bare(text)))


def _beside(character: str) -> str:
    """A pattern of what would make a word go on beside `character`; of nothing where it is no part of a word."""
    return r"\d" if character.isdigit() else r"[^\W\d_]" if character.isalpha() else r"[^\s\S]"


def _numbers(text: str) -> list[float]:
    found = NUMBER.findall(_bare(text))
    return [float(WORDS.index(word) if word in WORDS else word) for word in found]


def _words(text: str) -> int:
    return len(re.findall(r"\w+(?:['-]\w+)*", text.translate(PLAIN)))


CHECKS: dict[str, Callable[[str, Any], bool]] = {
    "no_call": lambda text, _: bool(text),
    "contains": lambda text, wanted: all(_has(text, word) for word in wanted),
    "contains_any": lambda text, wanted: all(any(_has(text, word) for word in words) for words in wanted),
    "json": lambda text, wanted: _same(wanted, _parse(text)),
    "equals": lambda text, wanted: _repeated(text).casefold() == _repeated(wanted).casefold(),
    "exact": lambda text, wanted: _repeated(text) == _repeated(wanted),
    "one_of": lambda text, wanted: _repeated(text).casefold() in wanted,
    "number": lambda text, wanted: _numbers(text)[-1:] == [wanted],
    "sequence": lambda text, wanted: _numbers(text.partition(":")[2] or text) == wanted,
    "admits": lambda text, wanted: any(_has(text, words) for words in ADMITS) is wanted,
    "starts_with": lambda text, wanted: _bare(text).lstrip("\"'").startswith(wanted),
    "ends_with": lambda text, wanted: _bare(text).rstrip("\"'").removesuffix(".").endswith(wanted),
    "upper": lambda text, wanted: text.isupper() is wanted,
    "lower": lambda text, wanted: text.islower() is wanted,
    "max_words": lambda text, wanted: 0 < _words(text) <= wanted,
}
"""Each condition of a text: (the answer, what the case says) → met."""
