"""`with_raw_response` and `with_streaming_response`: the HTTP answer, and what is made of it."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from duologue import (
    APIConnectionError,
    APIResponseValidationError,
    AsyncClient,
    Client,
    DuologueError,
    RateLimitError,
)
from duologue.client.unread import AsyncStreamedResponse, StreamedResponse
from duologue.types.chat import ChatCompletion
from support.wire import COMPLETION, DONE, WireServer, chunk, event, events, json_answer, sse

from .conftest import ASK

HEADERS = {"x-request-id": "req_1", "X-Custom": "yes"}
NO_COMPLETION = json_answer({"hello": 1})


def raw(client: Client | AsyncClient, **params: Any) -> Any:
    """The raw answer to a call of either client."""
    create: Any = client.chat.completions.with_raw_response.create
    answer = create(**ASK, **params)
    return asyncio.run(answer) if inspect.isawaitable(answer) else answer


def client_of(kind: type[Any], server: WireServer, **options: Any) -> Any:
    return kind(base_url=server.url, api_key="k", **{"max_retries": 0, **options})


both = pytest.mark.parametrize("kind", [Client, AsyncClient], ids=["sync", "async"])


@both
def test_a_raw_answer_has_head_and_body_and_parses(kind: type[Any]) -> None:
    """The head and the bytes as they came; `parse` gives what `create` returns, the same object each time."""
    with WireServer(json_answer(COMPLETION, headers=HEADERS)) as server:
        answer = raw(client_of(kind, server))
    assert (answer.status_code, answer.request_id, answer.retries_taken) == (200, "req_1", 0)
    assert (answer.headers["x-custom"], answer.http_version, answer.method) == ("yes", "HTTP/1.1", "POST")
    assert answer.url == f"{server.url}/chat/completions"
    assert b'"content": "Hello there"' in answer.content
    assert answer.text == answer.content.decode()
    assert answer.elapsed.total_seconds() == pytest.approx(answer.http_response.timings.duration, abs=1e-5)
    completion = answer.parse()
    assert isinstance(completion, ChatCompletion)
    assert completion is answer.parse()
    assert (completion.text, completion._request_id) == ("Hello there", "req_1")


@both
def test_a_body_that_cannot_be_read_is_there_all_the_same(kind: type[Any]) -> None:
    """Only `parse` raises."""
    with WireServer(NO_COMPLETION) as server:
        answer = raw(client_of(kind, server))
    assert answer.content == b'{"hello": 1}'
    with pytest.raises(APIResponseValidationError, match="no `choices`"):
        answer.parse()


@both
def test_an_error_is_raised_and_attempts_are_counted(kind: type[Any]) -> None:
    """As by `create`."""
    slow = json_answer({"error": {"message": "slow down"}}, 429, {"retry-after-ms": "1"})
    with WireServer(slow, slow, json_answer(COMPLETION)) as server:
        with pytest.raises(RateLimitError):
            raw(client_of(kind, server))
        assert raw(client_of(kind, server, max_retries=1)).retries_taken == 1


def test_a_raw_stream() -> None:
    """`parse` gives the stream, which alone reads the body."""
    with WireServer(sse(events("a", "b"), headers=HEADERS)) as server, client_of(Client, server) as client:
        answer = raw(client, stream=True)
        assert answer.headers["x-custom"] == "yes"
        with pytest.raises(DuologueError, match="with_streaming_response"):
            _ = answer.content
        assert [piece.text for piece in answer.parse()] == ["a", "b", ""]


async def test_a_raw_stream_awaited() -> None:
    """The same for an event loop."""
    with WireServer(sse(events("a", "b"))) as server:
        async with client_of(AsyncClient, server) as client:
            answer = await client.chat.completions.with_raw_response.create(**ASK, stream=True)
            assert [piece.text async for piece in answer.parse()] == ["a", "b", ""]


def unread(client: Client, **params: Any) -> Any:
    return client.chat.completions.with_streaming_response.create(**{**ASK, **params})


LEFT = sse(event(chunk("Hello there")), ending="open")
BODY = event(chunk("é")) + event(chunk(finish="stop")) + DONE


def test_lines_come_as_they_arrive() -> None:
    """Cut anywhere, in a character too; the request is sent when `with` is entered."""
    pieces = [BODY[at : at + 7] for at in range(0, len(BODY), 7)]
    with WireServer(sse(pieces)) as server, client_of(Client, server) as client:
        manager = unread(client, stream=True)
        assert server.asked == []
        with manager as answer:
            assert isinstance(answer, StreamedResponse)
            assert answer.status_code == 200
            lines = list(answer.iter_lines())
        assert "\n".join(lines) + "\n" == BODY.decode()
        assert answer.is_closed
        with unread(client, stream=True) as answer:
            assert b"".join(answer.iter_bytes()) == BODY
        with unread(client, stream=True) as answer:
            assert "".join(answer.iter_text()) == BODY.decode()
    assert server.connections == 1


def test_what_is_not_read_is_left() -> None:
    """Leaving `with` closes the connection: the server need not say all of it."""
    with WireServer(sse(BODY, ending="open")) as server, client_of(Client, server) as client:
        with unread(client, stream=True) as answer:
            next(answer.iter_bytes())
            assert not answer.is_closed
        assert answer.is_closed


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_it_parses_as_create_does(stream: bool) -> None:
    """A completion, or a stream that is closed with the answer."""
    answers = LEFT if stream else json_answer(COMPLETION)
    with WireServer(answers) as server, client_of(Client, server) as client:
        with unread(client, stream=stream) as answer:
            parsed = answer.parse()
            assert parsed is answer.parse()
            text = next(parsed.text) if stream else parsed.text
        assert text == "Hello there"
        assert not stream or parsed.outcome == "cancelled"


def test_json_and_text_of_the_body() -> None:
    """Read once, and kept."""
    with WireServer(NO_COMPLETION) as server, client_of(Client, server) as client, unread(client) as answer:
        assert answer.json() == {"hello": 1}
        assert answer.text() == '{"hello": 1}'
        assert answer.read() == b'{"hello": 1}'


def test_a_body_comes_only_once() -> None:
    """What was read piece by piece is gone."""
    served = WireServer(json_answer(COMPLETION))
    with served as server, client_of(Client, server) as client, unread(client) as answer:
        list(answer.iter_bytes())
        with pytest.raises(DuologueError, match="only once"):
            answer.read()


def test_a_body_that_breaks_off() -> None:
    """Whoever reads it is told, with what is known of the answer."""
    cut = sse(BODY, cut=30, ending="reset", headers=HEADERS)
    with WireServer(cut) as server, client_of(Client, server) as client:
        answer = unread(client, stream=True).__enter__()
        with pytest.raises(APIConnectionError) as caught:
            list(answer.iter_bytes())
    assert (caught.value.request_id, caught.value.response.status_code) == ("req_1", 200)


def test_a_line_is_bounded() -> None:
    """One that does not end is given up at `max_event_bytes`."""
    with WireServer(sse(b"x" * 5000)) as server, client_of(Client, server, max_event_bytes=1000) as client:
        create = client.chat.completions.with_streaming_response.create
        with pytest.raises(APIResponseValidationError, match="1000"), create(**ASK, stream=True) as answer:
            list(answer.iter_lines())


async def test_unread_answers_awaited() -> None:
    """Each way to read, for an event loop."""
    whole, stream = json_answer(COMPLETION), sse(BODY)
    with WireServer(whole, whole, whole, stream, stream, stream, LEFT) as server:
        async with client_of(AsyncClient, server) as client:
            create = client.chat.completions.with_streaming_response.create
            async with create(**ASK) as answer:
                assert isinstance(answer, AsyncStreamedResponse)
                assert (await answer.parse()).text == "Hello there"
            async with create(**ASK) as answer:
                assert (await answer.json())["id"] == "chatcmpl-1"
            async with create(**ASK) as answer:
                assert await answer.text() == (await answer.read()).decode()
            async with create(**ASK, stream=True) as answer:
                assert "\n".join([line async for line in answer.iter_lines()]) + "\n" == BODY.decode()
            async with create(**ASK, stream=True) as answer:
                assert b"".join([data async for data in answer.iter_bytes()]) == BODY
            async with create(**ASK, stream=True) as answer:
                assert "".join([text async for text in answer.iter_text()]) == BODY.decode()
            async with create(**ASK, stream=True) as answer:
                stream = await answer.parse()
                assert (await anext(stream)).text == "Hello there"
            assert (stream.outcome, answer.is_closed) == ("cancelled", True)
