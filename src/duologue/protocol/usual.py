"""The usual chunk of a stream: one choice with some more content, and everything else as it was before.

Most chunks are of this kind. To find that out with one comparison, and to do nothing else with them, is what
makes reading a stream cheap; whatever is new in a chunk makes the comparison fail, and then it is looked at.
Some servers say their role, the time or the usage so far in each chunk. Once that was met, it is left out of the
comparison.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from ..types._inside import link, skipping
from ..types._wire import Origin, may_have_unknown
from ..types.chat.chat_completion_chunk import (
    ChatCompletionChunk,
    Choice,
    ChoiceDelta,
    ChoiceDeltaToolCall,
    ChoiceDeltaToolCallFunction,
)
from ..types.completion_usage import CompletionUsage
from .accumulate import CompletionBuilder, Take
from .codec import ODD, decode_fast, may_be_deep
from .dialect import Watch, may_repeat

__all__ = ["FORGET", "Usual"]

# Takes the content of a stream that is not accumulated.
FORGET: Take = deque[str](maxlen=0).append

_HEAD = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_head_of = attrgetter(*_HEAD)

# After a chunk that only the tolerant path could read, for how many more the strict decoder is not asked: servers
# that add a field add it to each chunk, and to fail costs as much as to decode twice.
ODD_RUN = 15

# The index of no choice: equal to nothing.
_NONE: Any = float("nan")


def _itself(delta: ChoiceDelta) -> Any:
    return delta


def _function(delta: ChoiceDelta) -> Any:
    calls = delta.tool_calls
    return calls[0].function if calls and len(calls) == 1 else None


# The texts besides content that go on for long, and the object in a delta that holds each.
_HOLDERS: Mapping[str, Callable[[ChoiceDelta], Any]] = {
    "reasoning_content": _itself,
    "reasoning": _itself,
    "arguments": _function,
}


class _Pattern(NamedTuple):
    """What a chunk looks like that has some more of one of these texts, which stands in `held`."""

    chunk: ChatCompletionChunk
    held: Any
    name: str
    take: Take


class Usual:
    """What the next usual chunk looks like, and what takes its content.

    `builder` takes its unknown fields and its usage; `watch` knows what the server does in each chunk. `usage` is
    the last one that came.
    """

    __slots__ = (
        "_builder",
        "_choice",
        "_chunk",
        "_delta",
        "_habits",
        "_head",
        "_obfuscated",
        "_odd",
        "_pattern",
        "_take",
        "_watch",
        "takers",
        "usage",
    )

    def __init__(self, watch: Watch, builder: CompletionBuilder | None) -> None:
        self._delta = ChoiceDelta()
        self._choice = Choice(index=_NONE, delta=self._delta)
        self._chunk = ChatCompletionChunk(choices=[self._choice])
        self.takers: dict[int, Take] = {}  # of the choices that go on
        self._head = _head_of(self._chunk)
        self._obfuscated = False  # padding that is another in each chunk
        self._odd = 0  # how many more chunks are expected to have unknown fields
        self._pattern: _Pattern | None = None  # where the last chunk had no content, but another text
        self._take: Take = FORGET
        self._builder = builder
        self.usage: CompletionUsage | None = None
        self._watch = watch
        self._habits = watch.habits

    def read(self, data: bytes) -> tuple[ChatCompletionChunk | None, bool]:
        """The chunk in `data`, and whether it is usual, and so taken.

        None where only the tolerant path can read it, or should: it may say something that has no name here.
        """
        try:
            if self._odd:
                return self._read_odd(data)
            chunk = decode_fast(data)
        except ODD:
            self._odd = ODD_RUN
            return None, False
        chunk._wire = data
        choices = chunk.choices
        if len(choices) == 1:
            choice = choices[0]
            delta = choice.delta
            choice._wire = delta._wire = data
            content = self._delta.content = delta.content
            if self._obfuscated:
                self._chunk.obfuscation = chunk.obfuscation
            # One comparison in C instead of a read per field. As `_goes_on`, without two calls for each chunk.
            if content is not None and chunk == self._chunk:
                self._take(content)
                return chunk, True
            if self._goes_on_as_ever(choice, chunk, data):
                return chunk, True
        link(chunk, data, ())
        return chunk, False

    def _goes_on(self, choice: Choice, chunk: ChatCompletionChunk, data: bytes | None) -> bool:
        """Whether the one choice of a chunk goes on with a text, and nothing else is said; then it is taken.

        `data` is what the strict decoder made it of.
        """
        content = self._delta.content = choice.delta.content
        if content is None:
            pattern = self._pattern
            return pattern is not None and data is not None and self._goes_on_with(pattern, chunk, data)
        if self._obfuscated:
            self._chunk.obfuscation = chunk.obfuscation
        if chunk == self._chunk or self._is_of_another(choice, chunk):
            self._take(content)
            return True
        return False

    def _goes_on_as_ever(self, choice: Choice, chunk: ChatCompletionChunk, data: bytes | None) -> bool:
        """The same but for what the server does in each chunk, which is repaired as it was when it was met."""
        if not self._habits:
            return self._goes_on(choice, chunk, data)
        delta, usage, habits, usual = choice.delta, chunk.usage, self._habits, self._chunk
        said = delta.role, chunk.id, chunk.created
        if "role-repeated" in habits and choice.index in self._watch.roles:
            delta.role = None
        if "id-changes" in habits and chunk.id:
            chunk.id = usual.id
        if "created-changes" in habits and chunk.created:
            chunk.created = usual.created
        if "usage-beside-choices" in habits and data is not None:
            chunk.usage = None
        taken = self._goes_on(choice, chunk, data)
        chunk.usage = usage
        if not (taken and self._watch.repairs):
            delta.role, chunk.id, chunk.created = said
        if taken and usage is not None and data is not None:
            link(chunk, data, ())
            self.usage = usage
            if self._builder is not None:
                self._builder.set_usage(usage)
        return taken

    def _read_odd(self, data: bytes) -> tuple[ChatCompletionChunk | None, bool]:
        """The same for a chunk that may have unknown fields, of which these may say something."""
        self._odd -= 1
        value = msgspec.json.decode(data)
        chunk: Any = msgspec.convert(value, skipping(ChatCompletionChunk))
        (choice,) = chunk.choices
        if choice.delta.content is None or may_be_deep(data):
            return None, False
        (fields,) = value["choices"]
        if value.get("error") or fields.get("message") is not None:
            return None, False
        for obj, cls, own in (
            (chunk, ChatCompletionChunk, value),
            (choice, Choice, fields),
            (choice.delta, ChoiceDelta, fields["delta"]),
        ):
            obj.__class__ = cls
            obj._wire = Origin(data, cls._home, own)
        return (chunk, True) if self.takes(chunk) else (None, False)

    def _goes_on_with(self, pattern: _Pattern, chunk: ChatCompletionChunk, data: bytes) -> bool:
        """Whether a chunk without content has more of the text that the last one had; then it is taken."""
        delta = chunk.choices[0].delta
        held = _HOLDERS[pattern.name](delta)
        if held is None or not (text := getattr(held, pattern.name)):
            return False
        setattr(pattern.held, pattern.name, text)
        if self._obfuscated:
            pattern.chunk.obfuscation = chunk.obfuscation
        if chunk != pattern.chunk:
            return False
        if delta.tool_calls:
            if may_repeat(text):
                return False
            delta.tool_calls[0]._wire = held._wire = data
        pattern.take(text)
        return True

    def takes(self, chunk: ChatCompletionChunk) -> bool:
        """Whether a chunk is usual but for unknown fields, and so taken."""
        if len(chunk.choices) != 1 or chunk.choices[0].delta.content is None:
            return False
        if not self._goes_on_as_ever(chunk.choices[0], chunk, None):
            return False
        if self._builder is not None and may_have_unknown(chunk):
            self._builder.add_unknown(chunk)
        return True

    def _is_of_another(self, choice: Choice, chunk: ChatCompletionChunk) -> bool:
        """Whether the chunk is the usual one of another choice, which is then the one to expect."""
        take = self.takers.get(choice.index)
        if take is None or choice.index == self._choice.index:
            return False
        self._choice.index, self._take = choice.index, take
        return chunk == self._chunk

    def expect(self, index: int, take: Take | None) -> None:
        """A choice goes on, and `take` takes its content; None when it does not, or not yet."""
        if take is not None:
            self.takers[index] = take
        elif self.takers.pop(index, None) is not None and index == self._choice.index:
            self._choice.index = _NONE

    def follow(self, chunk: ChatCompletionChunk, name: str, take: Take | None) -> None:
        """More of the text of this name is expected, alone in a chunk with this head; `take` takes it."""
        choice = chunk.choices[0]
        delta = ChoiceDelta()
        if name == "arguments" and choice.delta.tool_calls:
            index = choice.delta.tool_calls[0].index
            delta.tool_calls = [ChoiceDeltaToolCall(index=index, function=ChoiceDeltaToolCallFunction())]
        like = ChatCompletionChunk(choices=[Choice(index=choice.index, delta=delta)])
        for field in _HEAD:
            setattr(like, field, getattr(chunk, field))
        self._pattern = None if take is None else _Pattern(like, _HOLDERS[name](delta), name, take)

    def forget(self) -> None:
        """Nothing but content is expected."""
        self._pattern = None

    def is_new(self, chunk: ChatCompletionChunk) -> bool:
        """Whether the head of a chunk is another than it was, or padded for the first time."""
        padded = chunk.obfuscation is not None and not self._obfuscated
        return padded or _head_of(chunk) != self._head

    def learn(self, chunk: ChatCompletionChunk) -> None:
        """The head of `chunk` is the usual one from now on."""
        self._obfuscated |= chunk.obfuscation is not None
        self._head = _head_of(chunk)
        for name, value in zip(_HEAD, self._head, strict=True):
            setattr(self._chunk, name, value)
