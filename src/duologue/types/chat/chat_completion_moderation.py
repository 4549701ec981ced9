"""What a moderation model said of the prompt and of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from .._wire import ABSENT, Open, WireClass, WireObject

__all__ = ["ModerationError", "ModerationResult", "ModerationResults"]


class ModerationResult(WireObject):
    """The verdict on one input: per category, whether it was flagged and its score from 0 to 1."""

    categories: dict[str, bool] = {}
    category_applied_input_types: dict[str, list[Open[Literal["text", "image"]]]] = {}
    category_scores: dict[str, float] = {}
    flagged: bool = ABSENT
    model: str = ABSENT
    type: Open[Literal["moderation_result"]] = "moderation_result"


class ModerationError(WireObject):
    """Why there is no verdict."""

    code: str = ABSENT
    message: str = ABSENT
    type: Open[Literal["error"]] = "error"


class ModerationResults(WireObject):
    """The verdicts of one moderation model."""

    model: str = ABSENT
    results: list[ModerationResult] = []
    type: Literal["moderation_results"] = "moderation_results"

    @classmethod
    def _variant(cls, fields: Mapping[str, Any]) -> WireClass:
        """The decoder only knows this class; the tolerant path finds out an error here."""
        return ModerationError if fields.get("type") == "error" else cls


if TYPE_CHECKING:
    Verdict = ModerationResults | ModerationError
else:
    Verdict = ModerationResults


class Moderation(WireObject):
    """The verdicts on the prompt (`input`) and on the answer (`output`)."""

    input: Verdict = ABSENT
    output: Verdict = ABSENT
