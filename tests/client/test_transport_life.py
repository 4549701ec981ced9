"""What a transport holds, resends, passes over and says: sessions, kept connections, early heads, secrets."""

from __future__ import annotations

import gc
import pickle
import time
import traceback
from typing import Any

import pytest

from duologue import (
    APIConnectionError,
    AsyncClient,
    Client,
    DuologueError,
    StreamTruncatedError,
    Timeout,
)
from support.steps import HEAD, piece
from support.wire import CHUNK, COMPLETION, Peer, WireServer, events, json_answer, raw, sse

from .conftest import ASK, Driver

SECRET = "sk-SECRET"


# --- the life of a session ------------------------------------------------------------------------------


async def test_a_stream_outlives_its_dropped_client() -> None:
    """Nobody holds the client any more, and the stream is read to its end."""

    def slow(peer: Peer) -> None:
        peer.send(HEAD + piece(CHUNK))
        time.sleep(0.1)
        peer.send(piece(events("!")) + b"0\r\n\r\n")

    async def ask(url: str) -> Any:
        client = AsyncClient(base_url=url, api_key="k", max_retries=0, timeout=2)
        return await client.chat.completions.create(**ASK, stream=True)

    with WireServer(slow) as server:
        stream = await ask(server.url)
        gc.collect()
        assert "".join([chunk.text async for chunk in stream]) == "Hello!"
    assert stream.outcome == "complete"


async def test_a_stream_of_a_closed_client_is_cut() -> None:
    """Closing the client breaks the connection; what leaves the stream is an error of this package."""
    with WireServer(raw(HEAD + piece(CHUNK), ending="open")) as server:
        async with AsyncClient(base_url=server.url, api_key="k", max_retries=0, timeout=2) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(StreamTruncatedError):
            async for _ in stream:
                pass


# --- sent once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_request_that_may_have_been_taken_is_sent_once(how: str, every: Driver) -> None:
    """The server reads the second request and closes its kept connection: without retries that is the end."""

    def answer(peer: Peer) -> None:
        if len(server.asked) == 2:
            getattr(peer, how)()
        else:
            sse(events("Hello"))(peer)

    with WireServer(answer) as server, pytest.raises(APIConnectionError):
        every.read(2, base_url=server.url, max_retries=0)
    assert [asked.connection for asked in server.asked] == [0, 0]


async def test_a_connection_closed_while_the_loop_was_busy_is_not_used() -> None:
    """The loop had no time to see the end of the connection; it is looked for before the request is sent."""

    def answer(peer: Peer) -> None:
        json_answer(COMPLETION)(peer)
        time.sleep(0.02)
        peer.close()

    with WireServer(answer) as server:
        async with AsyncClient(base_url=server.url, api_key="k", max_retries=0) as client:
            for _ in range(2):
                await client.chat.completions.create(**ASK)
                time.sleep(0.1)  # noqa: ASYNC251 - a busy loop is what this is about
    assert [asked.connection for asked in server.asked] == [0, 1]


async def test_a_list_of_models_is_asked_for_once() -> None:
    """A GET, too, is not sent again behind the back of `max_retries`."""

    def answer(peer: Peer) -> None:
        if len(server.asked) == 2:
            peer.close()
        else:
            json_answer({"object": "list", "data": []})(peer)

    with WireServer(answer) as server:
        async with AsyncClient(base_url=server.url, api_key="k", max_retries=0) as client:
            await client.models.list()
            with pytest.raises(APIConnectionError):
                await client.models.list()
    assert [asked.connection for asked in server.asked] == [0, 0]


# --- broken framing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [b"", CHUNK], ids=["alone", "after-data"])
def test_broken_framing_ends_a_stream_at_once(last: bytes, every: Driver) -> None:
    """What had arrived is delivered, and nobody waits for the deadline."""

    def answer(peer: Peer) -> None:
        peer.send(HEAD + piece(CHUNK))
        time.sleep(0.05)
        peer.send((piece(last) if last else b"") + b"zz\r\n")
        peer.close()

    with WireServer(answer) as server:
        reading = every.read(base_url=server.url, timeout=5)
    assert type(reading.error) is StreamTruncatedError
    assert reading.error.reason == "reset"
    assert reading.text == ("HelloHello" if last else "Hello")


