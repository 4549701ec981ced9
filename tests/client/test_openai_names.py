"""Names that programs written for openai-python use of an answer's HTTP side."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from duologue import AsyncClient, Client, create_app, user_message
from duologue.testing import Script

ASK: Any = {"model": "script", "messages": [user_message("Hi")]}


def test_raw_and_unread_answers() -> None:
    """`is_closed` and `http_request`."""
    with Script("Hello.", "Hello.") as script, Client(app=create_app(script)) as client:
        raw = client.chat.completions.with_raw_response.create(**ASK)
        assert raw.is_closed
        assert (raw.http_request.method, raw.http_request.url) == (raw.method, raw.url)
        with client.chat.completions.with_streaming_response.create(**ASK) as unread:
            assert not unread.is_closed
            assert unread.http_request.url.endswith("/chat/completions")
            unread.read()
            assert unread.is_closed


def test_a_stream_is_left_by_its_response() -> None:
    """`stream.response.close()`; it may be asked twice, and can be kept."""
    with Script("Hello, dear world.") as script, Client(app=create_app(script)) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        response = stream.response
        response.close()
        response.close()
        assert (stream.outcome, response.status_code) == ("cancelled", 200)
        assert pickle.loads(pickle.dumps(response)).request_id == response.request_id


@pytest.mark.parametrize("before", [0, 1], ids=["at-once", "after-a-chunk"])
async def test_an_asynchronous_stream_is_left_by_its_response(before: int) -> None:
    """`await stream.response.aclose()`."""
    with Script("Hello, dear world.") as script:
        async with AsyncClient(app=create_app(script)) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            for _ in range(before):
                await anext(stream)
            await stream.response.aclose()
            assert stream.outcome == "cancelled"


def test_what_is_kept_does_not_keep_the_stream() -> None:
    """An answer's response has no way back to the stream that it came by."""
    with Script("Hello.") as script, Client(app=create_app(script)) as client:
        whole = client.chat.completions.create(**ASK, stream=True).get_final_completion()
    assert type(whole.response).__name__ == "APIResponse"


async def test_beta() -> None:
    """`client.beta.chat.completions`, where `parse` and `stream` once were."""
    with Script("Hello.", "Hello.") as script:
        client = Client(app=create_app(script))
        with client.beta.chat.completions.stream(**ASK) as stream:
            assert stream.get_final_completion().text == "Hello."
        async with AsyncClient(app=create_app(script)) as other:
            assert (await other.beta.chat.completions.create(**ASK)).text == "Hello."
        client.close()
