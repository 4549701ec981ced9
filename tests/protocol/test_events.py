"""Chunks to events: their order, what is done and when, and what an event still knows later."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.protocol.accumulate import accumulate, split
from duologue.protocol.codec import decode_chunk, typed
from duologue.protocol.events import EventMaker
from duologue.protocol.progress import Accumulator
from duologue.protocol.read import StreamReader
from duologue.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionStreamEvent,
    ChunkEvent,
    ContentDeltaEvent,
    FunctionToolCallArgumentsDeltaEvent,
)

ROOT = Path(__file__).resolve().parents[2]
HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1750000000, "model": "m"}

# The order that the reference promises for the events of one choice in one chunk.
ORDER = (
    "reasoning.delta",
    "content.delta",
    "refusal.delta",
    "tool_calls.delta",
    "logprobs.content.delta",
    "logprobs.refusal.delta",
    "reasoning.done",
    "content.done",
    "refusal.done",
    "logprobs.content.done",
    "logprobs.refusal.done",
    "tool_calls.done",
)

# The field of each event that holds what it tells.
TELLS = {
    "content.done": "content",
    "refusal.done": "refusal",
    "reasoning.done": "reasoning",
    "tool_calls.function.arguments.delta": "arguments_delta",
    "tool_calls.function.arguments.done": "arguments",
    "tool_calls.custom.input.delta": "input_delta",
    "tool_calls.custom.input.done": "input",
    "logprobs.content.delta": "content",
    "logprobs.content.done": "content",
    "logprobs.refusal.delta": "refusal",
    "logprobs.refusal.done": "refusal",
}
# The field that holds the whole so far.
SO_FAR = {
    "tool_calls.function.arguments.delta": "arguments",
    "tool_calls.custom.input.delta": "input",
}


def part(index: Any = 0, finish: str | None = None, logprobs: Any = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}


def chunk(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**HEAD, "choices": list(parts), **fields}


def one(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk of choice 0."""
    return chunk(part(0, finish, **delta))


