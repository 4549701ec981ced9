"""Chunks to events: what each chunk brings, and what it finishes, in a fixed order.

First the chunk itself; then for each of its choices the deltas

    reasoning, content, refusal, tool calls as the chunk has them, logprobs of content, of refusal

and what is finished with them

    reasoning, content, refusal, logprobs of content, of refusal, tool calls by their index.

A text has a delta event for each chunk in which it is not null; reasoning and logprobs only where there is
some. A done event comes once, for what is not empty; a call has one even if it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import Any, cast

from ..types.chat.chat_completion_chunk import (
    ChatCompletionChunk,
    Choice,
    ChoiceDeltaToolCall,
    ChoiceLogprobs,
)
from ..types.chat.chat_completion_stream_event import (
    ChatCompletionStreamEvent,
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    CustomToolCallInputDeltaEvent,
    FunctionToolCallArgumentsDeltaEvent,
    FunctionToolCallArgumentsDoneEvent,
    LogprobsContentDeltaEvent,
    LogprobsRefusalDeltaEvent,
    ReasoningDeltaEvent,
    RefusalDeltaEvent,
)
from .accumulate import choice_index
from .parsing import Parser
from .partial import PartialJSON
from .progress import CALL_DONE, Accumulator, ChoiceProgress, Done, call_of

__all__ = ["EventMaker"]

_NOTHING: Mapping[str, Any] = {}


class EventMaker:
    """Chunks in, events out. `accumulator` is what has come of the answer so far; `parser` reads texts."""

    def __init__(self, parser: Parser[Any] | None = None) -> None:
        self._parser = parser
        self.accumulator = Accumulator()
        self._tellers: dict[int, _Teller] = {}

    def take(self, chunk: ChatCompletionChunk) -> list[ChatCompletionStreamEvent[Any]]:
        """The events of one more chunk."""
        self.accumulator.add(chunk)
        if self.accumulator.usual:
            return self._content(chunk)
        parts = [(choice_index(choice, position), choice) for position, choice in enumerate(chunk.choices)]
        only = parts[0][0] if len(parts) == 1 else None
        events: list[ChatCompletionStreamEvent[Any]] = [ChunkEvent(only, chunk, self.accumulator)]
        last = dict(parts)
        for index, choice in parts:
            if index not in self._tellers:
                self._tellers[index] = _Teller(self.accumulator.choices[index], self._parser)
            teller = self._tellers[index]
            events += teller.deltas(choice)
            if choice is last[index]:
                events += teller.done(self.accumulator.finished)
        return events

    def _content(self, chunk: ChatCompletionChunk) -> list[ChatCompletionStreamEvent[Any]]:
        """The events of a chunk that brings some content and nothing else."""
        choice = chunk.choices[0]
        index = choice.index
        more = self._tellers[index].content(cast("str", choice.delta.content))
        return [ChunkEvent(index, chunk, self.accumulator), more]


class _NoText:
    """The text of a call that has none yet."""

    def first(self, _length: int, /) -> str:
        return ""


_NO_TEXT = _NoText()

_CALL_DELTA: Mapping[str, type[FunctionToolCallArgumentsDeltaEvent] | type[CustomToolCallInputDeltaEvent]] = {
    "function": FunctionToolCallArgumentsDeltaEvent,
    "custom": CustomToolCallInputDeltaEvent,
}


class _Teller:
    """Tells of one choice, and knows how much it has told."""

    def __init__(self, choice: ChoiceProgress, parser: Parser[Any] | None) -> None:
        self._choice = choice
        self._parser = parser
        self._partial = None if parser is None else parser.partial()
        self._partial_calls: dict[int, PartialJSON] = {}
        self._index = choice.index
        self._told: dict[str | int, int] = {}  # how long each text, or the text of each call, was last
        self._over = False  # what is empty is told no more; neither is it of a call that is closed
        self._closed: set[int] = set()

    def deltas(self, part: Choice) -> Iterator[ChatCompletionStreamEvent[Any]]:
        """What `part` brings."""
        index, delta, held = self._index, part.delta, self._choice.message
        thoughts = self._choice.reasoning
        if thoughts is not None and (text := getattr(delta, thoughts)):
            yield ReasoningDeltaEvent(index, text, held[thoughts], self._grown("reasoning", text))
        if (text := delta.content) is not None and (text or not self._over):
            yield self.content(text)
        if (text := delta.refusal) is not None and (text or not self._over):
            yield RefusalDeltaEvent(index, text, held["refusal"], self._grown("refusal", text))
        if delta.tool_calls:
            for call, piece in zip(self._choice.calls.found, delta.tool_calls, strict=False):
                yield from self._call(call, piece)
        if part.logprobs is not None:
            yield from self._logprobs(part.logprobs)

    def content(self, text: str) -> ContentDeltaEvent:
        """What some content brings."""
        held = self._choice.message["content"]
        if self._partial is not None:
            self._partial.feed(text)
        return ContentDeltaEvent(self._index, text, held, self._grown("content", text), self._partial)

    def done(self, finished: list[Done]) -> list[Done]:
        """What of `finished` is this choice's."""
        own = [event for event in finished if event.choice_index == self._index]
        self._closed.update(event.index for event in own if isinstance(event, CALL_DONE))
        self._over = self._choice.over
        for event in own:
            if isinstance(event, (ContentDoneEvent, FunctionToolCallArgumentsDoneEvent)):
                event._reader = self._parser
        return own

    def _call(self, index: int, part: ChoiceDeltaToolCall) -> Iterator[ChatCompletionStreamEvent[Any]]:
        call = self._choice.calls[index]
        kind, name, whole = call_of(call)
        if kind == "custom":
            text = (part.custom.input if part.custom is not None else None) or ""
        else:
            text = (part.function.arguments if part.function is not None else None) or ""
        if text or index not in self._closed:
            length = self._grown(index, text)
            event = _CALL_DELTA[kind](
                self._index, index, call.get("id"), name, text, whole or _NO_TEXT, length
            )
            if isinstance(event, FunctionToolCallArgumentsDeltaEvent):
                event._partial = self._partial_of(index, name, text)
            yield event

    def _partial_of(self, index: int, name: str, text: str) -> PartialJSON | None:
        """What reads the arguments of a call as they come; None for a tool that is not known."""
        if self._parser is None or not self._parser.knows(name):
            return None
        partial = self._partial_calls.setdefault(index, PartialJSON())
        partial.feed(text)
        return partial

    def _logprobs(self, part: ChoiceLogprobs) -> Iterator[ChatCompletionStreamEvent[Any]]:
        held = self._choice.logprobs
        if tokens := part.content:
            length = self._grown("logprobs.content", tokens)
            yield LogprobsContentDeltaEvent(self._index, tokens, held["content"], length)
        if tokens := part.refusal:
            length = self._grown("logprobs.refusal", tokens)
            yield LogprobsRefusalDeltaEvent(self._index, tokens, held["refusal"], length)

    def _grown(self, key: str | int, more: Sized) -> int:
        """How long a text is with what has come of it now."""
        length = self._told[key] = self._told.get(key, 0) + len(more)
        return length
