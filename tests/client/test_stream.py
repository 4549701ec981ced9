"""What a stream offers while it is read and afterwards."""

from __future__ import annotations

import asyncio
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from duologue import AsyncClient, Client, DuologueError
from duologue.protocol.transport import Deadlines, Head, Headers, Request
from support.steps import HEAD, StepByStep, piece
from support.wire import (
    COMPLETION,
    DONE,
    Peer,
    WireServer,
    chunk,
    event,
    events,
    json_answer,
    sse,
)

from .conftest import ASK, Driver

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def steps() -> StepByStep:
    last = event(chunk(finish="stop")) + event({**chunk(), "choices": [], "usage": USAGE}) + DONE
    first = chunk("Hel")
    first["choices"][0]["delta"]["role"] = "assistant"
    return StepByStep(event(first), event(chunk("lo")), last)


def test_everything_is_known_at_any_moment() -> None:
    """Completion, usage, timings, outcome: after each chunk, as far as it has come."""
    with WireServer(answer := steps()) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
        assert (stream.completion, stream.usage, stream.outcome, stream.error) == (None, None, None, None)
        assert stream.response.status_code == 200
        assert stream.timings.first_chunk is None

        answer.go_on()
        assert next(stream).text == "Hel"
        assert stream.completion is not None
        assert stream.completion.text == "Hel"
        assert stream.completion.choices[0].finish_reason is None
        assert stream.timings.chunks == 1

        answer.go_on()
        assert next(stream).text == "lo"
        assert stream.completion.text == "Hello"
        assert stream.outcome is None

        answer.go_on()
        assert [part.usage is not None for part in stream] == [False, True]
        assert stream.completion.choices[0].finish_reason == "stop"
        assert stream.usage is not None
        assert stream.usage.total_tokens == 5
        assert (stream.outcome, stream.deviations) == ("complete", [])


async def test_the_same_on_an_event_loop() -> None:
    """Each chunk is there as soon as it was sent."""
    with WireServer(answer := steps()) as server:
        async with AsyncClient(base_url=server.url) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            for said in ("Hel", "Hello"):
                answer.go_on()
                await anext(stream)
                assert stream.completion is not None
                assert stream.completion.text == said
                assert stream.outcome is None
            answer.go_on()
            assert len([part async for part in stream]) == 2
            assert (stream.outcome, stream.timings.chunks) == ("complete", 4)


def test_timings_are_in_order(both: Driver) -> None:
    """Seconds since the call, each moment not before the one that leads to it."""

    def answer(peer: Peer) -> None:
        peer.send(HEAD)
        for part in (b": hi\n\n", event(chunk("a")), event(chunk("b")), event(chunk(finish="stop")) + DONE):
            threading.Event().wait(0.02)
            peer.send(piece(part))
        peer.send(b"0\r\n\r\n")

    with WireServer(answer) as server:
        timings = both.read(base_url=server.url).stream.timings
    moments = [
        timings.connect,
        timings.headers,
        timings.first_byte,
        timings.first_chunk,
        timings.last_chunk,
        timings.duration,
    ]
    assert moments == sorted(moments)
    assert timings.first_chunk >= timings.first_byte + 0.01
    assert timings.chunks == 3
    pace = 2 / (timings.last_chunk - timings.first_chunk)
    assert timings.chunks_per_second == pytest.approx(pace)
    assert "first_chunk=" in repr(timings)


def test_one_read_has_no_pace(both: Driver) -> None:
    """Chunks that came together say nothing of a rate."""
    with WireServer(sse(events("a", "b"))) as server:
        assert both.read(base_url=server.url).stream.timings.chunks_per_second is None


def test_the_http_side(both: Driver) -> None:
    """Status, headers in any case, the request without its key, the server's name for the exchange."""
    with WireServer(sse(events("a"), headers={"X-Request-Id": "req_7", "X-RateLimit-Left": "9"})) as server:
        stream = both.read(base_url=server.url).stream
    response = stream.response
    assert stream.request_id == response.request_id == "req_7"
    assert response.headers["x-ratelimit-left"] == response.headers["X-RATELIMIT-LEFT"] == "9"
    assert "X-Ratelimit-Left" in response.headers
    assert response.headers.get("absent") is None
    assert (response.request.method, response.http_version) == ("POST", "1.1")
    assert response.request.url == f"{server.url}/chat/completions"


def test_the_answer_of_a_call_that_is_not_streamed(both: Driver) -> None:
    """The request id as openai-python names it, and the wire behind every object."""
    with WireServer(json_answer({**COMPLETION, "new": 1}, 200, {"x-request-id": "req_8"})) as server:
        completion = both.create(base_url=server.url)
    assert completion._request_id == "req_8"
    assert completion._response.status_code == 200
    assert completion.wire.extra == {"new": 1}
    assert completion.usage.total_tokens == 3


def test_the_final_completion() -> None:
    """It reads what is left, and carries the response like a completion that was not streamed."""
    answer = sse(events("Hel", "lo"), headers={"x-request-id": "r"})
    with WireServer(answer) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        completion = stream.get_final_completion()
        assert (completion.text, completion._request_id) == ("Hello", "r")
        assert stream.get_final_completion() == completion


async def test_the_final_completion_on_an_event_loop() -> None:
    """The same."""
    with WireServer(sse(events("Hel", "lo"))) as server:
        async with AsyncClient(base_url=server.url) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            await anext(stream)
            assert (await stream.get_final_completion()).text == "Hello"


