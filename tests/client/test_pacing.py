"""`max_concurrency`: at most so many requests at once, and no faster than the server allows."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from duologue import APITimeoutError, AsyncClient, Client, DuologueError, Timeout
from support.wire import (
    CHUNK,
    COMPLETION,
    PATIENCE_S,
    Answer,
    Peer,
    WireServer,
    events,
    json_answer,
    raw,
    sse,
)

from .conftest import ASK, Driver

WHOLE = json_answer(COMPLETION)
OPEN = raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + CHUNK, ending="open")


class Counting:
    """Answers after a while, and knows how many requests were in the air at once."""

    def __init__(self, answer: Answer = WHOLE, seconds: float = 0.02) -> None:
        self.now = self.most = 0
        self._answer, self._seconds = answer, seconds
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        with self._lock:
            self.now -= 1
        self._answer(peer)


class Limited:
    """Allows `limit` requests, or tokens of which each request costs `cost`, in each `window` of seconds."""

    def __init__(self, limit: int, window: float, *, kind: str = "requests", cost: int = 1) -> None:
        self.refused = 0
        self._limit, self._window, self._kind, self._cost = limit, window, kind, cost
        self._left, self._until = limit, 0.0
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        with self._lock:
            now = time.monotonic()
            if now >= self._until:
                self._left, self._until = self._limit, now + self._window
            good = self._left >= self._cost
            self._left -= self._cost * good
            self.refused += not good
            headers = {
                f"x-ratelimit-limit-{self._kind}": str(self._limit),
                f"x-ratelimit-remaining-{self._kind}": str(self._left),
                f"x-ratelimit-reset-{self._kind}": f"{math.ceil((self._until - now) * 1000)}ms",
            }
        body: Any = COMPLETION if good else {"error": {"message": "slow down"}}
        json_answer(body, 200 if good else 429, headers)(peer)


def blocking(client: Client, calls: int) -> list[Any]:
    """So many calls at once, from as many threads."""
    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(lambda _: client.chat.completions.create(**ASK), range(calls)))


def waiting(client: AsyncClient, calls: int) -> list[Any]:
    """So many calls at once, from as many tasks."""

    async def ask() -> list[Any]:
        async with client:
            create = client.chat.completions.create
            return await asyncio.gather(*(create(**ASK) for _ in range(calls)))

    return asyncio.run(ask())


Many = tuple[Callable[..., Any], Callable[[Any, int], list[Any]]]


@pytest.fixture(params=[(Client, blocking), (AsyncClient, waiting)], ids=["sync", "async"])
def many(request: pytest.FixtureRequest) -> Many:
    """A client, and how to make many calls over it at once."""
    found: Many = request.param
    return found


def test_never_more_than_allowed_at_once(many: Many) -> None:
    """Twelve callers, three requests in the air; all are answered."""
    make, calls = many
    answer = Counting()
    with WireServer(answer) as server:
        answers = calls(make(base_url=server.url, max_concurrency=3), 12)
    assert len(answers) == 12
    assert answer.most == 3


def test_without_a_number_all_go_at_once(many: Many) -> None:
    """The default."""
    make, calls = many
    answer = Counting(seconds=0.2)
    with WireServer(answer) as server:
        calls(make(base_url=server.url), 6)
    assert answer.most == 6


def test_copies_share_unless_they_have_a_number_of_their_own() -> None:
    """`with_options` leaves the places as they are, but for another `max_concurrency`."""
    with WireServer(OPEN, WHOLE) as server, Client(base_url=server.url, max_concurrency=1) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(APITimeoutError):
            client.with_options(timeout=Timeout(total=0.1)).chat.completions.create(**ASK)
        assert client.with_options(max_concurrency=1).chat.completions.create(**ASK)
        assert client.with_options(max_concurrency=None).chat.completions.create(**ASK)
        stream.close()


def test_a_stream_is_in_the_air_until_it_ends() -> None:
    """Read to its end, left, or dropped: then the next one goes."""
    with (
        WireServer(sse(events("Hello")), OPEN, OPEN, OPEN, WHOLE) as server,
        Client(base_url=server.url, max_concurrency=1, timeout=Timeout(total=PATIENCE_S)) as client,
    ):
        create = client.chat.completions.create
        assert create(**ASK, stream=True).get_final_completion().text == "Hello"
        create(**ASK, stream=True).close()
        with create(**ASK, stream=True) as stream:
            next(stream)
        del stream
        dropped = create(**ASK, stream=True)
        del dropped
        gc.collect()
        assert create(**ASK).text == "Hello there"


async def test_a_stream_of_a_task_is_in_the_air_until_it_ends() -> None:
    """Likewise, and a cancelled task gives its place back, whether it waits for it or has it."""
    with WireServer(OPEN, OPEN, OPEN, WHOLE) as server:
        async with AsyncClient(base_url=server.url, max_concurrency=1) as client:
            create = client.chat.completions.create
            stream = await create(**ASK, stream=True)
            in_line = asyncio.create_task(create(**ASK))
            await asyncio.sleep(0.05)
            in_line.cancel()
            await stream.close()
            dropped = await create(**ASK, stream=True)
            del dropped
            gc.collect()
            in_the_air = asyncio.create_task(_read(await create(**ASK, stream=True)))
            await asyncio.sleep(0.05)
            in_the_air.cancel()
            async with asyncio.timeout(PATIENCE_S):
                assert (await create(**ASK)).text == "Hello there"
            assert in_line.cancelled()


async def _read(stream: Any) -> None:
    async for _ in stream:
        pass


def test_waiting_for_a_place_is_part_of_the_total(many: Many) -> None:
    """A call that does not come to its turn in time is given up, as any other; the others are not hurt."""
    make, calls = many
    with WireServer(Counting(seconds=0.3)) as server:
        client = make(base_url=server.url, max_concurrency=1, timeout=Timeout(total=0.4), max_retries=0)
        with pytest.raises(APITimeoutError) as caught:
            calls(client, 3)
    assert caught.value.phase == "total"
    assert "0.4 s" in str(caught.value)


def test_a_call_that_waits_to_be_sent_again_is_not_in_the_air() -> None:
    """The place is free for another one meanwhile."""
    seen: list[str] = []

    def answer(peer: Peer) -> None:
        seen.append(json.loads(peer.asked.body)["model"])
        (json_answer({}, 500) if seen == ["first"] else WHOLE)(peer)

    def ask(client: Client, model: str) -> None:
        client.chat.completions.create(**{**ASK, "model": model})

    with WireServer(answer) as server, Client(base_url=server.url, max_concurrency=1) as client:
        first = threading.Thread(target=ask, args=(client, "first"))
        first.start()
        while not seen:
            time.sleep(0.001)
        ask(client, "second")
        first.join()
    assert seen == ["first", "second", "first"]


@pytest.mark.parametrize(
    "limited",
    [
        pytest.param(lambda: Limited(10, 0.3), id="requests"),
        pytest.param(lambda: Limited(1000, 0.3, kind="tokens", cost=100), id="tokens"),
    ],
)
def test_the_server_never_has_to_refuse(limited: Callable[[], Limited], many: Many) -> None:
    """Four at a time, ten in each window: those that would be too many wait for the next one."""
    make, calls = many
    answer = limited()
    with WireServer(answer) as server:
        answers = calls(make(base_url=server.url, max_concurrency=4, max_retries=0), 25)
    assert len(answers) == 25
    assert answer.refused == 0


def test_a_refusal_holds_all_others_back(many: Many) -> None:
    """None is sent before the time that the server asked for has passed."""
    make, calls = many
    came: list[float] = []

    def answer(peer: Peer) -> None:
        came.append(time.monotonic())
        (json_answer({}, 429, {"retry-after-ms": "300"}) if len(came) == 1 else WHOLE)(peer)

    with WireServer(answer) as server:
        calls(make(base_url=server.url, max_concurrency=1), 4)
    assert len(came) == 5
    assert came[1] - came[0] >= 0.29


def test_another_server_is_not_held_back(both: Driver) -> None:
    """What one server asks for is no reason to wait for another: a fallback is asked at once."""
    refusal = json_answer({}, 429, {"retry-after": "60"})
    with WireServer(refusal) as server, WireServer(WHOLE) as other:
        whole = both.create(
            base_url=server.url,
            fallback_base_urls=[other.url],
            max_retries=1,
            max_concurrency=1,
            timeout=Timeout(total=PATIENCE_S),
        )
    assert whole.text == "Hello there"


def test_one_client_on_several_event_loops() -> None:
    """The places are those of the client, whichever loop a task runs on."""
    answer = Counting(seconds=0.05)
    with WireServer(answer) as server, ThreadPoolExecutor(3) as pool:
        client = AsyncClient(base_url=server.url, max_concurrency=2)
        answers = list(pool.map(lambda _: waiting(client, 4), range(3)))
    assert sum(map(len, answers)) == 12
    assert answer.most == 2


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "4"])
def test_a_number_that_cannot_be(number: Any) -> None:
    """The error names the option."""
    with pytest.raises(DuologueError, match="max_concurrency"):
        Client(base_url="http://127.0.0.1:1/v1", max_concurrency=number)


async def test_no_place_is_lost_however_tasks_end() -> None:
    """Cancelled while they wait, while they are in the air, while they read, or dropped: all places come back."""
    moments = random.Random(1)
    answer = Counting(sse([events("Hello", finish=None, done=False), events(" there")]), seconds=0.002)
    with WireServer(answer) as server:
        async with AsyncClient(base_url=server.url, max_concurrency=5, max_retries=0) as client:

            async def ask() -> None:
                stream = await client.chat.completions.create(**ASK, stream=True)
                if moments.random() < 0.3:
                    return  # dropped
                async for _ in stream:
                    await asyncio.sleep(moments.random() / 300)

            tasks = []
            for _ in range(200):
                tasks.append(asyncio.create_task(ask()))
                await asyncio.sleep(0.001)
                if moments.random() < 0.5:
                    moments.choice(tasks).cancel()
            async with asyncio.timeout(60):
                await asyncio.gather(*tasks, return_exceptions=True)
            gc.collect()
            async with asyncio.timeout(PATIENCE_S):
                streams = [await client.chat.completions.create(**ASK, stream=True) for _ in range(5)]
            with pytest.raises(APITimeoutError):  # nor are there more than before
                await client.with_options(timeout=Timeout(total=0.1)).chat.completions.create(**ASK)
            for stream in streams:
                await stream.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_places_of_its_own() -> None:
    """Those that its parent holds are not missed there, where nobody would give them back."""
    code = """
import os, sys
from duologue import Client
client = Client(base_url=sys.argv[1], max_concurrency=1)
ask = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
stream = client.chat.completions.create(**ask, stream=True)
child = os.fork()
answer = client.chat.completions.create(**ask) if child == 0 else None
os._exit(0) if child == 0 else sys.exit(os.waitpid(child, 0)[1])
"""
    with WireServer(OPEN, WHOLE) as server:
        subprocess.run([sys.executable, "-c", code, server.url], check=True, timeout=30)