def call(
    index: int | None, text: str | None = None, name: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A part of a call of a function."""
    function = {key: value for key, value in (("name", name), ("arguments", text)) if value is not None}
    return ({} if index is None else {"index": index}) | {"function": function} | fields


def custom(index: int, text: str, name: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "custom": {"input": text} | ({"name": name} if name else {}), **fields}


def calls(*parts: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return one(finish, tool_calls=list(parts))


def token(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": -1.0, "bytes": list(text.encode()), "top_logprobs": []}


def decoded(values: Iterable[dict[str, Any]]) -> list[ChatCompletionChunk]:
    return [decode_chunk(json.dumps(value).encode()) for value in values]


def told(event: Any) -> tuple[Any, ...]:
    """An event in short: its type, its choice, the call it is about, and what it tells."""
    if event.type == "chunk":
        return ("chunk", event.choice_index)
    text = getattr(event, TELLS.get(event.type, "delta"))
    if isinstance(text, list):
        text = [entry.token for entry in text]
    of_call = (event.index, event.name) if event.type.startswith("tool_calls") else ()
    return (event.type.removeprefix("tool_calls."), event.choice_index, *of_call, text)


def events(*values: dict[str, Any]) -> list[Any]:
    maker = EventMaker()
    return [event for each in decoded(values) for event in maker.take(each)]


def happened(*values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the events tell, without the chunks."""
    return [told(event) for event in events(*values) if event.type != "chunk"]


DELTA, DONE = "function.arguments.delta", "function.arguments.done"

# What chunks make happen.
CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[Any, ...]]]] = {
    "text": (
        [one(role="assistant", content=""), one(content="He"), one(content="y"), one("stop")],
        [
            ("content.delta", 0, ""),
            ("content.delta", 0, "He"),
            ("content.delta", 0, "y"),
            ("content.done", 0, "Hey"),
        ],
    ),
    "all-in-one-chunk": (
        [one("stop", role="assistant", content="Hey")],
        [("content.delta", 0, "Hey"), ("content.done", 0, "Hey")],
    ),
    "null-is-no-delta": ([one(role="assistant", content=None, refusal=None), one("stop")], []),
    "what-is-empty-is-not-done": (
        [one(content="", refusal="", reasoning_content=""), one("stop")],
        [("content.delta", 0, ""), ("refusal.delta", 0, "")],
    ),
    "refusal": (
        [one(refusal=""), one(refusal="No"), one("stop")],
        [("refusal.delta", 0, ""), ("refusal.delta", 0, "No"), ("refusal.done", 0, "No")],
    ),
    "reasoning-then-content": (
        [
            one(content=None, reasoning_content="th"),
            one(content="", reasoning_content="ink"),
            one(content="so", reasoning_content=None),
            one("stop", content="", reasoning_content=""),
        ],
        [
            ("reasoning.delta", 0, "th"),
            ("reasoning.delta", 0, "ink"),
            ("content.delta", 0, ""),
            ("content.delta", 0, "so"),
            ("content.delta", 0, ""),
            ("reasoning.done", 0, "think"),
            ("content.done", 0, "so"),
        ],
    ),
    "reasoning-goes-on-after-content": (
        [one(reasoning="a"), one(content="x"), one(reasoning="b"), one("stop")],
        [
            ("reasoning.delta", 0, "a"),
            ("content.delta", 0, "x"),
            ("reasoning.delta", 0, "b"),
            ("reasoning.done", 0, "ab"),
            ("content.done", 0, "x"),
        ],
    ),
    "reasoning-under-both-names-is-told-once": (
        [one(reasoning="a", reasoning_content="a"), one("stop", reasoning="b", reasoning_content="b")],
        [("reasoning.delta", 0, "a"), ("reasoning.delta", 0, "b"), ("reasoning.done", 0, "ab")],
    ),
    "reasoning-under-the-name-that-says-something": (
        [one(reasoning="", reasoning_content=""), one(reasoning="a", reasoning_content=""), one("stop")],
        [("reasoning.delta", 0, "a"), ("reasoning.done", 0, "a")],
    ),
    "logprobs": (
        [
            chunk(part(content="a", logprobs={"content": [token("a")], "refusal": None})),
            chunk(part(content="", logprobs={"content": [], "refusal": []})),
            chunk(part(content="bc", logprobs={"content": [token("b"), token("c")], "refusal": []})),
            one("stop"),
        ],
        [
            ("content.delta", 0, "a"),
            ("logprobs.content.delta", 0, ["a"]),
            ("content.delta", 0, ""),
            ("content.delta", 0, "bc"),
            ("logprobs.content.delta", 0, ["b", "c"]),
            ("content.done", 0, "abc"),
            ("logprobs.content.done", 0, ["a", "b", "c"]),
        ],
    ),
    "logprobs-of-a-refusal": (
        [
            chunk(part(refusal="n", logprobs={"content": None, "refusal": [token("n")]})),
            chunk(part(0, "stop", refusal="o", logprobs={"content": None, "refusal": [token("o")]})),
        ],
        [
            ("refusal.delta", 0, "n"),
            ("logprobs.refusal.delta", 0, ["n"]),
            ("refusal.delta", 0, "o"),
            ("logprobs.refusal.delta", 0, ["o"]),
            ("refusal.done", 0, "no"),
            ("logprobs.refusal.done", 0, ["n", "o"]),
        ],
    ),
    "everything-in-one-chunk": (
        [
            chunk(
                part(
                    0,
                    "stop",
                    {"content": [token("c")], "refusal": [token("r")]},
                    tool_calls=[call(0, "{}", "f"), custom(1, "x", "g")],
                    refusal="r",
                    content="c",
                    reasoning_content="t",
                )
            )
        ],
        [
            ("reasoning.delta", 0, "t"),
            ("content.delta", 0, "c"),
            ("refusal.delta", 0, "r"),
            (DELTA, 0, 0, "f", "{}"),
            ("custom.input.delta", 0, 1, "g", "x"),
            ("logprobs.content.delta", 0, ["c"]),
            ("logprobs.refusal.delta", 0, ["r"]),
            ("reasoning.done", 0, "t"),
            ("content.done", 0, "c"),
            ("refusal.done", 0, "r"),
            ("logprobs.content.done", 0, ["c"]),
            ("logprobs.refusal.done", 0, ["r"]),
            (DONE, 0, 0, "f", "{}"),
            ("custom.input.done", 0, 1, "g", "x"),
        ],
    ),
    "a-call": (
        [
            calls(call(0, "", "f", id="t", type="function")),
            calls(call(0, "{")),
            calls(call(0, "}")),
            one("stop"),
        ],
        [(DELTA, 0, 0, "f", ""), (DELTA, 0, 0, "f", "{"), (DELTA, 0, 0, "f", "}"), (DONE, 0, 0, "f", "{}")],
    ),
    "a-whole-call-in-the-chunk-that-finishes": (
        [calls(call(0, "{}", "f"), finish="tool_calls")],
        [(DELTA, 0, 0, "f", "{}"), (DONE, 0, 0, "f", "{}")],
    ),
    "whole-calls-in-the-chunk-that-finishes": (
        [calls(call(0, "{}", "f"), call(1, "", "g"), finish="tool_calls")],
        [
            (DELTA, 0, 0, "f", "{}"),
            (DELTA, 0, 1, "g", ""),
            (DONE, 0, 0, "f", "{}"),
            (DONE, 0, 1, "g", ""),
        ],
    ),
    "calls-one-after-the-other": (
        [
            calls(call(0, "{", "f")),
            calls(call(0, "}")),
            calls(call(1, "", "g")),
            calls(call(1, "{}")),
            one("stop"),
        ],
        [
            (DELTA, 0, 0, "f", "{"),
            (DELTA, 0, 0, "f", "}"),
            (DELTA, 0, 1, "g", ""),
            (DONE, 0, 0, "f", "{}"),
            (DELTA, 0, 1, "g", "{}"),
            (DONE, 0, 1, "g", "{}"),
        ],
    ),
    "whole-calls-together": (
        [calls(call(0, "{}", "f"), call(1, "{}", "g"), call(2, "{}", "h")), one("stop")],
        [
            *((DELTA, 0, index, name, "{}") for index, name in enumerate("fgh")),
            (DONE, 0, 0, "f", "{}"),
            (DONE, 0, 1, "g", "{}"),
            (DONE, 0, 2, "h", "{}"),
        ],
    ),
    "parts-of-calls-mixed": (
        [
            calls(call(0, "{", "f"), call(1, "{", "g")),
            calls(call(1, '"a":1')),
            calls(call(0, "}")),
            calls(call(1, "}")),
            one("tool_calls"),
        ],
        [
            (DELTA, 0, 0, "f", "{"),
            (DELTA, 0, 1, "g", "{"),
            (DELTA, 0, 1, "g", '"a":1'),
            (DELTA, 0, 0, "f", "}"),
            (DELTA, 0, 1, "g", "}"),
            (DONE, 0, 0, "f", "{}"),
            (DONE, 0, 1, "g", '{"a":1}'),
        ],
    ),
    "parts-of-calls-mixed-in-one-chunk": (
        [calls(call(0, "{", "f"), call(1, "{}", "g"), call(0, "}")), one("tool_calls")],
        [
            (DELTA, 0, 0, "f", "{"),
            (DELTA, 0, 1, "g", "{}"),
            (DELTA, 0, 0, "f", "}"),
            (DONE, 0, 0, "f", "{}"),
            (DONE, 0, 1, "g", "{}"),
        ],
    ),
    "arguments-that-begin-with-an-empty-object-go-on": (
        [calls(call(0, "{}", "f")), calls(call(0, '{"a":1}')), calls(call(1, "{}", "g")), one("stop")],
        [
            (DELTA, 0, 0, "f", "{}"),
            (DELTA, 0, 0, "f", '{"a":1}'),
            (DELTA, 0, 1, "g", "{}"),
            (DONE, 0, 0, "f", '{}{"a":1}'),
            (DONE, 0, 1, "g", "{}"),
        ],
    ),
    "a-number-is-not-known-to-be-whole": (
        [calls(call(0, "1", "f")), calls(call(1, "{}", "g")), calls(call(0, "2")), one("stop")],
        [
            (DELTA, 0, 0, "f", "1"),
            (DELTA, 0, 1, "g", "{}"),
            (DELTA, 0, 0, "f", "2"),
            (DONE, 0, 0, "f", "12"),
            (DONE, 0, 1, "g", "{}"),
        ],
    ),
    "text-goes-on-after-a-call": (
        [one(content="a"), calls(call(0, "{}", "f")), one(content="b"), one("tool_calls")],
        [
            ("content.delta", 0, "a"),
            (DELTA, 0, 0, "f", "{}"),
            ("content.delta", 0, "b"),
            ("content.done", 0, "ab"),
            (DONE, 0, 0, "f", "{}"),
        ],
    ),
    "calls-without-an-index": (
        [
            calls(call(None, "{", "f", id="t")),
            calls(call(None, "}")),
            calls(call(None, "{}", "g", id="u")),
            one("stop"),
        ],
        [
            (DELTA, 0, 0, "f", "{"),
            (DELTA, 0, 0, "f", "}"),
            (DELTA, 0, 1, "g", "{}"),
            (DONE, 0, 0, "f", "{}"),
            (DONE, 0, 1, "g", "{}"),
        ],
    ),
    "every-call-numbered-0": (
        [
            calls(call(0, "{}", "f", id="t")),
            calls(call(0, "{", "g", id="u")),
            calls(call(0, "}")),
            one("stop"),
        ],
        [
            (DELTA, 0, 0, "f", "{}"),
            (DELTA, 0, 1, "g", "{"),
            (DONE, 0, 0, "f", "{}"),
            (DELTA, 0, 1, "g", "}"),
            (DONE, 0, 1, "g", "{}"),
        ],
    ),
    "calls-numbered-from-7-down": (
        [calls(call(7, "{}", "g")), calls(call(2, "[", "f")), calls(call(2, "]")), one("stop")],
        [
            (DELTA, 0, 7, "g", "{}"),
            (DELTA, 0, 2, "f", "["),
            (DONE, 0, 7, "g", "{}"),
            (DELTA, 0, 2, "f", "]"),
            (DONE, 0, 2, "f", "[]"),
        ],
    ),
    "the-name-comes-late": (
        [calls(call(0, id="t")), calls(call(0, "{}")), calls(call(0, None, "f")), one("stop")],
        [(DELTA, 0, 0, "", ""), (DELTA, 0, 0, "", "{}"), (DELTA, 0, 0, "f", ""), (DONE, 0, 0, "f", "{}")],
    ),
    "a-call-that-is-only-announced": (
        [calls({"index": 0, "id": "t", "type": "custom"}), calls({"index": 1, "id": "u"}), one("stop")],
        [
            ("custom.input.delta", 0, 0, "", ""),
            (DELTA, 0, 1, "", ""),
            ("custom.input.done", 0, 0, "", ""),
            (DONE, 0, 1, "", ""),
        ],
    ),
    "a-custom-call-ends-with-its-choice": (
        [
            calls(custom(0, "{}", "q", type="custom")),
            calls(custom(1, "x", "q")),
            calls(custom(0, "y")),
            one("stop"),
        ],
        [
            ("custom.input.delta", 0, 0, "q", "{}"),
            ("custom.input.delta", 0, 1, "q", "x"),
            ("custom.input.delta", 0, 0, "q", "y"),
            ("custom.input.done", 0, 0, "q", "{}y"),
            ("custom.input.done", 0, 1, "q", "x"),
        ],
    ),
    "choices-interleaved": (
        [
            chunk(part(1, content="x")),
            chunk(part(0, content="a")),
            chunk(part(1, "stop")),
            chunk(part(0, content="b")),
            chunk(part(0, "length")),
        ],
        [
            ("content.delta", 1, "x"),
            ("content.delta", 0, "a"),
            ("content.done", 1, "x"),
            ("content.delta", 0, "b"),
            ("content.done", 0, "ab"),
        ],
    ),
    "choices-together": (
        [
            chunk(part(0, content="a"), part(5, content="x")),
            chunk(part(0, "stop", content="b"), part(5, "stop")),
        ],
        [
            ("content.delta", 0, "a"),
            ("content.delta", 5, "x"),
            ("content.delta", 0, "b"),
            ("content.done", 0, "ab"),
            ("content.done", 5, "x"),
        ],
    ),
    "a-choice-twice-in-a-chunk": (
        [chunk(part(0, "stop", content="a"), part(0, content="b"))],
        [("content.delta", 0, "a"), ("content.delta", 0, "b"), ("content.done", 0, "ab")],
    ),
    "choices-without-an-index": (
        [chunk(part(None, "stop", content="a"), part(None, "stop", content="b"))],
        [
            ("content.delta", 0, "a"),
            ("content.done", 0, "a"),
            ("content.delta", 1, "b"),
            ("content.done", 1, "b"),
        ],
    ),
    "nothing-is-done-in-what-was-cut": (
        [one(content="a"), calls(call(0, "{}", "f"))],
        [("content.delta", 0, "a"), (DELTA, 0, 0, "f", "{}")],
    ),
    "an-empty-finish-reason-finishes-nothing": (
        [one("", content="a"), one("stop", content="b")],
        [("content.delta", 0, "a"), ("content.delta", 0, "b"), ("content.done", 0, "ab")],
    ),
    "spoken-answers-finish-without-a-reason": (
        [one(content="a"), one(audio={"id": "x", "data": "AA=="}), one(audio={"expires_at": 9})],
        [("content.delta", 0, "a"), ("content.done", 0, "a")],
    ),
    "nothing-follows-the-end-but-what-says-something": (
        [one("stop", content="a"), one(content="", refusal=""), one("stop", content=""), one(content="b")],
        [("content.delta", 0, "a"), ("content.done", 0, "a"), ("content.delta", 0, "b")],
    ),
    "what-comes-after-the-end-is-done-with-the-next-one": (
        [one("stop", content="a"), one(refusal="b"), one("stop")],
        [
            ("content.delta", 0, "a"),
            ("content.done", 0, "a"),
            ("refusal.delta", 0, "b"),
            ("refusal.done", 0, "b"),
        ],
    ),
    "a-call-after-the-end": (
        [
            calls(call(0, "{}", "f"), finish="stop"),
            calls(call(0, ""), call(1, "{}", "g")),
            calls(call(2, "{}", "h")),
        ],
        [
            (DELTA, 0, 0, "f", "{}"),
            (DONE, 0, 0, "f", "{}"),
            (DELTA, 0, 1, "g", "{}"),
            (DELTA, 0, 2, "h", "{}"),
            (DONE, 0, 1, "g", "{}"),
        ],
    ),
    "chunks-that-say-nothing-of-a-choice": (
        [chunk(), one("stop", content="a"), chunk(usage={"prompt_tokens": 1})],
        [("content.delta", 0, "a"), ("content.done", 0, "a")],
    ),
    "a-delta-that-is-null": (
        [chunk({"index": 0, "delta": None, "finish_reason": None}), one("stop", content="a")],
        [("content.delta", 0, "a"), ("content.done", 0, "a")],
    ),
    "halves-of-a-surrogate-pair": (
        [one(content="\ud83d"), one("stop", content="\ude00")],
        [("content.delta", 0, "\ud83d"), ("content.delta", 0, "\ude00"), ("content.done", 0, "😀")],
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), CASES.values(), ids=CASES.keys())
def test_what_happens(chunks: list[dict[str, Any]], expected: list[tuple[Any, ...]]) -> None:
    """The events of a stream, one by one, and in their order."""
    assert happened(*chunks) == expected


