"""Reads streams with one client, in an environment of its own: `client.py '{"client": ..., ...}'`.

Prints one JSON object: CPU µs of this process for a chunk, ms to the first chunk (the median of the streams),
KiB of memory for an open stream, and seconds in all. Imports and a first request do not count.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WARM_UP = "content-2-0"
READ_BYTES = 65536  # of one read of the floor, and of the raw socket


class Reading:
    """What the streams of one run have seen; each has `least` chunks, or the run counts for nothing."""

    def __init__(self, streams: int, units: int, least: int) -> None:
        self.streams, self.units, self.least = streams, units, least
        self.firsts: list[float] = []
        self.counts: list[int] = []
        self.resident = 0.0
        self.begin()

    def begin(self) -> None:
        self.before = resident()
        self.cpu, self.wall = cpu(), time.perf_counter()

    def first(self, seconds: float) -> None:
        self.firsts.append(seconds)
        if len(self.firsts) == self.streams:  # every stream is open now
            self.resident = resident()

    def end(self, chunks: int) -> None:
        self.counts.append(chunks)

    def report(self) -> dict[str, float]:
        if len(self.counts) < self.streams:
            sys.exit(f"{len(self.counts)} of {self.streams} streams came to their end")
        if min(self.counts) < self.least:
            sys.exit(f"a stream of {self.least} chunks gave {min(self.counts)}")
        return {
            "CPU": (cpu() - self.cpu) / self.units * 1e6,
            "first chunk": statistics.median(self.firsts) * 1e3,
            "memory": max(0.0, self.resident - self.before) / self.streams,
            "time": time.perf_counter() - self.wall,
        }


def cpu() -> float:
    """User and system time of this process and of its children, in seconds."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def resident() -> float:
    """The resident memory of this process in KiB."""
    status = Path("/proc/self/smaps_rollup")  # /proc/self/statm would round to 128 KiB
    if status.exists():
        return float(status.read_text().partition("Rss:")[2].split()[0])
    return float(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())]))


# --- each client: what makes a request and gives an iterable of chunks -----------------------------------------


def openai_sync(url: str) -> Any:
    import openai

    return openai.OpenAI(base_url=url, api_key="none", max_retries=0).chat.completions.create


def openai_async(url: str) -> Any:
    import openai

    return openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0).chat.completions.create


def openai_aiohttp(url: str) -> Any:
    import openai

    client = openai.AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, http_client=openai.DefaultAioHttpClient()
    )
    return client.chat.completions.create


def duologue_sync(url: str) -> Any:
    import duologue

    return duologue.Client(base_url=url, api_key="none", max_retries=0).chat.completions.create


def duologue_async(url: str) -> Any:
    import duologue

    return duologue.AsyncClient(base_url=url, api_key="none", max_retries=0).chat.completions.create


def litellm_sync(url: str) -> Any:
    import litellm

    return lambda model, **more: litellm.completion(
        f"openai/{model}", api_base=url, api_key="none", num_retries=0, **more
    )


def litellm_async(url: str) -> Any:
    import litellm

    return lambda model, **more: litellm.acompletion(
        f"openai/{model}", api_base=url, api_key="none", num_retries=0, **more
    )


class Reads(asyncio.BufferedProtocol):
    """Reads into memory that all connections share, and feeds `take`, which gets None when the connection ends.

    asyncio would give a `Protocol` 256 KiB of new memory for each read: that is no floor.
    """

    memory = memoryview(bytearray(READ_BYTES))
    take: Any

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.memory

    def buffer_updated(self, count: int) -> None:
        self.take(self.memory[:count])

    def connection_lost(self, error: Exception | None) -> None:
        self.take(None)


def floor(url: str) -> Any:
    """A bare asyncio protocol, httptools and msgspec: what is done at least."""
    feeding = _floor_parser()

    class Protocol(Reads):
        def __init__(self) -> None:
            self.ready: asyncio.Queue[Any] = asyncio.Queue()
            self.take = feeding(self.ready.put_nowait)

    async def create(**request: Any) -> Any:
        address = urlsplit(url)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Protocol, address.hostname, address.port)
        transport.write(_request(address, request))

        async def chunks() -> Any:
            while (chunk := await protocol.ready.get()) is not None:
                yield chunk
            transport.close()

        return chunks()

    return create


def floor_sync(url: str) -> Any:
    """The same on a blocking socket."""
    feeding = _floor_parser()

    def create(**request: Any) -> Any:
        address = urlsplit(url)
        memory = memoryview(bytearray(READ_BYTES))
        ready: list[Any] = []
        take = feeding(ready.append)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(_request(address, request))
            while not ready or ready[-1] is not None:
                ready.clear()
                count = connection.recv_into(memory)
                take(memory[:count] if count else None)
                yield from filter(None, ready)

    return create


