"""What becomes of connections: used again, left, broken, shared; counted and watched by the server."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from duologue import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    Client,
    StreamCancelledError,
    Timeout,
)
from support.steps import HEAD, piece
from support.wire import (
    CHUNK,
    COMPLETION,
    DONE,
    HI,
    PATIENCE_S,
    Peer,
    WireServer,
    chunk,
    event,
    events,
    json_answer,
    raw,
    sse,
)

from .conftest import ASK, Driver


class Endless:
    """A stream without end; tells when its client has left."""

    def __init__(self) -> None:
        self.left = threading.Event()

    def __call__(self, peer: Peer) -> None:
        peer.send(HEAD + piece(CHUNK))
        if peer.gone():
            self.left.set()


# --- used again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_stream_leaves_its_connection_to_the_next(every: Driver, framing: Any) -> None:
    """After [DONE] the body's end is read, and five streams need one connection."""
    with WireServer(sse(events("Hello"), framing=framing)) as server:
        reading = every.read(5, base_url=server.url)
    assert reading.stream.outcome == "complete"
    assert (len(server.asked), server.connections) == (5, 1)


def test_the_end_of_the_body_may_come_a_little_later(every: Driver) -> None:
    """Many servers send it in a packet of its own."""

    def answer(peer: Peer) -> None:
        body = events("Hello")
        peer.send(HEAD + piece(body))
        time.sleep(0.02)
        peer.send(b"0\r\n\r\n")

    with WireServer(answer) as server:
        every.read(3, base_url=server.url)
    assert server.connections == 1


def test_a_body_that_goes_on_after_done_is_not_waited_for(every: Driver) -> None:
    """What follows [DONE] is read for a moment and no further; then the connection is closed."""

    def answer(peer: Peer) -> None:
        peer.send(HEAD + piece(events("Hi")))
        while peer.open:
            peer.send(b"1000\r\n" + b":" * 0x1000 + b"\r\n")

    with WireServer(answer) as server:
        reading = every.read(2, base_url=server.url)
    assert (reading.stream.outcome, reading.text) == ("complete", "Hi")
    assert server.connections == 2


def test_connection_close_is_obeyed(every: Driver) -> None:
    """A server that says it will close gets a new connection."""
    answer = json_answer(COMPLETION, 200, {"connection": "close"})
    with WireServer(answer) as server:
        for _ in range(2):
            assert every.create(base_url=server.url).text == "Hello there"
    assert server.connections == 2


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stale_connection_is_replaced_by_a_retry(how: str, every: Driver) -> None:
    """The server closes a kept connection once it has the next request: sent again, on a new connection."""

    def answer(peer: Peer) -> None:
        if len(server.asked) == 2:  # the second request, on the first connection: it is not answered
            getattr(peer, how)()
        else:
            sse(events("Hello"))(peer)

    with WireServer(answer) as server:
        reading = every.read(2, base_url=server.url, max_retries=1)
    assert reading.text == "Hello"
    assert [asked.connection for asked in server.asked] == [0, 0, 1]


def test_a_connection_closed_meanwhile_is_not_tried() -> None:
    """The server closes after each answer without saying so; the client sees it before it sends."""

    def answer(peer: Peer) -> None:
        json_answer(COMPLETION)(peer)
        peer.close()

    async def twice(url: str) -> None:
        async with AsyncClient(base_url=url, max_retries=0) as client:
            for _ in range(2):
                await client.chat.completions.create(**ASK)
                await asyncio.sleep(0.05)

    with WireServer(answer) as server:
        with Client(base_url=server.url, max_retries=0) as client:
            for _ in range(2):
                client.chat.completions.create(**ASK)
                time.sleep(0.05)
        asyncio.run(twice(server.url))
    assert [asked.connection for asked in server.asked] == [0, 1, 2, 3]


def test_copies_share_connections() -> None:
    """`with_options` makes another client, not another pool."""
    with WireServer(json_answer(COMPLETION)) as server, Client(base_url=server.url) as client:
        client.chat.completions.create(**ASK)
        client.with_options(timeout=3, max_retries=0).chat.completions.create(**ASK)
    assert server.connections == 1


