"""`create_many`: many requests over one client, each with its result."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any

import pytest

from duologue import APITimeoutError, AsyncClient, BadRequestError, Client, DuologueError, Timeout
from duologue.client.bulk import AHEAD
from support.wire import COMPLETION, HI, Peer, WireServer, json_answer, refused_url


def echo(peer: Peer) -> None:
    """Repeats the user's words: "slow" after a while; "bad" is refused, "broken" is no answer at all."""
    text = json.loads(peer.asked.body)["messages"][0]["content"]
    if text == "bad":
        json_answer({"error": {"message": "No", "code": "bad"}}, 400)(peer)
        return
    if text == "broken":
        peer.close()
        return
    if text == "slow":
        time.sleep(0.2)
    choice = {**COMPLETION["choices"][0], "message": {"role": "assistant", "content": text, "refusal": None}}
    json_answer({**COMPLETION, "choices": [choice]})(peer)


def asks(*texts: str) -> list[dict[str, Any]]:
    return [{"model": "m", "messages": [{"role": "user", "content": text}]} for text in texts]


def blocking(requests: Iterable[Any], client: dict[str, Any], **settings: Any) -> list[Any]:
    with Client(max_retries=0, **client) as made:
        return list(made.chat.completions.create_many(requests, **settings))


def waiting(requests: Iterable[Any], client: dict[str, Any], **settings: Any) -> list[Any]:
    async def ask() -> list[Any]:
        async with AsyncClient(max_retries=0, **client) as made:
            return [result async for result in made.chat.completions.create_many(requests, **settings)]

    return asyncio.run(ask())


@pytest.fixture(params=[blocking, waiting], ids=["sync", "async"])
def many(request: pytest.FixtureRequest) -> Any:
    """All results of `create_many`, with either client."""
    return request.param


@pytest.fixture
def url() -> Iterator[str]:
    with WireServer(echo) as server:
        yield server.url


def told(results: list[Any]) -> list[tuple[int, str]]:
    return [(result.index, result.get().text) for result in results]


def test_results_are_in_order(many: Any, url: str) -> None:
    """Whichever answer comes first; each says which request it belongs to."""
    requests = asks("slow", "b", "c", "d")
    results = many(requests, {"base_url": url})
    assert told(results) == [(0, "slow"), (1, "b"), (2, "c"), (3, "d")]
    assert [result.request for result in results] == requests


def test_results_as_they_come(many: Any, url: str) -> None:
    """A slow one holds nobody up."""
    results = told(many(asks("slow", "b", "c", "d"), {"base_url": url}, in_order=False))
    assert results[-1] == (0, "slow")
    assert sorted(results) == [(0, "slow"), (1, "b"), (2, "c"), (3, "d")]


def test_one_bad_request_does_not_end_the_others(many: Any, url: str) -> None:
    """Each kind of failure stands in the place of its request's completion."""
    requests = [
        *asks("a", "bad", "broken"),
        {"model": "m", "messages": [HI], "no_such_parameter": 1},
        {"model": "m"},
        {"model": "m", "messages": [HI], "stream": True},
        {"model": "m", "messages": [HI], "timeout": -1},
        "no mapping",
        *asks("z"),
    ]
    results = many(requests, {"base_url": url})
    errors = [result.error for result in results]
    assert [type(error).__name__ for error in errors] == [
        "NoneType",
        "BadRequestError",
        "APIConnectionError",
        "TypeError",
        "TypeError",
        "DuologueError",
        "DuologueError",
        "TypeError",
        "NoneType",
    ]
    for error, words in zip(
        errors[3:8], ("no_such_parameter", "messages", "stream", "timeout", "mapping"), strict=True
    ):
        assert words in str(error)
    assert results[0].get().text == "a"
    with pytest.raises(BadRequestError):
        results[1].get()


def test_nothing_to_ask(many: Any) -> None:
    """No request, no result, no connection."""
    assert many([], {"base_url": refused_url()}) == []


