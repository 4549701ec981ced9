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
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from . import peers
from .rounds import Comparison, Measures, compare_all, effort

__all__ = ["SERVERS", "run"]

HOST = "127.0.0.1"
CHUNKS = 100  # of a long answer, as in the worker
STREAMS = (1, 10, 100, 1000)
OPEN = (10, 100, 1000)  # streams held open, each step on top of the last
ANSWERS = 100  # at least, one after the other
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
RARELY = {"LitServe": 1}  # rounds of those that take long
LONG = {"CPU": "µs per chunk", "first chunk": "ms"}
SHORT = {"CPU": "µs per request", "time": "ms per request"}


def run() -> Iterator[Comparison]:
    """Long answers of 1 to 1 000 streams, and short ones, by servers that stay up; then memory, by fresh ones."""
    with contextlib.ExitStack() as stack:
        ports: dict[str, tuple[int, int] | str] = {}
        for name, (environment, kind) in SERVERS.items():
            try:
                ports[name] = stack.enter_context(_server(environment, kind))
            except peers.Absent as reason:
                ports[name] = str(reason)
        for streams in STREAMS:
            count = effort.of(max(streams, ANSWERS))
            measured = {name: _measure(port, "long", count, streams) for name, port in ports.items()}
            plots = {"first chunk": "server-first-chunk"}
            title = "1 stream" if streams == 1 else f"{streams} streams"
            yield from _compare(title, LONG, measured, plots=plots, at=streams)
        count = effort.of(SHORT_ANSWERS)
        measured = {name: _measure(port, "short", count, AT_ONCE) for name, port in ports.items()}
        yield from _compare("short answers", SHORT, measured)
    units = {f"{streams} streams held open": "KiB per open stream" for streams in OPEN}
    measured = {name: _memory(environment, kind) for name, (environment, kind) in SERVERS.items()}
    plots = dict.fromkeys(units, "server-memory")
    held = _compare("memory", units, measured, rounds=3, plots=plots)
    yield from (replace(each, at=streams) for each, streams in zip(held, OPEN, strict=True))


def _compare(
    title: str, units: Mapping[str, str], measured: Mapping[str, Measures], rounds: int = 5, **plotted: Any
) -> list[Comparison]:
    return compare_all(
        f"servers, {title}",
        units,
        measured,
        ours="duologue",
        beside=("FastAPI and pydantic by hand",),
        floor="bare ASGI app",
        rounds=rounds,
        warm_up=1 if rounds == 5 else 0,
        rarely=RARELY,
        **plotted,
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
        cpu, begun = _used(pid)[0], time.perf_counter()
        try:
            firsts = uvloop.run(_read_all(port, said, count, at_once))
        except (OSError, AssertionError, TimeoutError) as error:
            raise peers.Absent(f"failed: {error}"[:120]) from None
        units = count * (CHUNKS if said == "long" else 1)
        return {
            "CPU": (_used(pid)[0] - cpu) / units * 1e6,
            "first chunk": statistics.median(firsts) * 1e3,
            "time": (time.perf_counter() - begun) / count * 1e3,
        }

    return measure


async def _read_all(port: int, said: str, count: int, at_once: int) -> list[float]:
    places = asyncio.Semaphore(at_once)

    async def read() -> float:
        async with places:
            return await asyncio.wait_for(_read(port, said), ANSWER_S)

    return await asyncio.gather(*(read() for _ in range(count)))


def _memory(environment: str, kind: str) -> Measures:
    def measure() -> Mapping[str, float]:
        with _server(environment, kind) as (pid, port):
            try:
                return uvloop.run(asyncio.wait_for(_hold(port, pid), ANSWER_S))
            except (OSError, AssertionError, TimeoutError) as error:
                raise peers.Absent(f"failed: {error or type(error).__name__}"[:120]) from None

    return measure


async def _hold(port: int, pid: int) -> Mapping[str, float]:
    """What each open stream has added to the memory of a server, at each number of them."""
    for _ in range(20):  # what is loaded once is no stream's
        await _read(port, "short")
    before = _used(pid)[1]
    grown, held = {}, []
    for streams in OPEN:
        count = effort.of(streams)
        held += await asyncio.gather(*(_open(port, "hold") for _ in range(count - len(held))))
        grown[f"{streams} streams held open"] = (_used(pid)[1] - before) / count
    await _read(port, "go")
    for reader, writer in held:
        await reader.read()
        writer.close()
    return grown


async def _read(port: int, said: str) -> float:
    """Read one answer to its end; the seconds to its first chunk."""
    begun = time.perf_counter()
    reader, writer = await _open(port, said)
    seconds = time.perf_counter() - begun
    await reader.read()
    writer.close()
    return seconds


async def _open(port: int, said: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream whose first chunk has come."""
    body = json.dumps({"model": "words", "stream": True, "messages": [{"role": "user", "content": said}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n"
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"{head}connection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    try:
        first = await reader.readuntil(b"word")
    except asyncio.IncompleteReadError as error:
        raise AssertionError(error.partial[:100]) from None
    assert b" 200 OK" in first[:20], first[:100]
    return reader, writer


def _used(leader: int) -> tuple[float, float]:
    """CPU seconds and KiB of memory of a session's processes: the server and its workers. Linux only."""
    seconds = memory = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            session = (folder / "stat").read_text().rpartition(") ")[2].split()[3]
            if int(session) == leader:
                seconds += time.clock_gettime(~int(folder.name) << 3 | 2)  # see clock_getcpuclockid(3)
                # Pages that several share count once; /proc/PID/stat would round to 128 KiB.
                memory += int((folder / "smaps_rollup").read_text().partition("Pss:")[2].split()[0])
    return seconds, memory