# --- left -------------------------------------------------------------------------------------------------


def leave_by_break(client: Client) -> Any:
    stream = client.chat.completions.create(**ASK, stream=True)
    for _ in stream:
        break
    return stream


def leave_by_with(client: Client) -> Any:
    with client.chat.completions.create(**ASK, stream=True) as stream:
        next(stream)
    return stream


def leave_by_close(client: Client) -> Any:
    stream = client.chat.completions.create(**ASK, stream=True)
    stream.close()
    return stream


def leave_the_text(client: Client) -> Any:
    stream = client.chat.completions.create(**ASK, stream=True)
    for _ in stream.text:
        break
    return stream


def leave_by_error(client: Client) -> Any:
    try:
        with client.chat.completions.create(**ASK, stream=True) as stream:
            for _ in stream:
                raise KeyError
    except KeyError:
        pass
    return stream


@pytest.mark.parametrize(
    "leave", [leave_by_break, leave_by_with, leave_by_close, leave_the_text, leave_by_error]
)
def test_leaving_a_stream(leave: Any) -> None:
    """The connection is closed at once, the outcome is `cancelled`, and the result is no longer to be had."""
    with WireServer(endless := Endless()) as server, Client(base_url=server.url) as client:
        stream = leave(client)
        assert endless.left.wait(PATIENCE_S)
        assert stream.outcome == "cancelled"
        assert list(stream) == []
        with pytest.raises(StreamCancelledError) as caught:
            stream.get_final_completion()
        got = caught.value.completion
        assert (got and got.text) == (None if leave is leave_by_close else "Hello")


async def aleave_by_break(client: AsyncClient) -> Any:
    stream = await client.chat.completions.create(**ASK, stream=True)
    async for _ in stream:
        break
    await asyncio.sleep(0.01)  # the loop closes what nobody holds any more
    return stream


async def aleave_by_with(client: AsyncClient) -> Any:
    async with await client.chat.completions.create(**ASK, stream=True) as stream:
        await anext(stream)
    return stream


async def aleave_by_close(client: AsyncClient) -> Any:
    stream = await client.chat.completions.create(**ASK, stream=True)
    await stream.close()
    return stream


async def aleave_the_text(client: AsyncClient) -> Any:
    stream = await client.chat.completions.create(**ASK, stream=True)
    async for _ in stream.text:
        break
    await asyncio.sleep(0.01)
    return stream


async def aleave_by_cancelling(client: AsyncClient) -> Any:
    stream = await client.chat.completions.create(**ASK, stream=True)

    async def read() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return stream


@pytest.mark.parametrize(
    "leave", [aleave_by_break, aleave_by_with, aleave_by_close, aleave_the_text, aleave_by_cancelling]
)
async def test_leaving_an_asynchronous_stream(leave: Any) -> None:
    """The same, and a task that is cancelled leaves the stream, too."""
    with WireServer(endless := Endless()) as server:
        async with AsyncClient(base_url=server.url) as client:
            stream = await leave(client)
            assert stream.outcome == "cancelled"
            assert await asyncio.to_thread(endless.left.wait, PATIENCE_S)
            assert [chunk async for chunk in stream] == []
            with pytest.raises(StreamCancelledError):
                await stream.get_final_completion()


async def test_cancelling_before_the_answer() -> None:
    """A call that is given up while it waits closes its connection."""
    left = threading.Event()

    def answer(peer: Peer) -> None:
        if peer.gone():
            left.set()

    with WireServer(answer) as server:
        async with AsyncClient(base_url=server.url) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.chat.completions.create(**ASK)
            assert await asyncio.to_thread(left.wait, PATIENCE_S)


@pytest.mark.parametrize("read_one", [False, True], ids=["unread", "begun"])
def test_a_stream_that_is_dropped(read_one: bool) -> None:
    """Nobody closes it and nobody reads it to its end: the connection is closed, and nothing warns."""
    with WireServer(endless := Endless()) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        if read_one:
            next(stream)
        del stream
        gc.collect()
        assert endless.left.wait(PATIENCE_S)


