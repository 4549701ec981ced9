"""A dialogue as it grows, and the turns that need nothing but words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import memory, skills
from .faq import faq
from .marks import CLOSE, OPEN
from .skills import Pair
from .unknown import unknown
from .voice import Voice

__all__ = ["PLAIN", "THINK", "Dialogue", "Message"]

Message = dict[str, Any]


@dataclass
class Dialogue:
    """What a request would hold, with the answers in it. One that `thinks` does so in its last answer."""

    messages: list[Message] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    verbosity: str | None = None
    thinks: bool = False

    def say(self, said: str, answer: str) -> None:
        """A turn of both."""
        self.messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]

    def system(self, text: str) -> None:
        """A system message."""
        self.messages.insert(0, {"role": "system", "content": text})


PLAIN: dict[str, Callable[[Voice], Pair]] = {
    "faq": faq,
    "unknown": unknown,
    "greet": skills.greet,
    "who": skills.who,
    "talk": skills.talk,
    "count": skills.count,
    "lot": skills.lot,
    "arithmetic": skills.arithmetic,
    "repeat": skills.repeat,
    "lookup": memory.lookup,
    "entry": memory.entry,
    "item": memory.item,
}
# The prompt holds these already where the model shall think.
THINK = f"{OPEN}<think>\n{CLOSE}"
