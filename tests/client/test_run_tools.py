"""Conversations with tools: blocking and asynchronous, streamed or not.

openai-node's tests of its runner have 26 cases, most of them in both modes. What each is here:

    their case (both modes where it has two)          here
    ------------------------------------------------  ----------------------------------------
    successful flow                                   same: `answered`
    passes tool context                               same: `context`
    unique ids for parallel calls with empty ids      same: `test_calls_without_an_id_get_one`
    an id for a streamed call with an empty id        same
    concurrently, results in order                    same: `test_slow_tools_…`
    sequentially without parallel_tool_calls          same: `test_one_at_a_time`
    flow with abort                                   same: `test_leaving_cancels`; the conversation stays usable
    successful flow with parse                        same: arguments come typed
    flow with parse error                             same: `bad-arguments`
    single function call (`getWeather`, `__proto__`)  otherwise: forced once, then the model answers
    wrong function name                               same: `unknown`, also for names of Python's
    ends on tool results at maxChatCompletions        same: `test_a_model_that_loops`
    ends on tool results at a forced choice           otherwise, as above
    defaultHeaders suppress the helper header         no such header is sent
    toReadableStream and fromReadableStream (4)       no such bridge: `messages` are JSON already
    stream: successful flow, network errors (2)       `tests/client/test_event_stream.py`, `test_cuts.py`
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from duologue import (
    AsyncClient,
    Client,
    Context,
    DuologueError,
    InternalServerError,
    LengthFinishReasonError,
    MaxTurnsError,
    StreamTruncatedError,
    create_app,
    custom_tool,
    schema_tool,
    tool,
    user_message,
)
from duologue.engine import Finish
from duologue.testing import Call, Script
from support.wire import DONE, event

MESSAGES = [user_message("Hi")]


class Went(NamedTuple):
    """A run that has ended."""

    run: Any
    events: list[Any]
    error: BaseException | None

    def results(self) -> list[str]:
        return [message["content"] for message in self.run.messages if message["role"] == "tool"]


def blocking(app: Any, /, on_event: Callable[[Any, Any], None] | None = None, **params: Any) -> Went:
    options = params.pop("options", {})
    with Client(app=app, max_retries=0, **options) as client:
        asked: dict[str, Any] = {"model": "script", "messages": MESSAGES, **params}
        run, events, error = client.chat.completions.run_tools(**asked), [], None
        try:
            for happened in run:
                events.append(happened)
                if on_event is not None:
                    on_event(run, happened)
        except Exception as caught:
            error = caught
        return Went(run, events, error)


def waiting(app: Any, /, on_event: Callable[[Any, Any], None] | None = None, **params: Any) -> Went:
    async def main() -> Went:
        options = params.pop("options", {})
        async with AsyncClient(app=app, max_retries=0, **options) as client:
            asked: dict[str, Any] = {"model": "script", "messages": MESSAGES, **params}
            run, events, error = client.chat.completions.run_tools(**asked), [], None
            try:
                async for happened in run:
                    events.append(happened)
                    if on_event is not None:
                        on_event(run, happened)
            except Exception as caught:
                error = caught
            return Went(run, events, error)

    return asyncio.run(main())


@pytest.fixture(params=[blocking, waiting], ids=["blocking", "waiting"])
def go(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@tool
def weather(city: str, days: int = 1) -> dict[str, Any]:
    """The weather."""
    return {"city": city, "days": days}


def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()


@tool
async def later(text: str) -> str:
    """Say it after a while."""
    await asyncio.sleep(0)
    return text


@custom_tool
def lines(text: str) -> int:
    """Count lines."""
    return len(text.splitlines())


@tool
def broken(text: str) -> str:
    """Fails."""
    raise ValueError(f"no {text}")


@tool
def odd(text: str) -> object:
    """Gives back what has no JSON."""
    return object()


@tool
def listed(text: str) -> str:
    """A name that is no text, as the file system has them."""
    return f"{text}\udcff"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@tool
def mute(text: str) -> str:
    """Fails, and does not say how."""
    raise Mute


TOOLS = [
    weather,
    listed,
    mute,
    shout,
    later,
    lines,
    broken,
    odd,
    schema_tool({"name": "mcp", "inputSchema": {"type": "object"}}, lambda arguments: sorted(arguments)),
]

RESULTS: dict[str, tuple[Call, str]] = {
    "typed": (Call("weather", {"city": "Rome", "days": 2}), '{"city":"Rome","days":2}'),
    "default": (Call("weather", {"city": "Rome", "days": None}), '{"city":"Rome","days":1}'),
    "plain-function": (Call("shout", {"text": "hi"}), "HI"),
    "asynchronous": (Call("later", {"text": "hi"}), "hi"),
    "custom": (Call("lines", "a\nb", custom=True), "2"),
    "schema": (Call("mcp", {"b": 1, "a": 2}), '["a","b"]'),
    "raises": (Call("broken", {"text": "luck"}), "Error: ValueError: no luck"),
    "no-utf-8": (Call("listed", {"text": "x"}), "x?"),
    "raises-without-words": (Call("mute", {"text": "x"}), "Error: Mute"),
    "no-json": (
        Call("odd", {"text": "x"}),
        "Error: the result cannot be told: object cannot be written as JSON",
    ),
    "bad-arguments": (Call("weather", {"city": 3}), "Error: these are no valid arguments: "),
    "broken-json": (Call("weather", '{"city": '), "Error: these are no valid arguments: not JSON"),
    "unknown": (Call("__class__", {}), "Error: there is no tool named '__class__'. The tools are: weather, "),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_the_model_is_told(go: Any, stream: bool, name: str) -> None:
    """Results and errors go back as the tool message of the call, and the model answers."""
    call, told = RESULTS[name]
    with Script(call, "Done.") as script:
        went = go(create_app(script), tools=TOOLS, stream=stream)
    assert went.error is None
    assert went.run.outcome == "answered"
    assert went.run.completion.text == "Done."
    assert [message["role"] for message in went.run.messages] == ["user", "assistant", "tool", "assistant"]
    (result,) = went.results()
    assert result.startswith(told)
    assert script.requests[1].messages[-1].text == result
    (event,) = [happened for happened in went.events if happened.type == "tool.result"]
    assert (event.content, event.error is None) == (result, not told.startswith("Error"))
    json.dumps(went.run.messages)


def test_every_event_is_told(go: Any, stream: bool) -> None:
    """Turns, completions, calls, results, and when it streams all events of the stream."""
    with Script(["Let me see.", Call("shout", {"text": "a"})], "A.") as script:
        went = go(create_app(script), tools=TOOLS, stream=stream)
    kinds = [happened.type for happened in went.events]
    own = [kind for kind in kinds if kind in ("turn", "completion") or kind.startswith("tool.")]
    assert own == ["turn", "completion", "tool.call", "tool.result", "turn", "completion"]
    assert ("content.delta" in kinds, "tool_calls.function.arguments.done" in kinds) == (stream, stream)
    assert went.events[0].messages == tuple(MESSAGES)


def test_slow_tools_take_the_time_of_the_slowest(go: Any, stream: bool) -> None:
    """Ten calls of one answer run at the same time: each waits for all the others to have begun."""
    together = threading.Barrier(10, timeout=20)

    def meet(number: int) -> int:
        together.wait()
        time.sleep((10 - number) / 200)  # they end in the opposite order
        return number

    with Script([Call("meet", {"number": number}) for number in range(10)], "Done.") as script:
        went = go(create_app(script), tools=[meet], stream=stream)
    assert went.results() == [str(number) for number in range(10)]
    ended = [happened.content for happened in went.events if happened.type == "tool.result"]
    assert sorted(ended) == sorted(went.results())


@pytest.mark.parametrize("limit", [{"max_parallel": 2}, {"parallel_tool_calls": False}], ids=str)
def test_one_at_a_time(go: Any, limit: dict[str, Any]) -> None:
    """At most `max_parallel` calls, and one where the model was to make one at a time."""
    running, most = 0, 0

    async def count(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    with Script([Call("count", {"number": number}) for number in range(6)], "Done.") as script:
        went = go(create_app(script), tools=[count], **limit)
    assert went.run.outcome == "answered"
    assert most == limit.get("max_parallel", 1)


@pytest.mark.parametrize("deaf", [False, True], ids=["cancellable", "deaf"])
def test_a_tool_that_hangs_is_given_up(go: Any, deaf: bool) -> None:
    """The model is told of the time-out; the other results are kept."""
    ended = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            if not deaf:
                raise
            await asyncio.sleep(0.1)
        finally:
            ended.set()

    def blocked() -> None:
        ended.wait(20)

    calls = [Call("hang"), Call("blocked"), Call("shout", {"text": "x"})]
    with Script(calls, "Done.") as script:
        went = go(create_app(script), tools=[hang, blocked, shout], tool_timeout=0.05)
    late = "Error: timed out after 0.05 s. Whether it had its effect is not known."
    assert went.results() == [late, late, "X"]
    assert went.run.outcome == "answered"


def test_a_tool_that_is_cancelled_by_itself(go: Any) -> None:
    """It has no result, and the conversation goes on."""

    async def gone() -> None:
        raise asyncio.CancelledError

    with Script(Call("gone"), "Done.") as script:
        went = go(create_app(script), tools=[gone])
    assert went.results() == ["Error: the call was cancelled. Whether it had its effect is not known."]


def test_a_model_that_loops(go: Any, stream: bool) -> None:
    """It is stopped after `max_turns`; the results of the last calls are there, so that one can go on."""
    with Script(*[Call("shout", {"text": "again"})] * 3) as script:
        went = go(create_app(script), tools=[shout], max_turns=3, stream=stream)
    assert went.run.outcome == "max_turns"
    assert [message["role"] for message in went.run.messages[-2:]] == ["assistant", "tool"]
    with Script(*[Call("shout", {"text": "again"})] * 3) as script, Client(app=create_app(script)) as client:
        run = client.chat.completions.run_tools(
            model="script", messages=MESSAGES, tools=[shout], max_turns=3, stream=stream
        )
        with pytest.raises(MaxTurnsError, match="after 3 turns") as caught:
            run.get_final_completion()
    assert caught.value.completion is run.completion


def said(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**head, "choices": [choice]})


def cut_app(*payloads: bytes) -> Any:
    """An application whose stream ends after these events."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"".join(payloads)})

    return app


