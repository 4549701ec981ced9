"""Event streams beside those of openai-python: the same events, but for what it gets wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

import duologue
from support.wire import DONE, HI, WireServer, event, sse

ROOT = Path(__file__).resolve().parents[2]
STREAMS = [
    *(ROOT / "tests/data/streams").glob("*.sse"),
    *(ROOT / ".." / "shared" / "recordings").glob("*.sse"),
]

# Streams in which openai-python does otherwise, and why.
APART = {
    "azure": "it skips a chunk without `object`, which holds the filter's findings on the prompt",
    "custom-tool-call": "it has no events of custom tools",
    "reasoning": "it has no events of reasoning",
    "reasoning-router": "nor here",
}

# What only our events tell.
OURS = ("choice_index", "id")
# What is to come.
THEIRS = ("parsed", "parsed_arguments")


def told(each: Any) -> dict[str, Any]:
    """An event of either client as JSON, without what only one of them tells."""
    if each.type == "chunk":
        return {"type": "chunk", "chunk": each.chunk.to_dict()}
    return {name: value for name, value in each.to_dict().items() if name not in (*OURS, *THEIRS)}


def heard(client: Any) -> Iterator[dict[str, Any]]:
    with client, client.chat.completions.stream(model="m", messages=[HI]) as stream:
        for each in stream:
            yield told(each)


def both(body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Exception | None]:
    """The events of our client, those of openai-python, and what it raised."""
    theirs: list[dict[str, Any]] = []
    failure = None
    with WireServer(sse(body)) as server:
        try:
            theirs.extend(heard(openai.OpenAI(base_url=server.url, api_key="x", max_retries=0)))
        except Exception as error:  # whatever it may be
            failure = error
        ours: list[dict[str, Any]] = []
        client = duologue.Client(base_url=server.url, api_key="x", max_retries=0, dialect="off")
        try:
            ours.extend(heard(client))
        except duologue.DuologueError:
            if not isinstance(failure, openai.APIError):
                raise
    return ours, theirs, failure


@pytest.mark.parametrize("path", sorted(STREAMS), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_streams_tell_the_same(path: Path) -> None:
    """Event by event, field by field, snapshots included."""
    ours, theirs, _ = both(path.read_bytes())
    assert ours
    if path.stem not in APART:
        assert ours == theirs
    else:
        assert ours != theirs, "openai-python has learnt it: take the stream off the list"


def part(finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1750000000, "model": "m"}
    return {**head, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def call(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    named = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": index, "type": "function", "function": named} | ({"id": f"t{index}"} if name else {})


# Where openai-python is wrong: the chunks, the done events that are right, and its own.
WRONG: dict[str, tuple[list[dict[str, Any]], list[str], list[str] | type[Exception]]] = {
    "a-whole-call-in-the-last-chunk-is-never-done": (
        [part("tool_calls", tool_calls=[call(0, "{}", "f")])],
        ["f({})"],
        [],
    ),
    "a-call-whose-parts-are-mixed-with-anothers-is-done-early": (
        [
            part(tool_calls=[call(0, "{", "f")]),
            part(tool_calls=[call(1, "{", "g")]),
            part(tool_calls=[call(0, "}")]),
            part(tool_calls=[call(1, "}")]),
            part("tool_calls"),
        ],
        ["f({})", "g({})"],
        ["f({)", "g({)"],
    ),
    "content-is-done-when-a-call-begins-though-it-goes-on": (
        [
            part(content="a"),
            part(tool_calls=[call(0, "{}", "f")]),
            part(content="b"),
            part("tool_calls"),
        ],
        ["ab", "f({})"],
        ["a", "f({})"],
    ),
    "an-empty-refusal-is-done": ([part(content="a", refusal=""), part("stop")], ["a"], ["a", ""]),
    "calls-numbered-from-1-break-it": (
        [part(tool_calls=[call(1, "{}", "f")]), part("tool_calls")],
        ["f({})"],
        IndexError,
    ),
    "a-second-choice-that-comes-first-breaks-it": (
        [part(index=1, content="x"), part(index=0, content="a"), part("stop", 0), part("stop", 1)],
        ["a", "x"],
        IndexError,
    ),
    "a-server-that-leaves-out-object-tells-nothing": (
        [{**part("stop", content="a"), "object": ""}],
        ["a"],
        [],
    ),
}


def done(events: list[dict[str, Any]]) -> list[str]:
    """What the done events say."""
    said = []
    for each in events:
        if each["type"] == "tool_calls.function.arguments.done":
            said.append(f"{each['name']}({each['arguments']})")
        elif each["type"].endswith(".done"):
            said.append(each.get("content", each.get("refusal")))
    return said


@pytest.mark.parametrize(("chunks", "right", "wrong"), WRONG.values(), ids=WRONG.keys())
def test_where_the_other_is_wrong(
    chunks: list[dict[str, Any]], right: list[str], wrong: list[str] | type[Exception]
) -> None:
    """Each difference is one that is meant."""
    ours, theirs, failure = both(b"".join(map(event, chunks)) + DONE)
    assert done(ours) == right
    if isinstance(wrong, list):
        assert (done(theirs), failure) == (wrong, None)
    else:
        assert isinstance(failure, wrong)


def test_nothing_is_told_after_what_is_done() -> None:
    """An empty text in the chunk with the usage: openai-python tells of it after it was done."""
    ours, theirs, _ = both(b"".join(map(event, [part(content="a"), part("stop"), part(content="")])) + DONE)
    types = [[each["type"] for each in events if each["type"] != "chunk"] for events in (ours, theirs)]
    assert types[0] == ["content.delta", "content.done"]
    assert types[1] == ["content.delta", "content.done", "content.delta"]
