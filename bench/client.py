"""Clients end to end, over loopback sockets: CPU per chunk, time to the first chunk, memory per open stream."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import peers
from .rounds import Comparison, Measures, compare_all, effort
from .source import serving

__all__ = ["CASES", "CLIENTS", "PACED", "RARELY", "UNPACED", "measures", "run", "worker"]

RATE = 50  # chunks a second of a paced stream
OVER_S = 1.0  # paced streams begin one after another over this time
LIMIT_S = 300  # for one run of one client
RARELY = {"litellm": 1}  # rounds of those that take long


class Contestant(NamedTuple):
    """An environment, a worker, what the worker calls the client, and the modes in which it takes part."""

    environment: str
    program: str
    client: str
    modes: frozenset[str]


SYNC, ASYNC, WHOLE = frozenset({"threads"}), frozenset({"asyncio", "uvloop"}), frozenset({"whole"})

CLIENTS: Mapping[str, tuple[Contestant, ...]] = {
    "duologue": (
        Contestant("", "client.py", "duologue_sync", SYNC | WHOLE),
        Contestant("", "client.py", "duologue_async", ASYNC),
    ),
    "openai": (
        Contestant("openai", "client.py", "openai_sync", SYNC | WHOLE),
        Contestant("openai", "client.py", "openai_async", ASYNC),
    ),
    "openai, aiohttp": (Contestant("openai", "client.py", "openai_aiohttp", ASYNC),),
    "openai-node": (Contestant("node", "client.mjs", "", ASYNC),),
    "litellm": (
        Contestant("litellm", "client.py", "litellm_sync", SYNC | WHOLE),
        Contestant("litellm", "client.py", "litellm_async", ASYNC),
    ),
    "floor": (
        Contestant("", "client.py", "floor_sync", SYNC),
        Contestant("", "client.py", "floor", ASYNC),
    ),
    "raw socket": (Contestant("", "client.py", "raw", ASYNC),),
}


class Case(NamedTuple):
    """What is read how: streams of a shape, so many chunks of each, a rate (0: all at once), and by whom."""

    title: str
    mode: str
    streams: int
    shape: str
    count: int
    rate: int
    rounds: int
    over: float = OVER_S
    clients: tuple[str, ...] = tuple(CLIENTS)


FEW = ("duologue", "openai", "floor")  # where all would take minutes
QUICK = tuple(name for name in CLIENTS if name != "litellm")  # it has each of these on asyncio's own loop

# Those that a budget names have more rounds.
CASES = (
    Case("sync, 1 unpaced stream", "threads", 1, "content", 20_000, 0, 5),
    Case("sync, 50 paced threads", "threads", 50, "content", 200, RATE, 5),
    Case("async, 1 paced stream", "asyncio", 1, "content", 100, RATE, 3),
    Case("async, 10 paced streams", "asyncio", 10, "content", 100, RATE, 3),
    Case("async, 100 paced streams", "asyncio", 100, "content", 200, RATE, 5),
    Case("uvloop, 100 paced streams", "uvloop", 100, "content", 200, RATE, 5, clients=QUICK),
    Case("async, 300 paced streams", "asyncio", 300, "content", 100, RATE, 3),
    Case("uvloop, 1 paced stream", "uvloop", 1, "content", 100, RATE, 3, clients=FEW),
    Case("uvloop, 300 paced streams", "uvloop", 300, "content", 100, RATE, 2, clients=FEW),
    Case("async, 100 streams in one instant", "asyncio", 100, "content", 50, RATE, 3, 0),
    Case("async, 20 unpaced streams", "asyncio", 20, "content", 1000, 0, 5),
    Case("uvloop, 20 unpaced streams", "uvloop", 20, "content", 1000, 0, 5, clients=QUICK),
    Case("async, tool calls", "asyncio", 20, "tools", 1000, 0, 3),
    Case("async, logprobs", "asyncio", 20, "logprobs", 500, 0, 3),
    Case("async, n=4", "asyncio", 20, "n4", 1000, 0, 3),
)

PACED = {"CPU": "µs per chunk", "first chunk": "ms", "memory": "KiB per open stream"}
UNPACED = {"CPU": "µs per chunk", "time": "s"}


def run() -> Iterator[Comparison]:
    """Every case, with every client that has its mode."""
    with serving() as url:
        for case in CASES:
            yield from _compare(url, case)


def _compare(url: str, case: Case) -> list[Comparison]:
    count = effort.of(case.count)
    asked = {"model": f"{case.shape}-{count}-{case.rate}"}
    plotted = case.rate and case.mode == "asyncio" and case.over
    plots = {"first chunk": "client-first-chunk"} if plotted else {}
    if plotted and case.streams > 1:  # of one stream it is less than pages can show
        plots["memory"] = "client-memory"
    measured = measures(url, case.mode, case.streams, case.streams * count, asked, count, _over(case))
    return compare_all(
        f"client, {case.title}",
        PACED if case.rate else UNPACED,
        {name: measure for name, measure in measured.items() if name in case.clients},
        ours="duologue",
        beside=("openai",),
        floor="floor",
        rounds=case.rounds,
        rarely=RARELY,
        plots=plots,
        at=case.streams,
    )


def _over(case: Case) -> float:
    return case.over * effort.scale if case.rate else 0.0


def measures(
    url: str, mode: str, streams: int, units: int, asked: Mapping[str, Any], least: int, over: float = 0.0
) -> dict[str, Measures]:
    """The measure of each client that has the mode.

    Each stream has `least` chunks or words, and a client that gives fewer is absent. The streams begin one after
    another `over` so many seconds.
    """
    job = {
        "url": url,
        "mode": mode,
        "streams": streams,
        "units": units,
        "asked": asked,
        "least": least,
        "over": over,
    }
    return {
        name: worker(contestant.environment, contestant.program, {**job, "client": contestant.client})
        for name, contestants in CLIENTS.items()
        for contestant in contestants
        if mode in contestant.modes
    }


def worker(environment: str, program: str, job: Mapping[str, Any], limit: float = LIMIT_S) -> Measures:
    """Run a worker on a job; it prints its figures. A worker that fails is absent, and its last line says why."""

    def measure() -> Mapping[str, float]:
        command = peers.command(environment, program)
        try:
            done = subprocess.run(
                command, input=json.dumps(job), capture_output=True, text=True, timeout=limit, check=True
            )
        except subprocess.TimeoutExpired:
            raise peers.Absent(f"took longer than {limit:g} s") from None
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip() or f"exit status {error.returncode}").splitlines()[-1]
            raise peers.Absent(last[:120]) from None
        return json.loads(done.stdout.splitlines()[-1])

    return measure
