"""The answers of `tests/data/dialects`, and what each becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from duologue.protocol import errors
from duologue.protocol.dialect import RULES

__all__ = ["ANSWERS", "FOLDER", "Answer", "check_completion", "check_error"]

FOLDER = Path(__file__).resolve().parents[1] / "data" / "dialects"


class Answer(NamedTuple):
    """A body, and its row of `outcomes.json`."""

    name: str
    body: bytes
    row: dict[str, Any]

    @property
    def met(self) -> list[str]:
        return list(self.row.get("met", ()))

    @property
    def outcome(self) -> str:
        return str(self.row.get("outcome", "complete"))

    @property
    def request(self) -> dict[str, Any]:
        return dict(self.row.get("request", {}))

    @property
    def forbidden(self) -> list[str]:
        """The deviations that a strict reader does not let pass."""
        return [rule for rule in self.met if RULES[rule].forbidden]


_TABLE: dict[str, Any] = json.loads((FOLDER / "outcomes.json").read_text("utf-8"))
ANSWERS = [Answer(name, (FOLDER / name).read_bytes(), row) for name, row in _TABLE.items()]


def check_completion(completion: Any, answer: Answer) -> None:
    """Whether the first choice, repaired, is what the row says."""
    row, choice = answer.row, completion.choices[0]
    message = choice.message
    if "text" in row:
        assert message.text == row["text"]
    if "reasoning" in row:
        assert message.reasoning_text == row["reasoning"]
    if "finish" in row:
        assert choice.finish_reason == row["finish"]
    if "usage" in row:
        assert completion.usage.total_tokens == row["usage"]
    if "logprobs" in row:
        assert [entry.to_dict() for entry in choice.logprobs.content] == row["logprobs"]
    if "calls" in row:
        calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
        said = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in row["calls"]]
        assert calls == said


def check_error(error: Any, answer: Answer) -> None:
    """Whether an error is what the row says."""
    row = answer.row
    assert type(error) is getattr(errors, row["error"])
    assert row.get("says", "") in str(error)
    for name in ("reason", "code"):
        if name in row:
            assert getattr(error, name) == row[name]
