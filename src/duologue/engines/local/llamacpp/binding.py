"""llama.cpp's server in this process: loaded, asked, and closed.

What it has besides is kept away from everybody: its HTTP listener, which cannot be turned off, listens on a
socket in a private folder, or where there are none on a loopback port, behind a key that nobody is told.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import msgspec

from ....protocol.errors import DuologueError
from ..gguf import GGUF
from .settings import Settings
from .wire import Chunk, read_chunk, tokenize

__all__ = ["EXTRA", "PREFILL_SLICE", "Binding", "library"]

EXTRA = "pip install 'duologue[serve,gguf]'"
# How many tokens of a prompt are read at once. Between two such pieces a request can be given up.
PREFILL_SLICE = 512
# Room that llama.cpp wants in a sequence besides its tokens.
MARGIN = 8
# What is tried where a model does not load, to tell what is wrong with the file from what is with the memory.
SMALLEST_CONTEXT = 256


class Binding:
    """The model in a file, as llama.cpp runs it. It is loaded by `load`, or by the first request.

    `listening` keeps its listener within reach of this process, which `tokenize` needs. Raises `DuologueError`
    at once where the package is not installed.
    """

    def __init__(self, file: GGUF, settings: Settings, *, listening: bool = False) -> None:
        self.settings = settings
        self._library = library()
        self._file = file
        self._server: Any = None
        self._process = 0
        self._listening = listening
        self._key = secrets.token_urlsafe(32)
        self._folder: str | None = None
        self._loading = threading.Lock()

    @property
    def version(self) -> str:
        """The library and its version."""
        return f"xllamacpp-{self._library.__version__}"

    def load(self) -> Any:
        """Read the weights, once; any thread may ask. Raises `GGUFError` where llama.cpp cannot run the file."""
        with self._loading:
            if self._server is None:
                self._server = self._start()
                self._process = os.getpid()
            elif self._process != os.getpid():
                # A fork takes the memory along, and leaves llama.cpp's threads behind.
                raise RuntimeError("a llama.cpp engine that has loaded its model cannot be used after a fork")
            return self._server

    def close(self) -> None:
        """Free the model. No request may be under way."""
        with self._loading:
            if self._process == os.getpid():  # and not in a fork, which has no threads to wait for
                self._server = None
                self._hide()

    def complete(self, body: Mapping[str, Any], take: Callable[[Chunk], bool]) -> None:
        """Ask for a completion; `take` gets its events, in this thread, and ends it by returning True.

        Raises what `take` raises, and `RuntimeError` where llama.cpp fails.
        """
        raised: list[BaseException] = []

        def hear(event: bytes) -> bool:
            # An exception that left this function would be lost, and the completion look as if it had ended.
            try:
                return take(read_chunk(event))
            except BaseException as error:
                raised.append(error)
                return True

        self.load().handle_completions(msgspec.json.encode(body), hear)
        if raised:
            raise raised[0]

    def ask(self, body: Mapping[str, Any]) -> Chunk:
        """The same in one piece, with the ids of the tokens."""
        heard: list[Chunk] = []

        def take(chunk: Chunk) -> bool:
            heard.append(chunk)
            return False

        self.complete({**body, "verbose": True, "return_tokens": True}, take)
        return heard[-1]

    def tokenize(self, text: str) -> list[int]:
        """The ids of a text, in which nothing is a control token; only where the listener is kept."""
        address = self.load().listening_address
        return tokenize(address, self._key, text)

    def _start(self) -> Any:
        try:
            return self._serve(self.settings)
        except RuntimeError:  # whatever went wrong, it says the same
            pass
        try:
            self._serve(self.settings._replace(context=SMALLEST_CONTEXT, slots=1))
        except RuntimeError:
            kind = self._file.text("general.architecture", "")[:40]
            raise self._file.error(
                f"holds a {kind!r} model that {self.version} cannot load; download or copy it again if it may be "
                "damaged, or get a newer llama.cpp: pip install --upgrade xllamacpp"
            ) from None
        context, slots = self.settings.context, self.settings.slots
        raise self._file.error(
            f"finds no room in the memory for {slots} conversations of {context} tokens each; give a smaller "
            "--context, or fewer --slots"
        )

    def _serve(self, settings: Settings) -> Any:
        parameters = self._library.CommonParams()
        parameters.model.path = str(self._file.path)
        parameters.n_ctx = (settings.context + MARGIN) * settings.slots
        parameters.n_parallel = settings.slots
        parameters.n_batch = PREFILL_SLICE
        if settings.threads is not None:
            parameters.cpuparams.n_threads = settings.threads
        if settings.gpu_layers is not None:
            parameters.n_gpu_layers = settings.gpu_layers
        parameters.warmup = False  # the first request does that
        parameters.cache_ram_mib = 0  # no second cache of prompts, which would grow to gigabytes
        parameters.verbosity = -1
        parameters.ui = False
        # The model's own, which it would try out, may never end. Prompts are written here.
        parameters.chat_template = "chatml"
        parameters.endpoint_slots = False
        parameters.n_threads_http = 1
        parameters.api_keys = [self._key]
        if os.name == "posix":  # elsewhere it is a free port of the loopback address
            self._folder = tempfile.mkdtemp(prefix="duologue-")
            parameters.hostnames = [f"{self._folder}/llama.sock"]
        try:
            server = self._library.Server(parameters)
            # One that is closed before it has begun to work would never end.
            server.handle_completions(b'{"prompt": [0], "max_tokens": 1}', lambda _: False)
            return server
        except RuntimeError:
            self._hide()
            raise
        finally:
            if not self._listening:
                self._hide()

    def _hide(self) -> None:
        """Remove the listener's socket, so that nobody can connect to it."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def library() -> Any:
    """The package `xllamacpp`. Raises `DuologueError` where it is not installed."""
    try:
        return import_module("xllamacpp")
    except ImportError as error:
        raise DuologueError(f"llama.cpp is not installed: {EXTRA}") from error
