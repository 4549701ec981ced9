"""Big messages: a request with a megabyte of messages and 128 tools; 32 000 tokens with logprobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .client import RARELY, measures
from .rounds import Comparison, compare_all, effort
from .source import serving

__all__ = ["run"]

MESSAGES, MESSAGE_BYTES = 100, 10_000
TOOLS = 128
TOKENS = 32_000


def run() -> Iterator[Comparison]:
    """CPU per request, one after the other."""
    long = {"model": "content-10-0", "messages": _messages(), "tools": _tools()}
    scored = {"model": f"logprobs-{effort.of(TOKENS)}-0", "logprobs": True, "top_logprobs": 5}
    cases: Mapping[str, tuple[Mapping[str, Any], int, int]] = {
        f"1 MB of messages, {TOOLS} tools": (long, 20, 10),
        f"{TOKENS} tokens with logprobs": (scored, 3, effort.of(TOKENS)),
    }
    with serving() as url:
        for title, (asked, count, words) in cases.items():
            requests = effort.of(count)
            yield from compare_all(
                f"big, {title}",
                {"CPU": "µs per request"},
                measures(url, "whole", requests, requests, asked, words),
                ours="duologue",
                beside=("openai",),
                rounds=5,
                rarely=RARELY,
            )


def _messages() -> list[dict[str, str]]:
    text = "The quick brown fox. " * (MESSAGE_BYTES // 21)
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at in range(MESSAGES)]


def _tools() -> list[dict[str, Any]]:
    field = {"type": "string", "description": "What is looked for."}
    schema = {
        "type": "object",
        "properties": {"query": field, "limit": {"type": "integer"}},
        "required": ["query"],
    }
    return [
        {
            "type": "function",
            "function": {"name": f"find_{at}", "description": "Finds it.", "parameters": schema},
        }
        for at in range(TOOLS)
    ]