@pytest.mark.parametrize("in_order", [True, False])
def test_requests_are_taken_only_as_results_are(in_order: bool, many: Any, url: str) -> None:
    """Of any number of requests only some are begun ahead of the results that were taken."""
    taken = 0
    ahead = 0
    delivered = 0

    def requests() -> Iterator[Any]:
        nonlocal taken, ahead
        for number in range(60):
            taken += 1
            ahead = max(ahead, taken - delivered)
            yield asks("slow" if number == 0 else str(number))[0]

    if many is blocking:
        with Client(base_url=url) as client:
            for _ in client.chat.completions.create_many(requests(), max_concurrency=2, in_order=in_order):
                delivered += 1
    else:

        async def ask() -> None:
            nonlocal delivered
            async with AsyncClient(base_url=url) as client:
                create_many = client.chat.completions.create_many
                async for _ in create_many(requests(), max_concurrency=2, in_order=in_order):
                    delivered += 1

        asyncio.run(ask())
    assert delivered == taken == 60
    assert ahead <= 2 * AHEAD


def test_at_most_so_many_at_once(many: Any) -> None:
    """What is given, else what the client has, and never more than that."""
    now = most = 0
    lock = threading.Lock()

    def answer(peer: Peer) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        echo(peer)

    for client, settings, expected in [
        ({}, {"max_concurrency": 3}, 3),
        ({"max_concurrency": 2}, {}, 2),
        ({"max_concurrency": 2}, {"max_concurrency": 4}, 2),
        ({"max_concurrency": 4}, {"max_concurrency": 2}, 2),
    ]:
        most = 0
        with WireServer(answer) as server:
            assert len(many(asks(*"abcdefghij"), {"base_url": server.url, **client}, **settings)) == 10
        assert most == expected


def test_one_deadline_for_all(many: Any, url: str) -> None:
    """What is not done by then fails, each on its own; what is done is kept."""
    requests = asks("a", *["slow"] * 6)
    results = many(requests, {"base_url": url}, max_concurrency=1, deadline=0.5)
    errors = [result.error for result in results]
    assert len(results) == 7
    assert errors[0] is None
    late = [error for error in errors if error is not None]
    assert len(late) >= 4
    assert all(isinstance(error, APITimeoutError) and error.phase == "total" for error in late)
    assert "deadline" in str(errors[-1])


def test_a_deadline_beside_the_timeouts_of_a_request(many: Any, url: str) -> None:
    """The shorter one counts; the others stay."""
    requests = [{**asks("slow")[0], "timeout": Timeout(total=0.05)}, {**asks("b")[0], "timeout": 9}]
    results = many(requests, {"base_url": url}, deadline=5)
    assert isinstance(results[0].error, APITimeoutError)
    assert "0.05 s" in str(results[0].error)
    assert results[1].get().text == "b"


def test_an_iterable_that_breaks(many: Any, url: str) -> None:
    """What was asked before is delivered; then its exception is raised."""
    results: list[Any] = []

    def requests() -> Iterator[Any]:
        yield from asks("a", "b")
        raise LookupError("no more")

    if many is blocking:
        with Client(base_url=url) as client, pytest.raises(LookupError):
            results.extend(client.chat.completions.create_many(requests()))
    else:

        async def ask() -> None:
            async with AsyncClient(base_url=url) as client:
                async for result in client.chat.completions.create_many(requests()):
                    results.append(result)  # noqa: PERF401 - what came before is kept

        with pytest.raises(LookupError):
            asyncio.run(ask())
    assert told(results) == [(0, "a"), (1, "b")]


def test_a_loop_that_is_left_leaves_the_rest() -> None:
    """No more requests are sent than were begun; the threads end."""
    with WireServer(echo) as server, Client(base_url=server.url) as client:
        for result in client.chat.completions.create_many(asks(*map(str, range(100))), max_concurrency=2):
            assert result.get().text == "0"
            break
        for _ in range(100):
            if not any(thread.name == "duologue-many" for thread in threading.enumerate()):
                break
            time.sleep(0.02)
        else:
            pytest.fail("the threads are still there")
        assert len(server.asked) <= 2 * AHEAD