def test_reading_in_turns() -> None:
    """`next` and a loop take from the same stream; after the end there is nothing."""
    with WireServer(sse(events("a", "b", "c"))) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        assert next(stream).text == "a"
        assert [part.text for part in stream] == ["b", "c", ""]
        assert list(stream) == []
        with pytest.raises(StopIteration):
            next(stream)
        assert isinstance(stream, Iterator)


async def test_reading_in_turns_on_an_event_loop() -> None:
    """The same with `anext`."""
    with WireServer(sse(events("a", "b", "c"))) as server:
        async with AsyncClient(base_url=server.url) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            assert (await anext(stream)).text == "a"
            assert [part.text async for part in stream] == ["b", "c", ""]
            with pytest.raises(StopAsyncIteration):
                await anext(stream)


def test_the_text_view() -> None:
    """Pieces of the first choice's content; role, usage and other choices give none."""
    other = {**chunk(), "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]}
    body = event(chunk("")) + event(chunk("He")) + event(other) + events("y")
    with WireServer(sse(body)) as server:
        with Client(base_url=server.url) as client:
            stream = client.chat.completions.create(**ASK, stream=True, n=2)
            assert list(stream.text) == ["He", "y"]

        async def read() -> list[str]:
            async with AsyncClient(base_url=server.url) as client:
                stream = await client.chat.completions.create(**ASK, stream=True, n=2)
                return [text async for text in stream.text]

        assert asyncio.run(read()) == ["He", "y"]


def test_without_accumulating(both: Driver) -> None:
    """There is no completion, errors carry the last chunk, and the outcome is known all the same."""
    with WireServer(sse(events("a"))) as server:
        reading = both.read(base_url=server.url, accumulate=False)
    assert (reading.stream.completion, reading.stream.outcome, reading.text) == (None, "complete", "a")
    with WireServer(sse(events("a", finish=None))) as server:
        reading = both.read(base_url=server.url, accumulate=False)
    assert reading.error is not None
    assert reading.error.completion is None
    assert reading.error.last_chunk is not None
    assert reading.error.last_chunk.text == "a"


def test_no_whole_completion_without_accumulating() -> None:
    """Asking for it says which option stands in the way."""
    with WireServer(sse(events("a"))) as server, Client(base_url=server.url, accumulate=False) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(DuologueError, match="accumulate=False"):
            stream.get_final_completion()


def test_the_partial_completion_can_be_returned() -> None:
    """With `on_truncated="return"` the final completion is what came."""
    answer = sse(events("a", finish=None))
    with WireServer(answer) as server, Client(base_url=server.url, on_truncated="return") as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        assert stream.get_final_completion().text == "a"
        assert stream.outcome == "truncated"


def test_usage_that_never_came(both: Driver) -> None:
    """Asked for and missing, it is listed; not asked for, it is not."""
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}}
    with WireServer(sse(events("a"))) as server:
        assert [d.rule for d in both.read(base_url=server.url, params=asked).stream.deviations] == [
            "no-usage"
        ]
        assert both.read(base_url=server.url).stream.deviations == []


def test_each_of_several_choices_is_expected(both: Driver) -> None:
    """`n` of the request says how many: one that never came is missing."""
    with WireServer(sse(events("a"))) as server:
        reading = both.read(base_url=server.url, params={"n": 2})
    assert reading.stream.outcome == "truncated"
    assert "choice 1" in str(reading.error)


def test_a_stream_shows_how_it_stands(both: Driver) -> None:
    """Its repr: outcome and number of chunks."""
    with WireServer(sse(events("a"))) as server:
        assert "complete, 2 chunks" in repr(both.read(base_url=server.url).stream)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_all_the_same(both: Driver, encoding: str) -> None:
    """Identity was asked for; a server that compresses is understood, chunk by chunk."""
    compress = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    parts = [event(chunk("Hel")), event(chunk("lo")) + event(chunk(finish="stop")) + DONE]
    body = [compress.compress(part) + compress.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    with WireServer(sse([*body, compress.flush()], headers={"content-encoding": encoding})) as server:
        reading = both.read(base_url=server.url)
    assert (reading.text, reading.stream.outcome) == ("Hello", "complete")
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_a_transport_of_ones_own() -> None:
    """The seam is small: a head, then bytes until there are none."""

    class Canned:
        def __init__(self) -> None:
            self.head = Head(200, Headers([("Content-Type", "text/event-stream")]), "1.1", time.monotonic())
            self.parts = [events("a"), b""]
            self.released = self.closed = 0
            self.requests: list[Request] = []

        def send(self, request: Request, deadlines: Deadlines) -> Any:
            self.requests.append(request)
            return self

        def read(self, by: float | None = None) -> bytes:
            return self.parts.pop(0)

        def release(self) -> None:
            self.released += 1

        def close(self) -> None:
            self.closed += 1

    canned = Canned()
    client = Client(base_url="http://h/v1", api_key="sk-1", transport=canned)
    stream = client.chat.completions.create(**ASK, stream=True)
    assert list(stream.text) == ["a"]
    assert canned.released == 1
    assert canned.requests[0].url == "http://h/v1/chat/completions"
    assert "sk-1" not in repr(canned.requests[0])