def test_the_reference_lists_every_event() -> None:
    """Its table has the classes of the union, each with its type and with all that it tells."""
    page = (ROOT / "docs/reference/events.md").read_text("utf-8")
    rows = re.findall(r"^\|[^|]*\| `([a-z._]+)` \| `(\w+)` \|(.*)\|(.*)\|$", page, re.MULTILINE)
    written = {
        (kind, name): (re.findall("`(.*?)`", told), re.findall("`(.*?)`", made))
        for kind, name, told, made in rows
    }
    real = {}
    for kind in get_args(ChatCompletionStreamEvent):
        cls = get_origin(kind) or kind
        fields = [name for name in cls.__struct_fields__ if name[0] != "_" and name != "choice_index"]
        real[cls.type, cls.__name__] = (
            fields,
            [name for name in dir(cls) if isinstance(getattr(cls, name), property)],
        )
    assert written == real
    kinds = [re.sub(r"function\.arguments\.|custom\.input\.", "", kind) for kind, _ in written]
    assert list(dict.fromkeys(kinds[1:])) == list(ORDER)


def test_the_chunk_comes_first() -> None:
    """Each chunk has an event, before everything that it brings; it names its choice if there is one."""
    found = events(chunk(), chunk(part(2, content="a")), chunk(part(0), part(1)), chunk(part(-1)))
    assert [told(event) for event in found] == [
        ("chunk", None),
        ("chunk", 2),
        ("content.delta", 2, "a"),
        ("chunk", None),
        ("chunk", 0),
    ]


