"""Event loops, processes and the end of the program: what outlives what, and that nobody complains."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from duologue import AsyncClient, Client, DuologueError
from support.steps import HEAD, piece
from support.wire import CHUNK, COMPLETION, PATIENCE_S, Peer, WireServer, events, json_answer, sse

from .conftest import ASK, TLS


def endless(peer: Peer) -> None:
    peer.send(HEAD + piece(CHUNK))
    peer.gone()


# --- event loops ----------------------------------------------------------------------------------------


def test_a_loop_that_just_ends() -> None:
    """No `asyncio.run`, nothing is closed: the next loop gets connections of its own."""
    with WireServer(json_answer(COMPLETION)) as server:
        client = AsyncClient(base_url=server.url, api_key="k")
        loops = [asyncio.new_event_loop() for _ in range(3)]
        for loop in loops:
            answer = loop.run_until_complete(client.chat.completions.create(**ASK))
            assert answer.text == "Hello there"
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        assert asyncio.run(client.chat.completions.create(**ASK)).text == "Hello there"
    assert server.connections == 4


def test_loops_in_turn_keep_their_connections() -> None:
    """Two loops that take turns have a connection each, and both are used again."""
    with WireServer(sse(events("Hello"))) as server:
        client = AsyncClient(base_url=server.url, api_key="k")

        async def read() -> str:
            stream = await client.chat.completions.create(**ASK, stream=True)
            return (await stream.get_final_completion()).text

        loops = [asyncio.new_event_loop() for _ in range(2)]
        for loop in loops * 3:
            assert loop.run_until_complete(read()) == "Hello"
        for loop in loops:
            loop.run_until_complete(client.close())
            loop.close()
    assert (server.connections, len(server.asked)) == (2, 6)


PROGRAMS: dict[str, str] = {
    "nothing is closed": """
        async def main():
            client = AsyncClient(**options)
            await client.chat.completions.create(**ask)
        asyncio.run(main())
        """,
    "a client that outlives its loop": """
        client = AsyncClient(**options)
        async def main():
            await client.chat.completions.create(**ask)
        asyncio.run(main())
        asyncio.run(main())
        """,
    "a stream that outlives its loop": """
        client = AsyncClient(**options)
        async def main():
            stream = await client.chat.completions.create(**ask, stream=True)
            await anext(stream)
            return stream
        stream = asyncio.run(main())
        """,
    "a stream that is left with its loop": """
        async def main():
            stream = await AsyncClient(**options).chat.completions.create(**ask, stream=True)
            async for chunk in stream:
                break
        asyncio.run(main())
        """,
    "a task that the loop cancels": """
        async def read(client):
            async for chunk in await client.chat.completions.create(**ask, stream=True):
                pass
        async def main():
            global task
            task = asyncio.create_task(read(AsyncClient(**options)))
            await asyncio.sleep(0.1)
        asyncio.run(main())
        """,
    "a blocking stream that is left": """
        stream = Client(**options).chat.completions.create(**ask, stream=True)
        next(stream)
        """,
    "a blocking client that is left": """
        client = Client(**options)
        client.models.list()
        """,
    "a thread that still reads": """
        import threading
        stream = Client(**options).chat.completions.create(**ask, stream=True)
        threading.Thread(target=lambda: list(stream), daemon=True).start()
        """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_ends(program: str) -> None:
    """It says nothing about loops that are closed or things that were not, with all warnings on."""

    def answer(peer: Peer) -> None:
        if b'"stream":true' in peer.asked.body:
            endless(peer)
        elif peer.asked.method == "GET":
            json_answer({"object": "list", "data": []})(peer)
        else:
            json_answer(COMPLETION)(peer)

    with WireServer(answer) as server:
        begin = f"""
            import asyncio
            from duologue import AsyncClient, Client
            options = {{"base_url": "{server.url}", "api_key": "k"}}
            ask = {ASK!r}
            """
        code = textwrap.dedent(begin) + textwrap.dedent(program)
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", code],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- processes ------------------------------------------------------------------------------------------


def in_a_child(work: Callable[[], object]) -> int:
    """The exit status of a forked child that does `work`."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


forks = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


