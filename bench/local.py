"""Servers of the same model file: Duologue with either backend, xllamacpp's own and llama-cpp-python's own.

The files are the embedded model, and the same made heavier: the same answers by ten times as much arithmetic. A
larger one would hide what the servers themselves cost. `DUOLOGUE_BENCH_GGUF` names another one. Each server
computes in one thread.

llama-cpp-python has no wheels. It takes part where `.bench/llama-cpp-python` is an environment with it, which
`python -m bench --build-peers local` makes: that takes a compiler, CMake, and six minutes or more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import duologue_pocket
import numpy as np

from duologue.engines.local.gguf import GGUF

from .peers import HOME, LLAMA_CPP_PYTHON, ROOT, compiled
from .rounds import Comparison, Measure, compare

__all__ = ["build_peers", "run"]

PEER = HOME / "llama-cpp-python"
# What the wheels of xllamacpp use, too. More would be unfair, and its matrix units fail on some processors.
BUILD_OPTIONS = ("NATIVE=OFF", "AVX=ON", "AVX2=ON", "FMA=ON", "F16C=ON", "BMI2=ON")
ROUNDS = 3
TOKENS = 32
STREAMS = 8
START_TIMEOUT = 60
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# The heavier model: its layers (those beyond the embedded model's own change nothing) and their gates' width.
LAYERS, FEED_FORWARD = 12, 4096

OURS, THEIRS = "duologue, llama.cpp", "xllamacpp's server"

# What the first token has to wait for; the other measurements have a short prompt.
LONG = "The lamp is green and the river runs north, past the old mill and on to the sea. " * 6
CONTENT = re.compile(rb'"content": ?"[^"]')


def run() -> list[Comparison]:
    """Time to the first token, and time for each token of one stream and of several at once."""
    if find_spec("xllamacpp") is None:
        print("llama.cpp is not installed: nothing to compare. pip install 'duologue[serve,gguf]'\n")
        return []
    if not compiled():
        print("llama-cpp-python is left out: python -m bench --build-peers local\n")
    return [found for name, path in _models().items() for found in _run(name, path)]


def _run(name: str, path: Path) -> list[Comparison]:
    with contextlib.ExitStack() as stack:
        servers = {
            "duologue, numpy": stack.enter_context(_duologue(path, "--backend", "numpy")),
            OURS: stack.enter_context(_duologue(path, "--backend", "llama.cpp", "--threads", "1")),
            THEIRS: stack.enter_context(_xllamacpp(path)),
        }
        if compiled():
            servers["llama-cpp-python's server"] = stack.enter_context(_llama_cpp_python(path))
        ends = _ends(path)
        return [
            _compare(f"{name}, first token", "ms", servers, ends, _first_token),
            _compare(f"{name}, one stream", "ms per token", servers, ends, _stream),
            _compare(f"{name}, {STREAMS} streams", "ms per token, of all", servers, ends, _streams),
        ]


def build_peers() -> None:
    """Compile llama-cpp-python, unless it is there, for the same processors as xllamacpp's wheels."""
    if compiled():
        return
    print(f"Building llama-cpp-python in {PEER}, which takes minutes.", flush=True)
    subprocess.run((sys.executable, "-m", "venv", PEER), check=True)
    subprocess.run(
        (
            PEER / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            f"llama-cpp-python[server]=={LLAMA_CPP_PYTHON}",
        ),
        env={**os.environ, "CMAKE_ARGS": " ".join(f"-DGGML_{name}" for name in BUILD_OPTIONS)},
        check=True,
    )


def _compare(
    title: str,
    unit: str,
    servers: Mapping[str, str],
    ends: Mapping[str, int],
    measure: Callable[[str, Mapping[str, int]], float],
) -> Comparison:
    def of(url: str) -> Measure:
        return lambda: measure(url, ends) * 1e3

    measures = {name: of(url) for name, url in servers.items()}
    return compare(title, unit, measures, ours=OURS, peer=THEIRS, rounds=ROUNDS)


# --- what is measured ------------------------------------------------------------------------------------


def _first_token(url: str, ends: Mapping[str, int]) -> float:
    first, _ = asyncio.run(_read(url, ends, 1, LONG))
    return first


def _stream(url: str, ends: Mapping[str, int]) -> float:
    first, last = asyncio.run(_read(url, ends, TOKENS))
    return (last - first) / (TOKENS - 1)


def _streams(url: str, ends: Mapping[str, int]) -> float:
    async def all_of_them() -> float:
        begun = time.perf_counter()
        await asyncio.gather(*(_read(url, ends, TOKENS) for _ in range(STREAMS)))
        return time.perf_counter() - begun

    return asyncio.run(all_of_them()) / (STREAMS * TOKENS)


