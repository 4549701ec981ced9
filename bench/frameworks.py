"""Servers of one generator, each a process of its own: CPU per chunk, first chunk, answers a second, memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvloop

from . import peers
from .rounds import Comparison, Measures, compare_all, effort

__all__ = ["run"]

HOST = "127.0.0.1"
CHUNKS = 100  # of a long answer, as in the worker
STREAMS = (1, 100, 1000)
ANSWERS = 200  # at least, one after the other: the clock of processes counts in hundredths of a second
SHORT_ANSWERS = 500
AT_ONCE = 20  # short answers at any time
START_S, ANSWER_S = 60, 120

# The environment of each, and what the worker calls it.
SERVERS: Mapping[str, tuple[str, str]] = {
    "duologue": ("", "duologue"),
    "bare ASGI app": ("", "bare"),
    "FastAPI and pydantic by hand": ("fastapi", "fastapi"),
    "LitServe": ("litserve", "litserve"),
    "fastapi-openai-compat": ("fastapi-openai-compat", "fastapi_openai_compat"),
}
LONG = {"CPU": "µs per chunk", "first chunk": "ms", "memory": "KiB grown, per stream"}
SHORT = {"CPU": "µs per request", "time": "ms per request"}


def run() -> Iterator[Comparison]:
    """Long answers of 1, 100 and 1 000 streams, and short ones; every server stays up through all rounds."""
    with contextlib.ExitStack() as stack:
        ports: dict[str, tuple[int, int] | str] = {}
        for name, (environment, kind) in SERVERS.items():
            try:
                ports[name] = stack.enter_context(_server(environment, kind))
            except peers.Absent as reason:
                ports[name] = str(reason)
        for streams in map(effort.of, STREAMS):
            measured = {
                name: _measure(port, "long", max(streams, effort.of(ANSWERS)), streams)
                for name, port in ports.items()
            }
            yield from _compare(f"{streams} streams", LONG, measured)
        count = effort.of(SHORT_ANSWERS)
        measured = {name: _measure(port, "short", count, AT_ONCE) for name, port in ports.items()}
        yield from _compare("short answers", SHORT, measured)


def _compare(title: str, units: Mapping[str, str], measured: Mapping[str, Measures]) -> list[Comparison]:
    return compare_all(
        f"servers, {title}",
        units,
        measured,
        ours="duologue",
        budgets={"CPU": {"FastAPI and pydantic by hand": None}},
        floor="bare ASGI app",
        rounds=5,
    )


def _program(kind: str) -> str:
    return "litserve_server.py" if kind == "litserve" else "servers.py"


@contextlib.contextmanager
def _server(environment: str, kind: str) -> Iterator[tuple[int, int]]:
    """The server's process and its port. Raises `Absent` when it does not start."""
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    command = [*peers.command(environment, _program(kind)), kind, str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True) as process:
        try:
            _await(process, port)
            yield process.pid, port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children, too


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError, AssertionError):
            asyncio.run(_read(port, "short"))
            return
        time.sleep(0.1)
    raise peers.Absent("did not start" if process.poll() is None else f"ended with {process.returncode}")


def _measure(server: tuple[int, int] | str, said: str, count: int, at_once: int) -> Measures:
    def measure() -> Mapping[str, float]:
        if isinstance(server, str):
            raise peers.Absent(server)
        pid, port = server
        cpu, memory, begun = *_used(pid), time.perf_counter()
        try:
            firsts = uvloop.run(_read_all(port, said, count, at_once))
        except (OSError, AssertionError, TimeoutError) as error:
            raise peers.Absent(f"failed: {error}"[:120]) from None
        spent, grown = (after - before for after, before in zip(_used(pid), (cpu, memory), strict=True))
        units = count * (CHUNKS if said == "long" else 1)
        return {
            "CPU": spent / units * 1e6,
            "first chunk": statistics.median(firsts) * 1e3,
            "memory": max(0.0, grown) / at_once,
            "time": (time.perf_counter() - begun) / count * 1e3,
        }

    return measure


async def _read_all(port: int, said: str, count: int, at_once: int) -> list[float]:
    places = asyncio.Semaphore(at_once)

    async def read() -> float:
        async with places:
            return await asyncio.wait_for(_read(port, said), ANSWER_S)

    return await asyncio.gather(*(read() for _ in range(count)))


async def _read(port: int, said: str) -> float:
    """Read one answer to its end; the seconds to its first chunk."""
    body = json.dumps({"model": "words", "stream": True, "messages": [{"role": "user", "content": said}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n"
    reader, writer = await asyncio.open_connection(HOST, port)
    begun = time.perf_counter()
    writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    try:
        first = await reader.readuntil(b"word")
    except asyncio.IncompleteReadError as error:
        raise AssertionError(error.partial[:100]) from None
    seconds = time.perf_counter() - begun
    assert b" 200 OK" in first[:20], first[:100]
    await reader.read()
    writer.close()
    return seconds


def _used(leader: int) -> tuple[float, float]:
    """CPU seconds and resident KiB of a session's processes: the server and its workers. Linux only."""
    seconds = memory = 0.0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = status.read_text().rpartition(") ")[2].split()
            if int(fields[3]) == leader:  # counted from the third field: state
                seconds += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
                memory += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1024
    return seconds, memory
