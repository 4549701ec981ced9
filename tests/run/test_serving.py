"""Running a server: what is refused, how it starts, and how it stops."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, get_type_hints

import pytest

from duologue import AsyncClient, DuologueError, create_app, user_message
from duologue.run import run_server, serve
from duologue.run.serving import GRACE, use_colors
from duologue.server import ServerOptions, ServerSettings
from support.legal import check_stream
from support.raw import ask, opened

SLOW = """
import sys, time
from duologue import serve

def slow(request):
    yield "begun"
    time.sleep(0.3)
    yield " ended"

serve(slow, port=0)
"""


# --- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_a_server_for_others_needs_a_key(host):
    """The error names the option that gives one."""
    with pytest.raises(DuologueError, match="--api-key"):
        serve("echo", host=host, port=0)


def test_a_port_in_use_is_told():
    """With what to try instead."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DuologueError, match=rf"Cannot listen on 127\.0\.0\.1:{port}: .*--port"):
            serve("echo", port=port)


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_port_that_cannot_be_is_told(port):
    """Like one in use."""
    with pytest.raises(DuologueError, match="Cannot listen on"):
        serve("echo", port=port)


def test_mock_is_for_echo():
    """It pretends, so it must not stand before a real engine."""
    with pytest.raises(DuologueError, match="duologue serve echo --profile mock"):
        serve(lambda request: "x", profile="mock", port=0)
    with pytest.raises(DuologueError, match="duologue serve echo --profile mock"):
        serve({"a": "echo", "b": lambda request: "x"}, profile="mock", port=0)


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_others_is_told(host):
    """It is the host that is wrong, not the port."""
    with pytest.raises(DuologueError, match="--host takes an address of this machine"):
        serve("echo", host=host, port=0, api_key="k")


async def test_serve_is_not_for_a_running_loop():
    """What is, is named."""
    with pytest.raises(DuologueError, match="with run_server"):
        serve("echo", port=0)


@pytest.mark.parametrize(
    "options", [{"api_key": ""}, {"api_key": " "}, {"profile": "loose"}, {"engine_idle": 0}]
)
def test_wrong_options_are_told(options):
    """Before a socket is opened."""
    with pytest.raises(DuologueError, match=next(iter(options))):
        serve("echo", port=0, **options)


@pytest.mark.parametrize(
    "start",
    [serve, create_app, lambda *args, **options: run_server(*args, **options).__enter__()],
    ids=["serve", "create_app", "run_server"],
)
@pytest.mark.parametrize(
    ("name", "says"),
    [("engine_idel", r"Did you mean 'engine_idle'\? There are: "), ("x", r"There are: .*max_requests")],
)
def test_what_is_no_option_is_told(start, name, says):
    """With those that there are, wherever it is given; before an engine is made."""
    with pytest.raises(TypeError, match=f"'{name}' is no option of a server. {says}"):
        start("not-there.gguf", **{name: 1})


def test_serve_knows_its_own_options_too():
    """Beside those of an app."""
    with pytest.raises(TypeError, match="Did you mean 'port'"):
        serve("echo", prot=1)


def test_the_options_that_are_typed_are_those_that_there_are():
    """With the same types; hosts are given as any collection."""
    typed, real = (get_type_hints(each) for each in (ServerSettings, ServerOptions))
    assert list(typed) == [field.name for field in dataclasses.fields(ServerOptions)]
    assert {name for name in typed if typed[name] != real[name]} == {"allowed_hosts"}


@pytest.mark.parametrize("target", [3, object()])
def test_what_cannot_be_served_is_refused(target):
    """As `as_engine` refuses it."""
    with pytest.raises(TypeError, match="cannot be served"):
        serve(target, port=0)


@pytest.mark.parametrize(
    ("host", "meant"),
    [("127.0.0.1:8001", "--host 127.0.0.1 --port 8001"), ("localhost:1", "--host localhost --port 1")],
)
def test_a_host_with_a_port_is_told(host, meant):
    """With how to give the port."""
    with pytest.raises(DuologueError, match=meant):
        serve("echo", host=host)


class Broken:
    """Does not start."""

    models = ("broken",)
    supports: dict[str, Any] = {}

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def start(self):
        raise self.error

    async def generate(self, request):
        yield "x"


def test_an_engine_that_does_not_start_is_told(caplog):
    """What it raised is in the message, and is the cause; its traceback is in the log."""
    with pytest.raises(DuologueError, match="did not start: ValueError: no weights") as caught:
        serve(Broken(ValueError("no weights")), port=0)
    assert isinstance(caught.value.__cause__, ValueError)
    assert "Traceback" in caplog.text
    caplog.clear()
    with (
        pytest.raises(DuologueError, match="did not start: ValueError: no weights") as caught,
        run_server(Broken(ValueError("no weights"))),
    ):
        pass
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_an_engine_says_in_our_words_needs_no_traceback(caplog):
    """The message tells the user what to do."""
    with pytest.raises(DuologueError, match="install the weights"):
        serve(Broken(DuologueError("install the weights")), port=0)
    assert "Traceback" not in caplog.text