async def test_a_loop_of_a_task_that_is_left_cancels_the_rest(url: str) -> None:
    """Those in the air, too: nothing is waited for."""
    async with AsyncClient(base_url=url) as client:
        began = time.monotonic()
        async with client.chat.completions.create_many(
            asks("a", *["slow"] * 50), max_concurrency=2
        ) as results:
            assert (await anext(results)).get().text == "a"
        assert time.monotonic() - began < 2
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_requests_that_come_in_time(url: str) -> None:
    """An asynchronous iterable is taken, too."""

    async def requests() -> AsyncIterator[Any]:
        for request in asks("a", "b", "c"):
            await asyncio.sleep(0.01)
            yield request

    async with AsyncClient(base_url=url) as client:
        results = [result async for result in client.chat.completions.create_many(requests())]
    assert told(results) == [(0, "a"), (1, "b"), (2, "c")]


def test_results_do_not_wait_for_requests(url: str) -> None:
    """What has come is delivered before the next request is taken, however slowly those come."""
    delivered: list[Any] = []

    def requests() -> Iterator[Any]:
        while not delivered:
            yield asks("a")[0]
            time.sleep(0.01)

    with Client(base_url=url) as client:
        delivered.extend(islice(client.chat.completions.create_many(requests(), max_concurrency=1000), 1))
    assert told(delivered) == [(0, "a")]


async def test_results_do_not_wait_for_requests_of_a_task(url: str) -> None:
    """The same, for requests that only come when there is a result."""
    first = asyncio.Event()

    async def requests() -> AsyncIterator[Any]:
        yield asks("a")[0]
        await first.wait()
        yield asks("b")[0]

    async with AsyncClient(base_url=url) as client:
        async for result in client.chat.completions.create_many(requests()):
            assert result.get().text == ("b" if first.is_set() else "a")
            first.set()


async def test_requests_that_are_cancelled(url: str) -> None:
    """What ends the task that makes the requests ends the results, too."""

    async def requests() -> AsyncIterator[Any]:
        yield asks("a")[0]
        raise asyncio.CancelledError

    async with AsyncClient(base_url=url) as client:
        with pytest.raises(asyncio.CancelledError):
            async for _ in client.chat.completions.create_many(requests()):
                pass


def test_context_variables_reach_the_threads(url: str) -> None:
    """What is set where `create_many` is called is seen where a key is asked for."""
    user = contextvars.ContextVar("user", default="nobody")
    user.set("somebody")
    seen: set[str] = set()

    def key() -> str:
        seen.add(user.get())
        return "sk-test"

    blocking(asks("a", "b", "c"), {"base_url": url, "api_key": key})
    assert seen == {"somebody"}


@pytest.mark.parametrize("settings", [{"max_concurrency": 0}, {"deadline": 0}, {"deadline": -1}])
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    """The error names the argument, before anything is asked."""
    with Client(base_url=refused_url()) as client, pytest.raises(DuologueError, match=next(iter(settings))):
        client.chat.completions.create_many([], **settings)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_bar_on_a_terminal(known: bool, url: str) -> None:
    """It shows how many are done, of how many where that is known, and how many have failed."""
    code = (
        "from duologue import Client\n"
        "asks = [{'model': 'm', 'messages': [{'role': 'user', 'content': t}]} for t in ('a', 'bad', 'c')]\n"
        f"asks = asks if {known} else iter(asks)\n"
        f"list(Client(base_url={url!r}).chat.completions.create_many(asks, progress=True))\n"
    )
    leader, follower = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=follower, check=True, timeout=60)
    os.close(follower)
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert ("3/3" if known else "3") in shown
    assert "1 failed" in shown


def test_no_bar_elsewhere(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Where standard error is no terminal, nothing is written to it."""
    assert len(blocking(asks("a", "b"), {"base_url": url}, progress=True)) == 2
    assert capfd.readouterr() == ("", "")