def begun(arguments: str) -> bytes:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "note", "arguments": arguments}}
    return said({"role": "assistant", "tool_calls": [call]})


@pytest.mark.parametrize("end", [b"", DONE], ids=["eof", "done"])
@pytest.mark.parametrize("on_truncated", ["raise", "return"])
@pytest.mark.parametrize("arguments", ['{"text": "a', '{"text": "a"}'], ids=["in-the-middle", "whole"])
def test_a_stream_that_is_cut_runs_no_tool(go: Any, arguments: str, on_truncated: str, end: bytes) -> None:
    """Not even one whose arguments look whole; the answer is in the error, the conversation as it was."""
    noted: list[str] = []

    def note(text: str) -> None:
        noted.append(text)

    app = cut_app(begun(arguments), end)
    went = go(app, tools=[note], stream=True, options={"on_truncated": on_truncated})
    assert isinstance(went.error, StreamTruncatedError)
    assert went.error.completion is not None
    assert noted == []
    assert went.run.outcome == "failed"
    assert went.run.messages == MESSAGES


@pytest.mark.parametrize("custom", [False, True], ids=["function", "custom"])
def test_a_call_that_was_cut_at_the_token_limit_is_not_made(go: Any, stream: bool, custom: bool) -> None:
    """It raises, with the answer."""
    turn = [
        Call("lines", "SELECT", custom=True) if custom else Call("shout", '{"text": "a'),
        Finish("length"),
    ]
    with Script(turn) as script:
        went = go(create_app(script), tools=TOOLS, stream=stream)
    assert isinstance(went.error, LengthFinishReasonError)
    assert went.error.completion.choices[0].message.tool_calls
    assert (went.run.outcome, went.run.messages) == ("failed", MESSAGES)


