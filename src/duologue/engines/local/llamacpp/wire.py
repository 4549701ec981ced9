"""What llama.cpp's server says: the events of a completion, and the ids of a text."""

from __future__ import annotations

import http.client
import socket
from typing import Any

import msgspec

__all__ = ["Candidate", "Chunk", "Entry", "Said", "read_chunk", "tokenize"]

# How long the listener may take to tokenize a text, in seconds.
TOKENIZE_TIMEOUT = 60


class Candidate(msgspec.Struct):
    """A token that could have been."""

    id: int
    logprob: float | None = None


class Entry(Candidate):
    """A token that was made, and the likeliest in its place."""

    top_logprobs: list[Candidate] = []


class Logprobs(msgspec.Struct):
    """The log probabilities of a choice's tokens."""

    content: list[Entry] = []


class Said(msgspec.Struct):
    """What one choice has said. Text is whole characters; an empty one is of a token that made none."""

    text: str = ""
    index: int = 0
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Timings(msgspec.Struct):
    """How many tokens of the prompt were there already, and how many the choice has made so far."""

    cache_n: int = 0
    predicted_n: int = 0


class Verbose(msgspec.Struct):
    """More about an answer that is not streamed: the ids of its tokens."""

    tokens: list[int] = []


class Failure(msgspec.Struct):
    """What went wrong."""

    message: str = ""


class Chunk(msgspec.Struct, rename={"verbose": "__verbose"}):
    """One event of a completion."""

    choices: list[Said] = []
    timings: Timings | None = None
    error: Failure | None = None
    verbose: Verbose = msgspec.field(default_factory=Verbose)


def read_chunk(event: bytes) -> Chunk:
    """An event of a completion. Raises `RuntimeError` for one that says what went wrong."""
    chunk = _CHUNKS.decode(event)
    if chunk.error is not None:
        raise RuntimeError(f"llama.cpp failed: {chunk.error.message}")
    return chunk


_CHUNKS = msgspec.json.Decoder(Chunk)


class _Ids(msgspec.Struct):
    tokens: list[int]


def tokenize(address: str, key: str, text: str) -> list[int]:
    """The ids of a text as the listener at `address` (`unix://path` or `http://host:port`) gives them.

    No text in it becomes a control token. Raises `OSError` or `http.client.HTTPException` where that fails.
    """
    body = msgspec.json.encode({"content": text, "add_special": False, "parse_special": False})
    connection = _Connection(address)
    try:
        connection.request("POST", "/tokenize", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return msgspec.json.decode(answer.read(), type=_Ids).tokens
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """To a port of this machine, or to a socket in a folder."""

    def __init__(self, address: str) -> None:
        scheme, _, place = address.partition("://")
        super().__init__("localhost" if scheme == "unix" else place, timeout=TOKENIZE_TIMEOUT)
        self._path = place if scheme == "unix" else None

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        family: Any = socket.AF_UNIX
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