def test_a_call_is_named_as_far_as_it_is_known() -> None:
    """The id, too, so that a tool can be run and answered from the event alone."""
    found = [
        event for event in events(calls(call(0, "{}", "f", id="t")), one("stop")) if event.type != "chunk"
    ]
    assert [(event.id, event.name, event.index) for event in found] == [("t", "f", 0)] * 2


# What an event shows of the whole.


def test_snapshots_are_those_of_their_moment_whenever_they_are_read() -> None:
    """In order, backwards, or after the end: the text up to the event."""
    values = [one(content="Hel", reasoning="th"), one(content="lo", reasoning="ink"), one("stop")]
    expected = [("reasoning.delta", "th"), ("content.delta", "Hel"), ("reasoning.delta", "think")]
    expected.append(("content.delta", "Hello"))
    found = [event for event in events(*values) if event.type.endswith(".delta")]
    for order in (found, found[::-1], found):
        read = [(event.type, event.snapshot) for event in order]
        assert read == (expected if order is found else expected[::-1])


def test_parts_of_one_chunk_have_snapshots_of_their_own() -> None:
    """Two pieces of a call, and of a choice, in one chunk."""
    found = events(calls(call(0, "{", "f"), call(0, "}")), chunk(part(0, content="a"), part(0, content="b")))
    pieces = [event for event in found if isinstance(event, FunctionToolCallArgumentsDeltaEvent)]
    assert [event.arguments for event in pieces] == ["{", "{}"]
    texts = [event for event in found if isinstance(event, ContentDeltaEvent)]
    assert [event.snapshot for event in texts] == ["a", "ab"]