def _floor_parser() -> Any:
    """Makes what takes bytes and puts chunks, and None at the end."""
    import httptools
    import msgspec

    from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk

    decode = msgspec.json.Decoder(ChatCompletionChunk).decode

    class Events:
        def __init__(self, put: Any) -> None:
            self.put = put
            self.rest = b""  # of an event that is cut

        def on_body(self, body: bytes) -> None:
            *events, self.rest = (self.rest + body).split(b"\n\n")
            for event in events:
                if event.startswith(b"data: {"):
                    self.put(decode(event[6:]))

        def on_message_complete(self) -> None:
            self.put(None)

    def feeding(put: Any) -> Any:
        feed = httptools.HttpResponseParser(Events(put)).feed_data
        return lambda data: put(None) if data is None else feed(data)

    return feeding


def _request(address: Any, request: dict[str, Any]) -> bytes:
    body = json.dumps(request).encode()
    head = f"POST {address.path}/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def raw(url: str) -> Any:
    """A socket: when its first bytes of an event are there, nobody can have the chunk earlier."""

    class Protocol(Reads):
        def __init__(self) -> None:
            self.ready: asyncio.Queue[Any] = asyncio.Queue()

        def take(self, data: memoryview | None) -> None:
            self.ready.put_nowait(data and bytes(data))

    async def create(**request: Any) -> Any:
        address = urlsplit(url)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Protocol, address.hostname, address.port)
        transport.write(_request(address, request))

        async def reads() -> Any:
            part = b""
            while b"data: " not in part:
                part += await protocol.ready.get()
            yield part
            last = part[-7:]
            while not last.endswith(b"\r\n0\r\n\r\n"):
                part = await protocol.ready.get()
                last = (last + part)[-7:]
                yield part
            transport.close()

        return reads()

    return create


# --- the two ways to run one -------------------------------------------------------------------------------------


def _unheard(_: Any) -> None:
    """What the first request tells, which does not count."""


def in_threads(create: Any, asked: dict[str, Any], over: float, reading: Reading) -> None:
    def read(model: str, tell: Any, end: Any) -> None:
        begun = time.perf_counter()
        number = 0
        for number, _ in enumerate(create(**{**asked, "model": model}), 1):
            if number == 1:
                tell(time.perf_counter() - begun)
        end(number)

    read(WARM_UP, _unheard, _unheard)
    reading.begin()
    arguments = (asked["model"], reading.first, reading.end)
    threads = [threading.Thread(target=read, args=arguments) for _ in range(reading.streams)]
    for thread in threads:
        thread.start()
        time.sleep(over / reading.streams)
    for thread in threads:
        thread.join()


async def in_tasks(make: Any, url: str, asked: dict[str, Any], over: float, reading: Reading) -> None:
    create = make(url)

    async def read(model: str, tell: Any, end: Any, wait: float = 0.0) -> None:
        await asyncio.sleep(wait)
        begun = time.perf_counter()
        number = 0
        async for _ in await create(**{**asked, "model": model}):
            if not number:
                tell(time.perf_counter() - begun)
            number += 1
        end(number)

    await read(WARM_UP, _unheard, _unheard)
    reading.begin()
    waits = [over * at / reading.streams for at in range(reading.streams)]
    await asyncio.gather(*(read(asked["model"], reading.first, reading.end, wait) for wait in waits))


def whole(create: Any, asked: dict[str, Any], reading: Reading) -> None:
    """Answers that are not streamed, one after the other."""
    create(**asked)
    reading.begin()
    for _ in range(reading.streams):
        begun = time.perf_counter()
        text = create(**asked).choices[0].message.content
        reading.first(time.perf_counter() - begun)
        reading.end(len(text.split()))


def main() -> None:
    job = json.loads(sys.stdin.read())
    mode, over = job["mode"], job["over"]
    asked = {"messages": [{"role": "user", "content": "hello"}], **job["asked"]}
    make = globals()[job["client"]]
    # A raw socket's reads are no chunks: it reads until the body ends.
    least = 0 if job["client"] == "raw" else job["least"]
    reading = Reading(job["streams"], job["units"], least)
    if mode == "whole":
        whole(make(job["url"]), {**asked, "stream": False}, reading)
    elif mode == "threads":
        in_threads(make(job["url"]), {**asked, "stream": True}, over, reading)
    else:
        work = in_tasks(make, job["url"], {**asked, "stream": True}, over, reading)
        if mode == "uvloop":
            import uvloop

            uvloop.run(work)
        else:
            asyncio.run(work)
    print(json.dumps(reading.report()), flush=True)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # clients that are left open would be waited for