@pytest.mark.parametrize("read_one", [False, True], ids=["unread", "begun"])
async def test_an_asynchronous_stream_that_is_dropped(read_one: bool) -> None:
    """The same on an event loop, in its debug mode as well."""
    asyncio.get_running_loop().set_debug(True)
    with WireServer(endless := Endless()) as server:
        async with AsyncClient(base_url=server.url) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            if read_one:
                await anext(stream)
            del stream
            gc.collect()
            assert await asyncio.to_thread(endless.left.wait, PATIENCE_S)


def test_a_client_that_is_dropped() -> None:
    """Its kept connections are closed, and nothing warns."""
    left = threading.Event()

    def answer(peer: Peer) -> None:
        json_answer(COMPLETION)(peer)
        if peer.gone():
            left.set()

    async def use(url: str) -> None:
        client = AsyncClient(base_url=url)
        await client.chat.completions.create(**ASK)
        del client
        await asyncio.sleep(0)
        assert await asyncio.to_thread(left.wait, PATIENCE_S)

    with WireServer(answer) as server:
        client = Client(base_url=server.url)
        client.chat.completions.create(**ASK)
        del client
        assert left.wait(PATIENCE_S)
        left.clear()
        asyncio.run(use(server.url))


def test_closing_from_another_thread() -> None:
    """A reader that waits for a chunk comes back when somebody closes its stream."""
    with WireServer(endless := Endless()) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        threading.Timer(0.05, stream.close).start()
        assert [chunk.text for chunk in stream] == ["Hello"]
        assert stream.outcome == "cancelled"
        assert endless.left.wait(PATIENCE_S)


def test_the_server_half_closes(every: Driver) -> None:
    """A server that sends no more but still listens has ended its stream."""

    def answer(peer: Peer) -> None:
        peer.send(HEAD + piece(CHUNK))
        peer.half_close()
        peer.gone()

    with WireServer(answer) as server:
        reading = every.read(base_url=server.url)
    assert (reading.text, reading.stream.outcome) == ("Hello", "truncated")


# --- shared -----------------------------------------------------------------------------------------------


def echo(peer: Peer) -> None:
    """A stream that says what it was asked."""
    sse([event(chunk(peer.asked.json["user"])), event(chunk(finish="stop")) + DONE])(peer)


def test_fifty_threads_on_one_client() -> None:
    """Each gets its own answer, over as many connections as are needed at once."""
    with WireServer(echo) as server, Client(base_url=server.url) as client:
        gate = threading.Barrier(50)

        def ask(number: int) -> list[str]:
            gate.wait()
            names = [f"{number}-{turn}" for turn in range(4)]
            return [
                client.chat.completions.create(**ASK, user=name, stream=True).get_final_completion().text
                for name in names
            ]

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(ask, range(50)))
    assert answers == [[f"{number}-{turn}" for turn in range(4)] for number in range(50)]
    assert server.connections <= 50


async def test_a_hundred_tasks_on_one_client() -> None:
    """The same on one event loop."""
    with WireServer(echo) as server:
        async with AsyncClient(base_url=server.url) as client:

            async def ask(name: str) -> str:
                stream = await client.chat.completions.create(**ASK, user=name, stream=True)
                return (await stream.get_final_completion()).text

            names = [f"task-{number}" for number in range(100)]
            assert await asyncio.gather(*map(ask, names)) == names


def test_one_client_in_several_event_loops() -> None:
    """One `asyncio.run` after the other, and loops in threads: no loop is missed by its connections."""
    with WireServer(echo) as server:
        client = AsyncClient(base_url=server.url)

        async def ask(name: str) -> str:
            stream = await client.chat.completions.create(**ASK, user=name, stream=True)
            return (await stream.get_final_completion()).text

        assert [asyncio.run(ask(name)) for name in ("a", "b")] == ["a", "b"]
        with ThreadPoolExecutor(4) as pool:
            names = [f"thread-{number}" for number in range(8)]
            assert list(pool.map(lambda name: asyncio.run(ask(name)), names)) == names

        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(ask("c")) == "c"
        loop.run_until_complete(client.close())
        loop.close()
        assert asyncio.run(ask("d")) == "d"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections() -> None:
    """A kept connection belongs to the process that opened it."""
    with WireServer(json_answer(COMPLETION)) as server, Client(base_url=server.url) as client:
        client.chat.completions.create(**ASK)
        child = os.fork()
        if child == 0:
            try:
                client.chat.completions.create(**ASK)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        client.chat.completions.create(**ASK)
    assert [asked.connection for asked in server.asked] == [0, 1, 0]


