"""A stream whose bytes never stop and whose chunks never come."""

from __future__ import annotations

import asyncio

import pytest

from duologue import AsyncClient, Client, StreamTimeoutError, Timeout, user_message

CHUNK = (
    b'data: {"id":"a","created":1,"model":"m","object":"chat.completion.chunk","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"Hello"},"finish_reason":null}]}\n\n'
)
ASK = {"model": "m", "messages": [user_message("Hi")]}
DEADLINES = Timeout(idle_content=0.1)


async def comments_for_ever(scope, receive, send):
    """Says one word, then only that it is still there."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    while True:
        await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})


def test_it_is_given_up():
    """`idle` counts any byte and never passes; `idle_content` counts chunks."""
    with Client(app=comments_for_ever, timeout=DEADLINES) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        with stream, pytest.raises(StreamTimeoutError, match="idle_content") as caught:
            for _ in stream:
                pass
    assert caught.value.phase == "idle_content"
    assert caught.value.completion is not None
    assert caught.value.completion.text == "Hello"
    assert stream.outcome == "truncated"


async def test_it_is_given_up_by_an_asynchronous_client():
    """The same."""
    async with AsyncClient(app=comments_for_ever, timeout=DEADLINES) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        async with stream:
            with pytest.raises(StreamTimeoutError, match="idle_content"):
                async for _ in stream:
                    pass
    assert stream.outcome == "truncated"
