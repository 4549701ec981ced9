"""Running a server: what a TARGET is, what is refused, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from duologue.engine import Engine
from duologue.protocol.errors import DuologueError
from duologue.run import load_target, run_server, serve
from support.legal import check_stream
from support.raw import ask, opened

AGENT = """
from duologue.engine import Text

VALUE = 3

def answer(request):
    return "Hello"

class Whole:
    models = ("whole",)
    supports = {}
    async def generate(self, request):
        yield Text("x")

whole = Whole()

class Holder:
    answer = staticmethod(answer)
"""

SLOW = """
import sys, time
from duologue import serve

def slow(request):
    yield "begun"
    time.sleep(0.3)
    yield " ended"

serve(slow, port=0)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder of its own, with modules whose names nobody else has."""
    (tmp_path / "agent_of_test.py").write_text(AGENT)
    (tmp_path / "lame_of_test.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "wrong_of_test.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in ("agent_of_test", "lame_of_test", "wrong_of_test"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("echo", "echo"),
        ("agent_of_test:answer", "answer"),
        ("agent_of_test:whole", "whole"),
        ("agent_of_test:Holder.answer", "answer"),
    ],
)
def test_a_target_names_an_engine(folder, target, model):
    """`echo`, or an attribute of a module in this folder or installed."""
    engine = load_target(target)
    assert isinstance(engine, Engine)
    assert engine.models[0] == model


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "give 'echo', or 'module:attribute'"),
        ("answer", "Cannot serve 'answer'"),
        ("agent_of_test", "module:attribute"),
        ("agent_of_test:", "module:attribute"),
        (":answer", "module:attribute"),
        (".agent_of_test:answer", "module:attribute"),
        ("not_there_of_test:answer", "Cannot find the module 'not_there_of_test'"),
        ("agent_of_test.sub:answer", "Cannot find the module 'agent_of_test.sub'"),
        ("agent_of_test:question", "has no 'question'"),
        ("agent_of_test:Holder.question", r"has no 'Holder.question'"),
        ("agent_of_test:Whole", r"Whole is a class; pass an instance of it"),
        ("agent_of_test:VALUE", "3 cannot be served"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(folder, target, message):
    """In one line, with what would do."""
    with pytest.raises(DuologueError, match=message) as caught:
        load_target(target)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("target", "kind"), [("lame_of_test:x", ModuleNotFoundError), ("wrong_of_test:x", ZeroDivisionError)]
)
def test_what_a_module_itself_gets_wrong_is_its_own(folder, target, kind):
    """Its traceback says more than any word of ours."""
    with pytest.raises(kind) as caught:
        load_target(target)
    assert not isinstance(caught.value, DuologueError)


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


@pytest.mark.parametrize("options", [{"api_key": ""}, {"api_key": " "}, {"profile": "loose"}])
def test_wrong_options_are_told(options):
    """Before a socket is opened."""
    with pytest.raises(DuologueError, match=next(iter(options))):
        serve("echo", port=0, **options)


@pytest.mark.parametrize("target", [3, object()])
def test_what_cannot_be_served_is_refused(target):
    """As `as_engine` refuses it."""
    with pytest.raises(TypeError, match="cannot be served"):
        serve(target, port=0)


def test_an_engine_that_does_not_start_is_told():
    """After uvicorn's own words in the log."""

    class Broken:
        models = ("broken",)
        supports: dict[str, Any] = {}

        async def start(self):
            raise ValueError("no weights")

        async def generate(self, request):
            yield "x"

    with pytest.raises(DuologueError, match="did not start"):
        serve(Broken(), port=0)


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
