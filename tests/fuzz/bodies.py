"""Bodies of streams, and what can become of them on the way: all of it drawn from one seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

from duologue.protocol.dialect import DIALECTS, Asked, Dialect
from duologue.protocol.read import Ending
from duologue.protocol.sse import MAX_EVENT_BYTES

__all__ = ["CORPUS", "Case", "case"]

DATA = Path(__file__).resolve().parents[1] / "data"
CORPUS = [path.read_bytes() for path in sorted(DATA.glob("*/*.sse"))]

# The largest body: what a mutation repeats or nests must not make the machine's own limits meaningless.
MAX_BYTES = 64 * 1024
MUTATIONS_EACH = (0, 1, 1, 2, 2, 3, 6)
MAX_READS = 12  # the pieces that a body arrives in

# What is put in the place of bytes: the edges of the two grammars, and what servers really write.
TOKENS: tuple[bytes, ...] = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xe2\x82"),
    *(b"data: ", b"data:", b"data\n", b"event: error\n", b"event: ping\n", b"id: 7\n", b"retry: 10\n"),
    *(
        b": hi\n\n",
        b"data: {}\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b"data: \n\n",
        b"data: 1\n\n",
        b"<html>",
    ),
    *(b"data: [DONE]\n\n", b"[DONE]", b'data: {"error": {"message": "no", "code": 429}}\n\n'),
    *(b'data: {"error": "no"}\n\n', b'data: {"object": "error"}\n\n', b"event: error\ndata: x\n\n"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"\\",
        b"\\u",
        b"\\ud83d",
        b"\\ude00",
        b"null",
        b"true",
        b"NaN",
    ),
    *(b"-1", b"0", b"1e999", b"1e-999", b"99999999999999999999999", b"1.0", b"Infinity", b'""', b"{}", b"[]"),
    *(b'"index":', b'"choices":', b'"delta":', b'"tool_calls":[{"index":0,"function":{"arguments":"{}"}}],'),
    *(b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2},', b'"finish_reason":"stop",'),
    *(
        b'"content":null,',
        b'"reasoning":"x",',
        b'"reasoning_content":"y",',
        b'"logprobs":{"content":[null]},',
    ),
    *(b'"function_call":{"name":"f","arguments":"{"},', b'"audio":{"id":"a","expires_at":1},'),
    *(b'"extra":[1,"a"],', b'"type":"custom",', b'"custom":{"name":"f","input":"x"},', b'"refusal":"no",'),
)
# What the place of a whole JSON value is given.
VALUES: tuple[bytes, ...] = (
    *(
        b"null",
        b"true",
        b"0",
        b"-1",
        b"7",
        b"2147483648",
        b"1e400",
        b"NaN",
        b"1.5",
        b'""',
        b'"x"',
        b'"\\ud800"',
    ),
    *(b"[]", b"{}", b"[null]", b"[[]]", b'{"index":null}', b'[{"index":1000000000}]'),
    *(b'{"content":[{"text":"t"}]}', b"9" * 5000, b"[" * 200 + b"]" * 200, b"[" * 3000 + b"]" * 3000),
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
)
SCALAR = re.compile(rb'(?<=:)\s*(?:"(?:[^"\\]|\\.){0,200}"|-?[0-9][0-9.eE+-]*|null|true|false)')
NAME = re.compile(rb'"[a-z_]+"(?=\s*:)')
EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")

Mutation = Callable[[bytes, random.Random], bytes]


class Case(NamedTuple):
    """A body as it arrives, how it ends, and how it is read."""

    reads: list[bytes]
    ending: Ending
    asked: Asked
    dialect: Dialect
    accumulate: bool
    max_event_bytes: int

    @property
    def body(self) -> bytes:
        return b"".join(self.reads)


def case(seed: int, number: int) -> Case:
    """The case of that number; the same one whenever and wherever it is asked for."""
    rng = random.Random(f"{seed}/{number}")
    body = rng.choice(CORPUS)
    for _ in range(rng.choice(MUTATIONS_EACH)):
        body = rng.choice(MUTATIONS)(body, rng)[:MAX_BYTES]
    return Case(
        reads=_pieces(body, rng),
        ending=cast("Ending", rng.choice(("eof", "reset", "timeout"))),
        asked=_asked(rng),
        dialect=rng.choice(DIALECTS),
        accumulate=rng.random() < 0.8,
        max_event_bytes=rng.choice((4096, 200, 1)) if rng.random() < 0.1 else MAX_EVENT_BYTES,
    )


def _pieces(body: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randint(0, len(body)) for _ in range(rng.randint(0, MAX_READS)))
    return [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def _asked(rng: random.Random) -> Asked:
    if rng.random() < 0.5:
        return Asked()
    return Asked(
        n=rng.choice((1, 1, 2, 3, 1000)),
        include_usage=rng.random() < 0.5,
        tool_choice=rng.choice(
            (None, "required", "none", {"type": "function", "function": {"name": "f"}}, 7)
        ),
        response_format=rng.choice((None, {"type": "json_object"}, {"type": "json_schema"}, "text")),
        max_tokens=rng.choice((None, 1, 100)),
    )


def _span(body: bytes, rng: random.Random, most: int) -> tuple[int, int]:
    begin = rng.randint(0, len(body))
    return begin, min(len(body), begin + rng.randint(0, most))


def _flip(body: bytes, rng: random.Random) -> bytes:
    if not body:
        return body
    at = rng.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]


def _cut(body: bytes, rng: random.Random) -> bytes:
    return body[: rng.randint(0, len(body))]


def _drop(body: bytes, rng: random.Random) -> bytes:
    begin, end = _span(body, rng, 40)
    return body[:begin] + body[end:]


def _repeat(body: bytes, rng: random.Random) -> bytes:
    begin, end = _span(body, rng, 200)
    return body[:end] + body[begin:end] * rng.choice((1, 1, 2, 30)) + body[end:]


def _insert(body: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(body))
    return body[:at] + rng.choice(TOKENS) + body[at:]


def _splice(body: bytes, rng: random.Random) -> bytes:
    other = rng.choice(CORPUS)
    return body[: rng.randint(0, len(body))] + other[rng.randint(0, len(other)) :]


def _replace(pattern: re.Pattern[bytes], body: bytes, rng: random.Random, new: bytes) -> bytes:
    found = pattern.search(body, rng.randint(0, len(body)))
    return body if found is None else body[: found.start()] + new + body[found.end() :]


def _value(body: bytes, rng: random.Random) -> bytes:
    return _replace(SCALAR, body, rng, rng.choice(VALUES))


def _name(body: bytes, rng: random.Random) -> bytes:
    names = NAME.findall(body) or [b'"x"']
    return _replace(NAME, body, rng, rng.choice(names))


def _events(body: bytes, rng: random.Random) -> bytes:
    events = EVENT_END.split(body)
    match rng.randrange(3):
        case 0:
            rng.shuffle(events)
        case 1:
            events.insert(rng.randrange(len(events) + 1), rng.choice(events))
        case _:
            del events[rng.randrange(len(events))]
    return b"".join(events)


def _lines(body: bytes, rng: random.Random) -> bytes:
    return body.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\n\n", b"\n: ping\n", b"\ndata:\n")))


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _cut, _drop, _repeat, _insert, _insert, _splice),
    *(_value, _value, _value, _name, _events, _events, _lines),
)
