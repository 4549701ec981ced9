"""Serves the built-in model on this machine and streams one answer from it to the terminal.

Exits 0 when the whole answer came, else 1 with a line that says why not, 130 after Ctrl-C. The server is
stopped whatever happens.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections import deque
from collections.abc import Iterator
from typing import IO

# `Stream` brings all of the client before there is a server to stop: Ctrl-C while msgspec builds its decoders
# may end Python at once.
from duologue import Client, DuologueError, Stream
from duologue.types.chat import ChatCompletionChunk

MODEL = "pocket"
PROMPT = "What is Duologue?"
MAX_TOKENS = 200

# How long the server may take to start and to stop, and how much of its log is kept to explain a failure.
START_S = 60
STOP_S = 15
LOG_LINES = 20

_ADDRESS = re.compile(r"Serving .+ at (http://\S+)")


def main() -> int:
    """Run the demo; the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serving() as url:
            ask(url, " ".join(sys.argv[1:]) or PROMPT)
        print("The server is stopped.")
    except (DemoError, DuologueError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the server is stopped.", file=sys.stderr)
        return 130
    return 0


class DemoError(Exception):
    """Why there is no answer to show."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """`duologue serve` on a free loopback port: its base URL while it runs."""
    command = shutil.which("duologue", path=sysconfig.get_path("scripts"))
    if command is None:
        raise DemoError("the command `duologue` is not installed; run `make demo`")
    server = subprocess.Popen(
        [command, "serve", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "DUOLOGUE_API_KEY"},
    )
    try:
        yield address(server)
    finally:
        stop(server)


def address(server: subprocess.Popen[str]) -> str:
    """Where the server listens. Raises `DemoError` with the end of its log when it does not."""
    found: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    log: deque[str] = deque(maxlen=LOG_LINES)
    assert server.stdout is not None
    threading.Thread(target=follow, args=(server.stdout, log, found), daemon=True).start()
    try:
        url = found.get(timeout=START_S)
    except queue.Empty:
        raise DemoError(f"the server did not start within {START_S} s") from None
    if url is None:
        raise DemoError("the server ended at its start:\n" + "".join(log))
    print(f"Serving {MODEL} at {url}", flush=True)
    return url


def follow(output: IO[str], log: deque[str], found: queue.SimpleQueue[str | None]) -> None:
    """Read all that the server prints, so that it never waits; tell its address, and None at the end."""
    for line in output:
        log.append(line)
        match = _ADDRESS.search(line)
        if match:
            found.put(match[1])
    found.put(None)


def stop(server: subprocess.Popen[str]) -> None:
    """End the server, with force if it must be; a second Ctrl-C does not leave it running."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server.terminate()
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ask(url: str, prompt: str) -> None:
    """Stream one answer to the terminal, then say what it took."""
    print(f"\n> {prompt}\n")
    with (
        Client(base_url=url, api_key="none") as client,
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": prompt}],
            max_completion_tokens=MAX_TOKENS,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        ) as stream,
    ):
        for chunk in stream:
            print(chunk.text, end="", flush=True)
    report(stream)


def report(stream: Stream[ChatCompletionChunk]) -> None:
    """What a complete answer took. Raises `DemoError` when it came without its usage."""
    usage, timings = stream.usage, stream.timings
    first_chunk = timings.first_chunk
    if usage is None or first_chunk is None:
        raise DemoError("the answer came without chunks, or without its usage")
    print(f"\n\nusage: {usage.prompt_tokens} prompt + {usage.completion_tokens} completion tokens")
    print(f"time to first chunk: {first_chunk * 1000:.1f} ms")
    print(f"{timings.chunks} chunks, {timings.chunks_per_second or 0:.0f} chunks per second")


if __name__ == "__main__":
    sys.exit(main())
