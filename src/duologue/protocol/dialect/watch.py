"""Looking at one answer for what deviates, and acting on it as the dialect says."""

from __future__ import annotations

import functools
from typing import Any, Literal, get_args

from ...types.chat.chat_completion import ChatCompletion
from ...types.chat.chat_completion_chunk import ChatCompletionChunk
from ..accumulate import CompletionBuilder, Take
from ..codec import decode_completion
from ..errors import APIResponseValidationError
from .chunks import in_chunk, in_head
from .context import Asked, Seen
from .rules import RULES, Deviation
from .values import Fix, in_value
from .wholes import in_content, in_form

__all__ = ["DIALECTS", "Dialect", "Watch"]

Dialect = Literal["repair", "strict", "off"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

# What servers do in each chunk, and of which nothing is to be said but the first time.
HABITS = frozenset({"id-changes", "created-changes", "role-repeated", "usage-beside-choices"})


class Watch:
    """What was met in one answer. `broken` is the first deviation that a strict reader does not let pass.

    `builder` has what has come of a stream, where somebody keeps it. `habits` are those of `HABITS` that were met.
    """

    def __init__(self, asked: Asked, dialect: Dialect, builder: CompletionBuilder | None = None) -> None:
        self.asked = asked
        self.event = 0  # the number of the event that is looked at
        self.deviations: list[Deviation] = []
        self.broken: Deviation | None = None
        self._seen = Seen(asked, builder)
        self._met: set[str] = set()
        self.habits: set[str] = set()
        self.repairs = dialect == "repair"
        self._strict = dialect == "strict"

    @property
    def begun(self) -> set[int]:
        """The indexes of the choices that have come."""
        return self._seen.begun

    @property
    def roles(self) -> set[int]:
        """The indexes of the choices that have said their role."""
        return self._seen.roles

    def met(self, rule: str) -> None:
        """A deviation in the present event; it is listed where it was met first."""
        if rule in self._met:
            return
        self._met.add(rule)
        if rule in HABITS:
            self.habits.add(rule)
        deviation = Deviation(rule, self.event)
        self.deviations.append(deviation)
        if self._strict and self.broken is None and RULES[rule].forbidden:
            self.broken = deviation

    def value(self, value: Any, *, chunk: bool = True) -> None:
        """Look at the JSON of a chunk, or of a completion, before it is typed."""
        in_value(value, self._act, chunk=chunk)

    def chunk(self, chunk: ChatCompletionChunk, *, new_head: bool) -> None:
        """Look at a chunk; at its head only if that is another than it was."""
        if new_head:
            in_head(chunk, self._seen, self._act)
        in_chunk(chunk, self._seen, self._act)

    def arguments_of(self, choice: int, call: int) -> Take | None:
        """What is told more of the arguments of a call, where nothing else is to be seen; None where it may be."""
        finder = self._seen.calls.get(choice)
        if finder is None or not finder.is_at(call):
            return None
        return functools.partial(finder.goes_on, call)

    def content(self, completion: ChatCompletion) -> None:
        """Look at what a whole completion says."""
        in_content(completion, self.asked, self._act)

    def completion(self, data: bytes) -> ChatCompletion:
        """The completion in the body of an answer; raises `APIResponseValidationError` if it cannot be read."""
        try:
            completion = decode_completion(data, self._value_of_completion)
        except APIResponseValidationError as error:
            raise self.error() or error from None
        in_form(completion, self.asked, self._act)
        self.content(completion)
        return completion

    def error(self) -> APIResponseValidationError | None:
        """What a strict reader raises."""
        if self.broken is None:
            return None
        return APIResponseValidationError(
            f'The server deviates from the protocol, which dialect="strict" does not let pass: {self.broken}.'
        )

    def _value_of_completion(self, value: Any, strict: bool) -> None:
        if not strict:
            self.met("odd-json")
        self.value(value, chunk=False)

    def _act(self, rule: str, fix: Fix) -> None:
        self.met(rule)
        if self.repairs and RULES[rule].action == "repair":
            fix()