@pytest.mark.parametrize("_", [pytest.param(None, marks=forks, id="")])
def test_a_child_has_connections_of_its_own(_: None) -> None:
    """The parent's are left alone: kept ones, and those of a stream that the child only forgets or closes."""
    rest = threading.Event()

    def answer(peer: Peer) -> None:
        if peer.asked.json.get("stream"):
            peer.send(HEAD + piece(CHUNK))
            rest.wait(PATIENCE_S)
            peer.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(events("!")), events("!")))
        else:
            json_answer(COMPLETION)(peer)

    with WireServer(answer) as server, Client(base_url=server.url, api_key="k") as client:
        client.chat.completions.create(**ASK)
        held = client.chat.completions.create(**ASK, stream=True)  # on the kept connection
        client.chat.completions.create(**ASK)
        assert next(held).text == "Hello"

        def work() -> None:
            held.close()
            for _ in range(2):
                assert client.chat.completions.create(**ASK).text == "Hello there"

        assert in_a_child(work) == 0
        rest.set()
        assert "".join(held.text) == "!"
        client.chat.completions.create(**ASK)
    assert [asked.connection for asked in server.asked][:5] == [0, 0, 1, 2, 2]
    assert server.connections == 3


@pytest.mark.parametrize("_", [pytest.param(None, marks=forks, id="")])
def test_an_asynchronous_client_in_a_child(_: None) -> None:
    """Each process has its own loops, so it has its own connections."""
    with WireServer(json_answer(COMPLETION)) as server:
        client = AsyncClient(base_url=server.url, api_key="k")

        def work() -> None:
            assert asyncio.run(client.chat.completions.create(**ASK)).text == "Hello there"

        work()
        assert in_a_child(work) == 0
        work()
    assert server.connections == 3


# --- what carries the requests --------------------------------------------------------------------------


def test_a_client_of_httpx2_stays_open() -> None:
    """Its connections and its headers are used, and whoever made it closes it."""
    with (
        WireServer(sse(events("Hello"))) as server,
        httpx2.Client(headers={"x-mine": "1"}, verify=TLS) as over,
    ):
        for _ in range(2):
            with Client(base_url=server.url, api_key="k", http_client=over) as client:
                stream = client.chat.completions.create(**ASK, stream=True)
                assert stream.get_final_completion().text == "Hello"
        assert not over.is_closed
    assert server.connections == 1
    assert server.asked[0].headers["x-mine"] == "1"
    assert server.asked[0].headers["authorization"] == "Bearer k"


def test_a_client_of_httpx2_that_is_closed() -> None:
    """Is no server that cannot be reached."""
    over = httpx2.Client(verify=TLS)
    over.close()
    client = Client(base_url="http://h/v1", http_client=over)
    with pytest.raises(DuologueError, match="http_client is closed"):
        client.chat.completions.create(**ASK)


def test_a_transport_of_httpx2() -> None:
    """What httpx2 can do without sockets works here, too."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=events("Hello"))

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as over:
        client = Client(base_url="http://h/v1", http_client=over)
        stream = client.chat.completions.create(**ASK, stream=True, timeout=5)
        assert stream.get_final_completion().text == "Hello"


@pytest.mark.parametrize(
    ("cls", "given", "wanted"),
    [
        (Client, httpx2.AsyncClient, "httpx2.Client"),
        (AsyncClient, httpx2.Client, "httpx2.AsyncClient"),
        (Client, object, "httpx2.Client"),
    ],
)
def test_a_client_of_another_kind(cls: Any, given: Any, wanted: str) -> None:
    """The error names the option, what is wanted, and what was given."""
    with pytest.raises(TypeError, match=rf"http_client must be an {wanted}, not .*{given.__name__}"):
        cls(base_url="http://h/v1", http_client=given())
    gc.collect()


def test_httpx2_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get it; nothing else needs it."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(DuologueError, match="pip install httpx2"):
        Client(base_url="http://h/v1", http_client=object())  # type: ignore[arg-type]
    Client(base_url="http://h/v1")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"app": object(), "http_client": object()}, "app and http_client"),
        ({"transport": object(), "proxy": "http://h"}, "transport and proxy"),
        ({"http_client": object(), "proxy": None, "ssl_context": TLS}, "http_client and proxy"),
        ({"app": object(), "ssl_context": TLS}, "app and ssl_context"),
    ],
    ids=["app", "transport", "http_client", "tls"],
)
@pytest.mark.parametrize("cls", [Client, AsyncClient])
def test_one_thing_carries_requests(cls: Any, options: dict[str, Any], names: str) -> None:
    """Two that would are an error that names both."""
    with pytest.raises(DuologueError, match=f"^{names} exclude each other"):
        cls(base_url="http://h/v1", **options)
