"""What a type checker sees of the scripted engine: every kind of turn, and the requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from duologue import RateLimitError, run_server
from duologue.engine import Engine, Reasoning, Text
from duologue.testing import Call, Part, Pause, Script
from duologue.types.chat import ChatRequest


def yielding(request: ChatRequest) -> Iterator[Part]:
    """A turn that is made of the request, part by part."""
    yield request.messages[-1].text
    yield Pause(1)


def returning(request: ChatRequest) -> str:
    """A turn that is made of the request."""
    return request.model


turns: list[Part] = ["a", Reasoning("b")]
script = Script("a", ["b", Text("c")], turns, Call("f", {"a": 1}), RateLimitError("x"), yielding, returning)
engine: Engine = script
assert_type(script.requests, list[ChatRequest])
with script as entered:
    assert_type(entered, Script)
with run_server(script) as url:
    assert_type(url, str)

Script(5)  # type: ignore[arg-type]  # a number is no turn
Call("f", 5)  # type: ignore[arg-type]  # nor is it arguments
