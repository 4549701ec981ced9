"""The ways in which the engines of the pair tests are served."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from duologue import Client
from duologue.run import run_server
from support.pair_app import ENGINES
from support.raw import wait_for

TESTS = Path(__file__).resolve().parents[1]

# Server programs, each given a port and the name of an app.
COMMANDS: dict[str, list[str]] = {
    "uvicorn": ["uvicorn", "support.pair_app:mounted", "--no-access-log"],
    "uvicorn-workers": ["uvicorn", "support.pair_app:mounted", "--workers", "2", "--no-access-log"],
    "granian": ["granian", "--interface", "asgi", "--no-access-log", "support.pair_app:mounted"],
}


@pytest.fixture(scope="session", params=["run_server", *COMMANDS])
def way(request) -> str:
    """By our own function, and mounted in FastAPI under each of the servers."""
    return request.param


@pytest.fixture(scope="session")
def url(way: str) -> Iterator[str]:
    """The base URL of a server."""
    if way == "run_server":
        with run_server(ENGINES) as url:
            yield url
        return
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", *COMMANDS[way], "--port", str(port)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_for(lambda: _answers(port), 30), f"{way} did not start"
        yield f"http://127.0.0.1:{port}/llm/v1"
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[Client]:
    """A client that takes offence at anything which is not the protocol's."""
    with Client(base_url=url, dialect="strict", max_retries=0) as client:
        yield client