def test_a_server_that_fails_between(go: Any, stream: bool) -> None:
    """The conversation can be sent again from where it was, and no call is made twice."""
    made: list[str] = []

    def note(text: str) -> str:
        made.append(text)
        return "noted"

    with Script(Call("note", {"text": "a"}), InternalServerError("broken"), "Done.") as script:
        app = create_app(script)
        failed = go(app, tools=[note], stream=stream)
        assert isinstance(failed.error, InternalServerError)
        assert failed.run.outcome == "failed"
        went = go(app, tools=[note], stream=stream, messages=failed.run.messages)
    assert went.run.completion.text == "Done."
    assert made == ["a"]


def assistant(*calls: tuple[str, str]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "tool_calls": [
            {
                "type": "function",
                "id": id_,
                "function": {"name": "note", "arguments": json.dumps({"text": text})},
            }
            for id_, text in calls
        ],
    }


def test_going_on_makes_the_calls_that_are_left(go: Any) -> None:
    """Those without a result, before anything is asked; those with one not again."""
    made: list[str] = []

    def note(text: str) -> str:
        made.append(text)
        return text.upper()

    answered = {"role": "tool", "tool_call_id": "1", "content": "A"}
    with Script("Done.") as script:
        history = [*MESSAGES, assistant(("1", "a"), ("2", "b")), answered]
        went = go(create_app(script), tools=[note], messages=history)
    assert made == ["b"]
    assert went.results() == ["A", "B"]