@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\n"], ids=["", "early"])
@pytest.mark.parametrize("at", [None, 4, 60, len(HEAD) - 2], ids=["at-once", "a-line", "a-head", "its-end"])
def test_framing_broken_in_the_first_packet(early: bytes, at: int | None, every: Driver) -> None:
    """What came before is delivered all the same, however the packets are cut."""
    data = early + HEAD + piece(CHUNK) + b"zz\r\n"
    pieces = [data] if at is None else [data[:at], data[at:]]

    def answer(peer: Peer) -> None:
        for part in pieces:
            peer.send(part)
            time.sleep(0.01)
        peer.gone()

    with WireServer(answer) as server:
        reading = every.read(base_url=server.url, timeout=5)
    assert type(reading.error) is StreamTruncatedError
    assert (reading.text, reading.error.reason) == ("Hello", "reset")


# --- early heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", ["100 Continue", "102 Processing", "103 Early Hints"])
@pytest.mark.parametrize("times", [1, 3])
def test_heads_before_the_answer_are_passed_over(early: str, times: int, every: Driver) -> None:
    """In one packet with the answer or before it, once or often."""
    head = f"HTTP/1.1 {early}\r\nlink: </style.css>; rel=preload\r\n\r\n".encode() * times
    with WireServer(raw(head, head + HEAD + piece(events("Hello")) + b"0\r\n\r\n")) as server:
        reading = every.read(base_url=server.url)
    assert (reading.text, reading.stream.outcome) == ("Hello", "complete")


# --- secrets --------------------------------------------------------------------------------------------


def shown(error: BaseException) -> str:
    """All that a traceback, a log or a report of `error` may show."""
    text, chain = "".join(traceback.format_exception(error)), error
    while chain is not None:
        text += repr(chain) + str(chain)
        chain = chain.__cause__  # type: ignore[assignment] # None at the end
    return text


@pytest.mark.parametrize("answer", [b"garbage\r\n", b"", b"HTTP/1.1 200"], ids=["garbage", "nothing", "cut"])
@pytest.mark.parametrize("query", ["", "?k=" + SECRET])
def test_an_error_does_not_show_secrets(answer: bytes, query: str, every: Driver) -> None:
    """Neither the query, nor the user of the URL, nor the key is in the error or in what caused it."""
    with WireServer(raw(answer)) as server:
        url = server.url.replace("//", f"//user:{SECRET}@") + query
        with pytest.raises(APIConnectionError) as raised:
            every.create(base_url=url, api_key=None if not query else SECRET)
    assert SECRET not in shown(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"user:{SECRET}@host/v1",
        f"ftp://user:{SECRET}@host/v1",
        f"http://user:{SECRET}@host:99999999/v1",
        f"http://user:a/{SECRET}@host/v1",
        f"host/v1?k={SECRET}",
        f"host/v1#{SECRET}",
        f"http://[?k={SECRET}",
    ],
)
def test_a_base_url_that_cannot_be_does_not_show_secrets(url: str) -> None:
    """The error names the option, and not the password."""
    with pytest.raises(DuologueError, match="base_url must be") as raised:
        Client(base_url=url, api_key="k")
    assert SECRET not in shown(raised.value)


# --- deadlines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (Timeout(10.0, connect=2.0), (2.0, 10.0, 10.0, None)),
        (Timeout(10.0), (10.0, 10.0, 10.0, None)),
        (Timeout(None, idle=3), (None, None, 3, None)),
        (Timeout(10.0, idle=None, total=60), (10.0, 10.0, None, 60)),
        (Timeout(headers=1), (5.0, 1, 600.0, None)),
    ],
    ids=repr,
)
def test_a_number_in_the_first_place_is_the_default(given: Timeout, meant: tuple[float | None, ...]) -> None:
    """It is for those that are not named, but never for the whole call."""
    timeout = Client(base_url="http://h/v1", timeout=given).timeout
    assert (timeout.connect, timeout.headers, timeout.idle, timeout.total) == meant
    assert pickle.loads(pickle.dumps(timeout)) == timeout


@pytest.mark.parametrize(
    "given",
    ["5", (1, 2), True, -1, 0, float("nan"), float("inf"), Timeout(connect="5"), Timeout(total=True)],  # type: ignore[arg-type]
    ids=repr,
)
def test_a_deadline_that_cannot_be_is_refused(given: Any) -> None:
    """The error names the option and says what to give; for the client and for a call."""
    said = r"timeout.* must be .*or None for no deadline"
    with pytest.raises((DuologueError, TypeError), match=said):
        Client(base_url="http://h/v1", timeout=given)
    with Client(base_url="http://h/v1") as client, pytest.raises((DuologueError, TypeError), match=said):
        client.chat.completions.create(**ASK, timeout=given)
