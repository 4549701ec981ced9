"""What other servers get wrong, as data.

A rule says what is done about a deviation: *tolerate* (nothing is changed, accumulation copes), *repair*
(a field is corrected; no chunk is added or removed) or *report* (it is told, and nothing is invented). What
was met while a stream was read is listed in its `deviations`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["RULES", "Deviation", "Rule"]


class Rule(NamedTuple):
    """What is done about one deviation from the protocol, and what it is."""

    action: Literal["tolerate", "repair", "report"]
    text: str


RULES: dict[str, Rule] = {
    "no-done": Rule("tolerate", "the stream ended without `data: [DONE]`"),
    "done-unterminated": Rule("tolerate", "`data: [DONE]` had no blank line after it"),
    "no-usage": Rule("report", "usage was asked for and never came"),
    "empty-data": Rule("tolerate", "an event had empty data"),
    "comment-as-data": Rule("tolerate", "a keep-alive comment was sent as data"),
    "trailing-bytes": Rule("report", "something other than `[DONE]` followed the last whole event"),
    "message-in-chunk": Rule(
        "tolerate", "a choice of a chunk had a `message` instead of, or beside, its `delta`"
    ),
    "odd-json": Rule("tolerate", "an event is no strict JSON: NaN, invalid UTF-8, half a surrogate pair"),
}


class Deviation(NamedTuple):
    """One rule that a stream broke, and where it was met first: the number of the event, from 0."""

    rule: str
    event: int

    def __str__(self) -> str:
        return f"{self.rule} (event {self.event}): {RULES[self.rule].text}"
