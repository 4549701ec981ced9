"""The answer on the wire: its pace, its silence, its reader who leaves, and every kind of engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from duologue.engine import Text
from duologue.run import run_server
from support.legal import check_completion, check_stream
from support.raw import ask, connect, opened, wait_for


def said(body: bytes) -> str:
    chunks, error = check_stream(body)
    assert error is None
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


# --- every kind of engine ------------------------------------------------------------------------------


async def async_generator(request):
    yield "Hel"
    await asyncio.sleep(0)
    yield "lo"


def generator(request):
    yield "Hel"
    yield Text("lo")


async def coroutine(request):
    return "Hello"


def function(request):
    return "Hello"


def listed(request):
    return ["Hel", "lo"]


def event(request):
    return Text("Hello")


async def coroutine_of_a_generator(request):
    return async_generator(request)


def function_of_a_generator(request):
    return generator(request)


class Callable:
    async def __call__(self, request):
        yield "Hello"


KINDS = [
    async_generator,
    generator,
    coroutine,
    function,
    listed,
    event,
    coroutine_of_a_generator,
    function_of_a_generator,
    Callable(),
]


def name_of(engine: Any) -> str:
    return getattr(engine, "__name__", type(engine).__name__)


@pytest.mark.parametrize("engine", KINDS, ids=name_of)
def test_every_kind_of_function_answers_both_ways(engine):
    """Streamed and whole say the same."""
    with run_server(engine) as url:
        name = name_of(engine)
        assert said(ask(url, model=name, stream=True).body) == "Hello"
        whole = ask(url, model=name).json
    check_completion(whole)
    assert whole["choices"][0]["message"]["content"] == "Hello"


async def silent(request):
    return
    yield


def returns_none(request):
    return None


@pytest.mark.parametrize("engine", [silent, returns_none], ids=name_of)
def test_an_engine_that_says_nothing_answers_with_nothing(engine):
    """An empty text and a finish, both ways."""
    with run_server(engine) as url:
        assert said(ask(url, model=name_of(engine), stream=True).body) == ""
        whole = ask(url, model=name_of(engine)).json
    check_completion(whole)
    assert (whole["choices"][0]["message"]["content"], whole["choices"][0]["finish_reason"]) == ("", "stop")


@pytest.mark.parametrize("answer", [3, b"bytes", {"content": "x"}], ids=["int", "bytes", "dict"])
def test_an_engine_that_returns_something_else_is_an_error(answer):
    """It is not taken for text."""

    def wrong(request):
        return answer

    with run_server(wrong) as url:
        assert ask(url, model="wrong").status == 500


def test_an_engine_may_hold_timeouts_and_task_groups_across_its_yields():
    """All its steps run in one task."""

    async def careful(request):
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        async def produce() -> None:
            for word in ("a", "b", None):
                await queue.put(word)
                await asyncio.sleep(0.001)

        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(produce())
            while (word := await queue.get()) is not None:
                yield word
        try:
            async with asyncio.timeout(0.01):
                yield "c"
                await asyncio.sleep(5)
        except TimeoutError:
            yield "d"

    with run_server(careful) as url:
        assert said(ask(url, model="careful", stream=True).body) == "abcd"
        assert ask(url, model="careful").json["choices"][0]["message"]["content"] == "abcd"


@pytest.mark.parametrize("kind", ["task-group", "timeout"])
def test_an_engine_that_cancels_itself_between_two_events_has_failed(kind):
    """What it set up strikes while the server has its turn: an error, not a hung or cut connection."""

    async def reckless(request):
        async def fail() -> None:
            raise ValueError("a child of the group")

        if kind == "task-group":
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                while True:
                    yield "x"
        async with asyncio.timeout(0.01):
            while True:
                yield "x"

    with run_server(reckless) as url:
        chunks, error = check_stream(ask(url, model="reckless", stream=True).body)
        assert chunks
        assert error is not None
        assert error["error"]["type"] == "server_error"
        assert ask(url, model="reckless").status == 500


def test_a_chunk_may_be_large():
    """4 MB in one piece, both ways."""
    text = "é" * 2_000_000

    async def large(request):
        yield text

    with run_server(large) as url:
        assert said(ask(url, model="large", stream=True).body) == text
        assert ask(url, model="large").json["choices"][0]["message"]["content"] == text


# --- pace ----------------------------------------------------------------------------------------------


def test_every_event_is_sent_when_it_is_made():
    """The engine goes on only when the client has the chunk in its hands."""
    step = threading.Semaphore(0)

    def stepwise(request):
        for word in "abc":
            assert step.acquire(timeout=5)
            yield word

    with (
        run_server(stepwise, first_event_hold=0.01) as url,
        opened(url, model="stepwise", stream=True) as answer,
    ):
        for word in "abc":
            step.release()
            while f'"content":"{word}"'.encode() not in answer.readline():
                pass


def test_the_head_waits_for_the_first_event_so_that_an_error_is_a_status():
    """As long as `first_event_hold`."""

    async def late(request):
        await asyncio.sleep(0.05)
        raise ValueError
        yield

    with run_server(late, first_event_hold=5) as url:
        assert ask(url, model="late", stream=True).status == 500


def test_the_head_does_not_wait_for_ever():
    """After `first_event_hold` it is sent, and comments keep the connection alive; an error is then an event."""

    async def slow(request):
        await asyncio.sleep(0.2)
        raise ValueError
        yield

    with run_server(slow, first_event_hold=0.02, keep_alive=0.03) as url:
        begun = time.monotonic()
        with opened(url, model="slow", stream=True) as answer:
            assert time.monotonic() - begun < 0.15
            body = answer.read()
    assert answer.status == 200
    assert 2 <= body.count(b": keep-alive\n\n") <= 7
    assert check_stream(body)[1] is not None


def test_comments_fill_a_silence_between_events():
    """And only a silence: none stands where chunks come."""

    async def pausing(request):
        for number in range(10):
            await asyncio.sleep(0.005)
            yield str(number)
        await asyncio.sleep(0.2)
        yield "end"

    with run_server(pausing, first_event_hold=0.01, keep_alive=0.06) as url:
        body = ask(url, model="pausing", stream=True).body
    assert said(body) == "0123456789end"
    before, _, after = body.partition(b'"content":"9"')
    assert before.count(b": keep-alive") == 0
    assert 1 <= after.count(b": keep-alive\n\n") <= 4
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_short_answer_has_no_comment():
    """Nor anything else that is not a chunk."""
    with run_server(async_generator) as url:
        assert b": keep-alive" not in ask(url, model="async_generator", stream=True).body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_engine_that_never_waits_starves_nobody(stream):
    """Others are answered while it runs, streamed or not."""
    stop = threading.Event()

    async def busy(request):
        while not stop.is_set():
            yield "x" if stream else Text("", tokens=1)

    with run_server(busy) as url:
        answers: list[Any] = []
        reader = threading.Thread(target=lambda: answers.append(ask(url, model="busy", stream=stream)))
        reader.start()
        try:
            time.sleep(0.05)
            for _ in range(3):
                begun = time.monotonic()
                assert ask(url, "/health", method="GET").status == 200
                assert time.monotonic() - begun < 1
        finally:
            stop.set()
            reader.join(10)
    assert answers[0].status == 200


# --- the reader leaves ---------------------------------------------------------------------------------


class Watched:
    """What an engine was seen to do."""

    def __init__(self):
        self.yielded = 0
        self.cancelled = self.closed = False


def waiting(seen: Watched):
    async def engine(request):
        try:
            while True:
                seen.yielded += 1
                yield "x"
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            seen.cancelled = True
            raise
        finally:
            seen.closed = True

    return engine


def silent_after_one(seen: Watched):
    async def engine(request):
        try:
            seen.yielded += 1
            yield "x"
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.cancelled = True
            raise
        finally:
            seen.closed = True

    return engine


def swallowing(seen: Watched):
    async def engine(request):
        try:
            while True:
                seen.yielded += 1
                yield "x"
                try:
                    if not seen.cancelled:
                        await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    seen.cancelled = True
        finally:
            seen.closed = True

    return engine


def busy_engine(seen: Watched):
    async def engine(request):
        try:
            while True:
                seen.yielded += 1
                yield "x" * 100
        finally:
            seen.closed = True

    return engine


def blocking(seen: Watched):
    def engine(request) -> Iterator[str]:
        try:
            while True:
                seen.yielded += 1
                yield "x"
                time.sleep(0.01)
        finally:
            seen.closed = True

    return engine


@pytest.mark.parametrize("kind", [waiting, silent_after_one, swallowing, busy_engine, blocking], ids=name_of)
def test_an_engine_stops_when_its_reader_leaves(kind):
    """Its generator is closed, its `finally` runs, and it makes no more."""
    seen = Watched()
    with run_server(kind(seen)) as url:
        with opened(url, model="engine", stream=True) as answer:
            answer.readline()
        assert wait_for(lambda: seen.closed, 3)
        count = seen.yielded
        time.sleep(0.05)
        assert seen.yielded == count
        assert ask(url, "/health", method="GET").status == 200
    assert seen.cancelled or kind is not silent_after_one


@pytest.mark.parametrize("kind", [waiting, swallowing], ids=name_of)
def test_an_engine_that_waits_makes_at_most_one_more_item(kind):
    """It is stopped at its next await, or next yield."""
    seen = Watched()
    with run_server(kind(seen)) as url:
        with opened(url, model="engine", stream=True) as answer:
            answer.readline()
        left_at = seen.yielded
        assert wait_for(lambda: seen.closed, 3)
    assert seen.yielded <= left_at + 2  # one that was made while the connection closed, and one more


def test_a_busy_engine_stops_soon():
    """Within 50 ms, of which a slow machine gets some more."""
    seen = Watched()
    with run_server(busy_engine(seen)) as url:
        with opened(url, model="engine", stream=True) as answer:
            answer.read(10_000)
        begun = time.monotonic()
        assert wait_for(lambda: seen.closed, 3)
        assert time.monotonic() - begun < 0.5


def test_an_answer_that_is_not_streamed_is_given_up_too():
    """Nobody would read it."""
    seen = Watched()
    started = threading.Event()

    async def engine(request):
        try:
            started.set()
            await asyncio.sleep(60)
            yield "x"
        finally:
            seen.closed = True

    with run_server(engine) as url:
        reader = threading.Thread(target=_give_up, args=(url,))
        reader.start()
        assert started.wait(5)
        reader.join(5)
        assert wait_for(lambda: seen.closed, 3)


def _give_up(url: str) -> None:
    body = b'{"model":"engine","messages":[{"role":"user","content":"Hi"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    connection = connect(url, head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    time.sleep(0.1)
    connection.close()


@pytest.mark.parametrize("kind", [busy_engine, blocking], ids=name_of)
def test_a_reader_that_stops_reading_holds_the_engine_up(kind):
    """Memory stays bounded: the engine does not run ahead of what was read and fits into buffers."""
    seen = Watched()
    size = 100_000

    if kind is busy_engine:

        async def engine(request):
            for _ in range(2_000):
                seen.yielded += 1
                yield "x" * size
    else:

        def engine(request):
            for _ in range(2_000):
                seen.yielded += 1
                yield "x" * size

    with run_server(engine) as url, opened(url, model="engine", stream=True) as answer:
        answer.readline()
        time.sleep(0.2)
        stalled_at = seen.yielded
        time.sleep(0.1)
        assert seen.yielded == stalled_at
        assert stalled_at * size < 20_000_000