async def test_a_pool_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a connection waits no longer than `connect`, or until one is free; who leaves takes none."""
    monkeypatch.setattr("duologue.client.transports._session.MAX_CONNECTIONS", 2)
    deadlines = Timeout(5, connect=0.1)
    with WireServer(Endless()) as server:
        async with AsyncClient(base_url=server.url, api_key="k", max_retries=0, timeout=deadlines) as client:

            async def begin() -> Any:
                return await client.chat.completions.create(**ASK, stream=True)

            streams = [await begin() for _ in range(2)]
            with pytest.raises(APITimeoutError) as raised:
                await begin()
            assert raised.value.phase == "connect"
            given_up, patient = asyncio.create_task(begin()), asyncio.create_task(begin())
            await asyncio.sleep(0.01)
            given_up.cancel()
            await streams[0].close()
            assert (await anext(await patient)).text == "Hello"
    assert server.connections == 3


def test_a_large_request(every: Driver) -> None:
    """Some megabytes, as images are; they arrive whole."""
    text = "data:image/png;base64," + "A" * 3_000_000
    with WireServer(json_answer(COMPLETION)) as server:
        every.create(base_url=server.url, params={"messages": [{**HI, "content": text}]})
    assert server.asked[0].json["messages"][0]["content"] == text


def test_a_large_request_that_is_refused_at_once(every: Driver) -> None:
    """The server answers before it has read the body, and closes: what it says is told."""

    def refuse(peer: Peer) -> None:
        json_answer({"error": {"message": "too large"}}, 413, {"connection": "close"})(peer)
        peer.half_close()
        peer.drain()

    with WireServer(refuse, reads_bodies=False) as server, pytest.raises(APIStatusError, match="too large"):
        every.create(base_url=server.url, params={"user": "x" * 9_000_000})


def test_a_large_request_that_is_cut_off() -> None:
    """The same from a server that breaks the connection after its answer, where the system still has it."""

    def refuse(peer: Peer) -> None:
        json_answer({"error": {"message": "too large"}}, 413, {"connection": "close"})(peer)
        peer.close()

    with WireServer(refuse, reads_bodies=False) as server, pytest.raises(APIStatusError, match="too large"):
        Client(base_url=server.url).chat.completions.create(**ASK, user="x" * 9_000_000)


def test_a_proxy(own: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HTTP_PROXY` is asked with the whole URL and its own password; `NO_PROXY` and loopback go past it."""
    with WireServer(json_answer(COMPLETION)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{proxy.port}")
        own.create(base_url="http://elsewhere.example/v1")
        (asked,) = proxy.asked
        assert asked.target == "http://elsewhere.example/v1/chat/completions"
        assert asked.headers["host"] == "elsewhere.example"
        assert asked.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
        own.create(base_url=proxy.url)
        assert proxy.asked[1].target == "/v1/chat/completions"
        assert "proxy-authorization" not in proxy.asked[1].headers


@pytest.mark.parametrize("proxy", ["socks5://h:1", "https://h:1", "http://h:99999", "http://a..b"])
def test_a_proxy_of_the_environment_that_cannot_be(
    own: Driver, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named as the reason, and nothing is sent past it."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(APIConnectionError, match="the environment's proxies"):
        own.create(base_url="http://elsewhere.example/v1")


def test_a_proxy_that_refuses_the_tunnel(every: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """For https a tunnel is asked for; the request itself is never shown to the proxy."""
    with WireServer(raw(b"HTTP/1.1 407 Who are you\r\n\r\n")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(APIError, match=r"407|Who are you"):
            every.create(base_url="https://elsewhere.example/v1")
    (asked,) = proxy.asked
    assert (asked.method, asked.target) == ("CONNECT", "elsewhere.example:443")
    assert "authorization" not in asked.headers
