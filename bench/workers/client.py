"""Reads streams with one client, in an environment of its own: `client.py '{"client": ..., ...}'`.

Prints one JSON object: CPU µs of this process for a chunk, ms to the first chunk (the median of the streams),
KiB of memory for an open stream, and seconds in all. Imports and a first request do not count.
"""

from __future__ import annotations

import asyncio
import contextlib
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


class Reading:
    """What the streams of one run have seen."""

    def __init__(self, streams: int, units: int) -> None:
        self.streams, self.units = streams, units
        self.firsts: list[float] = []
        self.resident = 0.0
        self.begin()

    def begin(self) -> None:
        self.before = resident()
        self.cpu, self.wall = cpu(), time.perf_counter()

    def first(self, seconds: float) -> None:
        self.firsts.append(seconds)
        if len(self.firsts) == self.streams:  # every stream is open now
            self.resident = resident()

    def report(self) -> dict[str, float]:
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


def floor(url: str) -> Any:
    """A bare asyncio protocol, httptools and msgspec: what is done at least."""
    feeding = _floor_parser()

    class Protocol(asyncio.Protocol):
        def __init__(self) -> None:
            self.ready: asyncio.Queue[Any] = asyncio.Queue()
            self.data_received = feeding(self.ready.put_nowait)

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
        ready: list[Any] = []
        feed = feeding(ready.append)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(_request(address, request))
            while not ready or ready[-1] is not None:
                ready.clear()
                feed(connection.recv(65536))
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

        def on_body(self, body: bytes) -> None:
            for event in body.split(b"\n\n"):
                if event.startswith(b"data: {"):
                    with contextlib.suppress(msgspec.DecodeError):  # one that is cut: the floor forgets it
                        self.put(decode(event[6:]))

        def on_message_complete(self) -> None:
            self.put(None)

    return lambda put: httptools.HttpResponseParser(Events(put)).feed_data


def _request(address: Any, request: dict[str, Any]) -> bytes:
    body = json.dumps(request).encode()
    head = f"POST {address.path}/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def raw(url: str) -> Any:
    """A socket: when its first bytes of an event are there, nobody can have the chunk earlier."""

    async def create(**request: Any) -> Any:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(_request(address, request))

        async def reads() -> Any:
            yield await reader.readuntil(b"data: ")
            last = b""
            while not last.endswith(b"\r\n0\r\n\r\n"):
                part = await reader.read(65536)
                last = (last + part)[-7:]
                yield part
            writer.close()

        return reads()

    return create


# --- the two ways to run one -------------------------------------------------------------------------------------


def in_threads(create: Any, asked: dict[str, Any], over: float, reading: Reading) -> None:
    def read(model: str, tell: Any) -> None:
        begun = time.perf_counter()
        for number, _ in enumerate(create(**{**asked, "model": model})):
            if not number:
                tell(time.perf_counter() - begun)

    read(WARM_UP, lambda _: None)
    reading.begin()
    arguments = (asked["model"], reading.first)
    threads = [threading.Thread(target=read, args=arguments) for _ in range(reading.streams)]
    for thread in threads:
        thread.start()
        time.sleep(over / reading.streams)
    for thread in threads:
        thread.join()


async def in_tasks(make: Any, url: str, asked: dict[str, Any], over: float, reading: Reading) -> None:
    create = make(url)

    async def read(model: str, tell: Any, wait: float = 0.0) -> None:
        await asyncio.sleep(wait)
        begun = time.perf_counter()
        number = 0
        async for _ in await create(**{**asked, "model": model}):
            if not number:
                tell(time.perf_counter() - begun)
            number += 1

    await read(WARM_UP, lambda _: None)
    reading.begin()
    waits = [over * at / reading.streams for at in range(reading.streams)]
    await asyncio.gather(*(read(asked["model"], reading.first, wait) for wait in waits))


def whole(create: Any, asked: dict[str, Any], reading: Reading) -> None:
    """Answers that are not streamed, one after the other."""
    create(**asked)
    reading.begin()
    for _ in range(reading.streams):
        begun = time.perf_counter()
        assert create(**asked).choices[0].message.content
        reading.first(time.perf_counter() - begun)


def main() -> None:
    job = json.loads(sys.stdin.read())
    mode, over = job["mode"], job["over"]
    asked = {"messages": [{"role": "user", "content": "hello"}], **job["asked"]}
    make = globals()[job["client"]]
    reading = Reading(job["streams"], job["units"])
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
