"""The server over an ASGI app that encodes one chunk per token and sends it: what the protocol costs.

Both run under uvicorn in this process; a second process reads their streams over loopback sockets. What is
measured is this process's CPU time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import msgspec
import uvicorn

from duologue.server import create_app

from .rounds import Comparison, Measure, compare, effort

__all__ = ["ASKED", "CASES", "run"]

TOKENS = 100
STREAMS = 50  # at once, where a budget is
# Few and many of them: what is added to their names, how many at once, and rounds.
CASES = (("", STREAMS, 15), (", 1 stream", 1, 5), (", 1000 streams", 1000, 2))
BACKLOG = 2 * max(streams for _, streams, _ in CASES)

SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "text", "schema": {"type": "string", "minLength": 9}},
}

# What is asked of the server beside an answer.
ASKED: Mapping[str, Mapping[str, Any]] = {
    "plain generator": {},
    "two stops": {"stop": ["<end>", "\n\n"]},
    "a stop that holds each piece back": {"stop": "words"},
    "a token limit": {"max_completion_tokens": 10_000},
    "a schema": {"response_format": SCHEMA},
    "n=4": {"n": 4},
}


async def words(request: Any) -> AsyncIterator[str]:
    """The engine of both: a token per step, each after a turn of the event loop, as from a real model."""
    yield '"'  # the whole is JSON
    for _ in range(TOKENS - 2):
        await asyncio.sleep(0)
        yield " word"
    yield '"'


class Delta(msgspec.Struct, omit_defaults=True):
    content: str | None = None


class Choice(msgspec.Struct):
    index: int
    delta: Delta
    logprobs: None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    id: str
    created: int
    model: str
    choices: list[Choice]
    object: str = "chat.completion.chunk"


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """What people write by hand: no checks, no errors, no cancellation."""
    body = await receive()
    request = msgspec.json.decode(body["body"])
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    encode = msgspec.json.encode
    async for token in words(request):
        chunk = Chunk("chatcmpl-1", 1, "words", [Choice(0, Delta(token))])
        await send(
            {"type": "http.response.body", "body": b"data: " + encode(chunk) + b"\n\n", "more_body": True}
        )
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def run() -> Iterator[Comparison]:
    """CPU per chunk of streams at once: without emulation, and with each kind of it."""
    with _serving(create_app(words)) as ours, _serving(bare) as peer:
        for more, streams, rounds in CASES:
            for name, asked in ASKED.items():
                yield compare(
                    f"server, {name}{more}",
                    "µs CPU per chunk",
                    {"duologue": _load(ours, streams, **asked), "bare ASGI app": _load(peer, streams)},
                    ours="duologue",
                    peer="bare ASGI app",
                    floor="bare ASGI app",
                    rounds=rounds,
                )


@contextlib.contextmanager
def _serving(app: Any) -> Iterator[int]:
    """Serve `app` in a thread; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def _load(port: int, streams: int, **asked: Any) -> Measure:
    """Read all streams in a process of its own; gives this process's CPU time per chunk."""
    messages = [{"role": "user", "content": "hello"}]
    body = json.dumps({"model": "words", "stream": True, "messages": messages, **asked}).encode()
    at_once = effort.of(streams)
    count = max(at_once, effort.of(STREAMS))
    chunks = TOKENS * count * asked.get("n", 1)
    command = [sys.executable, "-c", _READER, str(port), str(count), str(at_once)]

    def measure() -> float:
        begun = time.process_time()
        subprocess.run(command, input=body, check=True)
        return (time.process_time() - begun) / chunks * 1e6

    return measure


_READER = """
import asyncio, sys
port, count, at_once, body = *map(int, sys.argv[1:]), sys.stdin.buffer.read()
async def read(places):
    async with places:
        await read_one()
async def read_one():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /v1/chat/completions HTTP/1.1\\r\\nhost: 127.0.0.1\\r\\ncontent-type: application/json\\r\\n"
    head += f"connection: close\\r\\ncontent-length: {len(body)}\\r\\n\\r\\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    while part := await reader.read():
        answer += part
    writer.close()
    assert b" 200 OK" in answer[:20] and b"[DONE]" in answer[-60:], answer[-300:]
async def main():
    places = asyncio.Semaphore(at_once)
    await asyncio.gather(*(read(places) for _ in range(count)))
asyncio.run(main())
"""
