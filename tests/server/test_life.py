"""Engines that start with their first request, and end with the app."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from duologue import AsyncClient, Client, InternalServerError, create_app, run_server, user_message

HI: Any = {"messages": [user_message("Hi")]}


class Slow:
    """Takes a moment to start, and fails as often as it is told."""

    supports: dict[str, Any] = {"n": "emulated"}

    def __init__(self, name: str = "slow", failures: int = 0) -> None:
        self.models = (name,)
        self.log: list[str] = []
        self._failures = failures
        self._ready = False

    async def start(self):
        self.log.append("start")
        await asyncio.sleep(0.05)
        if self._failures:
            self._failures -= 1
            raise RuntimeError("no memory")
        self._ready = True

    async def close(self):
        self.log.append("close")
        self._ready = False

    async def generate(self, request):
        assert self._ready
        yield "ready"


def ask(client: Client, model: str = "slow") -> str:
    return client.chat.completions.create(model=model, **HI).text


def test_an_app_without_a_lifespan_starts_with_its_first_request():
    """And only once."""
    engine = Slow()
    with Client(app=create_app(engine), max_retries=0) as client:
        client.models.list()
        assert engine.log == []
        assert [ask(client), ask(client)] == ["ready"] * 2
    assert engine.log == ["start"]


@pytest.mark.parametrize("n", [1, 3])
async def test_many_first_requests_start_it_once(n):
    """All of them wait for the same start, whole and streamed, of several choices and of one."""
    engine = Slow()
    async with AsyncClient(app=create_app(engine), max_retries=0) as client:

        async def stream() -> str:
            answer = await client.chat.completions.create(model="slow", **HI, n=n, stream=True)
            return (await answer.get_final_completion()).text

        async def whole() -> str:
            return (await client.chat.completions.create(model="slow", **HI, n=n)).text

        said = await asyncio.gather(*(ask() for ask in (stream, whole) * 10))
    assert said == ["ready"] * 20
    assert engine.log == ["start"]


def test_first_requests_on_several_event_loops_start_it_once():
    """An app may be called from any."""
    engine = Slow()
    app = create_app(engine)
    said: list[str] = []

    def run() -> None:
        with Client(app=app, max_retries=0) as client:
            said.append(ask(client))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert said == ["ready"] * 8
    assert engine.log == ["start"]


async def test_a_start_that_fails_is_tried_again():
    """All who wait for it are told; the next request starts it anew."""
    engine = Slow(failures=1)
    async with AsyncClient(app=create_app(engine), max_retries=0) as client:
        asked = [client.chat.completions.create(model="slow", **HI) for _ in range(3)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in said] == [InternalServerError] * 3
        assert engine.log == ["start"]
        assert (await client.chat.completions.create(model="slow", **HI)).text == "ready"
    assert engine.log == ["start", "start"]


async def test_who_leaves_while_it_starts_does_not_stop_it():
    """The others wait for it still."""
    engine = Slow()
    async with AsyncClient(app=create_app(engine), max_retries=0) as client:
        leaving = asyncio.ensure_future(client.chat.completions.create(model="slow", **HI))
        staying = asyncio.ensure_future(client.chat.completions.create(model="slow", **HI))
        while not engine.log:  # noqa: ASYNC110 - the engine is a user's, and knows no event
            await asyncio.sleep(0.005)
        leaving.cancel()
        assert (await staying).text == "ready"
    assert engine.log == ["start"]


def test_a_start_that_its_event_loop_ended_is_begun_anew():
    """By the next one, who has a loop of its own."""
    engine = Slow()
    app = create_app(engine)

    async def leave() -> None:
        asyncio.ensure_future(app.start())  # noqa: RUF006 - it shall be left
        await asyncio.sleep(0.01)

    asyncio.run(leave())
    asyncio.run(app.start())
    assert engine.log == ["start", "start"]
    with Client(app=app) as client:
        assert ask(client) == "ready"


async def test_only_the_engine_that_is_asked_is_started():
    """And only what was started is closed; after that it may start again."""
    one, other = Slow(), Slow()
    app = create_app({"one": one, "other": other})
    async with AsyncClient(app=app, max_retries=0) as client:
        await client.chat.completions.create(model="one", **HI)
        await app.close()
        assert (one.log, other.log) == (["start", "close"], [])
        await client.chat.completions.create(model="one", **HI)
    assert one.log == ["start", "close", "start"]


async def test_an_engine_with_several_names_has_one_life():
    """It is started and closed once."""
    engine = Slow()
    app = create_app({"a": engine, "b": engine})
    await app.start()
    await app.start()
    await app.close()
    assert engine.log == ["start", "close"]


class Plain:
    """Has hooks that are no coroutines."""

    models = ("plain",)
    supports: dict[str, Any] = {}

    def __init__(self, failing: bool = False) -> None:
        self.log: list[str] = []
        self._failing = failing

    def start(self):
        self.log.append("start")

    def close(self):
        self.log.append("close")
        if self._failing:
            raise OSError("disk full")

    async def generate(self, request):
        yield "ready"


def test_hooks_may_be_plain_functions():
    """Which they are where there is nothing to wait for."""
    engine = Plain()
    with run_server(engine) as url, Client(base_url=url) as client:
        assert ask(client, "plain") == "ready"
    assert engine.log == ["start", "close"]


async def test_one_that_fails_to_close_does_not_keep_the_others_open():
    """What it raised is told after all are closed, and only once."""
    engines = [Plain(), Plain(failing=True), Plain()]
    app = create_app(dict(zip("abc", engines, strict=True)))
    await app.start()
    with pytest.raises(OSError, match="disk full"):
        await app.close()
    await app.close()
    assert [engine.log for engine in engines] == [["start", "close"]] * 3


async def test_what_was_started_is_closed_where_another_is_not():
    """A server that does not come up leaves nothing behind."""
    good, bad = Slow(), Slow(failures=1)
    with pytest.raises(RuntimeError, match="no memory"):
        await create_app({"good": good, "bad": bad}).start()
    assert (good.log, bad.log) == (["start", "close"], ["start"])
