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

from .rounds import Comparison, Measure, compare

__all__ = ["ASKED", "run"]

TOKENS = 100
STREAMS = 50

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


def run() -> list[Comparison]:
    """CPU per chunk of many streams at once: without emulation, and with each kind of it."""
    with _serving(create_app(words)) as ours, _serving(bare) as peer:
        return [
            compare(
                f"server, {name}",
                "µs CPU per chunk",
                {"duologue": _load(ours, **asked), "bare ASGI app": _load(peer)},
                ours="duologue",
                peer="bare ASGI app",
                floor="bare ASGI app",
                rounds=15,
            )
            for name, asked in ASKED.items()
        ]


@contextlib.contextmanager
def _serving(app: Any) -> Iterator[int]:
    """Serve `app` in a thread; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=STREAMS * 2)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def _load(port: int, **asked: Any) -> Measure:
    """Read all streams in a process of its own; gives this process's CPU time per chunk."""
    messages = [{"role": "user", "content": "hello"}]
    body = json.dumps({"model": "words", "stream": True, "messages": messages, **asked}).encode()
    chunks = TOKENS * STREAMS * asked.get("n", 1)

    def measure() -> float:
        begun = time.process_time()
        subprocess.run([sys.executable, "-c", _READER, str(port), str(STREAMS)], input=body, check=True)
        return (time.process_time() - begun) / chunks * 1e6

    return measure


_READER = """
import asyncio, sys
port, count, body = int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer.read()
async def read():
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
    await asyncio.gather(*(read() for _ in range(count)))
asyncio.run(main())
"""
