"""Streams of servers that say their role, the time, an id or the usage in each chunk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.protocol.dialect import Asked, Dialect
from duologue.protocol.read import StreamReader

HABITS = ("role-repeated", "id-changes", "created-changes", "usage-beside-choices")
TEXTS = ("content", "reasoning_content")

parts = st.fixed_dictionaries(
    {
        "index": st.sampled_from((0, 0, 0, 1)),
        "text": st.sampled_from(("content", "content", "content", "reasoning_content")),
        "role": st.booleans(),
        "id": st.sampled_from(("a", "a", "b")),
        "created": st.sampled_from((7, 7, 8, 9)),
        "usage": st.sampled_from((None, None, 1, 2)),
        "unknown": st.sampled_from((False, False, True)),
    }
)


def usage_of(number: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 5,
        "completion_tokens": number,
        "total_tokens": 5 + number,
        "completion_tokens_details": {"reasoning_tokens": number},
    }


def chunk_of(number: int, part: dict[str, Any], first: bool) -> dict[str, Any]:
    delta = {part["text"]: f"{number} "}
    if part["role"] or first:
        delta["role"] = "assistant"
    chunk = {
        "id": part["id"],
        "object": "chat.completion.chunk",
        "created": part["created"],
        "model": "m",
        "choices": [{"index": part["index"], "delta": delta, "finish_reason": None}],
    }
    if part["usage"] is not None:
        chunk["usage"] = usage_of(part["usage"])
    if part["unknown"]:
        chunk["provider"] = "somebody"
    return chunk


@pytest.mark.parametrize("dialect", ["repair", "off"])
@settings(max_examples=150, deadline=None)
@given(st.lists(parts, min_size=4, max_size=14))
def test_what_servers_say_in_each_chunk(dialect: Dialect, given_parts: list[dict[str, Any]]) -> None:
    """Each chunk is repaired, or left, as the only odd one would be; so is the whole."""
    begun: set[int] = set()
    chunks = []
    for number, part in enumerate(given_parts):
        chunks.append(chunk_of(number, part, part["index"] not in begun))
        begun.add(part["index"])
    ends = [
        {**chunks[0], "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]} for index in begun
    ]
    for end in ends:
        end.pop("usage", None)
    reader = StreamReader(asked=Asked(len(begun) if 1 in begun else 1, include_usage=True), dialect=dialect)
    came = [
        chunk
        for value in [*chunks, *ends]
        for chunk in reader.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
    ]
    reader.feed(b"data: [DONE]\n\n")

    said: set[int] = set()
    met: set[str] = set()
    first = chunks[0]
    for chunk, value in zip(came, chunks, strict=False):
        (choice,) = value["choices"]
        role = choice["delta"].get("role")
        if role and choice["index"] in said:
            met.add("role-repeated")
            role = None if dialect == "repair" else role
        if choice["delta"].get("role"):
            said.add(choice["index"])
        met |= {f"{name}-changes" for name in ("id", "created") if value[name] != first[name]}
        met |= {"usage-beside-choices"} if "usage" in value else set()
        identity = first if dialect == "repair" else value
        assert (chunk.id, chunk.created, chunk.choices[0].delta.role) == (
            identity["id"],
            identity["created"],
            role,
        )
        assert (chunk.usage.to_dict() if chunk.usage is not None else None) == value.get("usage")
        assert getattr(chunk, "provider", None) == value.get("provider")

    whole, usages = reader.completion, [value["usage"] for value in chunks if "usage" in value]
    assert whole is not None
    assert (whole.id, whole.created) == (first["id"], first["created"])
    assert (whole.usage.to_dict() if whole.usage is not None else None) == (usages[-1] if usages else None)
    assert reader.usage == whole.usage
    for choice in whole.choices:
        for name in TEXTS:
            texts = [
                value["choices"][0]["delta"].get(name, "")
                for value in chunks
                if value["choices"][0]["index"] == choice.index
            ]
            assert (getattr(choice.message, name) or "") == "".join(texts)
    assert {each.rule for each in reader.deviations} & set(HABITS) == met
    assert len(reader.deviations) == len({each.rule for each in reader.deviations})