def test_the_same_call_is_made_once(go: Any, stream: bool) -> None:
    """Twice in one answer, or again in a later one: its result is told again."""
    made: list[str] = []

    def note(text: str) -> str:
        made.append(text)
        return f"{text}{len(made)}"

    same = Call("note", {"text": "a"}, id="1")
    with Script([same, Call("note", {"text": "b"}, id="2")], same, "Done.") as script:
        went = go(create_app(script), tools=[note], stream=stream)
    assert sorted(made) == ["a", "b"]
    assert went.results()[2] == went.results()[0]
    other = Call("note", {"text": "c"}, id="1")
    with Script([same, same, other], "Done.") as script:
        went = go(create_app(script), tools=[note], stream=stream)
    assert sorted(made[2:]) == ["a", "c"]
    ids = [call["id"] for call in went.run.messages[1]["tool_calls"]]
    assert len(set(ids)) == len(ids) == 2
    assert [message["tool_call_id"] for message in went.run.messages[2:4]] == ids


def test_an_id_that_a_server_uses_again_is_another_call(go: Any) -> None:
    """Each has the result that came for it, also in a conversation that is gone on with."""

    def note(text: str) -> str:
        raise AssertionError(text)

    answered = [{"role": "tool", "tool_call_id": "1", "content": text} for text in ("A", "B")]
    history = [*MESSAGES, assistant(("1", "a")), answered[0], assistant(("1", "b")), answered[1]]
    with Script(Call("note", {"text": "a"}, id="1"), "Done.") as script:
        went = go(create_app(script), tools=[note], messages=history)
    assert went.results() == ["A", "B", "A"]


