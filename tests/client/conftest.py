"""Both clients behind one face, so that each test holds for both."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple, Protocol

import httpx2
import pytest

from duologue import AsyncClient, Client, DuologueError
from support.wire import HI

# One for all clients of httpx2: to load what the system trusts takes long.
TLS = ssl.create_default_context()

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


def carried(options: dict[str, Any]) -> bool:
    """Whether the options say already how requests are sent."""
    return bool(options.keys() & {"app", "proxy"})


class Blocking:
    """`Client`; with `over`, a client of httpx2 carries its requests."""

    def __init__(self, over: type[httpx2.Client] | None = None) -> None:
        self._over = over

    @contextmanager
    def _client(self, options: dict[str, Any]) -> Iterator[Client]:
        over = contextlib.nullcontext() if self._over is None or carried(options) else self._over(verify=TLS)
        with over as carrier, Client(http_client=carrier, **options) as client:
            yield client

    def read(self, times: int = 1, /, **options: Any) -> Reading:
        options, params = split(options)
        with self._client(options) as client:
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
        with self._client(options) as client:
            return client.chat.completions.create(**params)


class Asynchronous:
    """`AsyncClient`, likewise."""

    def __init__(self, over: type[httpx2.AsyncClient] | None = None) -> None:
        self._over = over

    @asynccontextmanager
    async def _client(self, options: dict[str, Any]) -> AsyncIterator[AsyncClient]:
        over = contextlib.nullcontext() if self._over is None or carried(options) else self._over(verify=TLS)
        async with over as carrier, AsyncClient(http_client=carrier, **options) as client:
            yield client

    def read(self, times: int = 1, /, **options: Any) -> Reading:
        return asyncio.run(self._read(times, options))

    async def _read(self, times: int, options: dict[str, Any]) -> Reading:
        options, params = split(options)
        async with self._client(options) as client:
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
            async with self._client(given) as client:
                return await client.chat.completions.create(**params)

        coroutine: Coroutine[Any, Any, Any] = ask()
        return asyncio.run(coroutine)


DRIVERS: dict[str, Driver] = {
    "sync": Blocking(),
    "async": Asynchronous(),
    "sync-httpx2": Blocking(httpx2.Client),
    "async-httpx2": Asynchronous(httpx2.AsyncClient),
}


@pytest.fixture(params=list(DRIVERS.values()), ids=list(DRIVERS))
def every(request: pytest.FixtureRequest) -> Driver:
    """Both clients, over each of their transports that use sockets."""
    driver: Driver = request.param
    return driver


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest) -> Driver:
    """Both clients, over their own transports or what the option `--over` says."""
    over = request.config.getoption("over")
    return DRIVERS[request.param if over == "own" else f"{request.param}-{over}"]


@pytest.fixture(params=["sync", "async"])
def own(request: pytest.FixtureRequest) -> Driver:
    """Both clients, over their own transports: for what httpx2 does, and says, in its own way."""
    return DRIVERS[request.param]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine is set to must not decide a test."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
