"""The two ends of this package speak no dialect: a strict client finds nothing in what the server sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from duologue import Client
from duologue.engine import Finish, Reasoning, Refusal, Text, ToolArguments, ToolCall
from duologue.run import run_server

TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


class Scripted:
    """Answers what the user asks for by name."""

    models = ("scripted",)
    supports: dict[str, Any] = dict.fromkeys(("n", "tools"), "native")

    async def generate(self, request: Any) -> Any:
        for event in SCRIPTS[request.messages[-1].text]:
            yield event


SCRIPTS: dict[str, list[Any]] = {
    "text": [Reasoning("Hm."), "Hel", "lo 😀"],
    "choices": [Text("a", 0), Text("b", 1), Text("c", 0), Finish("stop", 1), Finish("length", 0)],
    "calls": [
        ToolCall("weather", id="a"),
        ToolArguments('{"city":'),
        ToolCall("weather", id="b", index=1),
        ToolArguments("{}", index=1),
        ToolArguments('"Ghent"}', index=0),
    ],
    "refusal": [Refusal("I can"), Refusal("not.")],
    "nothing": [],
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with run_server(Scripted()) as url, Client(base_url=url, dialect="strict", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("usage", [True, False], ids=["usage", "no-usage"])
@pytest.mark.parametrize("what", SCRIPTS)
def test_a_strict_client_finds_nothing(client: Client, what: str, usage: bool) -> None:
    """Streamed and not streamed."""
    params: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": what}]}
    params |= {"n": 2} if what == "choices" else {"tools": [TOOL]} if what == "calls" else {}
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
    stream = client.chat.completions.create(**params, **options, stream=True)
    whole = stream.get_final_completion()
    assert (stream.outcome, stream.deviations) == ("complete", [])
    assert (whole.usage is not None) == usage
    assert client.chat.completions.create(**params)._response.deviations == ()
