"""Budgets as ratios, with margins that a loaded machine keeps: medians of runs in turn, CPU time."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import msgspec
import pytest

from bench import material
from duologue.protocol.read import StreamReader

ROUNDS = 5

needs_openai = pytest.mark.skipif(find_spec("openai") is None, reason="openai is not installed")


def ratio(ours: Callable[[], float], theirs: Callable[[], float], rounds: int = ROUNDS) -> float:
    """The median ratio of two measures taken in turn, after a round that does not count."""
    return statistics.median([ours() / theirs() for _ in range(rounds + 1)][1:])


def cpu(work: Callable[[], object]) -> Callable[[], float]:
    """A measure: the CPU time of this thread for the work."""

    def measure() -> float:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun

    return measure


def start(program: str) -> Callable[[], float]:
    """A measure: the CPU time that a program takes in a fresh interpreter."""
    timed = f"import time; begun = time.process_time(); {program}; print(time.process_time() - begun)"

    def measure() -> float:
        return float(subprocess.run([sys.executable, "-c", timed], capture_output=True, check=True).stdout)

    return measure


def frames(count: int) -> list[bytes]:
    """A stream of text, as the OpenAI API sends it."""
    head = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":['
    word = head + b'{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n'
    end = head + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
    return [*[word] * count, end, b"data: [DONE]\n\n"]


def read(events: list[bytes], accumulate: bool = True) -> None:
    """Server-sent events to typed chunks."""
    reader = StreamReader(accumulate=accumulate)
    for event in events:
        reader.feed(event)
    assert reader.outcome == "complete"


@needs_openai
def test_start() -> None:
    """From a fresh interpreter to a client takes a small part of what it takes with openai (budget: 1/8)."""
    ours = start("from duologue import Client; Client(api_key='none')")
    theirs = start("from openai import OpenAI; OpenAI(api_key='none')")
    assert ratio(ours, theirs, rounds=3) < 1 / 4


@needs_openai
@pytest.mark.parametrize(
    ("form", "limit"),
    [("", 1 / 15), ("unknown fields", 1 / 6), ("a role in each delta", 1 / 10)],
    ids=["usual", "unknown fields", "a role in each delta"],
)
def test_decode(form: str, limit: float) -> None:
    """A chunk costs a small part of what it costs openai (budgets: 1/40, with unknown fields 1/12)."""
    from openai._models import construct_type
    from openai._streaming import SSEDecoder
    from openai.types.chat import ChatCompletionChunk

    events = material.frames(500, form)

    def theirs() -> None:
        for event in SSEDecoder().iter_bytes(iter(events[:-1])):
            construct_type(type_=ChatCompletionChunk, value=event.json())

    assert ratio(cpu(lambda: read(events, accumulate=False)), cpu(theirs)) < limit


def test_accumulate() -> None:
    """A chunk costs the same in a stream of 100 000 as in one of 1 000 (budget: within 10 %)."""
    short, long = frames(1_000), frames(100_000)

    def often() -> None:
        for _ in range(100):
            read(short)

    assert ratio(cpu(lambda: read(long)), cpu(often), rounds=3) < 1.5


async def test_server() -> None:
    """A chunk of the server costs little more than one that is encoded and sent by hand (budget: 1.25)."""
    from duologue.server import create_app

    count = 300

    async def words(_request: object):
        for _ in range(count):
            yield " word"

    async def bare(_scope, receive, send) -> None:
        msgspec.json.decode((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for word in words(None):
            choice = {"index": 0, "delta": {"content": word}, "logprobs": None, "finish_reason": None}
            chunk = {
                "id": "c",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [choice],
            }
            body = b"data: " + msgspec.json.encode(chunk) + b"\n\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def spent(app) -> float:
        begun = time.thread_time()
        for _ in range(5):
            assert await answer(app) > count
        return time.thread_time() - begun

    app = create_app({"words": words})
    ratios = [await spent(app) / await spent(bare) for _ in range(ROUNDS + 1)][1:]
    # Without a server around them the writing by hand has next to no cost of its own: the margin is wider.
    assert statistics.median(ratios) < 2.5


async def answer(app) -> int:
    """Ask an ASGI app for a stream, in process; the bodies that it sends."""
    body = b'{"model":"words","stream":true,"messages":[{"role":"user","content":"hello"}]}'
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[bytes] = []

    async def receive():
        if incoming:
            return incoming.pop()
        return await asyncio.get_running_loop().create_future()

    async def send(message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message.get("body", b""))

    headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1")]
    path = "/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "root_path": ""}
    scope |= {"headers": headers, "query_string": b"", "http_version": "1.1", "scheme": "http"}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "asgi": {"version": "3.0"}}
    await app(scope, receive, send)
    assert b"[DONE]" in sent[-1] or b"[DONE]" in sent[-2]
    return b"".join(sent).count(b"data: ")
