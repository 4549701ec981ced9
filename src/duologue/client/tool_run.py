"""A conversation in which tools are called, as it goes on: `client.chat.completions.run_tools(...)`.

What happens in it is decided in `protocol.turns`; `ToolRun` and `AsyncToolRun` only ask, call, and hand on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from inspect import isawaitable
from types import AsyncGeneratorType, GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeAlias, TypeVar, cast

from ..protocol.errors import DuologueError, MaxTurnsError, StreamCancelledError
from ..protocol.parsing import about
from ..protocol.turns import Ask, Confirm, RunEvent, RunOutcome, Start, Stop, ToolCallEvent, Turns, Wait
from ..tools.function import Tool
from ..types.chat.chat_completion_stream_event import ChatCompletionStreamEvent
from ..types.chat.parsed_chat_completion import ParsedChatCompletion
from ..types.completion_usage import CompletionUsage
from .options import Omit
from .parsing import known_tools
from .tool_calls import BlockingCalls, run_jobs

if TYPE_CHECKING:
    from .aio import AsyncCompletions
    from .sync import Completions

__all__ = ["AsyncToolRun", "ToolRun", "ToolRunEvent", "ToolSettings", "conversation"]

T = TypeVar("T")

BEING_READ = "The run is being read: leave its loop, or cancel its task."

ToolRunEvent: TypeAlias = RunEvent | ChatCompletionStreamEvent[T]

# Whether a call shall be made: True, or False, or what the model is told instead.
Confirming: TypeAlias = Callable[[ToolCallEvent], Any]
Stopping: TypeAlias = Callable[[Any], Any]
Explaining: TypeAlias = Callable[[ToolCallEvent, Exception], str]


class ToolSettings(NamedTuple):
    """How tools are called. See `run_tools`."""

    stream: bool
    max_turns: int
    context: Any
    confirm: Confirming | None
    stop: Stopping | None
    tool_timeout: float | None
    max_parallel: int
    on_tool_error: Explaining | None


def conversation(
    params: Mapping[str, Any], tools: Any, settings: ToolSettings, *, reasoning: bool
) -> tuple[Turns[Any], dict[str, Any]]:
    """The turns of a run, and the parameters of each of its requests.

    Raises `TypeError` for what is missing or of the wrong type, `DuologueError` for what cannot be.
    """
    if params.get("n") not in (None, 1) and not isinstance(params["n"], Omit):
        raise DuologueError("run_tools() goes on from one answer: leave n out, or make it 1.")
    if "messages" not in params:
        raise TypeError("run_tools() is missing its parameter 'messages'")
    for name in ("max_turns", "max_parallel"):
        if getattr(settings, name) < 1:
            raise DuologueError(f"{name} must be at least 1.")
    if settings.tool_timeout is not None and settings.tool_timeout <= 0:
        raise DuologueError("tool_timeout must be more than 0 seconds; None is for no limit.")
    callables, given = known_tools(tools)
    names = [_name(tool) for tool in given]
    for name, tool in callables.items():
        if settings.context is None and isinstance(tool, Tool) and tool.needs_context:
            raise TypeError(f"the tool {name!r} asks for a context; hand it to run_tools(context=...)")
    turns: Turns[Any] = Turns(
        params["messages"],
        callables,
        names,
        max_turns=settings.max_turns,
        confirm=settings.confirm is not None,
        reasoning=reasoning,
        explain=settings.on_tool_error,
    )
    rest = {name: value for name, value in params.items() if name != "messages"}
    return turns, {**rest, "tools": given}


def _name(tool: Any) -> str:
    if isinstance(tool, Mapping):
        body = tool.get("function") or tool.get("custom") or {}
        return str(body.get("name"))
    return str(tool.name)


class _Run(Generic[T]):
    """What both kinds of runs know."""

    def __init__(self, turns: Turns[T], params: dict[str, Any], settings: ToolSettings) -> None:
        self._turns = turns
        self._params = params
        self._settings = settings
        # Calls one at a time where the model was told to make one at a time.
        self._limit = 1 if params.get("parallel_tool_calls") is False else settings.max_parallel

    @property
    def messages(self) -> list[Any]:
        """The conversation so far, as it can be sent. But for `unanswered`, every call in it has its result."""
        return self._turns.messages

    @property
    def completions(self) -> list[ParsedChatCompletion[T]]:
        """The answers so far."""
        return self._turns.completions

    @property
    def completion(self) -> ParsedChatCompletion[T] | None:
        """The latest answer."""
        return self.completions[-1] if self.completions else None

    @property
    def unanswered(self) -> list[Mapping[str, Any]]:
        """The calls that the caller has to answer: those of tools that were given as a dict or a class."""
        return self._turns.unanswered

    @property
    def outcome(self) -> RunOutcome | None:
        """How the run ended: `answered`, `unanswered`, `max_turns`, `stopped`, `failed` or `cancelled`."""
        return self._turns.outcome

    @property
    def usage(self) -> CompletionUsage:
        """The token counts of all answers together, as far as they were told."""
        told = [completion.usage for completion in self.completions if completion.usage is not None]
        return CompletionUsage(
            prompt_tokens=sum(usage.prompt_tokens or 0 for usage in told),
            completion_tokens=sum(usage.completion_tokens or 0 for usage in told),
            total_tokens=sum(usage.total_tokens or 0 for usage in told),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.outcome or 'open'}, {len(self.completions)} turns>"

    def _asked(self, step: Ask) -> dict[str, Any]:
        """The parameters of a request. What a model must call it must call once."""
        asked = {**self._params, "messages": list(step.messages)}
        if not step.first and asked.get("tool_choice") is not None:
            asked["tool_choice"] = _unforced(asked["tool_choice"])
        return asked

    def _called(self, step: Start) -> AsyncGenerator[Any]:
        """What comes of the calls of a turn, as each ends."""
        settings = self._settings
        return run_jobs(step.jobs, settings.context, limit=self._limit, seconds=settings.tool_timeout)

    def _result(self) -> ParsedChatCompletion[T]:
        completion = self.completion
        if completion is None or self.outcome in ("cancelled", "failed"):
            raise StreamCancelledError("The run was left before its end, or made calls only.")
        if self.outcome == "max_turns":
            limit = self._settings.max_turns
            error = MaxTurnsError(
                f"The model still calls tools after {limit} turns. Raise max_turns, or go on from run.messages."
            )
            raise about(error, completion)
        return completion


class ToolRun(_Run[T]):
    """A conversation with tools: an iterator over its events, and a context manager.

    A loop that is left by `break` leaves the run: what is being asked for is closed, tools are cancelled.
    """

    def __init__(
        self, completions: Completions, turns: Turns[T], params: dict[str, Any], settings: ToolSettings
    ) -> None:
        super().__init__(turns, params, settings)
        self._completions = completions
        self._events = self._drive()

    def __iter__(self) -> Iterator[ToolRunEvent[T]]:
        try:
            yield from self._events
        finally:
            self.close()

    def __next__(self) -> ToolRunEvent[T]:
        return next(self._events)

    def until_done(self) -> Self:
        """Go on to the end. Raises what went wrong."""
        for _ in self:
            pass
        return self

    def get_final_completion(self) -> ParsedChatCompletion[T]:
        """Go on to the end and return the last answer. Raises what went wrong, and `MaxTurnsError`."""
        self.until_done()
        return self._result()

    def close(self) -> None:
        """Leave the run; does nothing once it has ended. Raises `DuologueError` while another thread reads it."""
        if cast("GeneratorType[Any]", self._events).gi_running:
            raise DuologueError(BEING_READ)
        self._events.close()
        if self._turns.outcome is None:
            self._turns.outcome = "cancelled"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self) -> Generator[ToolRunEvent[T]]:
        settings, plan = self._settings, self._turns.steps()
        calls: BlockingCalls | None = None
        step = next(plan, None)
        try:
            while step is not None:
                answer: Any = None
                try:
                    if isinstance(step, Ask):
                        asked = self._asked(step)
                        if settings.stream:
                            with self._completions.stream(**asked) as stream:
                                yield from stream
                                answer = stream.get_final_completion()
                            if stream.error is not None:  # cut, and `on_truncated` says not to raise it
                                raise stream.error
                        else:
                            answer = self._completions.parse(**asked)
                    elif isinstance(step, Confirm):
                        answer = settings.confirm is None or _said(settings.confirm(step.call))
                    elif isinstance(step, Start):
                        calls = BlockingCalls(self._called(step))
                    elif isinstance(step, Wait):
                        assert calls is not None
                        answer = calls.wait()
                    elif isinstance(step, Stop):
                        answer = settings.stop is not None and _said(settings.stop(self))
                    else:
                        yield step
                except BaseException as error:
                    plan.throw(error)
                    raise
                try:
                    step = plan.send(answer)
                except StopIteration:
                    return
        finally:
            plan.close()
            if calls is not None:
                calls.close()


class AsyncToolRun(_Run[T]):
    """A conversation with tools: an asynchronous iterator over its events, and a context manager.

    A task that is cancelled cancels the tools that it waits for.
    """

    def __init__(
        self, completions: AsyncCompletions, turns: Turns[T], params: dict[str, Any], settings: ToolSettings
    ) -> None:
        super().__init__(turns, params, settings)
        self._completions = completions
        self._events = self._drive()
        self._closing = False

    async def __aiter__(self) -> AsyncIterator[ToolRunEvent[T]]:
        try:
            async for event in self._events:
                yield event
        finally:
            await self.close()

    async def __anext__(self) -> ToolRunEvent[T]:
        return await anext(self._events)

    async def until_done(self) -> Self:
        """Go on to the end. Raises what went wrong."""
        async for _ in self:
            pass
        return self

    async def get_final_completion(self) -> ParsedChatCompletion[T]:
        """Go on to the end and return the last answer. Raises what went wrong, and `MaxTurnsError`."""
        await self.until_done()
        return self._result()

    async def close(self) -> None:
        """Leave the run; does nothing once it has ended. Raises `DuologueError` while another task reads it."""
        if self._closing:  # the event loop closes a loop that was left, too
            return
        if cast("AsyncGeneratorType[Any]", self._events).ag_running:
            raise DuologueError(BEING_READ)
        self._closing = True
        await self._events.aclose()
        if self._turns.outcome is None:
            self._turns.outcome = "cancelled"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self) -> AsyncGenerator[ToolRunEvent[T]]:
        settings, plan = self._settings, self._turns.steps()
        calls: AsyncGenerator[Any] | None = None
        step = next(plan, None)
        try:
            while step is not None:
                answer: Any = None
                try:
                    if isinstance(step, Ask):
                        asked = self._asked(step)
                        if settings.stream:
                            async with self._completions.stream(**asked) as stream:
                                async for event in stream:
                                    yield event
                                answer = await stream.get_final_completion()
                            if stream.error is not None:  # cut, and `on_truncated` says not to raise it
                                raise stream.error
                        else:
                            answer = await self._completions.parse(**asked)
                    elif isinstance(step, Confirm):
                        answer = settings.confirm is None or await _settled(settings.confirm(step.call))
                    elif isinstance(step, Start):
                        calls = self._called(step)
                    elif isinstance(step, Wait):
                        assert calls is not None
                        answer = await anext(calls)
                    elif isinstance(step, Stop):
                        answer = settings.stop is not None and await _settled(settings.stop(self))
                    else:
                        yield step
                except BaseException as error:
                    plan.throw(error)
                    raise
                try:
                    step = plan.send(answer)
                except StopIteration:
                    return
        finally:
            plan.close()
            if calls is not None:
                await calls.aclose()


def _unforced(choice: Any) -> Any:
    """A choice of tools that forces no call, but leaves out what the one that was given leaves out."""
    if not isinstance(choice, Mapping):
        return "auto" if choice == "required" else choice
    if "allowed_tools" not in choice:
        return "auto"
    return {**choice, "allowed_tools": {**choice["allowed_tools"], "mode": "auto"}}


def _said(answer: Any) -> Any:
    """What a hook says. Raises `TypeError` for a coroutine, which nobody awaits here."""
    if isinstance(answer, Coroutine):
        answer.close()
        raise TypeError("confirm and stop_when are no coroutine functions here; AsyncClient awaits them.")
    return answer


async def _settled(answer: Any) -> Any:
    """What a hook says, which may be a coroutine function."""
    return await answer if isawaitable(answer) else answer
