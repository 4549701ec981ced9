"""`client.chat.completions.stream(...)`: events over a real connection, blocking and asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from duologue import (
    APIConnectionError,
    AsyncChatCompletionStream,
    AsyncClient,
    AsyncStream,
    ChatCompletionStream,
    Client,
    DuologueError,
    InternalServerError,
    NotFoundError,
    Stream,
    StreamCancelledError,
    StreamTruncatedError,
)
from support.steps import HEAD, StepByStep, piece
from support.wire import (
    DONE,
    PATIENCE_S,
    Peer,
    WireServer,
    chunk,
    event,
    events,
    json_answer,
    refused_url,
    sse,
)

from .conftest import ASK

ERROR = event({"error": {"message": "No more.", "type": "server_error", "param": None, "code": None}})


class Telling(NamedTuple):
    """What became of a stream whose events were read to the end."""

    stream: Any
    events: list[Any]
    error: DuologueError | None

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.events]


Read = Callable[..., Telling]


def options_of(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    params = {**ASK, **options.pop("params", {})}
    return {"api_key": "sk-test", "max_retries": 0, **options}, params


def blocking(**given: Any) -> Telling:
    options, params = options_of(given)
    found: list[Any] = []
    error = None
    with Client(**options) as client, client.chat.completions.stream(**params) as stream:
        try:
            for each in stream:
                found.append(each)  # noqa: PERF402 - what came before an error is kept
        except DuologueError as caught:
            error = caught
    return Telling(stream, found, error)


def asynchronous(**given: Any) -> Telling:
    async def read() -> Telling:
        options, params = options_of(given)
        found: list[Any] = []
        error = None
        async with AsyncClient(**options) as client, client.chat.completions.stream(**params) as stream:
            try:
                async for each in stream:
                    found.append(each)  # noqa: PERF401
            except DuologueError as caught:
                error = caught
        return Telling(stream, found, error)

    return asyncio.run(read())


@pytest.fixture(params=[blocking, asynchronous], ids=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Read:
    reader: Read = request.param
    return reader


def test_the_loop_that_people_know() -> None:
    """Each event is there as soon as its chunk was sent; names are those of openai-python."""
    answer = StepByStep(event(chunk("Hel")), event(chunk("lo")), event(chunk(finish="stop")) + DONE)
    seen = []
    with WireServer(answer) as server, Client(base_url=server.url) as client:
        with client.chat.completions.stream(**ASK) as stream:
            assert isinstance(stream, ChatCompletionStream)
            assert isinstance(stream, Stream)
            assert stream.current_completion_snapshot is None
            answer.go_on()
            for each in stream:
                if each.type == "content.delta":
                    seen.append((each.delta, each.snapshot, each.choice_index))
                    assert stream.current_completion_snapshot is not None
                    assert stream.current_completion_snapshot.text == each.snapshot
                    assert stream.outcome is None
                    answer.go_on()
                elif each.type == "content.done":
                    seen.append(each.content)
        assert stream.outcome == "complete"
        assert stream.get_final_completion().text == "Hello"
    assert seen == [("Hel", "Hel", 0), ("lo", "Hello", 0), "Hello"]


async def test_the_same_on_an_event_loop() -> None:
    """With `async with` and `async for`."""
    answer = StepByStep(event(chunk("Hel")), event(chunk("lo")), event(chunk(finish="stop")) + DONE)
    seen = []
    with WireServer(answer) as server:
        async with AsyncClient(base_url=server.url) as client:
            async with client.chat.completions.stream(**ASK) as stream:
                assert isinstance(stream, AsyncChatCompletionStream)
                assert isinstance(stream, AsyncStream)
                answer.go_on()
                async for each in stream:
                    if each.type == "content.delta":
                        seen.append((each.delta, each.snapshot, each.choice_index))
                        answer.go_on()
            assert stream.outcome == "complete"
            assert (await stream.get_final_completion()).text == "Hello"
    assert seen == [("Hel", "Hel", 0), ("lo", "Hello", 0)]


def test_the_request_is_that_of_a_stream(read: Read) -> None:
    """It is sent when `with` is entered, with the parameters of `create`."""
    with WireServer(sse(events("a"))) as server:
        with Client(base_url=server.url) as client:
            client.chat.completions.stream(**ASK)
        assert server.asked == []
        read(
            base_url=server.url,
            params={"temperature": 0, "extra_body": {"k": 1}, "extra_headers": {"x-a": "b"}},
        )
    (asked,) = server.asked
    assert asked.json == {**ASK, "temperature": 0, "k": 1, "stream": True}
    assert (asked.headers["x-a"], asked.headers["accept"]) == ("b", "text/event-stream")


def test_a_snapshot_knows_nothing_of_the_future(read: Read) -> None:
    """Chunks that came in one piece are told one by one, each with what it was then."""
    with WireServer(sse(events("a", "b", "c"))) as server:
        with Client(base_url=server.url) as client, client.chat.completions.stream(**ASK) as stream:
            texts = [each.snapshot.text for each in stream if each.type == "chunk"]
        assert texts == ["a", "ab", "abc", "abc"]
        found = read(base_url=server.url).events
    assert [each.snapshot for each in found if each.type == "content.delta"] == ["a", "ab", "abc"]


def test_what_a_stream_knows(read: Read) -> None:
    """All that a stream of chunks knows: outcome, usage, times, the HTTP side."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = events("a", done=False) + event({**chunk(), "choices": [], "usage": usage}) + DONE
    params = {"stream_options": {"include_usage": True}}
    with WireServer(sse(body, headers={"x-request-id": "r7"})) as server:
        stream = read(base_url=server.url, params=params).stream
    assert (stream.outcome, stream.error) == ("complete", None)
    assert (stream.request_id, stream.response.status_code) == ("r7", 200)
    assert (stream.usage.total_tokens, stream.timings.chunks) == (5, 3)
    assert stream.completion == stream.current_completion_snapshot
    assert "complete, 3 chunks" in repr(stream)