def test_calls_without_an_id_get_one(go: Any) -> None:
    """So that each result says whose it is."""
    calls = [
        {
            "index": at,
            "type": "function",
            "function": {"name": "shout", "arguments": json.dumps({"text": text})},
        }
        for at, text in enumerate("ab")
    ]
    bodies = iter(
        [
            said({"role": "assistant", "tool_calls": calls}) + said({}, "tool_calls") + DONE,
            said({"role": "assistant", "content": "Done."}) + said({}, "stop") + DONE,
        ]
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await cut_app(next(bodies))(scope, receive, send)

    went = go(app, tools=[shout], stream=True)
    assert went.error is None
    ids = [message["tool_call_id"] for message in went.run.messages if message["role"] == "tool"]
    assert [call["id"] for call in went.run.messages[1]["tool_calls"]] == ids
    assert len(set(ids)) == 2
    assert went.results() == ["A", "B"]


SENT = {"type": "function", "function": {"name": "elsewhere", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("given", ["dict", "class"])
def test_what_cannot_be_called_is_left_to_the_caller(go: Any, given: str) -> None:
    """The run ends, with the other calls done; the caller answers and goes on."""

    @dataclass
    class Elsewhere:
        pass

    name = "elsewhere" if given == "dict" else "Elsewhere"
    tools = [SENT if given == "dict" else tool(Elsewhere), shout]
    with Script([Call(name, {}), Call("shout", {"text": "a"})], "Done.") as script:
        app = create_app(script)
        went = go(app, tools=tools)
        assert went.run.outcome == "unanswered"
        (call,) = went.run.unanswered
        assert call["function"]["name"] == name
        assert went.results() == ["A"]
        answer = {"role": "tool", "tool_call_id": call["id"], "content": "from elsewhere"}
        went = go(app, tools=tools, messages=[*went.run.messages, answer])
    assert went.run.completion.text == "Done."


@pytest.mark.parametrize(
    ("verdict", "told"),
    [(True, "A"), (False, "Error: the user declined this call."), ("Ask later.", "Ask later.")],
    ids=str,
)
def test_confirm_is_asked_before_a_call(go: Any, verdict: Any, told: str) -> None:
    """It sees what is to be called, with its arguments."""
    asked: list[Any] = []

    def confirm(call: Any) -> Any:
        asked.append((call.name, call.arguments))
        return verdict

    with Script(Call("shout", {"text": "a"}), "Done.") as script:
        went = go(create_app(script), tools=[shout], confirm=confirm)
    assert asked == [("shout", {"text": "a"})]
    assert went.results() == [told]


def test_stop_when_ends_a_run(go: Any) -> None:
    """After the results of a turn."""
    with Script(*[Call("shout", {"text": "a"})] * 2) as script:
        went = go(create_app(script), tools=[shout], stop_when=lambda run: len(run.completions) == 2)
    assert (went.run.outcome, went.results()) == ("stopped", ["A", "A"])


class Database:
    name = "db"


def look_up(key: str, *, database: Context[Database]) -> str:
    return key


def test_a_tool_is_given_the_context(go: Any) -> None:
    """The object itself; the model does not know of it."""

    def named(*, database: Context[Database]) -> str:
        return database.name

    with Script(Call("named"), "Done.") as script:
        went = go(create_app(script), tools=[named], context=Database())
    assert went.results() == ["db"]
    assert "database" not in json.dumps(script.requests[0].tools[0].function.parameters)


def test_on_tool_error_says_what_is_told_or_raises(go: Any) -> None:
    """An error of a tool may be nobody's business, or the end."""
    with Script(Call("broken", {"text": "x"}), "Done.") as script:
        went = go(
            create_app(script), tools=[broken], on_tool_error=lambda call, error: f"{call.name} is down"
        )
    assert went.results() == ["broken is down"]

    def fail(call: Any, error: Exception) -> str:
        raise error

    with Script(Call("broken", {"text": "x"})) as script:
        went = go(create_app(script), tools=[broken], on_tool_error=fail)
    assert isinstance(went.error, ValueError)
    assert went.run.outcome == "failed"
    assert went.results() == ["Error: the call failed."]

    with Script(Call("broken", {"text": "x"})) as script:
        went = go(create_app(script), tools=[broken], on_tool_error=lambda call, error: None)
    assert str(went.error) == "on_tool_error returns the text that the model is told, not NoneType"
    assert went.results() == ["Error: the call failed."]


def test_leaving_cancels(stream: bool) -> None:
    """A loop that is left ends the tools that can be ended; each call has its answer, and is not made again."""
    begun, ended = threading.Event(), threading.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.sleep(20)
        finally:
            ended.set()

    calls = [Call("hang"), Call("shout", {"text": "a"})]
    with Script(calls, "Done.") as script, Client(app=create_app(script)) as client:
        asked: dict[str, Any] = {"model": "script", "tools": [hang, shout], "stream": stream}
        run = client.chat.completions.run_tools(messages=MESSAGES, **asked)
        for happened in run:
            if happened.type == "tool.result":
                break
        run.close()
        assert begun.is_set()
        assert ended.is_set()
        assert run.outcome == "cancelled"
        results = [message["content"] for message in run.messages if message["role"] == "tool"]
        assert results == ["Error: the call was cancelled. Whether it had its effect is not known.", "A"]
        again = client.chat.completions.run_tools(messages=run.messages, **asked)
        assert again.get_final_completion().text == "Done."


@pytest.mark.parametrize("at", ["completion", "tool.call"])
def test_leaving_before_the_calls_makes_none(at: str) -> None:
    """And the conversation says so."""
    with Script(Call("shout", {"text": "a"})) as script, Client(app=create_app(script)) as client:
        run = client.chat.completions.run_tools(model="script", messages=MESSAGES, tools=[shout])
        for happened in run:
            if happened.type == at:
                break
        run.close()
    assert run.messages[-1]["content"].startswith("Error: the call was not made")


@pytest.mark.parametrize("at", ["turn", "completion", "tool.call", "tool.result"])
async def test_leaving_a_loop_that_waits(stream: bool, at: str) -> None:
    """The tools have been cancelled when the block is left."""
    ended = 0

    async def hang() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(20)
        finally:
            await asyncio.sleep(0)
            ended += 1

    with Script(*[[Call("hang"), Call("shout", {"text": "a"})]][: at != "turn"]) as script:
        async with AsyncClient(app=create_app(script)) as client:
            run = client.chat.completions.run_tools(
                model="script", messages=MESSAGES, tools=[hang, shout], stream=stream
            )
            async with run:
                async for happened in run:
                    if happened.type == at:
                        break
            assert ended == (at == "tool.result")
    assert run.outcome == "cancelled"
    calls = [len(message.get("tool_calls", ())) for message in run.messages]
    assert sum(calls) == [message["role"] for message in run.messages].count("tool")


def test_a_run_that_is_being_read_cannot_be_left() -> None:
    """By a hook of its own, say."""

    def confirm(call: Any) -> bool:
        runs[0].close()
        return True

    runs: list[Any] = []
    with Script(Call("shout", {"text": "a"})) as script, Client(app=create_app(script)) as client:
        run = client.chat.completions.run_tools(
            model="script", messages=MESSAGES, tools=[shout], confirm=confirm
        )
        runs.append(run)
        with pytest.raises(DuologueError, match="being read"):
            run.until_done()
    assert run.outcome == "failed"


async def test_a_cancelled_task_cancels_its_tools() -> None:
    """They are cancelled before the task has ended."""
    begun, ended = asyncio.Event(), False

    async def hang() -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.sleep(20)
        finally:
            ended = True

    with Script(Call("hang")) as script:
        async with AsyncClient(app=create_app(script)) as client:
            run = client.chat.completions.run_tools(model="script", messages=MESSAGES, tools=[hang])
            task = asyncio.create_task(run.until_done())
            await asyncio.wait_for(begun.wait(), 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert ended
    assert run.outcome == "cancelled"
    assert run.messages[-1]["content"].startswith("Error: the call was cancelled")


async def test_hooks_may_be_coroutine_functions() -> None:
    """Of the asynchronous client."""

    async def confirm(call: Any) -> bool:
        return False

    async def enough(run: Any) -> bool:
        return True

    with Script(Call("shout", {"text": "a"})) as script:
        async with AsyncClient(app=create_app(script)) as client:
            run = client.chat.completions.run_tools(
                model="script", messages=MESSAGES, tools=[shout], confirm=confirm, stop_when=enough
            )
            await run.until_done()
    assert (run.outcome, run.messages[-1]["content"]) == ("stopped", "Error: the user declined this call.")


@pytest.mark.parametrize("hook", ["confirm", "stop_when"])
def test_coroutine_functions_are_no_hooks_of_the_blocking_client(hook: str) -> None:
    """They would say yes or no without having been asked."""

    async def asked(_: Any) -> bool:
        return True

    with Script(Call("shout", {"text": "a"})) as script:
        went = blocking(create_app(script), tools=[shout], **{hook: asked})
    assert isinstance(went.error, TypeError)
    assert "AsyncClient awaits them" in str(went.error)
    assert went.run.outcome == "failed"


def test_a_forced_choice_is_forced_once(go: Any) -> None:
    """Else the model could never answer."""
    with Script(Call("shout", {"text": "a"}), "Done.") as script:
        went = go(create_app(script), tools=[shout], tool_choice="required")
    assert went.run.completion.text == "Done."
    assert [request.tool_choice for request in script.requests] == ["required", "auto"]

    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "shout"}}]}
    with Script(Call("shout", {"text": "a"}), "Done.") as script:
        choice = {"type": "allowed_tools", "allowed_tools": allowed}
        went = go(create_app(script), tools=[shout], tool_choice=choice)
    told = [request.tool_choice.allowed_tools for request in script.requests]
    assert [choice.mode for choice in told] == ["required", "auto"]
    assert told[0].tools == told[1].tools


