"""The two ends of this package speak no dialect: a strict client finds nothing in what the server sends."""

from __future__ import annotations

from typing import Any

import pytest

from duologue import Client
from support.pair_app import SCRIPTS

TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


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