# --- running and stopping ------------------------------------------------------------------------------


def test_a_server_beside_the_callers_code():
    """On a free port of its own, gone after the block."""

    def answer(request):
        return "Hello"

    with run_server(answer) as one, run_server(answer) as other:
        assert one != other
        assert one.startswith("http://127.0.0.1:")
        assert one.endswith("/v1")
        assert ask(one, model="answer").status == 200
    with pytest.raises(ConnectionError):
        ask(one, "/health", method="GET")


def test_a_block_that_fails_stops_its_server():
    """Its own error comes out."""
    seen: list[str] = []

    def fail() -> None:
        with run_server(lambda request: "x") as url:
            seen.append(url)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    with pytest.raises(ConnectionError):
        ask(seen[0], "/health", method="GET")


def test_a_server_takes_what_serve_takes():
    """A name, or a mapping with functions and names in it."""

    def answer(request):
        return request.model

    with run_server("echo") as url:
        assert ask(url, model="echo").json["choices"][0]["message"]["content"] == "Hi"
    with run_server({"mine": answer, "theirs": "echo"}) as url:
        models = ask(url, "/models", method="GET").json["data"]
        assert [model["id"] for model in models] == ["mine", "theirs"]
        said = [ask(url, model=name).json["choices"][0]["message"]["content"] for name in ("mine", "theirs")]
    assert said == ["answer", "Hi"]


async def test_a_server_in_a_running_loop():
    """As in a notebook: its own loop serves while ours reads, several at once."""
    import asyncio

    async def slow(request):
        for number in range(3):
            await asyncio.sleep(0.01)
            yield f"{number}"

    async def read(url: str) -> str:
        async with AsyncClient(base_url=url) as client:
            messages = [user_message("Hi")]
            async with await client.chat.completions.create(
                model="slow", messages=messages, stream=True
            ) as stream:
                return "".join([chunk.text async for chunk in stream])

    with run_server(slow) as one, run_server(slow) as other:
        assert await asyncio.gather(*map(read, (one, other, one, other))) == ["012"] * 4


async def test_a_block_may_end_before_its_answers():
    """In a running loop nobody can read them then; the server does not wait for that."""
    stopped = threading.Event()

    async def endless(request):
        import asyncio

        try:
            while True:
                yield "x"
                await asyncio.sleep(0.01)
        finally:
            stopped.set()

    client = AsyncClient(max_retries=0, base_url="http://127.0.0.1:1/v1")
    with run_server(endless) as url:
        client = client.with_options(base_url=url)
        stream = await client.chat.completions.create(
            model="endless", messages=[user_message("Hi")], stream=True
        )
        assert (await anext(aiter(stream))).text == ""
    assert stopped.wait(5)
    await stream.close()
    await client.close()


@pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_server_that_is_told_to_stop_finishes_what_it_says(tmp_path, number):
    """A running stream ends as it would have; no new connection is taken."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Serving slow at http://127.0.0.1:")
            url = line.split()[-1]
            with opened(url, model="slow", stream=True) as answer:
                first = answer.readline()
                process.send_signal(number)
                body = first + answer.read()
            chunks, error = check_stream(body)
            assert error is None
            text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
            assert text == "begun ended"
            assert process.wait(10) in (0, -number)
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


ENDLESS = """
import asyncio, signal
from duologue import serve

signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal

async def endless(request):
    while True:
        yield "x"
        await asyncio.sleep(0.01)

serve(endless, port=0)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise there")
def test_ctrl_c_says_what_is_waited_for_and_again_ends_it(tmp_path):
    """Within a moment, and who reads the answer is told."""
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            url = process.stdout.readline().split()[-1]
            with opened(url, model="endless", stream=True) as answer:
                answer.readline()
                process.send_signal(signal.SIGINT)
                told = process.stderr.readline()
                assert told == f"Running answers have {GRACE} s to end. Ctrl-C again ends them now.\n"
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                body = answer.read()
            process.wait(GRACE)
            assert time.monotonic() - began < GRACE - 1
            assert b"server_stopping" in body
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.parametrize(("value", "colours"), [("1", False), ("", None)])
def test_no_color_is_heeded(monkeypatch, value, colours):
    """Where it is set and not empty; else the terminal decides."""
    monkeypatch.setenv("NO_COLOR", value)
    assert use_colors() is colours


def test_closed_output_has_no_colours(monkeypatch):
    """uvicorn would ask it whether it is a terminal; a server runs all the same."""
    monkeypatch.setattr(sys, "stdout", None)
    with run_server("echo") as url:
        assert ask(url, model="echo").status == 200
