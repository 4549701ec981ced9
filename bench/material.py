"""The streams that are measured: chunks of the shapes that servers send."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FORMS", "SHAPES", "chunk", "completion", "frames", "frames_of"]

WORDS = ("The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "then", "it", "rests")
CHOICES = 4
TOP_LOGPROBS = 5
CHUNKS_A_SECOND = 50


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk with one choice, as the OpenAI API sends it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-ABfw1e5abtU8OwGr15vOreYVb2MiF",
        "object": "chat.completion.chunk",
        "created": 1727346169,
        "model": "gpt-4o-2024-08-06",
        "system_fingerprint": "fp_5050236cbd",
        "choices": [choice],
        **more,
    }


def frames(count: int, form: str = "") -> list[bytes]:
    """A stream of `count` text chunks as server-sent events: as the OpenAI API sends it, or in one of `FORMS`."""
    chunks = [chunk({"role": "assistant", "content": "", "refusal": None})]
    chunks += [chunk({"content": word(at)}) for at in range(count)]
    chunks.append(chunk({}, "stop"))
    return _events([FORMS[form](at, each) for at, each in enumerate(chunks)] if form else chunks)


def frames_of(shape: str, count: int) -> list[bytes]:
    """A stream of `count` chunks of one of `SHAPES`, with its first and last chunks and `[DONE]`."""
    choices = range(CHOICES if shape == "n4" else 1)
    begin = chunk({"role": "assistant", "content": None if shape in ("tools", "thoughts") else ""})
    end = chunk({}, "tool_calls" if shape == "tools" else "stop")
    chunks = [_at(begin, index) for index in choices]
    chunks += [SHAPES[shape](at) for at in range(count)]
    return _events(chunks + [_at(end, index) for index in choices])


def completion(shape: str, count: int) -> bytes:
    """The same as one answer that is not streamed, of text, with or without logprobs."""
    text = "".join(word(at) for at in range(count))
    scores = (
        {"content": [logprob(at) for at in range(count)], "refusal": None} if shape == "logprobs" else None
    )
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": scores, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": count + 9}
    whole = {**chunk({}), "object": "chat.completion", "choices": [choice], "usage": usage}
    return json.dumps(whole, separators=(",", ":")).encode()


def word(at: int) -> str:
    """The text of one chunk."""
    return f" {WORDS[at % len(WORDS)]}"


def logprob(at: int) -> dict[str, Any]:
    """What goes with a token when logprobs are asked for."""
    tokens = [
        {"token": word(at + i), "logprob": -0.25 - i, "bytes": list(word(at + i).encode())}
        for i in range(TOP_LOGPROBS)
    ]
    return {**tokens[0], "top_logprobs": tokens}


def _text(at: int) -> dict[str, Any]:
    return chunk({"content": word(at)})


def _scored(at: int) -> dict[str, Any]:
    scored = _text(at)
    scored["choices"][0]["logprobs"] = {"content": [logprob(at)], "refusal": None}
    return scored


def _called(at: int) -> dict[str, Any]:
    named: dict[str, Any] = {"id": "call_1", "type": "function"} if not at else {}
    function = {"name": "find", "arguments": '{"text":"'} if not at else {"arguments": word(at)}
    return chunk({"tool_calls": [{"index": 0, **named, "function": function}]})


def _thought(at: int) -> dict[str, Any]:
    return chunk({"content": None, "reasoning_content": word(at)})


# The items of an array of numbers: a structured answer that can be as long as one likes.
def _item(at: int) -> dict[str, Any]:
    return chunk({"content": f"{at % 10}," if at else '{"items":['})


# --- what other servers make of a chunk of the OpenAI API, by its number in the stream --------------------------


def _unknown(at: int, whole: dict[str, Any]) -> dict[str, Any]:
    return {**whole, "provider": "someone", "timings": {"predicted_ms": 12.5}}


def _roles(at: int, whole: dict[str, Any]) -> dict[str, Any]:
    choice = whole["choices"][0]
    return {**whole, "choices": [{**choice, "delta": {"role": "assistant", **choice["delta"]}}]}


def _usage(at: int, whole: dict[str, Any]) -> dict[str, Any]:
    return {**whole, "usage": {"prompt_tokens": 9, "total_tokens": at + 9, "completion_tokens": at}}


def _clock(at: int, whole: dict[str, Any]) -> dict[str, Any]:
    return {**whole, "created": whole["created"] + at // CHUNKS_A_SECOND}


def _openrouter(at: int, whole: dict[str, Any]) -> dict[str, Any]:
    choice = whole["choices"][0]
    delta = {"role": "assistant", "content": "", **choice["delta"]}
    end = choice["finish_reason"]
    return {
        "id": "gen-1727346169-Jw3XbkqPq1mUOPy2sCZa",
        "provider": "OpenAI",
        "model": "openai/gpt-4o",
        "object": "chat.completion.chunk",
        "created": whole["created"],
        "choices": [
            {
                "index": 0,
                "delta": delta,
                "finish_reason": end,
                "native_finish_reason": end,
                "logprobs": None,
            }
        ],
        "system_fingerprint": whole["system_fingerprint"],
    }


FORMS: Mapping[str, Callable[[int, dict[str, Any]], dict[str, Any]]] = {
    "unknown fields": _unknown,
    "a role in each delta": _roles,
    "usage in each chunk": _usage,
    "a clock in created": _clock,
    "OpenRouter's form": _openrouter,
}


def _at(whole: dict[str, Any], index: int) -> dict[str, Any]:
    return {**whole, "choices": [{**whole["choices"][0], "index": index}]}


# What a chunk is, by its number in the stream.
SHAPES: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "content": _text,
    "tools": _called,
    "thoughts": _thought,
    "logprobs": _scored,
    "n4": lambda at: _at(_text(at), at % CHOICES),
    "items": _item,
}


def _events(chunks: list[dict[str, Any]]) -> list[bytes]:
    events = [b"data: " + json.dumps(each, separators=(",", ":")).encode() + b"\n\n" for each in chunks]
    return [*events, b"data: [DONE]\n\n"]
