"""For the tests of programs that speak to a model: a model that says what its script says."""

from __future__ import annotations

from .script import Call, Part, Pause, Script, Turn

__all__ = ["Call", "Part", "Pause", "Script", "Turn"]
