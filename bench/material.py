"""The streams that are measured: chunks of the shapes that servers send."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["chunk", "frames"]

WORDS = ("The", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "then", "it", "rests")


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


def frames(count: int, **unknown: Any) -> list[bytes]:
    """A stream of `count` text chunks as server-sent events; `unknown` fields are added to each."""
    chunks = [chunk({"role": "assistant", "content": "", "refusal": None}, **unknown)]
    chunks += [chunk({"content": f" {WORDS[at % len(WORDS)]}"}, **unknown) for at in range(count)]
    chunks.append(chunk({}, "stop", **unknown))
    events = [b"data: " + json.dumps(each, separators=(",", ":")).encode() + b"\n\n" for each in chunks]
    return [*events, b"data: [DONE]\n\n"]
