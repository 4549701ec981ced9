"""The usual chunk of a stream: one choice with some more content, and everything else as it was before.

Most chunks are of this kind. To find that out with one comparison, and to do nothing else with them, is what
makes reading a stream cheap; whatever is new in a chunk makes the comparison fail, and then it is looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ..types.chat.chat_completion_chunk import ChatCompletionChunk, Choice, ChoiceDelta
from .codec import ODD, decode_fast, link

__all__ = ["FORGET", "Take", "Usual"]

Take = Callable[[str], object]

# Takes the content of a stream that is not accumulated.
FORGET: Take = deque[str](maxlen=0).append

_HEAD = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
_head_of = attrgetter(*_HEAD)

# The index of no choice: equal to nothing.
_NONE: Any = float("nan")


class Usual:
    """What the next usual chunk looks like, and what takes its content."""

    __slots__ = ("_choice", "_chunk", "_delta", "_head", "_obfuscated", "take", "takers")

    def __init__(self) -> None:
        self._delta = ChoiceDelta()
        self._choice = Choice(index=_NONE, delta=self._delta)
        self._chunk = ChatCompletionChunk(choices=[self._choice])
        self.takers: dict[int, Take] = {}  # of the choices that go on
        self._head = _head_of(self._chunk)
        self._obfuscated = False  # padding that is another in each chunk
        self.take: Take = FORGET

    def read(self, data: bytes) -> tuple[ChatCompletionChunk | None, str | None]:
        """The chunk in `data`, None where only the tolerant path can read it; and its content if it is usual.

        That content is for `take`.
        """
        try:
            chunk = decode_fast(data)
        except ODD:
            return None, None
        chunk._wire = data
        choices = chunk.choices
        if len(choices) == 1:
            choice = choices[0]
            delta = choice.delta
            choice._wire = delta._wire = data
            content = self._delta.content = delta.content
            if content is not None:
                if self._obfuscated:
                    self._chunk.obfuscation = chunk.obfuscation
                # One comparison in C instead of a read per field.
                if chunk == self._chunk or self._is_of_another(choice, chunk):
                    return chunk, content
        link(chunk, data, ())
        return chunk, None

    def _is_of_another(self, choice: Choice, chunk: ChatCompletionChunk) -> bool:
        """Whether the chunk is the usual one of another choice, which is then the one to expect."""
        take = self.takers.get(choice.index)
        if take is None or choice.index == self._choice.index:
            return False
        self._choice.index, self.take = choice.index, take
        return chunk == self._chunk

    def fits(self, chunk: ChatCompletionChunk) -> bool:
        """Whether a chunk that the tolerant path has read says nothing else than a usual one."""
        if len(chunk.choices) != 1:
            return False
        choice = chunk.choices[0]
        content = self._delta.content = choice.delta.content
        self._chunk.obfuscation = chunk.obfuscation
        return content is not None and (chunk == self._chunk or self._is_of_another(choice, chunk))

    def expect(self, index: int, take: Take | None) -> None:
        """A choice goes on, and `take` takes its content; None when it does not, or not yet."""
        if take is not None:
            self.takers[index] = take
        elif self.takers.pop(index, None) is not None and index == self._choice.index:
            self._choice.index = _NONE

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
