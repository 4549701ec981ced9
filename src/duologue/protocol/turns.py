"""A conversation in which a model calls tools: what is asked, called and told, turn by turn.

`Turns.steps` is a generator. What it yields is either an event, which is handed on, or a step, whose result is
sent back; so the same conversation serves blocking and asynchronous callers:

| step      | is sent back                                              |
|-----------|-----------------------------------------------------------|
| `Ask`     | the completion                                            |
| `Confirm` | True, or what the model is told in place of a result (False: a text of ours) |
| `Start`   | None; the calls begin                                     |
| `Wait`    | the `Ended` of a call that was started, as they end       |
| `Stop`    | whether the caller has seen enough                        |

Whatever ends it, `messages` can be sent as they are: every call that was begun has its answer, be it that nobody
knows what came of it. A call that has an answer is never made again: neither in these turns nor in those that go
on from their messages. Calls without one at the end of `messages` are made first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from ..types.chat.chat_completion_message import ChatCompletionMessage
from ..types.chat.parsed_chat_completion import ParsedChatCompletion
from .errors import DuologueError
from .parsing import CUT, about, cut_error
from .schema.errors import ParseError, words_of

__all__ = [
    "CANCELLED",
    "TIMED_OUT",
    "Ask",
    "CompletionEvent",
    "Confirm",
    "Ended",
    "Job",
    "Plan",
    "RunEvent",
    "RunOutcome",
    "Start",
    "Stop",
    "ToolCallEvent",
    "ToolResultEvent",
    "TurnEvent",
    "Turns",
    "Wait",
]

T = TypeVar("T")

RunOutcome = Literal["answered", "unanswered", "max_turns", "stopped", "failed", "cancelled"]

DECLINED = "Error: the user declined this call."
CANCELLED = "Error: the call was cancelled. Whether it had its effect is not known."
TIMED_OUT = "Error: timed out after {seconds:g} s. Whether it had its effect is not known."
FAILED = "Error: the call failed."
NOT_MADE = "Error: the call was not made, because the conversation was stopped."


class Runnable(Protocol):
    """A tool, as far as it is known here."""

    @property
    def name(self) -> str:
        """What the model calls it by."""
        ...

    def parse(self, arguments: str, /) -> Any:
        """The arguments that a model wrote. Raises `ParseError`."""
        ...


class TurnEvent(NamedTuple):
    """A completion is about to be asked for, the `turn`th of this run, with these messages."""

    turn: int
    messages: Sequence[Any]
    type: Literal["turn"] = "turn"


class CompletionEvent(NamedTuple):
    """A completion came."""

    turn: int
    completion: ParsedChatCompletion[Any]
    type: Literal["completion"] = "completion"


class ToolCallEvent(NamedTuple):
    """A tool is about to be called, if `confirm` lets it be: `arguments` are what its function is given."""

    id: str
    name: str
    arguments: Any
    type: Literal["tool.call"] = "tool.call"


class ToolResultEvent(NamedTuple):
    """What the model is told of a call; `error` is why it has no result, if it has none.

    `value` is what the function returned.
    """

    id: str
    name: str
    content: str
    value: Any = None
    error: Exception | None = None
    type: Literal["tool.result"] = "tool.result"


RunEvent: TypeAlias = TurnEvent | CompletionEvent | ToolCallEvent | ToolResultEvent


class Ask(NamedTuple):
    """Ask for a completion; `first` says whether it is the first of the run."""

    messages: Sequence[Any]
    first: bool


class Confirm(NamedTuple):
    """Ask whether a call shall be made."""

    call: ToolCallEvent


class Job(NamedTuple):
    """A call to make."""

    key: int
    call: ToolCallEvent
    tool: Any


class Start(NamedTuple):
    """Make these calls, at the same time as far as is allowed."""

    jobs: Sequence[Job]


class Wait(NamedTuple):
    """Wait for one of the calls to end."""


class Ended(NamedTuple):
    """How a call ended: with what the model is told, and the value or the error behind it."""

    key: int
    content: str
    value: Any = None
    error: Exception | None = None


class Stop(NamedTuple):
    """Ask whether the caller has seen enough."""


Step: TypeAlias = Ask | Confirm | Start | Wait | Stop
Plan: TypeAlias = Generator["Step | RunEvent", Any, None]


class _Call(NamedTuple):
    """A tool call of a message: what it says, and as which call it counts."""

    id: str
    name: str
    text: str

    @classmethod
    def of(cls, param: Mapping[str, Any]) -> _Call:
        body = param.get("custom") if param.get("type") == "custom" else param.get("function")
        body = body or {}
        return cls(
            param.get("id") or "", body.get("name") or "", body.get("arguments") or body.get("input") or ""
        )


class Turns(Generic[T]):
    """The turns of one run.

    `tools` are those that can be called, by name; `listed` the names of all. `messages` is the conversation, which
    grows; `completions` are the answers; `unanswered` are the calls that the caller has to answer.
    """

    def __init__(
        self,
        messages: Iterable[Any],
        tools: Mapping[str, Runnable],
        listed: Iterable[str],
        *,
        max_turns: int,
        confirm: bool = False,
        reasoning: bool = False,
        explain: Callable[[ToolCallEvent, Exception], str] | None = None,
    ) -> None:
        self._reasoning = reasoning
        self.messages: list[Any] = [self._param(message) for message in messages]
        self.completions: list[ParsedChatCompletion[T]] = []
        self.unanswered: list[Mapping[str, Any]] = []
        self.outcome: RunOutcome | None = None
        self._tools = tools
        self._listed = tuple(listed)
        self._max_turns = max_turns
        self._confirm = confirm
        self._explain = explain
        self._answers = self._answered()

    def steps(self) -> Plan:
        """The steps and events, to the end."""
        try:
            self.outcome = yield from self._run()
        except GeneratorExit:
            self.outcome = "cancelled"
            raise
        except BaseException as error:
            self.outcome = "failed" if isinstance(error, Exception) else "cancelled"
            raise

    def _run(self) -> Generator[Step | RunEvent, Any, RunOutcome]:
        if left := self._left():
            yield from self._calls(left)
            if (ended := (yield from self._ended())) is not None:
                return ended
        for turn in range(1, self._max_turns + 1):
            messages = tuple(self.messages)
            yield TurnEvent(turn, messages)
            completion: ParsedChatCompletion[T] = yield Ask(messages, turn == 1)
            event = CompletionEvent(turn, completion)
            calls = self._take(completion)
            if not calls:
                yield event
                return "answered"
            yield from self._calls(calls, event)
            if (ended := (yield from self._ended())) is not None:
                return ended
        return "max_turns"

    def _ended(self) -> Generator[Step | RunEvent, Any, RunOutcome | None]:
        if self.unanswered:
            return "unanswered"
        return "stopped" if (yield Stop()) else None

    def _take(self, completion: ParsedChatCompletion[T]) -> list[Mapping[str, Any]]:
        """Put an answer into the conversation. Its calls; raises for one that was cut in the middle of them."""
        self.completions.append(completion)
        if not completion.choices:
            raise about(DuologueError("The server answered with no choice."), completion)
        choice = completion.choices[0]
        if choice.message.tool_calls and choice.finish_reason in CUT:
            raise cut_error(choice.finish_reason, completion)
        param = self._param(choice.message)
        if "tool_calls" in param:
            param["tool_calls"] = self._distinct(param["tool_calls"])
        self.messages.append(param)
        return [*param.get("tool_calls", ())]

    def _calls(self, calls: Sequence[Mapping[str, Any]], event: CompletionEvent | None = None) -> Plan:
        """Make the calls of one message, after telling of the completion that it came in."""
        replies: dict[int, str] = {}
        started: set[int] = set()
        same: set[_Call] = set()
        jobs: list[Job] = []
        try:
            if event is not None:
                yield event
            for key, param in enumerate(calls):
                call = _Call.of(param)
                if call in same:
                    continue
                same.add(call)
                if call in self._answers:
                    replies[key] = self._answers[call]
                    yield ToolResultEvent(call.id, call.name, replies[key])
                elif call.name in self._tools:
                    job = yield from self._job(key, call, replies)
                    jobs += [] if job is None else [job]
                elif call.name in self._listed:
                    self.unanswered.append(param)
                else:
                    error = LookupError(f"there is no tool named {call.name!r}")
                    names = ", ".join(self._listed) or "none"
                    replies[key] = f"Error: {error}. The tools are: {names}."
                    yield ToolResultEvent(call.id, call.name, replies[key], None, error)
            if jobs:
                started.update(job.key for job in jobs)
                yield Start(jobs)
            for _ in jobs:
                ended: Ended = yield Wait()
                call = _Call.of(calls[ended.key])
                if ended.error is None or self._explain is None:
                    replies[ended.key] = ended.content
                else:
                    replies[ended.key] = FAILED  # should the hook raise, or say what is no text
                    made = next(job.call for job in jobs if job.key == ended.key)
                    replies[ended.key] = _text(self._explain(made, ended.error))
                yield ToolResultEvent(call.id, call.name, replies[ended.key], ended.value, ended.error)
        finally:
            self._close(calls, replies, started)

    def _job(
        self, key: int, call: _Call, replies: dict[int, str]
    ) -> Generator[Step | RunEvent, Any, Job | None]:
        """The call as something to do; None for one that cannot or shall not be made."""
        tool = self._tools[call.name]
        try:
            arguments = tool.parse(call.text)
        except Exception as error:  # a validator may raise anything
            told = str(error) if isinstance(error, ParseError) else words_of(error)
            replies[key] = f"Error: these are no valid arguments: {told}"
            yield ToolResultEvent(call.id, call.name, replies[key], None, error)
            return None
        event = ToolCallEvent(call.id, call.name, arguments)
        yield event
        if self._confirm:
            verdict = yield Confirm(event)
            if verdict is not True:
                replies[key] = verdict if isinstance(verdict, str) and verdict else DECLINED
                yield ToolResultEvent(call.id, call.name, replies[key])
                return None
        return Job(key, event, tool)

    def _close(
        self, calls: Sequence[Mapping[str, Any]], replies: Mapping[int, str], started: set[int]
    ) -> None:
        """Put the answers of calls into the conversation, in their order."""
        told: set[str] = set()
        for key, param in enumerate(calls):
            call = _Call.of(param)
            if param in self.unanswered or (call.id in told and key not in replies):
                continue
            text = replies.get(key, CANCELLED if key in started else NOT_MADE)
            told.add(call.id)
            self._answers[call] = text
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": text})

    def _param(self, message: Any) -> Any:
        """A message as it is sent; an answer's own is made one."""
        if isinstance(message, ChatCompletionMessage):
            return message.to_param(reasoning=self._reasoning)
        return message

    def _distinct(self, calls: Iterable[Any]) -> list[dict[str, Any]]:
        """The calls of a message, each once, and with an id of its own: their results must say whose they are."""
        distinct: dict[_Call, dict[str, Any]] = {}
        for at, call in enumerate(calls):
            named = {**call, "id": call.get("id") or f"call_{len(self.messages)}_{at}"}
            distinct.setdefault(_Call.of(named), named)
        taken: set[str] = set()
        for at, call in enumerate(distinct.values()):
            if call["id"] in taken:
                call["id"] = f"{call['id']}_{len(self.messages)}_{at}"
            taken.add(call["id"])
        return [*distinct.values()]

    def _answered(self) -> dict[_Call, str]:
        """The calls of the conversation that have an answer, and the answer. Some servers use an id again."""
        answers: dict[_Call, str] = {}
        asked: dict[str, _Call] = {}
        for message in self.messages:
            if not isinstance(message, Mapping):
                continue
            asked.update({call.id: call for call in map(_Call.of, message.get("tool_calls") or ())})
            if message.get("role") == "tool" and (call := asked.get(message.get("tool_call_id", ""))):
                answers[call] = message.get("content", "")
        return answers

    def _left(self) -> list[Mapping[str, Any]]:
        """The calls at the end of the conversation that have no answer."""
        for at in range(len(self.messages) - 1, -1, -1):
            message = self.messages[at]
            if not isinstance(message, Mapping) or message.get("role") != "tool":
                calls = message.get("tool_calls") or () if isinstance(message, Mapping) else ()
                told = {later.get("tool_call_id") for later in self.messages[at + 1 :]}
                return [call for call in calls if call.get("id") not in told]
        return []


def _text(told: Any) -> str:
    if not isinstance(told, str):
        raise TypeError(f"on_tool_error returns the text that the model is told, not {type(told).__name__}")
    return told
