"""Padded streams: the size of a chunk does not tell what is in it."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

from duologue.engine import Finish, Reasoning, Text, ToolArguments, ToolCall
from duologue.protocol.checks import decode_request
from duologue.protocol.errors import RateLimitError
from duologue.protocol.padding import BLOCK, PaddedWriter
from duologue.protocol.read import StreamReader
from duologue.protocol.write import ChunkWriter
from duologue.types.chat.request import ChatRequest
from support.legal import check_stream

LETTERS = string.ascii_letters + string.digits + "-_"
IDENTITY: dict[str, Any] = {"id": "c", "created": 1, "model": "m", "call_id": lambda: "call_1"}


def request(**options: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "n": 2}
    return decode_request(json.dumps({**body, "stream_options": options}).encode())[0]


def padded(asked: ChatRequest, seed: int = 0) -> PaddedWriter:
    chance = random.Random(seed)
    return PaddedWriter(asked, random_text=lambda size: "".join(chance.choices(LETTERS, k=size)), **IDENTITY)


def written(writer: ChunkWriter, *events: Any) -> bytes:
    return b"".join([*(writer.write(event) for event in events), writer.finish()])


SCRIPT = (
    "a",
    " somewhat longer",
    "é😀\n\n",
    Text("other", 1),
    Reasoning("hm", 1),
    ToolCall("f", choice=1),
    ToolArguments("{}", choice=1),
    Finish("stop"),
)


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_padded_stream_says_what_the_plain_one_says(include_usage):
    """Every chunk has the field, and the rest of it is the same."""
    asked = request(include_usage=include_usage)
    plain, _ = check_stream(
        written(ChunkWriter(asked, **IDENTITY), *SCRIPT), n=2, include_usage=include_usage
    )
    chunks, error = check_stream(written(padded(asked), *SCRIPT), n=2, include_usage=include_usage)
    assert error is None
    paddings = [chunk.pop("obfuscation") for chunk in chunks]
    assert chunks == plain
    assert all(set(padding) <= set(LETTERS) and len(padding) < BLOCK for padding in paddings)


def sizes(*texts: str) -> set[int]:
    frames = [padded(request()).write(text) for text in texts]
    return {len(frame.split(b"\n\n")[1]) for frame in frames}


def test_tokens_of_different_sizes_make_chunks_of_one_size():
    """As long as all are ordinary tokens; longer ones by whole blocks."""
    assert len(sizes(*("x" * length for length in range(1, 40)))) == 1
    assert len(sizes("x", "é", "😀", '"', "\n", " word")) == 1
    small, large = sorted(sizes("x", "x" * 200))
    assert (large - small) % BLOCK == 0


def test_the_characters_are_random():
    """The same text is padded otherwise each time, so that no compression takes it out."""
    (first,), (second,) = ({padded(request(), seed).write("x").split(b"\n\n")[1]} for seed in (1, 2))
    assert first != second
    assert len(first) == len(second)


def test_an_error_and_the_end_are_as_ever():
    """Nobody reads a padding there."""
    writer = padded(request())
    data = writer.write("a") + writer.fail(RateLimitError("later"))
    chunks, error = check_stream(data, n=2)
    assert error is not None
    assert all("obfuscation" in chunk for chunk in chunks)
    assert data.endswith(b"data: [DONE]\n\n")


def test_the_reader_takes_it_as_no_part_of_the_answer():
    """What is gathered of a padded stream has no padding."""
    asked = request()
    reader = StreamReader(n=2)
    reader.feed(written(padded(asked), *SCRIPT))
    assert reader.outcome == "complete"
    whole = reader.result()
    assert whole.choices[0].message.content == "a somewhat longeré😀\n\n"
    assert "obfuscation" not in whole.to_dict()