def test_a_snapshot_of_logprobs_is_a_list_of_ones_own() -> None:
    """Changing it changes nothing else."""
    value = chunk(part(content="a", logprobs={"content": [token("a")]}))
    first, second = (e for e in events(value, value) if e.type == "logprobs.content.delta")
    assert [entry.token for entry in first.snapshot] == ["a"]
    second.snapshot.clear()
    assert [entry.token for entry in second.snapshot] == ["a", "a"]


def test_the_snapshot_of_a_chunk_is_the_completion_when_it_is_read() -> None:
    """While the event is handled, it holds what that chunk brought."""
    maker = EventMaker()
    seen = [maker.take(each)[0] for each in decoded([one(content="a"), one("stop", content="b")])[:1]]
    assert isinstance(seen[0], ChunkEvent)
    assert seen[0].snapshot.text == "a"
    maker.take(decoded([one("stop", content="b")])[0])
    assert seen[0].snapshot.choices[0].finish_reason == "stop"
    assert seen[0].snapshot == maker.accumulator.completion


def test_an_event_as_json_and_as_text() -> None:
    """`to_dict` has all that it tells, its type first; `repr` what it was made with."""
    value = chunk(part(0, "stop", content="a", logprobs={"content": [token("a")]}))
    first, delta, logprobs, *_ = events(value)
    assert delta.to_dict() == {"type": "content.delta", "choice_index": 0, "delta": "a", "snapshot": "a"}
    assert next(iter(delta.to_dict())) == "type"
    assert repr(delta) == "ContentDeltaEvent(choice_index=0, delta='a')"
    assert logprobs.to_dict()["snapshot"] == [token("a")]
    assert first.to_dict()["chunk"] == value
    assert first.to_dict()["snapshot"]["choices"][0]["message"]["content"] == "a"
    done = events(calls(call(0, "{}", "f", id="t"), finish="stop"))[-1]
    assert json.loads(json.dumps(done.to_dict())) == {
        "type": "tool_calls.function.arguments.done",
        "choice_index": 0,
        "index": 0,
        "id": "t",
        "name": "f",
        "arguments": "{}",
    }


