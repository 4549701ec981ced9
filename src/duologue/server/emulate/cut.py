"""What one run yields, cut at a stop sequence or at the token limit, whichever comes first in the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ...engine import Event, Finish, Reasoning, Refusal, Text, ToolArguments, Usage
from ...protocol.write import invalid, sound
from .characters import WholeCharacters
from .limit import Limit
from .visible import Visible

__all__ = ["Cut"]

_CONTENT = "content"


class Cut:
    """The first three steps, in their order: whole characters, stop sequences, the limit.

    Stop sequences are looked for in the visible text only; the limit counts all that was generated. A stop that is
    complete where the limit is reached is a stop. `ended` says that nothing more is wanted of the engine.
    """

    def __init__(self, stops: Sequence[str], limit: int | None) -> None:
        self.ended = False
        self.usage: Usage | None = None
        self.reasoning_tokens = 0
        self.limit = Limit(limit)
        self._visible = Visible(stops)
        self._characters = WholeCharacters()
        self._finished = False

    def feed(self, event: Event | str) -> list[Event]:
        """What becomes of an event. Raises `InternalServerError` for what an engine may not yield."""
        if type(event) is str:
            return self._text(event, None, None)
        if isinstance(event, str):  # of a class of its own
            return self._text(str.__str__(event), None, None)
        own: Any = sound(event)
        if isinstance(own, Usage):
            self.usage = own
            return []
        choice = getattr(own, "choice", 0)
        if choice:
            raise invalid(f"something for choice {choice} of 1, counted from 0")
        step = _STEPS.get(type(own))
        return [own] if step is None else step(self, own)

    def finish(self) -> list[Event]:
        """The end of the engine's events."""
        return [] if self._finished or self.ended else self._rest()

    def _content(self, event: Text) -> list[Event]:
        return self._text(event.text, event.tokens, event.logprobs)

    def _text(self, text: str, tokens: int | None, logprobs: Any) -> list[Event]:
        if self._finished:
            raise invalid("something for choice 0 after its finish")
        text = self._characters.push(_CONTENT, text)
        allowed = self.limit.take(text, tokens, logprobs)
        if len(allowed) < len(text) and logprobs:
            logprobs = _beginning(logprobs, len(allowed))
        shown = self._visible.push(allowed, logprobs)
        events: list[Event] = [] if shown is None else [shown]
        if self._visible.stopped:
            self.ended = True
            if tokens is None:
                self.limit.give_back(self._visible.behind)
            events.append(Finish("stop"))
        elif self.limit.reached:
            events += self._at_limit()
        return events

    def _other(self, event: Reasoning | Refusal | ToolArguments) -> list[Event]:
        key = (type(event), getattr(event, "index", 0))
        text = self._characters.push(key, event.text)
        logprobs = event.logprobs if isinstance(event, Refusal) else None
        allowed = self.limit.take(text, event.tokens, logprobs)
        if isinstance(event, Reasoning):
            self.reasoning_tokens += event.tokens or 0
        changes: dict[str, Any] = {"text": allowed}
        if logprobs and len(allowed) < len(text):
            changes["logprobs"] = _beginning(logprobs, len(allowed))
        events: list[Event] = [msgspec.structs.replace(event, **changes)]
        return events + self._at_limit() if self.limit.reached else events

    def _at_limit(self) -> list[Event]:
        self.ended = True
        shown = self._visible.flush()
        return [*([] if shown is None else [shown]), Finish("length")]

    def _finish(self, event: Finish) -> list[Event]:
        rest = self._rest()
        self._finished = True
        return rest if self.ended else [*rest, event]

    def _rest(self) -> list[Event]:
        """What was held back to the end."""
        events: list[Event] = []
        half = self._characters.flush(_CONTENT)
        if half:
            events += self._text(half, None, None)
        shown = None if self.ended else self._visible.flush()
        return events if shown is None else [*events, shown]


_STEPS: Mapping[type, Callable[[Cut, Any], list[Event]]] = {
    Text: Cut._content,
    Reasoning: Cut._other,
    Refusal: Cut._other,
    ToolArguments: Cut._other,
    Finish: Cut._finish,
}


def _beginning(logprobs: Sequence[Any], length: int) -> list[Any]:
    """The tokens that begin in the first `length` characters."""
    kept = []
    at = 0
    for entry in logprobs:
        if at >= length:
            break
        kept.append(entry)
        at += len(entry.token)
    return kept