def test_until_done_and_the_final_completion() -> None:
    """Both read what is left; the completion carries the response."""
    with WireServer(sse(events("Hel", "lo"), headers={"x-request-id": "r"})) as server:
        with Client(base_url=server.url) as client:
            with client.chat.completions.stream(**ASK) as stream:
                assert next(stream).type == "chunk"
                assert stream.until_done() is stream
                completion = stream.get_final_completion()
            assert (completion.text, completion._request_id) == ("Hello", "r")

        async def wait() -> str:
            client = AsyncClient(base_url=server.url)
            async with client, client.chat.completions.stream(**ASK) as stream:
                assert (await anext(stream)).type == "chunk"
                assert await stream.until_done() is stream
                return (await stream.get_final_completion()).text

        assert asyncio.run(wait()) == "Hello"


def test_the_text_view() -> None:
    """The pieces of the first choice's content, and of no other."""
    other = {**chunk(), "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]}
    body = event(chunk("")) + event(chunk("He")) + event(other) + events("y")
    with WireServer(sse(body)) as server:
        with Client(base_url=server.url) as client, client.chat.completions.stream(**ASK, n=2) as stream:
            assert list(stream.text) == ["He", "y"]

        async def wait() -> list[str]:
            client = AsyncClient(base_url=server.url)
            async with client, client.chat.completions.stream(**ASK, n=2) as stream:
                return [text async for text in stream.text]

        assert asyncio.run(wait()) == ["He", "y"]


def test_what_came_is_told_before_an_error_is_raised(read: Read) -> None:
    """An error event: the events of the chunks before it, nothing done, the error with what had come."""
    with WireServer(sse(event(chunk("a")) + ERROR + DONE)) as server:
        telling = read(base_url=server.url)
    assert telling.types == ["chunk", "content.delta"]
    assert isinstance(telling.error, InternalServerError)
    assert telling.error.completion is not None
    assert telling.error.completion.text == "a"


def test_nothing_is_done_in_a_stream_that_was_cut(read: Read) -> None:
    """It raises; with `on_truncated="return"` it ends, and no done event says otherwise."""
    with WireServer(sse(events("a", finish=None, done=False))) as server:
        raised = read(base_url=server.url)
        returned = read(base_url=server.url, on_truncated="return")
    assert raised.types == returned.types == ["chunk", "content.delta"]
    assert isinstance(raised.error, StreamTruncatedError)
    assert (returned.error, returned.stream.outcome) == (None, "truncated")


def test_accumulating_is_not_optional_here(read: Read) -> None:
    """With `accumulate=False` for the client the events are whole all the same."""
    with WireServer(sse(events("a", "b"))) as server:
        telling = read(base_url=server.url, accumulate=False)
    assert telling.events[-1].content == "ab"
    assert telling.stream.completion.text == "ab"


def test_leaving_early_closes_the_connection() -> None:
    """A loop that is left, and a `with` that is left, leave the stream."""

    def endless(peer: Peer) -> None:
        peer.send(HEAD)
        while peer.open:
            part = event(chunk("a"))
            peer.send(piece(part))

    with WireServer(endless) as server, Client(base_url=server.url) as client:
        with client.chat.completions.stream(**ASK) as stream:
            for each in stream:
                if each.type == "content.delta":
                    break
            assert stream.outcome == "cancelled"
            with pytest.raises(StreamCancelledError):
                stream.get_final_completion()
        with client.chat.completions.stream(**ASK) as stream:
            next(stream)
            assert stream.outcome is None
        assert stream.outcome == "cancelled"


async def test_a_task_that_is_cancelled_leaves_the_stream() -> None:
    """The `with` block closes it."""
    began = asyncio.Event()
    streams: list[AsyncChatCompletionStream] = []

    async def wait(client: AsyncClient) -> None:
        async with client.chat.completions.stream(**ASK) as stream:
            streams.append(stream)
            async for _ in stream:
                began.set()

    with WireServer(sse(event(chunk("a")), ending="open")) as server:
        async with AsyncClient(base_url=server.url) as client:
            task = asyncio.create_task(wait(client))
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert streams[0].outcome == "cancelled"


# Handlers instead of a loop.


class Log(list[Any]):
    """What three handlers were called with."""

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {
            name: lambda value, name=name: self.append((name, value)) for name in ("data", "error", "finish")
        }

    def waiting(self) -> dict[str, Callable[[Any], Any]]:
        async def handle(name: str, value: Any) -> None:
            await asyncio.sleep(0)
            self.append((name, value))

        return {name: lambda value, name=name: handle(name, value) for name in ("data", "error", "finish")}


def handled_blocking(url: str, log: Log, on_truncated: Any = "raise", **handlers: Any) -> None:
    with Client(base_url=url, max_retries=0, on_truncated=on_truncated) as client:
        assert client.chat.completions.stream(**ASK).handle(**{**log.handlers(), **handlers}) is None


def handled_asynchronously(url: str, log: Log, on_truncated: Any = "raise", **handlers: Any) -> None:
    async def wait() -> None:
        async with AsyncClient(base_url=url, max_retries=0, on_truncated=on_truncated) as client:
            await client.chat.completions.stream(**ASK).handle(**{**log.handlers(), **handlers})

    asyncio.run(wait())


def handled_by_coroutines(url: str, log: Log, **handlers: Any) -> None:
    handled_asynchronously(url, log, **{**log.waiting(), **handlers})


@pytest.fixture(
    params=[handled_blocking, handled_asynchronously, handled_by_coroutines],
    ids=["sync", "async", "coroutines"],
)
def handle(request: pytest.FixtureRequest) -> Callable[..., None]:
    function: Callable[..., None] = request.param
    return function


def test_handlers_are_called_in_turn(handle: Callable[..., None]) -> None:
    """`data` with each event, then `finish` with the completion."""
    log = Log()
    with WireServer(sse(events("a", "b"))) as server:
        handle(server.url, log)
    assert [name for name, _ in log] == ["data"] * 6 + ["finish"]
    assert [value.type for _, value in log[:-1]][-2:] == ["chunk", "content.done"]
    assert log[-1][1].text == "ab"


def test_the_handler_of_errors(handle: Callable[..., None]) -> None:
    """It is called once, last, with what went wrong in the stream, and nothing is raised."""
    log = Log()
    with WireServer(sse(event(chunk("a")) + ERROR + DONE)) as server:
        handle(server.url, log)
        assert [name for name, _ in log] == ["data", "data", "error"]
        assert isinstance(log[-1][1], InternalServerError)
        with pytest.raises(InternalServerError):
            handle(server.url, Log(), error=None)


def test_a_cut_stream_is_never_told_as_finished(handle: Callable[..., None]) -> None:
    """Also where it is not to be raised: then `error` is called, and nobody without it."""
    with WireServer(sse(event(chunk("a")))) as server:
        for handlers, names in (({}, ["data", "data", "error"]), ({"error": None}, ["data", "data"])):
            log = Log()
            handle(server.url, log, on_truncated="return", **handlers)
            assert [name for name, _ in log] == names
            assert all(isinstance(value, StreamTruncatedError) for name, value in log if name == "error")


def test_the_handler_of_errors_is_told_when_there_is_no_stream(handle: Callable[..., None]) -> None:
    """No connection, or an answer that says no."""
    log = Log()
    handle(refused_url(), log)
    error = {"message": "No such model.", "type": "invalid_request_error", "param": None, "code": None}
    with WireServer(json_answer({"error": error}, 404)) as server:
        handle(server.url, log)
    assert [(name, type(value)) for name, value in log] == [
        ("error", APIConnectionError),
        ("error", NotFoundError),
    ]


def test_what_a_handler_raises_is_its_own(handle: Callable[..., None]) -> None:
    """It goes to the caller, not to the handler of errors, and the stream is left."""
    left = threading.Event()

    def endless(peer: Peer) -> None:
        peer.send(HEAD)
        while peer.open:
            part = event(chunk("a"))
            peer.send(piece(part))
        left.set()

    def refuse(_event: Any) -> None:
        raise StreamCancelledError("enough")

    log = Log()
    with WireServer(endless) as server:
        with pytest.raises(StreamCancelledError, match="enough"):
            handle(server.url, log, data=refuse)
        assert left.wait(PATIENCE_S)
    assert log == []


def test_handlers_may_be_left_out() -> None:
    """Only `data` is needed."""
    seen: list[str] = []
    with WireServer(sse(events("a"))) as server, Client(base_url=server.url) as client:
        client.chat.completions.stream(**ASK).handle(data=lambda each: seen.append(each.type))
    assert seen == ["chunk", "content.delta", "chunk", "content.done"]