# What the accumulator answers.


def answers(*values: dict[str, Any], choice: int = 0) -> list[tuple[Any, ...]]:
    accumulator = Accumulator()
    found = []
    for each in decoded(values):
        accumulator.add(each)
        first = accumulator.just_finished_tool_call(choice)
        every = accumulator.just_finished_tool_calls(choice)
        assert first is (every[0] if every else None)
        content, refusal = (
            accumulator.just_finished_content(choice),
            accumulator.just_finished_refusal(choice),
        )
        found.append((content, refusal, [(call.id, call.index, call.name) for call in every]))
    return found


def test_what_has_just_finished() -> None:
    """Each answer holds for the last chunk alone."""
    assert Accumulator().just_finished_content() is None
    assert answers(
        one(content="a", refusal="r"),
        calls(call(0, "{}", "f", id="t")),
        calls(call(1, "", "g", id="u"), custom(2, "x", "h", id="v")),
        one("tool_calls"),
        chunk(usage={"prompt_tokens": 1}),
    ) == [
        (None, None, []),
        (None, None, []),
        (None, None, [("t", 0, "f")]),
        ("a", "r", [("u", 1, "g"), ("v", 2, "h")]),
        (None, None, []),
    ]


def test_what_has_just_finished_of_another_choice() -> None:
    """The choice that is asked for, and no other."""
    values = [chunk(part(0, "stop", content="a"), part(1, content="x")), chunk(part(1, "stop"))]
    assert [each[0] for each in answers(*values)] == ["a", None]
    assert [each[0] for each in answers(*values, choice=1)] == [None, "x"]


# What holds for every stream.


def check(found: list[Any], completion: ChatCompletion | None) -> None:
    """The rules of the reference; `completion` is what the chunks make up by themselves."""
    pieces: dict[tuple[Any, ...], Any] = {}
    whole: dict[tuple[Any, ...], Any] = {}
    for event in found:
        if event.type == "chunk":
            continue
        name, _, kind = event.type.rpartition(".")
        key = (event.choice_index, name, getattr(event, "index", None))
        text = getattr(event, TELLS.get(event.type, "delta"))
        if kind == "done":
            assert key not in whole, "done is said once"
            whole[key] = text
        else:
            assert key not in whole, "nothing follows what is done"
            pieces[key] = pieces.get(key, text[:0]) + text
            assert getattr(event, SO_FAR.get(event.type, "snapshot")) == pieces[key]
    assert {key: text for key, text in pieces.items() if text or key[2] is not None} == whole
    held: dict[tuple[Any, ...], Any] = {}
    for choice in completion.choices if completion is not None else ():
        message, logprobs = choice.message, choice.logprobs
        held[choice.index, "content", None] = message.content
        held[choice.index, "refusal", None] = message.refusal
        held[choice.index, "reasoning", None] = message.reasoning_content or message.reasoning
        held[choice.index, "logprobs.content", None] = logprobs and logprobs.content
        held[choice.index, "logprobs.refusal", None] = logprobs and logprobs.refusal
        indexes = sorted(key[2] for key in whole if key[0] == choice.index and key[2] is not None)
        for index, made in zip(indexes, message.tool_calls or (), strict=True):
            if made.type == "custom":
                held[choice.index, "tool_calls.custom.input", index] = made.custom.input
            else:
                held[choice.index, "tool_calls.function.arguments", index] = made.function.arguments
    assert {key: text for key, text in held.items() if text or key[2] is not None} == whole


