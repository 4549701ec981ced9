"""What one run yields, cut at a stop sequence or at the token limit, whichever comes first in the text."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import msgspec

from ...engine import Audio, Event, Finish, Reasoning, Refusal, Text, ToolArguments, ToolCall, Usage
from ...protocol.characters import WholeCharacters
from ...protocol.write import invalid, sound
from .limit import Limit
from .visible import Visible

__all__ = ["Cut"]

_CONTENT = "content"


class Cut:
    """The first three steps, in their order: whole characters, stop sequences, the limit.

    Stop sequences are looked for in the visible text only; the limit counts all that was generated. A stop that is
    complete where the limit is reached is a stop. `ended` says that nothing more is wanted of the engine.
    """

    def __init__(self, stops: Sequence[str], limit: int | None, index: int = 0) -> None:
        self.ended = False
        self.usage: Usage | None = None
        self.reasoning_tokens = 0
        self.limit = Limit(limit)
        self._index = index  # of the choice that is made
        self._free = limit is None and not stops  # nothing is to be cut
        self._visible = Visible(stops)
        self._characters: WholeCharacters[Hashable] = WholeCharacters()
        self._finished = False

    def feed(self, event: Event | str) -> list[Event | str]:
        """What becomes of an event, as one of the choice that is made.

        Raises `InternalServerError` for what an engine may not yield.
        """
        if type(event) is str:
            if self._free and event.isascii() and not self._finished and not self._characters.waiting:
                self.limit.size += len(event)
                return self._shown(event, None)
            return self._text(event, None, None)
        if isinstance(event, str):  # of a class of its own
            return self._text(str.__str__(event), None, None)
        own: Any = sound(event)
        if isinstance(own, Usage):
            self.usage = own
            return []
        step = _STEPS.get(type(own))
        if step is None:  # a head; what is no event at all is refused where it is written
            return [own]
        if own.choice:
            raise invalid(f"something for choice {own.choice} of 1, counted from 0")
        own.choice = self._index  # it is a copy that `sound` made
        return step(self, own)

    def finish(self) -> list[Event | str]:
        """The end of the engine's events."""
        return [] if self._finished or self.ended else self._rest()

    def _content(self, event: Text) -> list[Event | str]:
        return self._text(event.text, event.tokens, event.logprobs)

    def _text(self, text: str, tokens: int | None, logprobs: Any) -> list[Event | str]:
        if self._finished:
            raise invalid("something for choice 0 after its finish")
        if self._characters.waiting or not text.isascii():
            text = self._characters.push(_CONTENT, text)
        allowed = self.limit.take(text, tokens, logprobs)
        if logprobs and len(allowed) < len(text):
            logprobs = _beginning(logprobs, len(allowed))
        events = self._shown(*self._visible.push(allowed, logprobs))
        if self._visible.stopped:
            self.ended = True
            if tokens is None:
                self.limit.give_back(self._visible.behind)
            events.append(Finish("stop", self._index))
        elif self.limit.reached:
            events += self._at_limit()
        return events

    def _shown(self, text: str, logprobs: Any) -> list[Event | str]:
        if logprobs is None and not self._index:
            return [text] if text else []
        return [Text(text, self._index, logprobs)] if text or logprobs else []

    def _other(self, event: Reasoning | Refusal | ToolArguments) -> list[Event | str]:
        key = (type(event), getattr(event, "index", 0))
        text = self._characters.push(key, event.text)
        logprobs = event.logprobs if isinstance(event, Refusal) else None
        allowed = self.limit.take(text, event.tokens, logprobs)
        if isinstance(event, Reasoning):
            self.reasoning_tokens += event.tokens or 0
        changes: dict[str, Any] = {"text": allowed}
        if logprobs and len(allowed) < len(text):
            changes["logprobs"] = _beginning(logprobs, len(allowed))
        events: list[Event | str] = [msgspec.structs.replace(event, **changes)]
        return events + self._at_limit() if self.limit.reached else events

    def _as_it_is(self, event: ToolCall | Audio) -> list[Event | str]:
        return [event]

    def _at_limit(self) -> list[Event | str]:
        self.ended = True
        return [*self._shown(*self._visible.flush()), Finish("length", self._index)]

    def _finish(self, event: Finish) -> list[Event | str]:
        rest = self._rest()
        self._finished = True
        return rest if self.ended else [*rest, event]

    def _rest(self) -> list[Event | str]:
        """What was held back to the end."""
        events: list[Event | str] = []
        half = self._characters.flush(_CONTENT)
        if half:
            events += self._text(half, None, None)
        return events if self.ended else [*events, *self._shown(*self._visible.flush())]


_STEPS: Mapping[type, Callable[[Cut, Any], list[Event | str]]] = {
    Text: Cut._content,
    Audio: Cut._as_it_is,
    ToolCall: Cut._as_it_is,
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
