"""Both clients behind one face, so that each test holds for both."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol

import pytest

from duologue import AsyncClient, Client, DuologueError
from support.wire import HI

ASK: dict[str, Any] = {"model": "m", "messages": [HI]}


class Reading(NamedTuple):
    """What became of a stream that was read to its end."""

    stream: Any
    chunks: list[Any]
    error: DuologueError | None

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


class Driver(Protocol):
    """One of the clients, for one call or several in turn."""

    def read(self, times: int = 1, /, **options: Any) -> Reading:
        """Read a stream to its end; the last of `times`, over one client."""
        ...

    def create(self, /, **params: Any) -> Any:
        """Make a call that is not streamed; `options` are the client's."""
        ...


def split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the client, and the parameters of the call, which stand under `params`."""
    params = {**ASK, **options.pop("params", {})}
    return {"api_key": "sk-test", "max_retries": 0, **options}, params


class Blocking:
    def read(self, times: int = 1, /, **options: Any) -> Reading:
        options, params = split(options)
        with Client(**options) as client:
            for _ in range(times):
                chunks: list[Any] = []
                error = None
                stream = client.chat.completions.create(**params, stream=True)
                try:
                    chunks.extend(stream)
                except DuologueError as caught:
                    error = caught
        return Reading(stream, chunks, error)

    def create(self, /, **options: Any) -> Any:
        options, params = split(options)
        with Client(**options) as client:
            return client.chat.completions.create(**params)


class Asynchronous:
    def read(self, times: int = 1, /, **options: Any) -> Reading:
        return asyncio.run(self._read(times, options))

    async def _read(self, times: int, options: dict[str, Any]) -> Reading:
        options, params = split(options)
        async with AsyncClient(**options) as client:
            for _ in range(times):
                chunks: list[Any] = []
                error = None
                stream = await client.chat.completions.create(**params, stream=True)
                try:
                    async for chunk in stream:
                        chunks.append(chunk)  # noqa: PERF401 - what came before an error is kept
                except DuologueError as caught:
                    error = caught
        return Reading(stream, chunks, error)

    def create(self, /, **options: Any) -> Any:
        async def ask() -> Any:
            given, params = split(options)
            async with AsyncClient(**given) as client:
                return await client.chat.completions.create(**params)

        coroutine: Coroutine[Any, Any, Any] = ask()
        return asyncio.run(coroutine)


@pytest.fixture(params=[Blocking(), Asynchronous()], ids=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Driver:
    driver: Driver = request.param
    return driver


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine is set to must not decide a test."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