def check_order(found: list[Any]) -> None:
    """Within a chunk: the chunk, then choice by choice what the table says, calls as they stand."""
    last: tuple[Any, ...] = ()
    for event in found:
        if event.type == "chunk":
            last = ()
            continue
        kind = event.type.replace("function.arguments.", "").replace("custom.input.", "")
        rank = (event.choice_index, ORDER.index(kind), event.index if kind == "tool_calls.done" else 0)
        assert rank >= last
        last = rank


texts = st.text('ab {}"é😀', max_size=3)
tokens = st.lists(st.builds(token, texts), max_size=2)
# What models write as arguments. None of them begins with an object that is whole already.
arguments = st.sampled_from(["{}", '{"a": "}"}', '{"é": {}}', "", "[1]", "12", '{"cut', "no JSON"])


@st.composite
def parts_of_calls(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """The parts of a few calls, each in some pieces, as the chunks of a choice have them."""
    lanes = []
    for at in range(draw(st.integers(0, 3))):
        kind, field = draw(st.sampled_from([("function", "arguments"), ("custom", "input")]))
        text = draw(arguments)
        cut = draw(st.integers(0, len(text)))
        lane = [{"index": at, kind: {field: piece}} for piece in (text[:cut], text[cut:])]
        lane[0] |= {"id": f"t{at}", "type": kind, kind: {field: text[:cut], "name": f"f{at}"}}
        lanes.append(lane)
    return [[piece for _, piece in together] for together in draw(mixed(lanes))]


@st.composite
def mixed(draw: st.DrawFn, lanes: list[list[Any]]) -> list[list[tuple[int, Any]]]:
    """The items of all lanes, each lane in its order: what comes together, with the number of its lane."""
    turns = draw(st.permutations([at for at, lane in enumerate(lanes) for _ in lane]))
    left = [iter(lane) for lane in lanes]
    groups: list[list[tuple[int, Any]]] = []
    for at in turns:
        if not groups or any(lane == at for lane, _ in groups[-1]) or draw(st.booleans()):
            groups.append([])
        groups[-1].append((at, next(left[at])))
    return groups


@st.composite
def lane_of_choice(draw: st.DrawFn, index: int) -> list[dict[str, Any]]:
    """What the chunks say of one choice, to its finish."""
    thoughts = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    said = st.fixed_dictionaries({}, optional={"content": texts, "refusal": texts, thoughts: texts})
    lane = [part(index, role="assistant", content=draw(st.sampled_from(["", None])))]
    called = draw(parts_of_calls())
    for at in range(max(draw(st.integers(0, 4)), len(called))):
        more = {"tool_calls": called[at]} if at < len(called) else {}
        logprobs = draw(st.none() | st.fixed_dictionaries({"content": tokens, "refusal": tokens}))
        lane.append(part(index, None, logprobs, **draw(said), **more))
    last = lane.pop() if draw(st.booleans()) else part(index)
    return [*lane, {**last, "finish_reason": "stop"}]


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Choices that say things in any order, and finish; their parts mixed."""
    indexes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
    groups = draw(mixed([draw(lane_of_choice(index)) for index in indexes]))
    return [chunk(*sorted((each for _, each in group), key=lambda each: each["index"])) for group in groups]


@settings(max_examples=150, deadline=None)
@given(streams())
def test_deltas_make_up_what_is_done_and_what_is_accumulated(values: list[dict[str, Any]]) -> None:
    """Of any mixture of choices, texts, thoughts and calls."""
    found = events(*values)
    check(found, accumulate(decoded(values)))
    check_order(found)


said = st.sampled_from(
    [
        *(one(content=text) for text in ("", "a", "b")),
        *(one(content="c", role="assistant"), one(content="d", note=1), one(content=None), one("stop")),
        *({**one(content="e"), "system_fingerprint": name} for name in ("fp", None)),
        *({**one(content="f"), name: "x"} for name in ("obfuscation", "provider")),
        chunk(part(0, reasoning="t", content="g")),
        chunk(part(1, content="h")),
        chunk(part(1, content="i")),
        chunk(part(1, "stop")),
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(said, max_size=12))
def test_the_quick_way_tells_the_same(values: list[dict[str, Any]]) -> None:
    """Chunks that bring nothing but content are taken in a shorter way, others in a longer one."""
    quick, slow = EventMaker(), EventMaker()
    new = [{**value, "created": at} for at, value in enumerate(values)]  # as no other: never the shorter way
    for usual, unusual in zip(decoded(values), decoded(new), strict=True):
        ours = [told(event) for event in quick.take(usual)]
        assert ours == [told(event) for event in slow.take(unusual)]
        mine, other = quick.accumulator.completion, slow.accumulator.completion
        assert mine is not None
        assert other is not None
        assert {**mine.to_dict(), "created": 0} == {**other.to_dict(), "created": 0}
    assert quick.accumulator.completion == accumulate(decoded(values))


def fed(body: bytes, cuts: list[int], n: int) -> tuple[list[Any], StreamReader]:
    """The events of a body that comes in pieces."""
    reader, maker = StreamReader(n=n), EventMaker()
    found: list[Any] = []
    for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        for each in reader.feed(body[begin:end]):
            found += maker.take(each)
    reader.close()
    return found, reader


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_a_recording_tells_the_same_however_it_is_cut(stream: Any, data: st.DataObject) -> None:
    """The same events in the same order; deltas, done and accumulated agree."""
    cuts = data.draw(st.lists(st.integers(0, len(stream.body)), max_size=30).map(sorted))
    whole, _ = fed(stream.body, [], stream.n)
    pieces, reader = fed(stream.body, cuts, stream.n)
    assert [told(event) for event in pieces] == [told(event) for event in whole]
    if reader.outcome == "complete":
        check(pieces, reader.completion)
        check_order(pieces)


def test_what_is_split_is_told_again() -> None:
    """The chunks that `split` makes of a completion tell all of it."""
    values = [
        one(content="a", reasoning_content="t"),
        calls(call(0, "{}", "f", id="t", type="function"), custom(1, "x", "g", id="u", type="custom")),
        one("tool_calls"),
    ]
    completion = accumulate(decoded(values))
    assert completion is not None
    maker = EventMaker()
    found = [event for each in split(completion) for event in maker.take(each)]
    check(found, completion)
    assert maker.accumulator.completion == completion


# What it costs.


def steps(work: Callable[[], object]) -> int:
    """How many calls of functions, in Python and in C, some work takes."""
    count = 0

    def profile(_frame: Any, what: str, _arg: Any) -> None:
        nonlocal count
        count += what in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


LONG: dict[str, Callable[[int], dict[str, Any]]] = {
    "text": lambda at: one(content="word "),
    "thoughts": lambda at: one(reasoning_content="word ", provider="p"),
    "a-call": lambda at: calls(call(0, "word ", "f" if not at else None)),
    "calls": lambda at: calls(call(at, "{}", "f")),
    "mixed-calls": lambda at: calls(call(0, "}" if at % 2 else "{"), call(at + 1, "{", "f")),
    "choices": lambda at: chunk(part(at % 3, content="word ")),
    "logprobs": lambda at: chunk(part(content="a", logprobs={"content": [token("a")]})),
    "ends-for-ever": lambda at: one("stop", content="a", tool_calls=[call(at, "{}", "f")]),
}


@pytest.mark.parametrize("value", LONG.values(), ids=LONG.keys())
def test_the_cost_of_a_chunk_does_not_grow(value: Callable[[int], dict[str, Any]]) -> None:
    """Whatever a long stream is made of, its last chunks take as many steps as its first ones."""
    maker = EventMaker()
    chunks = [typed(ChatCompletionChunk, value(at)) for at in range(3000)]

    def take(begin: int) -> int:
        return steps(lambda: [maker.take(each) for each in chunks[begin : begin + 200]])

    take(0)
    early = take(200)
    for each in chunks[400:2800]:
        maker.take(each)
    assert take(2800) <= early * 1.05


@pytest.mark.parametrize("dialect", ["repair", "off"])
def test_a_content_that_is_no_text_breaks_no_event(dialect: Any) -> None:
    """A number where text was begun: the stream is told as far as it can be, and ends as it ends."""
    body = b"".join(
        b'data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
        % choice
        for choice in (
            b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}',
            b'{"index":0,"delta":{"content":2147483648},"finish_reason":null}',
            b'{"index":0,"delta":{},"finish_reason":"stop"}',
        )
    )
    reader, maker = StreamReader(dialect=dialect), EventMaker()
    types = [event.type for chunk in reader.feed(body) for event in maker.take(chunk)]
    assert types.count("chunk") == 3


def test_a_field_without_a_name_is_no_reasoning() -> None:
    """What the first chunk calls "" is not what was thought."""
    body = b"".join(
        b'data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
        % choice
        for choice in (
            b'{"index":0,"delta":{"":"assistant","content":""},"finish_reason":null}',
            b'{"index":0,"delta":{"content":"Hi"},"finish_reason":null}',
            b'{"index":0,"delta":{},"finish_reason":"stop"}',
        )
    )
    events, _ = fed(body, [], 1)
    assert [event.type for event in events if event.type.endswith(".done")] == ["content.done"]
