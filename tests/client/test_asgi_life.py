"""An ASGI application in this process, when it, its client or the process comes to an early end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from duologue import APIConnectionError, APITimeoutError, Client, StreamTimeoutError
from support.wire import PATIENCE_S, chunk, event

from .conftest import ASK, Driver

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
OPTIONS: dict[str, Any] = {"api_key": "k", "timeout": PATIENCE_S, "max_retries": 0}


async def words(scope: Any, receive: Any, send: Any) -> None:
    """An application that streams three words, each a moment after the one before."""
    await send(START)
    for word in ("one ", "two ", "three"):
        await send({"type": "http.response.body", "body": event(chunk(word)), "more_body": True})
        await asyncio.sleep(0.02)
    await send({"type": "http.response.body", "body": event(chunk(finish="stop")) + b"data: [DONE]\n\n"})


class Fatal(BaseException):
    pass


def test_application_that_blocks_its_thread() -> None:
    """A blocking call ends at its deadline all the same, and says which."""
    go = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        go.wait(PATIENCE_S)

    client = Client(app=app, timeout=0.1, max_retries=0)
    began = time.monotonic()
    with pytest.raises(APITimeoutError) as caught:
        client.chat.completions.create(**ASK)
    assert caught.value.phase == "headers"
    assert time.monotonic() - began < 2
    go.set()
    client.close()


def test_application_that_blocks_in_its_stream() -> None:
    """So does a read; what had come is kept."""
    go = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": event(chunk("one")), "more_body": True})
        await asyncio.sleep(0.05)
        go.wait(PATIENCE_S)

    client = Client(app=app, timeout=0.2, max_retries=0)
    stream = client.chat.completions.create(**ASK, stream=True)
    with pytest.raises(StreamTimeoutError) as caught:
        list(stream)
    assert caught.value.phase == "idle"
    assert stream.completion is not None
    assert stream.completion.text == "one"
    go.set()
    client.close()


def test_application_that_cannot_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """`close()` returns; the application is left alone."""
    monkeypatch.setattr("duologue.client.transports.asgi.JOIN_S", 0.1)
    over = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    client = Client(app=app, timeout=PATIENCE_S, max_retries=0)
    client.chat.completions.create(**ASK, stream=True)
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    over.set()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, Fatal])
def test_application_that_wants_to_end_the_process(both: Driver, error: type[BaseException]) -> None:
    """What is not an `Exception` is the caller's error like any other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error("enough")

    with pytest.raises(APIConnectionError, match=f"{error.__name__}: enough") as caught:
        both.create(app=app, timeout=PATIENCE_S)
    assert isinstance(caught.value.__cause__, error)


@pytest.mark.parametrize("in_task", [False, True], ids=["application", "its-task"])
def test_loop_outlives_an_exit(in_task: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the application nor a task that it began ends the event loop of the other calls."""

    async def leave() -> None:
        raise SystemExit(3)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/models"):
            await (asyncio.create_task(leave()) if in_task else leave())
        await words(scope, receive, send)

    with Client(app=app, **OPTIONS) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        assert next(stream).text == "one "
        with caplog.at_level(logging.CRITICAL), pytest.raises(APIConnectionError, match="SystemExit: 3"):
            client.models.list()
        assert "".join(part.text for part in stream) == "two three"


def test_stream_outlives_its_client() -> None:
    """A stream is read to its end although nobody has kept the client."""

    def ask() -> Any:
        return Client(app=words, **OPTIONS).chat.completions.create(**ASK, stream=True)

    assert "".join(part.text for part in ask()) == "one two three"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork() -> None:
    """A child calls through a thread of its own; what was open belongs to the parent, who reads on."""
    script = """
        import asyncio, os, signal, sys
        from duologue import Client, StreamTruncatedError
        from client.test_asgi_life import ASK, OPTIONS, words

        client = Client(app=words, **OPTIONS)
        stream = client.chat.completions.create(**ASK, stream=True)
        print(next(stream).text, flush=True)
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            try:
                print("read", "".join(part.text for part in stream), flush=True)
            except StreamTruncatedError as error:
                print(error.__cause__, flush=True)
            again = client.chat.completions.create(**ASK, stream=True)
            print("child", again.get_final_completion().text, flush=True)
            client.close()
            sys.exit()
        print("status", os.waitpid(child, 0)[1])
        print("parent", "".join(part.text for part in stream))
        client.close()
    """
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S + 10,
        check=False,
    )
    assert (ran.stdout.splitlines(), ran.stderr) == (
        [
            "one ",
            "this answer was open before the fork; only the parent process can read it",
            "child one two three",
            "status 0",
            "parent two three",
        ],
        "",
    )