async def _read(url: str, ends: Mapping[str, int], tokens: int, prompt: str = "") -> tuple[float, float]:
    """When the first and the last piece of an answer came, in seconds behind the request."""
    body = json.dumps(
        {
            "model": "model",
            # No prompt comes twice, so that none is found in a cache.
            "messages": [{"role": "user", "content": f"{time.perf_counter_ns()} {prompt}"}],
            "stream": True,
            "temperature": 0,
            "max_tokens": tokens,
            "logit_bias": ends,
        }
    ).encode()
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    head += f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    begun = time.perf_counter()
    writer.write(head.encode() + body)
    times: list[float] = []
    answer = b""
    async for line in reader:
        answer += line
        if CONTENT.search(line):
            times.append(time.perf_counter() - begun)
    writer.close()
    assert b"200 OK" in answer[:20], answer[-500:]
    assert b'"length"' in answer, answer[-500:]
    return times[0], times[-1]


def _ends(path: Path) -> dict[str, int]:
    """A bias by which no answer ends before its limit."""
    metadata = GGUF(path).metadata
    ids = (metadata.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot", "eom"))
    return {str(token): -100 for token in ids if token is not None}


# --- the servers -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _duologue(path: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "duologue", "serve", str(path), "--profile", "lenient", "--port", "0"]
    with _process([*command, *options], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        yield line.split()[-1].removesuffix("/v1")


XLLAMACPP = """
import sys, time, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.port = sys.argv[1], int(sys.argv[2])
parameters.n_parallel = parameters.n_threads_http = int(sys.argv[3])
parameters.n_ctx = int(sys.argv[4]) * parameters.n_parallel
parameters.cpuparams.n_threads = 1
parameters.verbosity = -1
server = xllamacpp.Server(parameters)
time.sleep(1e9)
"""


@contextlib.contextmanager
def _xllamacpp(path: Path) -> Iterator[str]:
    port = _free_port()
    arguments = [str(path), str(port), str(STREAMS), str(_context(path))]
    with _process([sys.executable, "-c", XLLAMACPP, *arguments]):
        yield _ready(port)


@contextlib.contextmanager
def _llama_cpp_python(path: Path) -> Iterator[str]:
    port = _free_port()
    options = {
        "model": path,
        "port": port,
        "n_threads": 1,
        "n_threads_batch": 1,
        "n_ctx": _context(path),
        "interrupt_requests": False,
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with _process([str(PEER / "bin" / "python"), "-m", "llama_cpp.server", *arguments]):
        yield _ready(port)


@contextlib.contextmanager
def _process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process with nothing to say, until the block ends."""
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    process = subprocess.Popen(command, env={**os.environ, **ONE_THREAD}, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _ready(port: int) -> str:
    """The address of a server, once it answers."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/v1/models"):
                return f"http://127.0.0.1:{port}"
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _context(path: Path) -> int:
    metadata = GGUF(path).metadata
    context: int = metadata[f"{metadata['general.architecture']}.context_length"]
    return min(context, 2048)


# --- the model -------------------------------------------------------------------------------------------


def _models() -> dict[str, Path]:
    if named := os.environ.get("DUOLOGUE_BENCH_GGUF"):
        return {Path(named).stem: Path(named)}
    pocket = duologue_pocket.path()
    return {"pocket": pocket, "pocket made heavier": _heavier(pocket, HOME / "heavier.gguf")}


def _heavier(source: Path, target: Path) -> Path:
    """The model with wider gates and more layers, whose weights are zero; made where it is not there."""
    if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
        return target
    sys.path.append(str(ROOT / "tests"))
    from support.gguf_writer import F32, Q8_0, encode_gguf  # type: ignore[import-not-found]  # beside the tests

    file = GGUF(source)
    architecture = file.metadata["general.architecture"]
    own = file.metadata[f"{architecture}.block_count"]
    tensors: dict[str, tuple[np.ndarray, int]] = {}
    for name, info in file.tensors.items():
        array = _widened(name, file.load(name, info.shape))
        kind = Q8_0 if array.ndim > 1 else F32
        tensors[name] = (array, kind)
        if name.startswith("blk.0."):
            for layer in range(own, LAYERS):
                mute = "attn_output" in name or "ffn_down" in name
                other = name.replace("blk.0.", f"blk.{layer}.")
                tensors[other] = (np.zeros_like(array) if mute else array, kind)
    sizes = {f"{architecture}.block_count": LAYERS, f"{architecture}.feed_forward_length": FEED_FORWARD}
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(encode_gguf({**file.metadata, **sizes}, tensors))
    return target


def _widened(name: str, array: np.ndarray) -> np.ndarray:
    if "ffn_gate" in name or "ffn_up" in name:
        return np.pad(array, ((0, FEED_FORWARD - len(array)), (0, 0)))
    if "ffn_down" in name:
        return np.pad(array, ((0, 0), (0, FEED_FORWARD - array.shape[1])))
    return array
