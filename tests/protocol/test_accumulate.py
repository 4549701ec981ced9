"""Chunks to a completion: each rule, each way a server bends it, and the inverse."""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.protocol import accumulate as module
from duologue.protocol.accumulate import CompletionBuilder, accumulate, choice_index, split
from duologue.protocol.codec import decode_chunk, encode, typed
from duologue.protocol.errors import APIResponseValidationError
from duologue.protocol.read import StreamReader
from duologue.types._wire import WireObject
from duologue.types.chat.chat_completion import ChatCompletion
from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1750000000, "model": "m"}


def chunk(*choices: Any, **fields: Any) -> dict[str, Any]:
    return {**HEAD, "choices": list(choices), **fields}


def delta(
    index: int | None = 0, finish: str | None = None, *, choice: Any = None, **fields: Any
) -> dict[str, Any]:
    """A chunk with one choice."""
    return chunk({"index": index, "delta": fields, "finish_reason": finish, **(choice or {})})


def tools(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return delta(tool_calls=list(calls), **fields)


def call(index: int | None, arguments: str = "", name: str | None = None, **fields: Any) -> dict[str, Any]:
    """A part of a call of a function; the index is missing where it is None."""
    function = {"arguments": arguments} | ({"name": name} if name is not None else {})
    return ({} if index is None else {"index": index}) | {"function": function} | fields


def custom(index: int, text: str, **fields: Any) -> dict[str, Any]:
    return {"index": index, "custom": {"input": text, **fields.pop("custom", {})}, **fields}


def event_of(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def whole(*chunks: dict[str, Any]) -> dict[str, Any]:
    """The completion of chunks, by way of bytes as they would come."""
    completion = accumulate(decode_chunk(json.dumps(value).encode()) for value in chunks)
    assert completion is not None
    reader = StreamReader(dialect="off")
    for value in chunks:
        reader.feed(event_of(value))
    assert reader.completion == completion
    return completion.to_dict()


def function(name: str, arguments: str, identity: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"function": {"name": name, "arguments": arguments}, "type": "function"}
    return made | ({"id": identity} if identity else {})


def texts(value: dict[str, Any]) -> dict[int, Any]:
    return {choice["index"]: choice["message"]["content"] for choice in value["choices"]}


def message(value: dict[str, Any]) -> dict[str, Any]:
    """What the message of the only choice says."""
    (choice,) = value["choices"]
    return {name: item for name, item in choice["message"].items() if item is not None and name != "role"}


FN = {"type": "function"}

# What chunks make of the message of one choice.
MESSAGES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "texts-join": ([delta(content="a"), delta(content=""), delta(content="b")], {"content": "ab"}),
    "content-null-between": (
        [delta(content="a"), delta(content=None), delta(), delta(content="b")],
        {"content": "ab"},
    ),
    "empty-content-is-content": ([delta(content="")], {"content": ""}),
    "refusal-joins": ([delta(refusal=""), delta(refusal="No"), delta(refusal=".")], {"refusal": "No."}),
    "reasoning-content-joins": (
        [delta(reasoning_content="th"), delta(reasoning_content="ink"), delta(content="x")],
        {"reasoning_content": "think", "content": "x"},
    ),
    "reasoning-joins": ([delta(reasoning="th"), delta(reasoning="ink")], {"reasoning": "think"}),
    "both-reasonings-stay-apart": (
        [delta(reasoning="a", reasoning_content="A"), delta(reasoning="b", reasoning_content="B")],
        {"reasoning": "ab", "reasoning_content": "AB"},
    ),
    "surrogate-halves-join": ([delta(content="a\ud83d"), delta(content="\ude00b")], {"content": "a😀b"}),
    "surrogate-halves-over-three-chunks": (
        [delta(content="\ud83d"), delta(content=""), delta(content="\ude00")],
        {"content": "😀"},
    ),
    "a-lone-surrogate-stays": ([delta(content="\ud83d"), delta(content="b")], {"content": "\ud83db"}),
    "surrogate-halves-in-arguments": (
        [tools(call(0, '"\ud83d', "f", id="t", **FN)), tools(call(0, '\ude00"'))],
        {"tool_calls": [function("f", '"😀"', "t")]},
    ),
    "tool-call": (
        [tools(call(0, "", "f", id="t", **FN)), tools(call(0, '{"a"')), tools(call(0, ":1}"))],
        {"tool_calls": [function("f", '{"a":1}', "t")]},
    ),
    "two-parts-of-a-call-in-one-chunk": (
        [tools(call(0, "{", "f", id="t", **FN), call(0, "}"))],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "parallel-calls-interleaved": (
        [
            tools(call(0, "", "f", id="t", **FN), call(1, "", "g", id="u", **FN)),
            tools(call(1, "[")),
            tools(call(0, "{"), call(1, "]")),
            tools(call(0, "}")),
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u")]},
    ),
    "tool-indexes-late-and-sparse": (
        [
            tools(call(7, "", "g", id="u", **FN)),
            tools(call(2, "{}", "f", id="t", **FN)),
            tools(call(7, "[]")),
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u")]},
    ),
    "no-index-found-by-id": (
        [
            tools(call(None, "{", "f", id="t", **FN)),
            tools(call(None, "[", "g", id="u", **FN)),
            tools(call(None, "}", id="t")),
            tools(call(None, "]", id="u")),
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u")]},
    ),
    "no-index-and-a-new-id-after-a-part-of-an-earlier-call": (
        [
            tools(call(None, "{", "f", id="t", **FN), call(None, "[]", "g", id="u", **FN)),
            tools(call(None, "}", id="t")),
            tools(call(None, "1", "h", id="v", **FN)),
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u"), function("h", "1", "v")]},
    ),
    "no-index-no-id-is-the-last-call": (
        [
            tools(call(None, "{", "f", id="t", **FN)),
            tools(call(None, "}")),
            tools(call(None, "[", "g", id="u", **FN)),
            tools(call(None, "]")),
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u")]},
    ),
    "no-index-no-id-whole-calls-in-one-chunk": (
        [tools(call(None, "{}", "f", **FN), call(None, "[]", "g", **FN))],
        {"tool_calls": [function("f", "{}"), function("g", "[]")]},
    ),
    "no-index-no-id-parts-of-two-calls-in-each-chunk": (
        [
            tools(call(None, "{", "f", **FN), call(None, "[", "g", **FN)),
            tools(call(None, "}"), call(None, "]")),
        ],
        {"tool_calls": [function("f", "{}"), function("g", "[]")]},
    ),
    "null-index": (
        [tools({"index": None, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}})],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "negative-index": (
        [tools(call(-1, "{", "f", id="t", **FN)), tools(call(-1, "}"))],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "every-call-numbered-0": (
        [
            tools(call(0, "", "f", id="t", **FN)),
            tools(call(0, "{}")),
            tools(call(0, "", "g", id="u", **FN)),
            tools(call(0, "[")),
            tools(call(0, "]")),
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u")]},
    ),
    "every-call-numbered-0-in-one-chunk": (
        [
            tools(
                call(0, "{}", "f", id="t", **FN),
                call(0, "[]", "g", id="u", **FN),
                call(0, "{}", "f", id="v", **FN),
            )
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u"), function("f", "{}", "v")]},
    ),
    "every-call-numbered-0-then-found-by-id": (
        [
            tools(call(0, "{", "f", id="t", **FN)),
            tools(call(0, "[", "g", id="u", **FN)),
            tools(call(0, "}", id="t")),
            tools(call(0, "]", id="u")),
        ],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u")]},
    ),
    "numbered-0-0-1": (
        [
            tools(call(0, "1", "f", id="t")),
            tools(call(0, "2", "f", id="u")),
            tools(call(1, "3", "f", id="v")),
        ],
        {
            "tool_calls": [
                {"id": identity, "function": {"name": "f", "arguments": text}}
                for identity, text in (("t", "1"), ("u", "2"), ("v", "3"))
            ]
        },
    ),
    "a-new-id-with-each-part-is-no-new-call": (
        [
            tools(call(0, "{", "f", id="r1", **FN)),
            tools(call(0, '"a"', id="r2")),
            tools(call(0, "}", id="r3")),
        ],
        {"tool_calls": [function("f", '{"a"}', "r1")]},
    ),
    "the-id-comes-late": (
        [tools(call(0, "{", "f")), tools(call(0, "}", id="t", **FN))],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "the-name-comes-late": (
        [tools(call(0, "", id="t", **FN)), tools(call(0, "{}", "f"))],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "empty-id-and-name-later": (
        [tools(call(0, "{", "f", id="t", **FN)), tools(call(0, "}", "", id="", type=""))],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "empty-tool-calls-beside-text": (
        [delta(content="a", tool_calls=[]), delta(content="b", tool_calls=[])],
        {"content": "ab", "tool_calls": []},
    ),
    "custom-tool-call": (
        [
            tools(custom(0, "", id="t", type="custom", custom={"name": "sql"})),
            tools(custom(0, "SELECT")),
            tools(custom(0, " 1")),
        ],
        {"tool_calls": [{"id": "t", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}]},
    ),
    "function-and-custom-in-parallel": (
        [
            tools(call(0, "", "f", id="t", **FN), custom(1, "", id="u", type="custom", custom={"name": "g"})),
            tools(custom(1, "x"), call(0, "{}")),
        ],
        {
            "tool_calls": [
                function("f", "{}", "t"),
                {"id": "u", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ]
        },
    ),
    "function-call": (
        [delta(function_call={"name": "f", "arguments": ""}), delta(function_call={"arguments": "{}"})],
        {"function_call": {"name": "f", "arguments": "{}"}},
    ),
    "audio": (
        [
            delta(audio={"id": "a", "transcript": "Good"}),
            delta(audio={"data": "UklG"}),
            delta(audio={"data": "Rg=="}),
            delta(audio={"transcript": " day"}),
            delta(audio={"expires_at": 9}),
        ],
        {"audio": {"id": "a", "transcript": "Good day", "data": "UklGRg==", "expires_at": 9}},
    ),
    "annotations-append": (
        [
            delta(content="x", annotations=[{"type": "url_citation", "url_citation": {"url": "u1"}}]),
            delta(annotations=[{"type": "url_citation", "url_citation": {"url": "u2"}}]),
        ],
        {
            "content": "x",
            "annotations": [
                {"type": "url_citation", "url_citation": {"url": "u1"}},
                {"type": "url_citation", "url_citation": {"url": "u2"}},
            ],
        },
    ),
    "annotations-of-another-kind-do-no-harm": (
        [delta(content="x", annotations="none"), delta(content="y", annotations=[5])],
        {"content": "xy"},
    ),
    # Unknown fields of each kind of JSON.
    "unknown-text-keeps-the-last": ([delta(x="a"), delta(x="b")], {"x": "b"}),
    "unknown-empty-text-is-a-value": ([delta(x="a"), delta(x="")], {"x": ""}),
    "unknown-number-keeps-the-last": ([delta(x=5), delta(x=7.5)], {"x": 7.5}),
    "unknown-boolean-keeps-the-last": ([delta(x=True), delta(x=False)], {"x": False}),
    "unknown-object-keeps-the-last": ([delta(x={"a": 1}), delta(x={"b": 2})], {"x": {"b": 2}}),
    "unknown-null-clears-nothing": ([delta(x="a"), delta(x=None)], {"x": "a"}),
    "unknown-list-appends": (
        [delta(x=[1]), delta(x=[]), delta(x=[{"a": 2}, None])],
        {"x": [1, {"a": 2}, None]},
    ),
    "unknown-text-becomes-a-list": ([delta(x="a"), delta(x=[1]), delta(x=[2])], {"x": [1, 2]}),
    "unknown-list-becomes-a-text": ([delta(x=[1]), delta(x="a")], {"x": "a"}),
    "unknown-fields-of-a-tool-call": (
        [tools(call(0, "", "f", id="t", sig="a", **FN)), tools(call(0, "{}", sig="b"))],
        {"tool_calls": [function("f", "{}", "t") | {"sig": "b"}]},
    ),
    "unknown-fields-of-a-function": (
        [tools({"index": 0, "function": {"name": "f", "arguments": "{}", "strict": True}})],
        {"tool_calls": [{"function": {"name": "f", "arguments": "{}", "strict": True}}]},
    ),
    # The defects of other clients: what each case does to openai-python [R] or openai-node [RN].
    "R1-role-repeated-is-assistantassistant": (
        [delta(role="assistant", content="a"), delta(role="assistant", content="b")],
        {"content": "ab"},
    ),
    "R1-tool-id-and-name-repeated-are-xx-and-ff": (
        [tools(call(0, "{", "f", id="x", **FN)), tools(call(0, "}", "f", id="x", **FN))],
        {"tool_calls": [function("f", "{}", "x")]},
    ),
    "R2-numbers-are-added": (
        [delta(content="a", token_id=5), delta(token_id=7)],
        {"content": "a", "token_id": 7},
    ),
    "R3-a-list-of-objects-without-index-fails": (
        [delta(reasoning_details=[{"text": "a"}]), delta(reasoning_details=[{"text": "b"}])],
        {"reasoning_details": [{"text": "a"}, {"text": "b"}]},
    ),
    "R3-a-null-index-in-a-list-fails": (
        [delta(parts=[{"index": None, "a": 1}]), delta(parts=[{"index": None, "a": 2}])],
        {"parts": [{"index": None, "a": 1}, {"index": None, "a": 2}]},
    ),
    "R3-a-missing-tool-index-fails": (
        [tools(call(None, "", "f", id="t", **FN)), tools(call(None, "{}"))],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "R4-tool-indexes-from-1-fail": (
        [tools(call(1, "", "f", id="t", **FN)), tools(call(1, "{}"))],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "R4-tool-indexes-that-skip-fail": (
        [tools(call(0, "{}", "f", id="t", **FN)), tools(call(5, "[]", "g", id="u", **FN))],
        {"tool_calls": [function("f", "{}", "t"), function("g", "[]", "u")]},
    ),
    "R9-delta-null-fails": (
        [delta(content="a"), chunk({"index": 0, "delta": None, "finish_reason": None}), delta(content="b")],
        {"content": "ab"},
    ),
    "R9-choices-null-fails": (
        [delta(content="a"), {**HEAD, "choices": None}, delta(content="b")],
        {"content": "ab"},
    ),
    "R9-choices-missing": ([delta(content="a"), HEAD, delta(content="b")], {"content": "ab"}),
    "R9-object-missing-yields-nothing": (
        [{key: value for key, value in delta(content="a").items() if key != "object"}],
        {"content": "a"},
    ),
    "R9-object-misspelt-yields-nothing": (
        [{**delta(content="a"), "object": "chat.completions.chunk"}],
        {"content": "a"},
    ),
    "R10-custom-tool-deltas-fail": (
        [tools(custom(0, "a", id="t", type="custom", custom={"name": "n"})), tools(custom(0, "b"))],
        {"tool_calls": [{"id": "t", "type": "custom", "custom": {"name": "n", "input": "ab"}}]},
    ),
    "RN-reasoning-ends-as-its-last-part": (
        [delta(reasoning_content="th"), delta(reasoning_content="ink")],
        {"reasoning_content": "think"},
    ),
    "RN-only-the-last-annotations-stay": (
        [delta(annotations=[{"type": "a"}]), delta(annotations=[{"type": "b"}])],
        {"annotations": [{"type": "a"}, {"type": "b"}]},
    ),
    "RN-a-first-tool-index-of-1-fails-at-the-end": (
        [tools(call(1, "{}", "f", id="t", **FN)), delta(finish="tool_calls")],
        {"tool_calls": [function("f", "{}", "t")]},
    ),
    "RN-a-tool-call-without-type-fails": (
        [tools(call(0, "{}", "f", id="t")), delta(finish="tool_calls")],
        {"tool_calls": [{"id": "t", "function": {"name": "f", "arguments": "{}"}}]},
    ),
    "RN-choices-null-is-not-iterable": ([{**HEAD, "choices": None}, delta(content="a")], {"content": "a"}),
    "RN-delta-missing-is-skipped": (
        [chunk({"index": 0, "finish_reason": None}), delta(content="a")],
        {"content": "a"},
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_what_chunks_make_of_a_message(chunks, expected):
    assert message(whole(*chunks)) == expected


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
MORE = {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}

# What chunks make of the completion itself: the given fields of it.
COMPLETIONS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "identity": (
        [delta(content="a")],
        {"id": "c1", "created": 1750000000, "model": "m", "object": "chat.completion"},
    ),
    "azure-fills-the-empty-identity-later": (
        [
            {
                "id": "",
                "object": "",
                "created": 0,
                "model": "",
                "choices": [],
                "prompt_filter_results": [{"i": 0}],
            },
            delta(content="a"),
        ],
        {**HEAD, "object": "chat.completion", "prompt_filter_results": [{"i": 0}]},
    ),
    "the-identity-comes-late-beside-text": (
        [
            {**delta(content="a"), "id": "", "created": 0, "model": ""},
            {**delta(content="b"), "id": ""},
            delta(content="c"),
        ],
        {"id": "c1", "created": 1750000000, "model": "m"},
    ),
    "identity-drifts-and-the-first-stays": (
        [delta(content="a"), {**delta(content="b"), "id": "c2", "created": 1750000009, "model": "n"}],
        {"id": "c1", "created": 1750000000, "model": "m"},
    ),
    "nothing-but-empty-identity": (
        [{"id": "", "created": 0, "model": "", "choices": []}],
        {"id": "", "created": 0},
    ),
    "usage-at-the-end": ([delta(content="a"), chunk(usage=USAGE)], {"usage": USAGE}),
    "usage-null-everywhere": ([{**delta(content="a"), "usage": None}, chunk(usage=USAGE)], {"usage": USAGE}),
    "running-usage-keeps-the-last": (
        [{**delta(content="a"), "usage": USAGE}, {**delta(content="b"), "usage": MORE}],
        {"usage": MORE},
    ),
    "usage-with-unknown-fields": ([chunk(usage={**USAGE, "cost": 0.5})], {"usage": {**USAGE, "cost": 0.5}}),
    "service-tier-comes-late": (
        [delta(content="a"), {**delta(content="b"), "service_tier": "flex"}, delta(content="c")],
        {"service_tier": "flex"},
    ),
    "the-last-fingerprint-stays": (
        [
            {**delta(content="a"), "system_fingerprint": "fp1"},
            {**delta(content="b"), "system_fingerprint": "fp2"},
        ],
        {"system_fingerprint": "fp2"},
    ),
    "obfuscation-is-dropped": ([{**delta(content="a"), "obfuscation": "x"}], {"obfuscation": None}),
    "moderation-keeps-the-last": (
        [
            {
                **delta(content="a"),
                "moderation": {"input": {"type": "moderation_results", "model": "m", "results": []}},
            },
            {**delta(content="b"), "moderation": None},
        ],
        {"moderation": {"input": {"type": "moderation_results", "model": "m", "results": []}}},
    ),
    "metadata": ([{**delta(content="a"), "metadata": {"k": "v"}}], {"metadata": {"k": "v"}}),
    "metadata-of-another-kind-does-no-harm": ([{**delta(content="a"), "metadata": 5}], {"metadata": None}),
    "unknown-fields": (
        [
            {**delta(content="a"), "provider": "P", "list": [1]},
            {**delta(content="b"), "provider": "Q", "list": [2]},
        ],
        {"provider": "Q", "list": [1, 2]},
    ),
    "no-chunk-has-a-choice": ([chunk()], {"choices": []}),
    # openai-python [R] and openai-node [RN].
    "R6-usage-in-the-middle-then-null-is-lost": (
        [{**delta(content="a"), "usage": USAGE}, {**delta(finish="stop"), "usage": None}],
        {"usage": USAGE},
    ),
    "R6-usage-in-the-middle-then-missing-is-lost": (
        [chunk(usage=USAGE), delta(finish="stop")],
        {"usage": USAGE},
    ),
    "R6-the-fingerprint-then-null-is-lost": (
        [
            {**delta(content="a"), "system_fingerprint": "fp"},
            {**delta(content="b"), "system_fingerprint": None},
        ],
        {"system_fingerprint": "fp"},
    ),
    "R6-only-the-first-chunk-says-tier-id-and-model": (
        [{"choices": []}, {**delta(content="a"), "service_tier": "default"}],
        {"id": "c1", "model": "m", "service_tier": "default"},
    ),
    "RN-a-trailing-null-erases-usage": ([chunk(usage=USAGE), chunk(usage=None)], {"usage": USAGE}),
}


@pytest.mark.parametrize(("chunks", "expected"), COMPLETIONS.values(), ids=COMPLETIONS)
def test_what_chunks_make_of_a_completion(chunks, expected):
    value = whole(*chunks)
    assert {name: value.get(name) for name in expected} == expected


ENTRY = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}

# What chunks make of the choices.
CHOICES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "interleaved": (
        [delta(0, content="a"), delta(1, content="x"), delta(0, content="b"), delta(1, content="y")],
        [{"index": 0, "content": "ab"}, {"index": 1, "content": "xy"}],
    ),
    "several-in-one-chunk": (
        [chunk(*({"index": at, "delta": {"content": text}} for at, text in ((1, "x"), (0, "a"))))],
        [{"index": 0, "content": "a"}, {"index": 1, "content": "x"}],
    ),
    "missing-index-is-its-position": (
        [
            chunk({"delta": {"content": "a"}}, {"delta": {"content": "x"}}),
            chunk({"delta": {"content": "b"}}, {"delta": {"content": "y"}}),
            chunk({"delta": {"content": "c"}}),
        ],
        [{"index": 0, "content": "abc"}, {"index": 1, "content": "xy"}],
    ),
    "negative-index-is-its-position": (
        [delta(-1, content="a"), delta(-1, content="b")],
        [{"index": 0, "content": "ab"}],
    ),
    "finish-reason-is-never-cleared": (
        [delta(content="a", finish="length"), delta(), delta(finish="")],
        [{"index": 0, "content": "a", "finish_reason": "length"}],
    ),
    "an-empty-finish-reason-comes-first": (
        [delta(content="a", finish=""), delta(finish="stop")],
        [{"index": 0, "content": "a", "finish_reason": "stop"}],
    ),
    "content-after-the-finish-is-kept": (
        [delta(content="a", finish="stop"), delta(content="b")],
        [{"index": 0, "content": "ab", "finish_reason": "stop"}],
    ),
    "logprobs-extend": (
        [delta(content="a", choice={"logprobs": {"content": [ENTRY], "refusal": None}})] * 2
        + [delta(finish="stop", choice={"logprobs": None})],
        [
            {
                "index": 0,
                "content": "aa",
                "finish_reason": "stop",
                "logprobs": {"content": [ENTRY, ENTRY], "refusal": None},
            }
        ],
    ),
    "logprobs-of-a-refusal-extend": (
        [delta(refusal="a", choice={"logprobs": {"content": None, "refusal": [ENTRY]}})] * 2,
        [{"index": 0, "content": None, "logprobs": {"content": None, "refusal": [ENTRY, ENTRY]}}],
    ),
    "unknown-fields": (
        [
            delta(content="a", choice={"native_finish_reason": None, "content_filter_results": {}}),
            delta(choice={"native_finish_reason": "STOP", "content_filter_results": {"hate": 1}}),
        ],
        [{"index": 0, "content": "a", "native_finish_reason": "STOP", "content_filter_results": {"hate": 1}}],
    ),
    "a-message-beside-the-delta-changes-nothing": (
        [delta(content="a", choice={"message": {"content": "zzz"}})],
        [{"index": 0, "content": "a"}],
    ),
    "a-message-in-place-of-the-delta": (
        [chunk({"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"})],
        [{"index": 0, "content": "whole", "finish_reason": "stop"}],
    ),
    "the-last-message-in-place-of-deltas": (
        [chunk({"index": 0, "message": {"content": text}}) for text in ("who", "whole")],
        [{"index": 0, "content": "whole"}],
    ),
    "a-message-of-another-kind-does-no-harm": (
        [delta(content="a", choice={"message": message}) for message in ("x", 5, [1], {"content": ["x"]})],
        [{"index": 0, "content": "aaaa"}],
    ),
    "R5-a-first-index-of-1-fails": ([delta(1, content="x")], [{"index": 1, "content": "x"}]),
    "R5-sparse-indexes-fail": (
        [delta(0, content="a"), delta(7, content="x"), delta(3, content="m")],
        [{"index": 0, "content": "a"}, {"index": 3, "content": "m"}, {"index": 7, "content": "x"}],
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), CHOICES.values(), ids=CHOICES)
def test_what_chunks_make_of_choices(chunks, expected):
    blank = {"finish_reason": None, "logprobs": None}
    found = [
        {name: value for name, value in choice.items() if name != "message"}
        | {"content": choice["message"]["content"]}
        for choice in whole(*chunks)["choices"]
    ]
    assert found == [blank | choice for choice in expected]


def test_no_chunk_is_no_completion():
    """openai-python fails an assertion here [R13]."""
    assert accumulate([]) is None
    assert CompletionBuilder().completion is None


def test_the_role_is_the_assistants_where_no_chunk_says_it():
    assert whole(delta(content="a"))["choices"][0]["message"]["role"] == "assistant"
    assert whole(delta(role="", content="a"), delta(role="tool"))["choices"][0]["message"]["role"] == "tool"


def test_the_completion_can_be_had_at_any_moment_and_costs_nothing_later():
    builder = CompletionBuilder()
    for at in range(50):
        builder.add(decode_chunk(json.dumps(delta(content=chr(97 + at % 26))).encode()))
        completion = builder.completion
        assert completion is not None
        assert completion.choices[0].message.content == "".join(chr(97 + each % 26) for each in range(at + 1))


def test_a_completion_does_not_grow_when_more_chunks_come():
    builder = CompletionBuilder()
    builder.add(decode_chunk(json.dumps(delta(content="a", x=[1])).encode()))
    before = builder.completion
    builder.add(decode_chunk(json.dumps(delta(content="b", x=[2])).encode()))
    assert before is not None
    assert before.choices[0].message.content == "a"
    assert before.choices[0].message.model_extra == {"x": [1]}


def test_the_choices_of_different_chunks_may_come_in_any_order():
    """Of chunks that are about different choices, the order between choices does not matter."""
    first = [delta(0, content="a"), delta(0, content="b"), delta(0, finish="stop")]
    second = [delta(1, role="assistant"), delta(1, content="x"), delta(1, finish="length")]
    expected = whole(*first, *second)
    assert whole(*second, *first) == expected
    assert whole(second[0], first[0], first[1], second[1], second[2], first[2]) == expected


@pytest.mark.parametrize(("index", "position", "expected"), [(0, 3, 0), (9, 0, 9), (None, 2, 2), (-1, 0, 0)])
def test_the_index_of_a_choice(index, position, expected):
    part = typed(ChatCompletionChunk, chunk({"index": index, "delta": {}})).choices[0]
    assert choice_index(part, position) == expected


def tables(table: Any, cls: type[WireObject]) -> list[tuple[Any, type[WireObject]]]:
    """The table of each class below `cls`, beside the class."""
    found = [(table, cls)]
    hints = {
        "delta": "ChoiceDelta",
        "choices": "Choice",
        "logprobs": "ChoiceLogprobs",
        "audio": "ChoiceDeltaAudio",
    }
    hints |= {"tool_calls": "ChoiceDeltaToolCall", "function_call": "ChoiceDeltaFunctionCall"}
    hints |= {"function": "ChoiceDeltaToolCallFunction", "custom": "ChoiceDeltaToolCallCustom"}
    for name, rule in table.items():
        inner = rule.table if isinstance(rule, module.Indexed) else rule
        if isinstance(inner, dict):
            found += tables(inner, getattr(sys.modules[ChatCompletionChunk.__module__], hints[name]))
    return found


def test_each_field_of_a_chunk_has_its_rule():
    for table, cls in tables(module.CHUNK, ChatCompletionChunk):
        assert set(table) == set(cls.__struct_fields__), cls


# The inverse.

text = st.text(max_size=8) | st.sampled_from(["", "😀", "é\n", '{"a":1}', "\u2028", "null"])
scalar = st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | text | st.none()
novel = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2), max_leaves=4
)


def obj(
    required: dict[str, Any], optional: dict[str, Any] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the fields given, and perhaps with unknown ones."""
    return st.fixed_dictionaries(
        required, optional={**(optional or {}), "novel": novel, "other_novelty": novel}
    )


function_calls = obj(
    {"id": text, "type": st.just("function"), "function": obj({"name": text, "arguments": text})}
)
custom_calls = obj({"id": text, "type": st.just("custom"), "custom": obj({"name": text, "input": text})})
entries = obj(
    {
        "token": text,
        "logprob": st.floats(-9999, 0),
        "bytes": st.none() | st.lists(st.integers(0, 255), max_size=3),
        "top_logprobs": st.lists(
            obj({"token": text, "logprob": st.floats(-99, 0), "bytes": st.none()}), max_size=2
        ),
    }
)
messages = obj(
    {"role": st.just("assistant"), "content": st.none() | text, "refusal": st.none() | text},
    {
        "tool_calls": st.lists(function_calls | custom_calls, max_size=3),
        "function_call": obj({"name": text, "arguments": text}),
        "audio": obj({"id": text, "data": text, "transcript": text, "expires_at": st.integers(0, 2**33)}),
        "annotations": st.lists(
            obj(
                {
                    "type": st.just("url_citation"),
                    "url_citation": obj({"url": text, "start_index": st.integers(0, 9)}),
                }
            ),
            max_size=2,
        ),
        "reasoning_content": text,
        "reasoning": text,
    },
)
nullable_entries = st.none() | st.lists(entries, max_size=3)
logprobs = st.none() | obj({"content": nullable_entries, "refusal": nullable_entries})
choices = st.lists(
    obj(
        {
            "index": st.integers(0, 2**40),
            "message": messages,
            "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "abort"]),
            "logprobs": logprobs,
        }
    ),
    max_size=4,
    unique_by=lambda choice: choice["index"],
).map(lambda items: sorted(items, key=lambda choice: choice["index"]))
counts = st.integers(0, 10**6)
usages = obj(
    {"prompt_tokens": counts, "completion_tokens": counts, "total_tokens": counts},
    {"completion_tokens_details": obj({"reasoning_tokens": counts}), "prompt_tokens_details": obj({})},
)
completions = obj(
    {
        "id": st.sampled_from(["chatcmpl-1", ""]),
        "object": st.just("chat.completion"),
        "created": st.integers(0, 2**33),
        "model": text,
        "choices": choices,
    },
    {
        "usage": usages,
        "service_tier": st.sampled_from(["default", "flex"]),
        "system_fingerprint": text,
        "metadata": st.dictionaries(text, text, max_size=2),
    },
).map(ChatCompletion.model_validate)


@settings(max_examples=200, deadline=None)
@given(completions)
def test_split_is_the_inverse(completion):
    chunks = split(completion)
    assert accumulate(chunks) == completion
    again = accumulate(decode_chunk(encode(piece)) for piece in chunks)
    assert again == completion
    assert again.to_dict() == completion.to_dict()


@settings(max_examples=100, deadline=None)
@given(completions)
def test_what_split_makes_is_a_legal_stream(completion):
    """Each choice: its role first and once, one finish, nothing after it; usage in the last chunk alone."""
    chunks = [piece.to_dict() for piece in split(completion)]
    assert {(piece["id"], piece["created"], piece["model"], piece["object"]) for piece in chunks} == {
        (completion.id, completion.created, completion.model, "chat.completion.chunk")
    }
    parts = [part for piece in chunks for part in piece["choices"]]
    for choice in completion.choices:
        mine = [part for part in parts if part["index"] == choice.index]
        assert [at for at, part in enumerate(mine) if "role" in part["delta"]] == [0]
        assert [at for at, part in enumerate(mine) if part["finish_reason"] is not None] == [len(mine) - 1]
    used = [at for at, piece in enumerate(chunks) if piece.get("usage") is not None]
    assert used == ([len(chunks) - 1] if completion.usage is not None else [])
    assert not used or chunks[-1]["choices"] == []
    reader = StreamReader(n=0, dialect="off")
    for piece in split(completion):
        reader.feed(b"data: " + encode(piece) + b"\n\n")
    reader.feed(b"data: [DONE]\n\n")
    assert reader.outcome == "complete"
    assert reader.result() == completion


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"choices": [{}]},
        {"choices": [{"message": {}}, {"message": None}]},
        {"choices": [{"index": 0, "delta": 1, "message": {"tool_calls": [{"index": 5}, {"index": 5}]}}]},
        {"id": None, "usage": None, "choices": None},
    ],
    ids=repr,
)
def test_what_lacks_required_fields_can_be_split(value):
    completion = typed(ChatCompletion, value)
    again = accumulate(split(completion))
    assert again is not None
    assert len(again.choices) == len(completion.choices)
    assert [choice.message for choice in again.choices] == [choice.message for choice in completion.choices]


def test_a_recorded_answer_is_split_and_put_together(stream):
    once = accumulate(decode_chunk(data) for data in stream.events[: len(stream.chunks)])
    again = accumulate(split(once))
    assert again == once
    assert again.to_dict() == once.to_dict()


# The quick way of the usual chunk is only quicker.

deltas = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | st.sampled_from(["a", "", "\ud83d", "\ude00"]),
        "role": st.sampled_from(["assistant", ""]),
        "refusal": st.none() | text,
        "reasoning": text,
        "novel": novel,
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.integers(-1, 3) | st.none(),
                    "id": st.sampled_from(["", "t", "u"]),
                    "function": st.fixed_dictionaries({}, optional={"name": text, "arguments": text}),
                    "custom": st.fixed_dictionaries({}, optional={"name": text, "input": text}),
                },
            ),
            max_size=2,
        ),
        "annotations": novel,
        "audio": st.fixed_dictionaries({}, optional={"id": text, "data": text, "expires_at": counts}),
    },
)
contents = st.fixed_dictionaries({"content": st.sampled_from(["a", "b", "", "\ud83d", "\ude00"])})
moderation = {"input": {"type": "moderation_results", "model": "m", "results": []}}
# Mostly what is usual: one choice, with content and perhaps one thing more.
usual = st.builds(
    lambda index, delta, more, beside: chunk({"index": index, "delta": delta, **more}, **beside),
    st.sampled_from([0, 0, 0, 1]),
    contents | contents | contents | st.just({}),
    st.just({})
    | st.sampled_from(
        [{"finish_reason": "stop"}, {"finish_reason": None}, {"logprobs": {"content": [ENTRY]}}]
    ),
    st.just({})
    | st.sampled_from(
        [{"usage": USAGE}, {"system_fingerprint": "fp"}, {"service_tier": "flex"}, {"usage": None}]
    )
    | st.sampled_from(
        [{"moderation": moderation}, {"obfuscation": "x"}, {"id": "c2"}, {"system_fingerprint": "fp2"}]
    ),
)
odd_parts = st.fixed_dictionaries(
    {"delta": contents | deltas},
    optional={
        "index": st.sampled_from([0, 0, 1, 5, -1, None]),
        "finish_reason": st.sampled_from([None, "stop", ""]),
        "logprobs": st.none() | st.fixed_dictionaries({"content": nullable_entries}),
        "message": novel | st.fixed_dictionaries({}, optional={"content": novel, "tool_calls": novel}),
        "novel": novel,
    },
)
odd = st.fixed_dictionaries(
    {"choices": st.none() | st.lists(odd_parts, max_size=3)},
    optional={
        "id": st.sampled_from(["c1", ""]),
        "created": st.sampled_from([5, 0]),
        "model": st.sampled_from(["m", ""]),
        "usage": st.none() | usages,
        "system_fingerprint": st.sampled_from([None, "fp", ""]),
        "metadata": novel,
        "novel": novel,
    },
)


@settings(max_examples=400, deadline=None)
@given(st.lists(usual | usual | usual | odd, max_size=10), st.integers(0, 10))
def test_whatever_chunks_come_there_is_a_completion_and_the_quick_way_agrees(values, look):
    """`add` alone, and what a reader does with usual chunks, make the same; looking on the way changes nothing."""
    quick, slow = StreamReader(dialect="off"), CompletionBuilder()
    for at, value in enumerate(values):
        data = json.dumps(value).encode()
        try:
            slow.add(decode_chunk(data))
        except APIResponseValidationError:
            continue
        quick.feed(b"data: " + data + b"\n\n")
        if at == look:
            assert quick.completion == slow.completion
    assert quick.completion == slow.completion
    if slow.completion is not None and quick.completion is not None:
        assert quick.completion.to_dict() == slow.completion.to_dict()
        assert json.loads(encode(quick.completion)) is not None


# What it costs.


def calls_per_chunk(reader: StreamReader, event: bytes, chunks: int) -> float:
    """How many calls of functions, in Python and in C, one chunk takes."""
    calls = 0

    def count(_frame: Any, what: str, _arg: Any) -> None:
        nonlocal calls
        calls += what in ("call", "c_call")

    sys.setprofile(count)
    try:
        for _ in range(chunks):
            reader.feed(event)
    finally:
        sys.setprofile(None)
    return calls / chunks


EVENTS = {
    "content": delta(content="word "),
    "an-unknown-field": {**delta(content="word "), "provider": "P"},
    "tool-arguments": tools(call(0, "{}")),
    "tool-arguments-without-index": tools(call(None, "{}")),
    "reasoning": delta(reasoning_content="hm "),
    "logprobs": delta(content="a", choice={"logprobs": {"content": [ENTRY], "refusal": None}}),
    "running-usage": {**delta(content="a"), "usage": USAGE},
}


@pytest.mark.parametrize("accumulating", [True, False], ids=["accumulate", "pass"])
@pytest.mark.parametrize("value", EVENTS.values(), ids=EVENTS)
def test_a_late_chunk_takes_no_more_work_than_an_early_one(value, accumulating):
    event = event_of(value)
    reader = StreamReader(accumulate=accumulating)
    reader.feed(event_of(tools(call(0, "", "f", id="t", **FN))) + event * 10)
    early = calls_per_chunk(reader, event, 1000)
    reader.feed(event * 20_000)
    assert calls_per_chunk(reader, event, 1000) == pytest.approx(early, rel=0.01)


def seconds(reader: StreamReader, event: bytes) -> float:
    """The quickest of some reads of a thousand chunks."""

    def read() -> float:
        start = time.process_time()
        for _ in range(1000):
            reader.feed(event)
        return time.process_time() - start

    return min(read() for _ in range(10))


def test_the_millionth_chunk_takes_no_more_work_than_the_thousandth():
    event = event_of(delta(content="w"))
    reader = StreamReader()
    reader.feed(event * 1000)
    early, quick = calls_per_chunk(reader, event, 1000), seconds(reader, event)
    for _ in range(100):
        reader.feed(event * 9980)
    assert calls_per_chunk(reader, event, 1000) == pytest.approx(early, rel=0.01)
    assert seconds(reader, event) < 2 * quick
    assert reader.completion is not None
    assert len(reader.completion.choices[0].message.content or "") == 1_021_000


MAKERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "choices": lambda at: delta(at, content="a"),
    "calls": lambda at: tools(call(at, "{}", "f", id=f"t{at}")),
    "calls-without-index": lambda at: tools(call(None, "{}", "f", id=f"t{at}")),
    "calls-numbered-0": lambda at: tools(call(0, "{}", "f", id=f"t{at}")),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_ever_new_choices_and_calls_take_linear_time(make):
    """Eight times as many, as only a hostile server sends them, take about eight times as long, not 64."""

    def run(count: int) -> float:
        events = [event_of(make(at)) for at in range(count)]
        reader = StreamReader()
        gc.disable()  # which looks at all that the other tests have left
        try:
            start = time.process_time()
            for event in events:
                reader.feed(event)
            return time.process_time() - start
        finally:
            gc.enable()

    assert run(12_000) < 24 * min(run(1500) for _ in range(3))


def test_memory_is_flat_without_accumulating():
    event = event_of(delta(content="w" * 100))
    reader = StreamReader(accumulate=False)
    reader.feed(event * 100)
    tracemalloc.start()
    try:
        for _ in range(20):
            reader.feed(event * 500)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000
    assert reader.completion is None
    assert reader.last_chunk is not None


def test_accumulating_keeps_the_texts_and_not_the_chunks():
    event = event_of(delta(content="w" * 100))
    reader = StreamReader()
    reader.feed(event * 100)
    tracemalloc.start()
    try:
        for _ in range(20):
            reader.feed(event * 500)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000 * 250  # a text of 100 characters, its header, and its place in a list
