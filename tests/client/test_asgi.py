"""An ASGI application in this process: it streams, it waits, it learns that its reader has left."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from duologue import APIConnectionError, APITimeoutError, AsyncClient, Client, StreamTruncatedError, Timeout
from duologue.client.transports.asgi import MAX_AHEAD
from support.wire import COMPLETION, DONE, PATIENCE_S, chunk, event, events

from .conftest import ASK, Driver


class App:
    """An application made of one function; notes what it was asked and how it ended."""

    def __init__(self, answer: Callable[[Any, Any], Any]) -> None:
        self.scope: Any = None
        self.body: Any = None
        self.ended = threading.Event()
        self.left = threading.Event()
        self.thread: threading.Thread | None = None
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.thread = threading.current_thread()
        message = await receive()
        assert message["type"] == "http.request"
        assert not message["more_body"]
        self.body = json.loads(message["body"]) if message["body"] else None
        try:
            await self._answer(send, receive)
        finally:
            self.ended.set()


async def start(send: Any, status: int = 200, content_type: str = "text/event-stream") -> None:
    headers = [(b"content-type", content_type.encode()), (b"X-Request-ID", b"req_app")]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def part(send: Any, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def whole(send: Any, receive: Any) -> None:
    await start(send)
    for data in (event(chunk("Hel")), event(chunk("lo")), event(chunk(finish="stop")), DONE):
        await part(send, data)
    await part(send, b"", more=False)


async def plain(send: Any, receive: Any) -> None:
    await start(send, content_type="application/json")
    await part(send, json.dumps(COMPLETION).encode(), more=False)


def test_streamed_and_not(both: Driver) -> None:
    """The whole way through, with the request as a server would get it."""
    app = App(whole)
    reading = both.read(app=app, params={"extra_query": {"a": "b c"}, "extra_headers": {"X-One": "1"}})
    assert (reading.text, reading.stream.outcome, reading.stream.request_id) == (
        "Hello",
        "complete",
        "req_app",
    )
    assert app.body == {**ASK, "stream": True}
    scope = app.scope
    assert (scope["type"], scope["method"], scope["scheme"]) == ("http", "POST", "http")
    assert (scope["path"], scope["raw_path"], scope["root_path"]) == (
        "/v1/chat/completions",
        b"/v1/chat/completions",
        "",
    )
    assert (scope["query_string"], scope["http_version"]) == (b"a=b+c", "1.1")
    headers = dict(scope["headers"])
    assert (headers[b"host"], headers[b"x-one"]) == (b"localhost", b"1")
    assert headers[b"authorization"] == b"Bearer sk-test"
    assert both.create(app=App(plain)).text == "Hello there"


def test_nothing_is_held_back() -> None:
    """The application goes on only when the first chunk has been seen."""
    seen = threading.Event()

    async def answer(send: Any, receive: Any) -> None:
        await start(send)
        await part(send, event(chunk("Hel")))
        assert await asyncio.to_thread(seen.wait, PATIENCE_S)
        await part(send, events("lo"), more=False)

    with Client(app=App(answer)) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        assert next(stream).text == "Hel"
        seen.set()
        assert "".join(stream.text) == "lo"


async def test_nothing_is_held_back_on_the_same_loop() -> None:
    """The head alone is an answer already, and each part is one by itself."""
    go_on = asyncio.Event()

    async def answer(send: Any, receive: Any) -> None:
        await start(send)
        for data in (event(chunk("Hel")), events("lo")):
            await asyncio.wait_for(go_on.wait(), PATIENCE_S)
            go_on.clear()
            await part(send, data)
        await part(send, b"", more=False)

    async with AsyncClient(app=App(answer)) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        assert stream.response.status_code == 200
        go_on.set()
        assert (await anext(stream)).text == "Hel"
        go_on.set()
        assert [text async for text in stream.text] == ["lo"]


async def test_a_slow_reader_holds_the_application_back() -> None:
    """What waits between the two is bounded."""
    made = 0

    async def answer(send: Any, receive: Any) -> None:
        nonlocal made
        await start(send)
        for _ in range(1000):
            made += 1
            await part(send, event(chunk("x")))
        await part(send, events(), more=False)

    async with AsyncClient(app=App(answer)) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(stream)
        for _ in range(10):
            await asyncio.sleep(0)
        assert made <= MAX_AHEAD + 2
        assert len([text async for text in stream.text]) == 999


async def endless(send: Any, receive: Any) -> None:
    """Sends for ever and never asks whether somebody is there."""
    await start(send)
    while True:
        await part(send, event(chunk("x")))
        await asyncio.sleep(0)


def listening(app_left: Callable[[], None]) -> Callable[[Any, Any], Any]:
    """Sends one part, then waits to be told that its reader has left."""

    async def answer(send: Any, receive: Any) -> None:
        await start(send)
        await part(send, event(chunk("x")))
        assert (await receive())["type"] == "http.disconnect"
        app_left()

    return answer


@pytest.mark.parametrize("listens", [True, False])
def test_leaving(listens: bool, both: Driver) -> None:
    """An application that listens is told; one that only sends is stopped at its next part."""
    left = threading.Event()
    app = App(listening(left.set) if listens else endless)

    def leave() -> None:
        with Client(app=app) as client:
            for _ in client.chat.completions.create(**ASK, stream=True):
                break
            assert app.ended.wait(PATIENCE_S)

    async def leave_too() -> None:
        async with AsyncClient(app=app) as client:
            async with await client.chat.completions.create(**ASK, stream=True) as stream:
                await anext(stream)
            assert await asyncio.to_thread(app.ended.wait, PATIENCE_S)

    if type(both).__name__ == "Blocking":
        leave()
    else:
        asyncio.run(leave_too())
    assert left.is_set() == listens


async def test_cancelling_the_reader() -> None:
    """A task that is cancelled while it waits leaves; the application learns of it."""
    left = asyncio.Event()
    async with AsyncClient(app=App(listening(left.set))) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stream.get_final_completion()
        await asyncio.wait_for(left.wait(), PATIENCE_S)
        assert stream.outcome == "cancelled"


@pytest.mark.parametrize("read_one", [False, True], ids=["unread", "begun"])
def test_a_stream_that_is_dropped(read_one: bool) -> None:
    """The application is told, and nothing warns."""
    left = threading.Event()
    with Client(app=App(listening(left.set))) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        if read_one:
            next(stream)
        del stream
        gc.collect()
        assert left.wait(PATIENCE_S)


@pytest.mark.parametrize("read_one", [False, True], ids=["unread", "begun"])
async def test_an_asynchronous_stream_that_is_dropped(read_one: bool) -> None:
    """The same."""
    left = asyncio.Event()
    async with AsyncClient(app=App(listening(left.set))) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        if read_one:
            await anext(stream)
        del stream
        gc.collect()
        await asyncio.wait_for(left.wait(), PATIENCE_S)


def test_the_application_ends_in_peace_after_done(both: Driver) -> None:
    """What it sends after [DONE] is taken, so it sees no disconnect."""
    app = App(whole)
    assert both.read(app=app).error is None
    assert app.ended.wait(PATIENCE_S)


# --- failures ---------------------------------------------------------------------------------------------


def test_an_exception_before_the_answer(both: Driver) -> None:
    """It is the cause of the client's error, and the application is not asked again."""
    calls = 0

    async def answer(send: Any, receive: Any) -> None:
        nonlocal calls
        calls += 1
        raise KeyError("a bug")

    with pytest.raises(APIConnectionError, match="KeyError") as caught:
        both.create(app=App(answer), max_retries=2)
    assert isinstance(caught.value.__cause__, KeyError)
    assert calls == 1


