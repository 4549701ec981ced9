"""Whole streams: read in every way, cut at every byte."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from duologue.protocol.accumulate import accumulate
from duologue.protocol.codec import decode_chunk, encode
from duologue.protocol.errors import InternalServerError, StreamTimeoutError, StreamTruncatedError
from duologue.protocol.read import StreamReader

# What the streams have that do not keep to the protocol.
DEVIATIONS = {
    "azure": ["identity-empty", "object-wrong", "choices-empty-first"],
    "reasoning": ["usage-beside-choices"],
    "reasoning-router": ["role-repeated", "usage-beside-choices"],
}
TEXTS = ("content", "refusal", "reasoning_content", "reasoning")


def said(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """What chunks say, by the plainest reading of their JSON."""
    told: dict[str, Any] = {"usage": None, "choices": {}}
    for chunk in chunks:
        told["usage"] = chunk.get("usage") or told["usage"]
        for choice in chunk["choices"]:
            empty = {"finish": None, "logprobs": [], "calls": {}, "audio": {}}
            into = told["choices"].setdefault(choice["index"], empty)
            delta = choice["delta"]
            into["finish"] = choice.get("finish_reason") or into["finish"]
            into["logprobs"] += (choice.get("logprobs") or {}).get("content") or []
            for name in TEXTS:
                if delta.get(name) is not None:
                    into[name] = into.get(name, "") + delta[name]
            for name, value in delta.get("audio", {}).items():
                joined = name in ("data", "transcript")
                into["audio"][name] = into["audio"].get(name, "") + value if joined else value
            for call in delta.get("tool_calls", ()):
                whole = into["calls"].setdefault(call["index"], {"id": None, "name": None, "text": ""})
                whole["id"] = call.get("id") or whole["id"]
                body = call.get("function") or call["custom"]
                whole["name"] = body.get("name") or whole["name"]
                whole["text"] += body.get("arguments") or body.get("input") or ""
    return told


def heard(completion: Any) -> dict[str, Any]:
    """The same of a completion, through its attributes."""
    told: dict[str, Any] = {"usage": None, "choices": {}}
    if completion is None:
        return told
    if completion.usage is not None:
        told["usage"] = completion.usage.to_dict()
    for choice in completion.choices:
        message = choice.message
        logprobs = choice.logprobs.content if choice.logprobs is not None else None
        into: dict[str, Any] = {"finish": choice.finish_reason, "audio": {}, "calls": {}}
        into["logprobs"] = [entry.to_dict() for entry in logprobs or ()]
        into |= {name: text for name in TEXTS if (text := getattr(message, name)) is not None}
        if message.audio is not None:
            into["audio"] = message.audio.to_dict()
        for at, call in enumerate(message.tool_calls or ()):
            name, text = (
                (call.custom.name, call.custom.input)
                if call.type == "custom"
                else (call.function.name, call.function.arguments)
            )
            into["calls"][at] = {"id": call.id, "name": name, "text": text}
        told["choices"][choice.index] = into
    return told


def finished(chunks: list[dict[str, Any]]) -> set[int]:
    """The choices that have said their last word."""
    return {
        choice["index"]
        for chunk in chunks
        for choice in chunk["choices"]
        if choice.get("finish_reason") or "expires_at" in choice["delta"].get("audio", {})
    }


def feed(reader: StreamReader, *parts: bytes) -> list[Any]:
    return [chunk for part in parts for chunk in reader.feed(part)]


def test_a_whole_stream_says_what_its_json_lines_say(stream):
    reader = StreamReader(asked=stream.asked, dialect="off")
    chunks = feed(reader, stream.body)
    assert [chunk.to_dict() for chunk in chunks] == stream.chunks
    assert [encode(chunk) for chunk in chunks] == stream.events[: len(chunks)]
    told = said(stream.chunks)
    assert heard(reader.completion) == told
    assert (reader.usage.to_dict() if reader.usage else None) == told["usage"]
    assert reader.last_chunk is chunks[-1]
    if len(chunks) == len(stream.values):
        assert reader.outcome == "complete"
        expected = DEVIATIONS.get(stream.name, [])
        assert [deviation.rule for deviation in reader.deviations] == expected
        assert heard(reader.result()) == told
        reader.close()
        assert reader.outcome == "complete"
    else:
        assert reader.outcome == "failed"
        assert isinstance(reader.error, InternalServerError)


def test_the_completion_keeps_the_identity_and_the_unknown_fields(stream):
    completion = accumulate(decode_chunk(data) for data in stream.events[: len(stream.chunks)])
    for name in (
        "id",
        "created",
        "model",
        "system_fingerprint",
        "service_tier",
        "provider",
        "prompt_filter_results",
    ):
        spoken = [chunk[name] for chunk in stream.chunks if chunk.get(name)]
        assert getattr(completion, name, None) == (spoken[0] if spoken else None), name
    assert completion.object == "chat.completion"
    for choice in completion.choices:
        mine = [c for chunk in stream.chunks for c in chunk["choices"] if c["index"] == choice.index]
        for name in ("native_finish_reason", "content_filter_results"):
            values = [c[name] for c in mine if c.get(name) is not None]
            assert getattr(choice, name, None) == (values[-1] if values else None)
        details = [item for c in mine for item in c["delta"].get("reasoning_details", ())]
        assert getattr(choice.message, "reasoning_details", []) == details


def test_bytes_one_by_one_make_the_same(stream):
    whole, single = (
        StreamReader(asked=stream.asked, dialect="off"),
        StreamReader(asked=stream.asked, dialect="off"),
    )
    chunks = feed(whole, stream.body)
    assert feed(single, *(stream.body[at : at + 1] for at in range(len(stream.body)))) == chunks
    assert single.completion == whole.completion
    assert single.outcome == whole.outcome


def test_any_splits_make_the_same(stream):
    whole = StreamReader(asked=stream.asked, dialect="off")
    chunks = feed(whole, stream.body)
    raws = [chunk.wire.raw for chunk in chunks]
    completion = whole.completion.to_dict()
    for seed in range(200):
        rng = random.Random(seed)
        size = len(stream.body)
        cuts = sorted(rng.randrange(size) for _ in range(rng.choice((1, 5, 50))))
        reader = StreamReader(asked=stream.asked, dialect="off")
        parts = [stream.body[a:b] for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
        again = feed(reader, *parts)
        assert [chunk.wire.raw for chunk in again] == raws, seed
        assert again == chunks, seed
        assert reader.completion.to_dict() == completion, seed
        assert reader.outcome == whole.outcome, seed


class Prefix:
    """What the first `count` events of a stream say."""

    def __init__(self, stream, count):
        events = stream.events[:count]
        self.chunks = [value for value in stream.values[:count] if "error" not in value]
        self.said = said(self.chunks)
        self.unfinished = set(range(stream.n)) - finished(self.chunks)
        self.done = b"[DONE]" in events
        self.failed = any(map(is_error, events))
        self.empty = not events


def is_error(data: bytes) -> bool:
    """Whether `data` is the whole of an error; a tail may be no JSON yet."""
    return data.startswith(b'{"error"') and data.endswith(b"}}")


@pytest.mark.parametrize("ending", ["eof", "reset", "timeout"])
def test_a_cut_at_every_byte_has_its_outcome_and_keeps_what_came(stream, ending, request):
    recorded = request.node.callspec.id.startswith("recorded")
    # Of a recording each byte is cut with one ending, in turn; of our own streams with all three.
    first, step = (("eof", "reset", "timeout").index(ending), 3) if recorded else (0, 1)
    starts = [0, *stream.ends, len(stream.body) + 1]
    for count, (start, end) in enumerate(itertools.pairwise(starts)):
        prefix = Prefix(stream, count)
        for cut in range(start + (first - start) % step, end, step):
            check_cut(stream, prefix, start, cut, ending)


def check_cut(stream, prefix, start, cut, ending):
    """Cut `stream` at `cut`, after the events of `prefix`, which end at `start`: the table holds."""
    reader = StreamReader(asked=stream.asked, dialect="off")
    came = feed(reader, stream.body[:start], stream.body[start:cut])
    reader.close(ending, "silence")

    line = stream.body[start:cut].rpartition(b"\n\n")[2].removesuffix(b"\n")
    tail = line.removeprefix(b"data:").removeprefix(b" ") if line.startswith(b"data:") else b""
    done = prefix.done or tail == b"[DONE]"
    error = reader.error

    assert len(came) == len(prefix.chunks)
    assert heard(error.completion if error else reader.completion) == prefix.said
    assert (reader.usage.to_dict() if reader.usage else None) == prefix.said["usage"]
    if error is not None:
        assert error.usage == reader.usage
        assert error.last_chunk is (came[-1] if came else None)
    if prefix.failed or is_error(tail):
        assert reader.outcome == "failed"
        assert type(error) is InternalServerError
        assert is_error(error.raw)
    elif prefix.unfinished:
        assert reader.outcome == "truncated"
        assert error.reason == ("unfinished" if done else ending)
        assert isinstance(error, StreamTruncatedError)
        assert isinstance(error, StreamTimeoutError) == (error.reason == "timeout")
        assert all(f"choice {index}" in str(error) for index in prefix.unfinished)
        if not done:
            assert error.tail == ((stream.body[:cut] if prefix.empty and not tail else tail) or None)
    else:
        assert reader.outcome == "complete"
        assert error is None
        how = [] if prefix.done else ["done-unterminated"] if done else ["no-done"]
        how += ["no-usage"] if stream.asked.include_usage and reader.usage is None else []
        known = DEVIATIONS.get(stream.name, [])
        met = [deviation.rule for deviation in reader.deviations if deviation.rule not in known]
        assert met == (["trailing-bytes"] if tail and not done else []) + how
