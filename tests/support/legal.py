"""Whether bytes are a legal stream of chat completion chunks, by the protocol's own rules.

Written from the specification with `json` and dicts alone, so that it shares no mistake with the package.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["check_completion", "check_stream"]

FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
HEAD = ("id", "object", "created", "model")
TEXTS = ("content", "refusal", "reasoning_content")
TEXT_OF_KIND = {"function": "arguments", "custom": "input"}


def check_stream(
    data: bytes, *, n: int = 1, include_usage: bool = False
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The chunks and, where the stream failed, its error. Raises `AssertionError` for an illegal stream."""
    events = _events(data)
    assert events, "a stream has at least [DONE]"
    assert events[-1] == "[DONE]", "[DONE] comes last"
    assert events.count("[DONE]") == 1, "[DONE] comes once"
    values = [json.loads(event, parse_constant=_no_constant) for event in events[:-1]]
    error = None
    if values and "error" in values[-1]:
        error = values.pop()
        _check_error(error)
    assert all("error" not in value for value in values), "nothing but [DONE] follows an error"
    _check_chunks(values, n, include_usage, failed=error is not None)
    return values, error


def check_completion(completion: dict[str, Any], *, n: int = 1) -> None:
    """Whether a JSON value is a legal completion that was not streamed."""
    _check_head(completion, "chat.completion")
    assert [choice["index"] for choice in completion["choices"]] == list(range(n))
    for choice in completion["choices"]:
        assert choice.keys() >= {"finish_reason", "index", "message", "logprobs"}
        assert choice["finish_reason"] in FINISH_REASONS
        message = choice["message"]
        assert message.keys() >= {"role", "content", "refusal"}
        assert message["role"] == "assistant"
        for call in message.get("tool_calls", ()):
            assert call.keys() == {"id", "type", call["type"]}
            assert call[call["type"]].keys() == {"name", TEXT_OF_KIND[call["type"]]}
    _check_usage(completion["usage"])


def _events(data: bytes) -> list[str]:
    """The data of each event. Only what every reader takes: one `data:` line, a blank line, or a comment."""
    text = data.decode("utf-8")
    assert "\r" not in text
    blocks = text.split("\n\n")
    assert blocks.pop() == "", "the stream ends with a blank line"
    events = []
    for block in blocks:
        if block.startswith(":"):
            continue
        assert block.startswith("data: "), f"not a data line: {block[:60]!r}"
        assert "\n" not in block, "one line of data for each event"
        events.append(block.removeprefix("data: "))
    return events


def _check_chunks(chunks: list[dict[str, Any]], n: int, include_usage: bool, *, failed: bool) -> None:
    states = [_Choice() for _ in range(n)]
    for at, chunk in enumerate(chunks):
        _check_head(chunk, "chat.completion.chunk")
        assert all(chunk[name] == chunks[0][name] for name in HEAD), "one identity for all chunks"
        if chunk["choices"] == []:
            assert include_usage, "a chunk without choices only brings the usage that was asked for"
            assert at == len(chunks) - 1, "the usage comes last"
            assert not failed
            _check_usage(chunk["usage"])
            continue
        assert ("usage" in chunk) == include_usage, "usage is null on every chunk if asked for, else absent"
        assert chunk.get("usage") is None
        for choice in chunk["choices"]:
            assert choice.keys() == {"index", "delta", "logprobs", "finish_reason"}
            assert choice["index"] in range(n)
            states[choice["index"]].take(choice)
    if not failed:
        assert all(state.finished for state in states), "every choice finishes"
        assert (chunks[-1]["choices"] == []) == include_usage, "the usage comes if asked for"


class _Choice:
    """What has come of one choice."""

    def __init__(self) -> None:
        self.opened = self.finished = False
        self.calls: dict[int, str] = {}

    def take(self, choice: dict[str, Any]) -> None:
        assert not self.finished, "nothing follows a finish"
        delta = choice["delta"]
        assert ("role" in delta) == (not self.opened), "the role comes first and once"
        self.opened = True
        assert delta.get("role", "assistant") == "assistant"
        for name in TEXTS:
            assert isinstance(delta.get(name), (str, type(None)))
        for call in delta.get("tool_calls", ()):
            self._take_call(call)
        if choice["logprobs"] is not None:
            assert choice["logprobs"].keys() == {"content", "refusal"}
            for entry in (*(choice["logprobs"]["content"] or ()), *(choice["logprobs"]["refusal"] or ())):
                assert entry.keys() >= {"token", "logprob", "bytes", "top_logprobs"}
        if choice["finish_reason"] is not None:
            assert choice["finish_reason"] in FINISH_REASONS
            assert delta.keys() <= {"role", "content", "refusal"}
            self.finished = True

    def _take_call(self, call: dict[str, Any]) -> None:
        index = call["index"]
        if index not in self.calls:
            assert index == len(self.calls), "calls are numbered without gaps"
            kind = self.calls[index] = call["type"]
            assert call.keys() == {"index", "id", "type", kind}
            assert isinstance(call["id"], str)
            assert call["id"]
            assert call[kind].keys() == {"name", TEXT_OF_KIND[kind]}
        else:
            kind = self.calls[index]
            assert call.keys() == {"index", kind}, "id, type and name come once"
            assert call[kind].keys() == {TEXT_OF_KIND[kind]}
        assert all(isinstance(value, str) for value in call[kind].values())


def _check_head(value: dict[str, Any], kind: str) -> None:
    assert value["object"] == kind
    assert isinstance(value["id"], str)
    assert type(value["created"]) is int
    assert isinstance(value["model"], str)
    assert isinstance(value["choices"], list)


def _check_usage(usage: dict[str, Any]) -> None:
    counts = [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    assert all(type(count) is int and count >= 0 for count in counts)
    assert counts[0] + counts[1] == counts[2]


def _check_error(event: dict[str, Any]) -> None:
    assert event.keys() == {"error"}
    error = event["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert isinstance(error["param"], (str, type(None)))
    assert isinstance(error["code"], (str, type(None)))


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")
