"""How soon an engine stops when its client has gone: `python -m bench.leaving`, on an idle machine.

Half of the clients of a server vanish while all read as fast as they can. Printed for each kind of engine: how
many milliseconds later, and after how many more bytes, the engines of those who left were closed. The promise is
50 ms or 64 KiB for an engine that never waits, and one more event for one that does.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import selectors
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple, Self

from duologue.run import run_server

__all__ = ["main"]

SIZES = (1, 20, 100)  # of the half that leaves
PIECE = "x" * 100
PROMISED_MS, PROMISED_BYTES = 50, 65_536
SETTLE_S = 0.5
STOP_S = 30

CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "awaits": ("awaits", {}),
    "blocks": ("blocks", {}),
    "never waits": ("busy", {}),
    "never waits, stop": ("busy", {"stop": "zz"}),
    "never waits, n=4": ("busy", {"n": 4}),
    "never waits, held back": ("busy", {"response_format": {"type": "json_object"}}),
}


class Run:
    """One run of an engine without an end, from its first piece to its closing."""

    def __init__(self) -> None:
        self.made = 0
        self.closed_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed_at = time.monotonic()


class Left(NamedTuple):
    """What a run did after its client had gone."""

    ms: float
    more: int

    @property
    def kept(self) -> bool:
        """Whether that is what was promised."""
        return self.ms < PROMISED_MS or self.more < PROMISED_BYTES


def engines(runs: list[Run]) -> dict[str, Any]:
    """The engines; each of their runs is added to `runs`."""

    def begun() -> Run:
        runs.append(Run())
        return runs[-1]

    async def awaits(request: Any) -> AsyncIterator[str]:
        with begun() as run:
            while True:
                run.made += 1
                yield PIECE
                await asyncio.sleep(0.01)

    async def busy(request: Any) -> AsyncIterator[str]:
        with begun() as run:
            while True:
                run.made += 1
                yield PIECE

    def blocks(request: Any) -> Iterator[str]:
        with begun() as run:
            while True:
                run.made += 1
                yield PIECE

    return {"awaits": awaits, "busy": busy, "blocks": blocks}


def clients(url: str, body: bytes, half: int, pipe: Any) -> None:
    """In a process of its own: twice `half` clients that read; told so, half of them leave, and then all."""
    host, _, port = url.removeprefix("http://").removesuffix("/v1").rpartition(":")
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    selector = selectors.DefaultSelector()
    connections = [socket.create_connection((host, int(port))) for _ in range(2 * half)]
    for connection in connections:
        connection.sendall(request)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, connection)
    selector.register(pipe, selectors.EVENT_READ)
    for group in (connections[:half], connections[half:]):
        read_until_told(selector, pipe)
        for connection in group:
            selector.unregister(connection)
            connection.close()
        pipe.send(time.monotonic())


def read_until_told(selector: selectors.BaseSelector, pipe: Any) -> None:
    """Read what comes on all connections until something comes on the pipe."""
    while True:
        for key, _ in selector.select():
            if key.data is None:
                pipe.recv()
                return
            key.data.recv(1 << 16)


def measure(kind: str, fields: Mapping[str, Any], half: int) -> list[Left]:
    """What became of the runs of those who left."""
    runs: list[Run] = []
    context = multiprocessing.get_context("spawn")
    body = json.dumps(
        {"model": kind, "stream": True, "messages": [{"role": "user", "content": "Hi"}], **fields}
    ).encode()
    ours, theirs = context.Pipe()
    with run_server(engines(runs)) as url, closing(ours):
        process = context.Process(target=clients, args=(url, body, half, theirs))
        process.start()
        n = fields.get("n", 1)
        wait_for(lambda: len(runs) >= 2 * half * n)
        time.sleep(SETTLE_S)
        ours.send("half")
        left_at = ours.recv()
        made = [run.made for run in runs]
        wait_for(lambda: sum(bool(run.closed_at) for run in runs) >= half * n)
        left = [
            Left(1000 * (run.closed_at - left_at), (run.made - before) * len(PIECE))
            for run, before in zip(runs, made, strict=False)
            if run.closed_at
        ]
        ours.send("all")
        process.join()
    return left


def wait_for(condition: Any) -> None:
    """Wait until it is so. Raises `TimeoutError`."""
    end = time.monotonic() + STOP_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the engines do not stop")
        time.sleep(0.002)


def main() -> int:
    """Measure and print; the exit status says whether all was as promised."""
    kept = True
    print("engine                    clients   ms: median   90 %   most   KiB: median   most   as promised")
    for name, (kind, fields) in CASES.items():
        for half in SIZES:
            left = measure(kind, fields, half)
            ms, more = sorted(each.ms for each in left), sorted(each.more / 1024 for each in left)
            good = sum(each.kept for each in left)
            kept &= good == len(left)
            print(
                f"{name:24} {2 * half:8} {ms[len(ms) // 2]:12.1f} {ms[len(ms) * 9 // 10]:6.1f} {ms[-1]:6.1f}"
                f" {more[len(more) // 2]:13.1f} {more[-1]:6.1f}   {good} of {len(left)}",
                flush=True,
            )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
