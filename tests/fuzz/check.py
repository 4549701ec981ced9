"""What must hold of every body, however broken: it is read to one known outcome, and nothing else is raised."""

from __future__ import annotations

import tracemalloc
from typing import Any, NamedTuple

from duologue.protocol.codec import encode
from duologue.protocol.errors import DuologueError
from duologue.protocol.events import EventMaker
from duologue.protocol.read import StreamReader
from duologue.types.chat import ChatCompletionChunk

from .bodies import Case

__all__ = ["BYTES_EACH", "BYTES_MORE", "Broken", "check", "peak"]

# The memory that reading may take: so many bytes for each one of the body, and what little bodies take.
BYTES_EACH = 100
BYTES_MORE = 1 << 20

OUTCOMES = {"complete", "truncated", "failed"}


class Broken(AssertionError):
    """What must hold does not."""


class Read(NamedTuple):
    """What came of a body."""

    reader: StreamReader
    chunks: list[ChatCompletionChunk]


def check(case: Case, *, closely: bool = False) -> str:
    """Read the body of a case; its outcome. Raises what it must not: `Broken`, or whatever else was raised.

    `closely` also looks at all that can be asked of what came, and that the pieces make no difference.
    """
    read = _read(case, case.reads)
    outcome = _settled(read.reader)
    if closely:
        _look(read)
        _same(read, _read(case, [case.body]))
    return outcome


def peak(case: Case) -> int:
    """The memory in bytes that reading the body takes at most, besides the body."""
    body = case.reads
    tracemalloc.start()
    try:
        _read(case, body)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _read(case: Case, reads: list[bytes]) -> Read:
    reader = StreamReader(
        asked=case.asked,
        dialect=case.dialect,
        accumulate=case.accumulate,
        max_event_bytes=case.max_event_bytes,
    )
    chunks = [chunk for data in reads for chunk in reader.feed(data)]
    reader.close(case.ending)
    return Read(reader, chunks)


def _settled(reader: StreamReader) -> str:
    outcome, error = reader.outcome, reader.error
    _hold(outcome in OUTCOMES, f"the outcome is {outcome}")
    _hold((error is None) == (outcome == "complete"), f"{outcome}, and the error is {error!r}")
    _hold(not reader.feed(b"data: {}\n\n"), "a chunk came after the end")
    try:
        result: Any = reader.result()
    except DuologueError as raised:
        _hold(error in (None, raised), "the result raises another error")
    else:
        _hold(outcome == "complete" and result is not None, "a result of what is not complete")
    return str(outcome)


def _look(read: Read) -> None:
    """Whatever a program may ask of what came."""
    maker = EventMaker()
    for chunk in read.chunks:
        encode(chunk)
        str(chunk.text)
        chunk.wire.extra, chunk.wire.raw, chunk.model_dump()
        for event in maker.take(chunk):
            getattr(event, "snapshot", None)
    for completion in (read.reader.completion, maker.accumulator.completion):
        if completion is not None:
            completion.to_json()
            for choice in completion.choices:
                choice.message.to_param()
    if read.reader.error is not None:
        str(read.reader.error)
    for deviation in read.reader.deviations:
        str(deviation)


def _same(one: Read, other: Read) -> None:
    _hold(one.reader.outcome == other.reader.outcome, f"{one.reader.outcome} in pieces, not as a whole")
    mine, whole = [_plain(chunk) for chunk in one.chunks], [_plain(chunk) for chunk in other.chunks]
    _hold(mine == whole, "other chunks in pieces than as a whole")
    _hold(_plain(one.reader.completion) == _plain(other.reader.completion), "another completion in pieces")
    _hold(one.reader.deviations == other.reader.deviations, "other deviations in pieces")


def _plain(obj: Any) -> Any:
    return None if obj is None else repr(obj.to_dict())  # text, because NaN equals nothing


def _hold(condition: bool, why: str) -> None:
    if not condition:
        raise Broken(why)