def test_an_answer_of_a_type(go: Any, stream: bool) -> None:
    """The last answer is read into it."""

    @dataclass
    class City:
        name: str

    with Script(Call("shout", {"text": "rome"}), '{"name": "ROME"}') as script:
        went = go(create_app(script), tools=[shout], response_format=City, stream=stream)
    assert went.run.completion.parsed == City("ROME")


def wrong() -> Iterator[tuple[dict[str, Any], type[Exception], str]]:
    yield {"n": 2}, DuologueError, "leave n out, or make it 1"
    yield {"max_turns": 0}, DuologueError, "max_turns must be at least 1"
    yield {"max_parallel": 0}, DuologueError, "max_parallel must be at least 1"
    yield {"tool_timeout": 0}, DuologueError, "tool_timeout must be more than 0"
    yield {"tools": [3]}, TypeError, "tools must be functions"
    yield {"tools": [shout, shout]}, TypeError, "two of the tools are named 'shout'"
    yield {"tools": [look_up]}, TypeError, "the tool 'look_up' asks for a context"


@pytest.mark.parametrize(("params", "kind", "words"), list(wrong()), ids=lambda value: str(value)[:30])
def test_what_cannot_be_is_said_at_once(params: dict[str, Any], kind: type[Exception], words: str) -> None:
    """Before anything is sent."""
    with Script() as script, Client(app=create_app(script)) as client, pytest.raises(kind, match=words):
        client.chat.completions.run_tools(
            **{"model": "script", "messages": MESSAGES, "tools": [shout], **params}
        )
    assert script.requests == []
