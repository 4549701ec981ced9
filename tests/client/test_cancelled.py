"""A thousand streams left at random moments: nothing stays behind, and the client goes on as before."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from duologue import APITimeoutError, AsyncClient, Client, Timeout
from support.steps import HEAD, piece
from support.wire import CHUNK, PATIENCE_S, Peer, WireServer, events

from .conftest import ASK, TLS

AT_ONCE = 40

# How many streams are left over each transport. DUOLOGUE_CANCELS=1000 is for as many over those that take longer.
CANCELS = os.environ.get("DUOLOGUE_CANCELS")
STREAMS, FEWER = int(CANCELS or 1000), int(CANCELS or 400)

WHOLE = b"%x\r\n%b\r\n0\r\n\r\n" % (len(events("Hello")), events("Hello"))
PIECE = piece(CHUNK)


class Pacer:
    """A server on an event loop of its own thread: a chunk each few milliseconds, or a whole answer at once.

    It counts the connections that are open.
    """

    def __init__(self) -> None:
        self.open = 0
        self.opened = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.opened += 1
        # uvloop says RuntimeError of a connection that the client has closed meanwhile.
        with contextlib.suppress(ConnectionError, RuntimeError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(size)
                if b'"whole"' in body:
                    writer.write(HEAD + WHOLE)
                    continue
                await asyncio.sleep(random.uniform(0, 0.01))
                writer.write(HEAD)
                while not reader.at_eof():
                    await asyncio.sleep(0.005)
                    writer.write(PIECE)
                    await writer.drain()
                break
        self.open -= 1
        writer.close()

    async def _run(self, began: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]) -> None:
        over = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256)
        began.set_result((asyncio.get_running_loop(), over, server.sockets[0].getsockname()[1]))
        await over.wait()
        server.close()

    @contextmanager
    def running(self) -> Iterator[dict[str, Any]]:
        """Serves while it is entered; the options of its clients."""
        began: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._run(began)))
        thread.start()
        loop, over, port = began.result(PATIENCE_S)
        try:
            yield {"base_url": f"http://127.0.0.1:{port}/v1"}
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join(PATIENCE_S)

    def settles(self, most: int) -> bool:
        """Whether at most so many connections are open, after a moment."""
        end = time.monotonic() + PATIENCE_S
        while self.open > most and time.monotonic() < end:
            time.sleep(0.01)
        return self.open <= most


class InProcess(Pacer):
    """The same as an application in this process: there are no connections, and it counts its calls."""

    @contextmanager
    def running(self) -> Iterator[dict[str, Any]]:
        yield {"app": self._answer}

    async def _answer(self, _scope: Any, receive: Any, send: Any) -> None:
        self.open += 1
        try:
            whole = b'"whole"' in (await receive())["body"]
            await asyncio.sleep(0 if whole else random.uniform(0, 0.01))
            head = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            while not whole:
                await asyncio.sleep(0.005)
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await send({"type": "http.response.body", "body": events("Hello")})
        finally:
            self.open -= 1


class Held:
    """What the process holds: descriptors, threads, objects."""

    def __init__(self) -> None:
        gc.collect()
        self.descriptors = len(os.listdir("/dev/fd"))  # noqa: PTH208 - paths of descriptors lead nowhere
        self.threads = set(threading.enumerate())
        self.objects = len(gc.get_objects())

    def assert_not_exceeded(self, streams: int) -> None:
        """No more is held than was, after a moment and so many streams."""
        end = time.monotonic() + PATIENCE_S
        while True:
            now = Held()
            more = now.threads - self.threads
            grown = now.objects - self.objects
            if now.descriptors <= self.descriptors and not more and grown < streams:  # not even one for each
                break
            assert time.monotonic() < end, (now.descriptors, self.descriptors, more, grown)
            time.sleep(0.02)
        for name in ("descriptors", "objects"):
            print(f"{name} before and after {streams} streams: {getattr(self, name)}, {getattr(now, name)}")


def leave(client: Client, dice: random.Random) -> None:
    """Begin a stream and leave it: by a deadline at any moment, in the loop, from elsewhere, or by forgetting."""
    how = dice.choice(["deadline", "break", "elsewhere", "forget"])
    timeout = Timeout(10, total=dice.uniform(0.001, 0.03)) if how == "deadline" else Timeout(10)
    try:
        stream = client.chat.completions.create(**ASK, stream=True, timeout=timeout)
        if how == "forget":
            return
        if how == "elsewhere":
            threading.Timer(dice.uniform(0, 0.02), stream.close).start()
        chunks = dice.randrange(4)
        for number, _ in enumerate(stream):
            if how == "break" and number == chunks:
                break
    except APITimeoutError:
        assert how == "deadline"


async def aleave(client: AsyncClient, dice: random.Random) -> None:
    """The same; a task is cancelled from elsewhere."""
    how = dice.choice(["deadline", "break", "cancel", "cancel", "forget"])
    timeout = Timeout(10, total=dice.uniform(0.001, 0.03)) if how == "deadline" else Timeout(10)

    async def read() -> None:
        stream = await client.chat.completions.create(**ASK, stream=True, timeout=timeout)
        if how == "forget":
            return
        chunks, number = dice.randrange(4), 0
        async for _ in stream:
            number += 1
            if how == "break" and number > chunks:
                break

    task = asyncio.create_task(read())
    if how == "cancel":
        asyncio.get_running_loop().call_later(dice.uniform(0, 0.03), task.cancel)
    try:
        await task
    except APITimeoutError:
        assert how == "deadline"
    except asyncio.CancelledError:
        assert how == "cancel"


def read_whole(client: Client) -> str:
    stream = client.chat.completions.create(**ASK, user="whole", stream=True)
    return stream.get_final_completion().text


@pytest.mark.parametrize(
    ("kind", "over", "streams"),
    [(Pacer, None, STREAMS), (Pacer, httpx2.Client, FEWER), (InProcess, None, FEWER)],
    ids=["http.client", "httpx2", "app"],
)
def test_threads_leave_a_thousand_streams(
    kind: type[Pacer], over: type[httpx2.Client] | None, streams: int
) -> None:
    """No connection, descriptor, thread or object is left; and the pool serves."""
    pacer = kind()
    carrier = contextlib.nullcontext() if over is None else over(verify=TLS)
    with pacer.running() as options, carrier as http_client:
        client = Client(**options, api_key="k", max_retries=0, http_client=http_client)
        with client:
            assert read_whole(client) == "Hello"

            def some(seed: int) -> None:
                dice = random.Random(seed)
                for _ in range(streams // 2 // AT_ONCE):
                    leave(client, dice)

            def half(number: int) -> None:
                with ThreadPoolExecutor(AT_ONCE) as pool:
                    list(pool.map(some, range(number, number + AT_ONCE)))

            half(0)
            assert pacer.settles(1)
            held = Held()
            half(AT_ONCE)
            assert pacer.settles(1)  # the one that was kept
            held.assert_not_exceeded(streams // 2)

            opened = pacer.opened
            assert [read_whole(client) for _ in range(20)] == ["Hello"] * 20
            assert pacer.opened - opened <= 1


@pytest.mark.parametrize(
    ("kind", "over", "streams"),
    [(Pacer, None, STREAMS), (Pacer, httpx2.AsyncClient, FEWER), (InProcess, None, FEWER)],
    ids=["aiohttp", "httpx2", "app"],
)
async def test_tasks_leave_a_thousand_streams(
    kind: type[Pacer], over: type[httpx2.AsyncClient] | None, streams: int
) -> None:
    """The same on an event loop, and no task is left."""
    pacer = kind()
    carrier = contextlib.nullcontext() if over is None else over(verify=TLS)
    with pacer.running() as options:
        async with (
            carrier as http_client,
            AsyncClient(**options, api_key="k", max_retries=0, http_client=http_client) as client,
        ):

            async def whole() -> str:
                stream = await client.chat.completions.create(**ASK, user="whole", stream=True)
                return (await stream.get_final_completion()).text

            async def half(number: int) -> None:
                room = asyncio.Semaphore(AT_ONCE)

                async def one(seed: int) -> None:
                    async with room:
                        await aleave(client, random.Random(seed))

                await asyncio.gather(*(one(number + seed) for seed in range(streams // 2)))
                gc.collect()

            assert await whole() == "Hello"
            tasks = asyncio.all_tasks()
            await half(0)
            assert await asyncio.to_thread(pacer.settles, 1)
            held = Held()
            await half(streams)
            assert await asyncio.to_thread(pacer.settles, 1)
            held.assert_not_exceeded(streams // 2)
            end = time.monotonic() + PATIENCE_S
            while asyncio.all_tasks() != tasks and time.monotonic() < end:  # noqa: ASYNC110 - none tells
                await asyncio.sleep(0.01)
            assert asyncio.all_tasks() == tasks

            opened = pacer.opened
            assert [await whole() for _ in range(20)] == ["Hello"] * 20
            assert pacer.opened - opened <= 1


@pytest.mark.parametrize("over", [None, httpx2.Client], ids=["http.client", "httpx2"])
def test_a_stream_that_is_closed_reads_from_no_other(over: type[httpx2.Client] | None) -> None:
    """Whoever waited on it comes back at once, though its descriptor may be that of the next connection."""
    silent = HEAD + PIECE

    def answer(peer: Peer) -> None:
        if b'"whole"' in peer.asked.body:
            peer.send(HEAD + WHOLE)
        else:
            peer.send(silent)
            peer.gone()

    carrier = contextlib.nullcontext() if over is None else over(verify=TLS)
    with WireServer(answer) as server, carrier as http_client:
        client = Client(base_url=server.url, api_key="k", max_retries=0, http_client=http_client, timeout=60)
        for _ in range(60):
            stream = client.chat.completions.create(**ASK, stream=True)
            next(stream)
            waiting = threading.Thread(target=lambda stream=stream: list(stream))
            waiting.start()
            time.sleep(0.001)
            stream.close()
            assert read_whole(client) == "Hello"
            waiting.join(PATIENCE_S)
            assert not waiting.is_alive()
            client.close()  # so that the next one opens a connection, too