def test_an_exception_in_the_stream(both: Driver) -> None:
    """What had come is delivered; the cause is the application's exception."""

    async def answer(send: Any, receive: Any) -> None:
        await start(send)
        await part(send, event(chunk("Hel")))
        raise KeyError("a bug")

    reading = both.read(app=App(answer))
    assert isinstance(reading.error, StreamTruncatedError)
    assert isinstance(reading.error.__cause__, KeyError)
    assert reading.text == "Hel"


def test_an_exception_after_the_answer(both: Driver, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody can be told any more, so it is logged."""
    caplog.set_level(logging.ERROR)
    app_done = threading.Event()

    async def answer(send: Any, receive: Any) -> None:
        await plain(send, receive)
        app_done.set()
        raise KeyError("late")

    assert both.create(app=App(answer)).text == "Hello there"
    assert app_done.wait(PATIENCE_S)
    assert "after its answer had ended" in caplog.text


def test_an_application_that_returns_too_early(both: Driver) -> None:
    """Without an answer, and in the middle of one."""

    async def silent(send: Any, receive: Any) -> None:
        pass

    async def half(send: Any, receive: Any) -> None:
        await start(send)
        await part(send, event(chunk("Hel")))

    with pytest.raises(APIConnectionError, match="returned before its answer was whole"):
        both.create(app=App(silent))
    assert both.read(app=App(half)).stream.outcome == "truncated"


@pytest.mark.parametrize("after_head", [False, True])
def test_deadlines(both: Driver, after_head: bool) -> None:
    """They hold here as they do over a network."""

    async def answer(send: Any, receive: Any) -> None:
        if after_head:
            await start(send)
        await receive()  # the disconnect

    app = App(answer)
    timeout = Timeout(headers=0.05, idle=0.05)
    if after_head:
        error: Any = both.read(app=app, timeout=timeout).error
    else:
        with pytest.raises(APITimeoutError) as caught:
            both.create(app=app, timeout=timeout)
        error = caught.value
    assert error.phase == ("idle" if after_head else "headers")
    assert app.ended.wait(PATIENCE_S)


def test_the_total_holds_for_a_busy_application(both: Driver) -> None:
    """Chunk after chunk, and the call still ends."""
    reading = both.read(app=App(endless), timeout=Timeout(total=0.3))
    assert reading.error is not None
    assert getattr(reading.error, "phase", None) == "total"
    assert reading.chunks


# --- life -------------------------------------------------------------------------------------------------


def test_the_thread_of_a_blocking_client() -> None:
    """One for the client and its copies, ended by `close`; a later call starts another."""
    app = App(plain)
    client = Client(app=app)
    client.chat.completions.create(**ASK)
    first = app.thread
    client.with_options(timeout=3).chat.completions.create(**ASK)
    assert first is not None
    assert app.thread is first
    client.close()
    first.join(PATIENCE_S)
    assert not first.is_alive()
    client.chat.completions.create(**ASK)
    second = app.thread
    assert second is not None
    assert second is not first
    del client
    gc.collect()
    second.join(PATIENCE_S)
    assert not second.is_alive()


def test_closing_the_client_under_a_stream() -> None:
    """The stream breaks off; it does not hang."""
    left = threading.Event()
    client = Client(app=App(listening(left.set)))
    stream = client.chat.completions.create(**ASK, stream=True)
    next(stream)
    client.close()
    with pytest.raises(StreamTruncatedError):
        next(stream)


def test_the_environment_is_for_other_servers(both: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application in this process is not sent the key of a server elsewhere."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere.example/v1")
    app = App(plain)
    both.create(app=app, api_key=None)
    headers = dict(app.scope["headers"])
    assert b"authorization" not in headers
    assert headers[b"host"] == b"localhost"


def test_a_path_of_its_own(both: Driver) -> None:
    """`base_url` says under which path the application is asked."""
    app = App(plain)
    both.create(app=app, base_url="http://localhost/api/ü")
    assert app.scope["path"] == "/api/ü/chat/completions"
    assert app.scope["raw_path"] == b"/api/%C3%BC/chat/completions"
