"""What has come so far, and what has just finished.

A text is whole when its choice finishes: only then is it certain that nothing follows, since models go back
from calls to text, and from text to thoughts. So is a call; but the call of a function is known to be whole
earlier when the next call begins and its arguments are an object of JSON. That is looked at once for each call,
so the cost stays linear, and calls whose parts are mixed wait for the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar, cast

from ..types.chat.chat_completion_chunk import ChatCompletionChunk, Choice
from ..types.chat.chat_completion_stream_event import (
    ContentDoneEvent,
    CustomToolCallInputDoneEvent,
    FunctionToolCallArgumentsDoneEvent,
    LogprobsContentDoneEvent,
    LogprobsRefusalDoneEvent,
    ReasoningDoneEvent,
    RefusalDoneEvent,
)
from .accumulate import CompletionBuilder, choice_index, is_over, value_of
from .codec import loads
from .dialect import Asked, Watch
from .errors import APIResponseValidationError
from .usual import Usual

__all__ = ["CALL_DONE", "Accumulator", "CallDone", "ChoiceProgress", "Done", "call_of"]

CallDone = FunctionToolCallArgumentsDoneEvent | CustomToolCallInputDoneEvent
Done = (
    ReasoningDoneEvent
    | ContentDoneEvent
    | RefusalDoneEvent
    | LogprobsContentDoneEvent
    | LogprobsRefusalDoneEvent
    | CallDone
)
D = TypeVar("D", bound=Done)

CALL_DONE = (FunctionToolCallArgumentsDoneEvent, CustomToolCallInputDoneEvent)

_NOTHING: Mapping[str, Any] = {}


class Accumulator(CompletionBuilder):
    """Chunks in; the completion so far, and what the last chunk has finished, out.

        accumulator = Accumulator()
        for chunk in stream:
            accumulator.add(chunk)
            call = accumulator.just_finished_tool_call()

    Each text and each call is finished once, and is whole then. What was cut never is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.finished: list[Done] = []
        self.choices: dict[int, ChoiceProgress] = {}
        self.usual = False  # whether the last chunk brought more content to a choice, and nothing else known
        self._usual = Usual(Watch(Asked(), "off"), self)

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take one more chunk."""
        self.finished = []
        self.usual = self._usual.takes(chunk)
        if self.usual:
            return
        super().add(chunk)
        if self._usual.is_new(chunk):
            self._usual.learn(chunk)
        for position, choice in enumerate(chunk.choices):
            index = choice_index(choice, position)
            if index not in self.choices:
                self.choices[index] = ChoiceProgress(index, self._state["choices"][index])
            progress = self.choices[index]
            self.finished += progress.take(choice)
            self._usual.expect(index, None if progress.over else self.text_of(index, "content"))

    def just_finished_content(self, choice: int = 0) -> str | None:
        """The content of a choice, if the last chunk finished it."""
        return next((done.content for done in self._just(ContentDoneEvent, choice)), None)

    def just_finished_refusal(self, choice: int = 0) -> str | None:
        """The refusal of a choice, if the last chunk finished it."""
        return next((done.refusal for done in self._just(RefusalDoneEvent, choice)), None)

    def just_finished_tool_call(self, choice: int = 0) -> CallDone | None:
        """The call that the last chunk finished, with `id`, `index`, `name` and `arguments` or `input`.

        One chunk can finish several; `just_finished_tool_calls` has them all.
        """
        return next(iter(self.just_finished_tool_calls(choice)), None)

    def just_finished_tool_calls(self, choice: int = 0) -> list[CallDone]:
        """Every call that the last chunk finished."""
        return [done for done in self.finished if done.choice_index == choice and isinstance(done, CALL_DONE)]

    def _just(self, kind: type[D], choice: int) -> Iterator[D]:
        return (done for done in self.finished if done.choice_index == choice and isinstance(done, kind))


class ChoiceProgress:
    """One choice in the making: what has come of it, and what of that is finished.

    `reasoning` is the field of its thoughts, for which servers have two names: the first that says something.
    `over` once the choice has finished.
    """

    def __init__(self, index: int, held: Mapping[str, Any]) -> None:
        self.index = index
        self.reasoning: str | None = None
        self.over = False
        self._held = held
        self._told: set[str] = set()  # the texts that are finished
        self._begun: set[int] = set()  # calls
        self._open: set[int] = set()  # those of them that are not finished
        self._latest = -1  # the one that began last

    @property
    def message(self) -> Mapping[str, Any]:
        """What the deltas have brought."""
        message: Mapping[str, Any] = self._held.get("delta", _NOTHING)
        return message

    @property
    def calls(self) -> Any:
        """The tool calls by their index; `found` names those that the last chunk went on with."""
        return self.message["tool_calls"]

    @property
    def logprobs(self) -> Mapping[str, Any]:
        """What has come of log probabilities."""
        logprobs: Mapping[str, Any] = self._held.get("logprobs", _NOTHING)
        return logprobs

    def take(self, part: Choice) -> list[Done]:
        """What `part`, which has been taken in already, finishes."""
        delta = part.delta
        if self.reasoning is None and (delta.reasoning_content or delta.reasoning):
            self.reasoning = "reasoning_content" if delta.reasoning_content else "reasoning"
        before = self._begin() if delta.tool_calls else []
        if is_over(part):
            self.over = True
            return [*self._texts(), *map(self._finish, sorted(self._open))]
        return [self._finish(index) for index in sorted(before) if self._is_whole(index)]

    def _begin(self) -> list[int]:
        """The calls after which the last chunk began another, each of them once."""
        before: list[int] = []
        for index in self.calls.found:
            if index not in self._begun:
                if self._latest in self._open:
                    before.append(self._latest)
                self._begun.add(index)
                self._open.add(index)
                self._latest = index
        return before

    def _is_whole(self, index: int) -> bool:
        """Whether nothing but blanks can follow what there is of a call."""
        kind, _, texts = call_of(self.calls[index])
        text = value_of(texts)
        if kind == "custom" or not isinstance(text, str):
            return False
        try:
            return isinstance(loads(text.encode("utf-8", "replace")), dict)
        except APIResponseValidationError:
            return False

    def _texts(self) -> Iterator[Done]:
        for held, name, needs, kind in (
            (self.message, self.reasoning, str, ReasoningDoneEvent),
            (self.message, "content", str, ContentDoneEvent),
            (self.message, "refusal", str, RefusalDoneEvent),
            (self.logprobs, "content", list, LogprobsContentDoneEvent),
            (self.logprobs, "refusal", list, LogprobsRefusalDoneEvent),
        ):
            whole = None if kind.type in self._told or name is None else value_of(held.get(name))
            if whole and isinstance(whole, needs):  # a server may have sent anything
                self._told.add(kind.type)
                yield cast("Callable[[int, Any], Done]", kind)(self.index, whole)

    def _finish(self, index: int) -> CallDone:
        self._open.remove(index)
        call = self.calls[index]
        kind, name, texts = call_of(call)
        done = CustomToolCallInputDoneEvent if kind == "custom" else FunctionToolCallArgumentsDoneEvent
        text = value_of(texts)
        return done(self.index, index, call.get("id"), name, text if isinstance(text, str) else "")


def call_of(call: Mapping[str, Any]) -> tuple[Literal["function", "custom"], str, Any]:
    """Of a call in the making: its kind, the name of what is called, the pieces of its text (None: no piece).

    Its kind is that of what it holds, and its type's where it holds nothing yet.
    """
    custom = "custom" in call or ("function" not in call and call.get("type") == "custom")
    kind: Literal["function", "custom"] = "custom" if custom else "function"
    held: Mapping[str, Any] = call.get(kind, _NOTHING)
    return kind, held.get("name", ""), held.get("input" if custom else "arguments")
