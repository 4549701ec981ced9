"""The table of faults, over real sockets and through every transport; and the page that is made of it."""

from __future__ import annotations

import asyncio
import email.utils
import gc
import socket
import ssl
import struct
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import httpx2
import pytest
import trustme

from duologue import APIStatusError, AsyncClient, Client, DuologueError, Timeout
from duologue.protocol.retry import FIRST_DELAY_S, JITTER
from support.steps import piece
from support.wire import Peer, WireServer, refused_url

from .conftest import ASK
from .faults import DATE, FAULTS, PAGE, Does, Fault, page

# What a deadline is set to that shall pass; the others are longer than anything may take here.
SHORT = 0.25
LONG = 60.0
# How much longer than it must something may take on a machine that has other things to do.
SLACK = 20.0

TRANSPORTS = ["http.client", "aiohttp", "httpx2", "httpx2-async", "app", "app-async"]


class Seen(NamedTuple):
    """What became of a call."""

    outcome: str
    error: str
    detail: str
    attempts: int | None
    seconds: float


# --- the servers ----------------------------------------------------------------------------------------


def head(does: Does) -> bytes:
    fields = dict(does.headers) or {"content-type": "text/event-stream"}
    if does.framing == "chunked":
        fields["transfer-encoding"] = "chunked"
    elif does.framing == "length":
        fields["content-length"] = str(len(does.body) + (9 if does.how != "end" else 0))
    if fields.get("retry-after") == DATE:
        fields["retry-after"] = email.utils.formatdate(time.time() + 2, usegmt=True)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {does.status} Status\r\n{lines}\r\n".encode()


def answer(does: Does) -> Callable[[Peer], None]:
    """What a server does once it has read a request."""

    def act(peer: Peer) -> None:
        time.sleep(does.first)
        garbage = b"\x00\x01 No\r\n\r\n"
        if does.at == "head":
            peer.send(head(does)[:30] + (b"\r\n\x00\x01\r\n\r\n" if does.how == "garbage" else b""))
        elif does.at == "body":
            garbage = b"zz\r\n"
            body = does.body
            if does.framing == "chunked" and body:
                body = piece(body)
            peer.send(does.early + head(does) + body)
            if b": wait" in does.body:
                while peer.open:
                    time.sleep(0.02)
                    peer.send(b"8\r\n: wait\n\n\r\n")
        if does.how == "end":
            if does.framing == "chunked":
                peer.send(b"0\r\n\r\n")
            if does.framing == "close":
                peer.half_close()
                peer.drain()
        elif does.how == "garbage":
            peer.send(garbage)
            peer.gone()
        elif does.how == "stall":
            peer.gone()
        else:
            getattr(peer, does.how)()

    return act


def greet(does: Does) -> Callable[[socket.socket], object]:
    """What a server does to a connection, before any request."""

    def act(sock: socket.socket) -> object:
        if does.how == "end":
            return True
        if does.how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif does.how == "garbage":
            sock.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        if does.how in ("garbage", "stall"):
            while sock.recv(65536):
                pass
        return False

    return act


@contextmanager
def full() -> Iterator[str]:
    """A port whose connections nobody takes, and whose queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        try:
            yield f"http://127.0.0.1:{address[1]}/v1"
        finally:
            for sock in waiting:
                sock.close()


@contextmanager
def served(does: Does, stranger: ssl.SSLContext) -> Iterator[tuple[str, Callable[[], int | None]]]:
    """A URL at which this is done, and how often it was asked, as far as anybody can know."""
    if does.at == "listen" and does.how == "stall":
        with full() as url:
            yield url, lambda: None
    elif does.at == "listen":
        yield refused_url(), lambda: None
    elif does.at in ("accept", "tls"):
        tls = stranger if does.at == "tls" else None
        with WireServer(answer(does), greet=greet(does), tls=tls) as server:
            yield server.url, lambda: server.connections
    else:
        with WireServer(answer(does)) as server:
            yield server.url, lambda: len(server.asked)


class App:
    """The same as an application, as far as one can do it."""

    def __init__(self, does: Does) -> None:
        self.does = does
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        does = self.does
        self.asked += 1
        await asyncio.sleep(does.first)
        if does.at == "body":
            fields = dict(does.headers) or {"content-type": "text/event-stream"}
            if fields.get("retry-after") == DATE:
                fields["retry-after"] = email.utils.formatdate(time.time() + 2, usegmt=True)
            headers = [(name.encode(), value.encode()) for name, value in fields.items()]
            await send({"type": "http.response.start", "status": does.status, "headers": headers})
            more = does.how != "end"
            await send({"type": "http.response.body", "body": does.body, "more_body": more})
            while b": wait" in does.body:
                await asyncio.sleep(0.02)
                await send({"type": "http.response.body", "body": b": wait\n\n", "more_body": True})
        if does.how == "stall":
            while (await receive())["type"] != "http.disconnect":
                pass
        elif does.how == "raise":
            raise KeyError("No")


# --- the clients ----------------------------------------------------------------------------------------


def options_of(fault: Fault) -> dict[str, Any]:
    deadlines = {fault.deadline: SHORT} if fault.deadline else {}
    return {"api_key": "k", "max_retries": 1, "timeout": Timeout(LONG, **deadlines), **fault.options}


def told(began: float, stream: Any, error: DuologueError | None, attempts: int | None) -> Seen:
    seconds = time.monotonic() - began
    names = ["status_code"] if isinstance(error, APIStatusError) else ["phase", "reason"]
    detail = next((str(value) for name in names if (value := getattr(error, name, None))), "")
    return Seen(
        getattr(stream, "outcome", None) or "",
        type(error).__name__ if error else "",
        detail,
        attempts,
        seconds,
    )


def call(fault: Fault, client: Client, asked: Callable[[], int | None]) -> Seen:
    began, stream, error = time.monotonic(), None, None
    try:
        stream = client.chat.completions.create(**ASK, stream=fault.stream)
        if fault.stream:
            assert "".join(stream.text) in ("", "Hello", "Hello" * 400)
    except DuologueError as caught:
        error = caught
    return told(began, stream, error, asked())


async def acall(fault: Fault, client: AsyncClient, asked: Callable[[], int | None]) -> Seen:
    began, stream, error = time.monotonic(), None, None
    try:
        stream = await client.chat.completions.create(**ASK, stream=fault.stream)
        if fault.stream:
            assert "".join([text async for text in stream.text]) in ("", "Hello", "Hello" * 400)
    except DuologueError as caught:
        error = caught
    return told(began, stream, error, asked())


def applies(fault: Fault, transport: str) -> bool:
    if not transport.startswith("app"):
        return fault.only != "app"
    return fault.only != "sockets" and fault.does.at in ("request", "body") and fault.does.how != "garbage"


@pytest.fixture(scope="module")
def stranger() -> ssl.SSLContext:
    """A server that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextmanager
def blocking(transport: str) -> Iterator[Client]:
    if transport == "http.client":
        with Client(base_url="http://h/v1") as client:
            yield client
    else:
        with httpx2.Client() as over:
            yield Client(http_client=over, base_url="http://h/v1")


def run_blocking(faults: list[Fault], transport: str, stranger: ssl.SSLContext) -> list[Seen]:
    def one(fault: Fault) -> Seen:
        if transport == "app":
            app = App(fault.does)
            with Client(app=app, **options_of(fault)) as client:
                return call(fault, client, lambda: app.asked)
        with served(fault.does, stranger) as (url, asked):
            return call(fault, root.with_options(base_url=url, **options_of(fault)), asked)

    with blocking(transport) as root, ThreadPoolExecutor(len(faults)) as pool:
        return list(pool.map(one, faults))


@asynccontextmanager
async def asynchronous(transport: str) -> AsyncIterator[AsyncClient]:
    if transport == "aiohttp":
        async with AsyncClient(base_url="http://h/v1") as client:
            yield client
    else:
        over = httpx2.AsyncClient()
        async with over, AsyncClient(http_client=over, base_url="http://h/v1") as client:
            yield client


async def run_asynchronous(faults: list[Fault], transport: str, stranger: ssl.SSLContext) -> list[Seen]:
    async def one(fault: Fault) -> Seen:
        if transport == "app-async":
            app = App(fault.does)
            async with AsyncClient(app=app, **options_of(fault)) as client:
                return await acall(fault, client, lambda: app.asked)
        with served(fault.does, stranger) as (url, asked):
            seen = await acall(fault, root.with_options(base_url=url, **options_of(fault)), asked)
            # uvloop may tell of a failed handshake first and close the connection next, in the same turn of
            # the loop. The server waits for that, and holds the loop up meanwhile.
            await asyncio.sleep(0)
            return seen

    async with asynchronous(transport) as root:
        return await asyncio.gather(*map(one, faults))


@pytest.fixture(scope="module")
def matrix(stranger: ssl.SSLContext) -> Callable[[str], dict[str, Seen]]:
    """What became of every fault over a transport; all at once, since most of it is waiting."""
    done: dict[str, dict[str, Seen]] = {}

    def over(transport: str) -> dict[str, Seen]:
        if transport not in done:
            faults = [fault for fault in FAULTS if applies(fault, transport)]
            with warnings.catch_warnings():
                # Where a handshake fails httpx2 leaves the socket to the collector.
                if "httpx2" in transport:
                    warnings.simplefilter("ignore", ResourceWarning)
                if transport in ("http.client", "httpx2", "app"):
                    seen = run_blocking(faults, transport, stranger)
                else:
                    seen = asyncio.run(run_asynchronous(faults, transport, stranger))
                gc.collect()
            done[transport] = {fault.id: one for fault, one in zip(faults, seen, strict=True)}
        return done[transport]

    return over


# --- the tests ------------------------------------------------------------------------------------------


def expected_seconds(fault: Fault) -> float:
    """What it takes at least."""
    waits = (fault.attempts - 1) * (FIRST_DELAY_S * (1 - JITTER) if fault.asked is None else fault.asked)
    passing = 0 if not fault.deadline else 1 if fault.last_only else fault.attempts
    return waits + passing * SHORT + fault.does.first


@pytest.mark.parametrize(
    ("fault", "transport"),
    [
        pytest.param(fault, transport, id=f"{transport}: {fault.id}")
        for transport in TRANSPORTS
        for fault in FAULTS
        if applies(fault, transport)
    ],
)
def test_what_happens_when(fault: Fault, transport: str, matrix: Callable[[str], dict[str, Seen]]) -> None:
    """Outcome, class, reason, attempts and time are as the table says, whatever carries the bytes."""
    seen = matrix(transport)[fault.id]
    detail = seen.detail if seen.detail in fault.detail.split(" or ") else fault.detail
    attempts = fault.attempts if seen.attempts is None else seen.attempts
    assert (seen.outcome, seen.error, seen.detail, attempts) == (
        fault.outcome,
        fault.error,
        detail,
        fault.attempts,
    )
    least = expected_seconds(fault)
    assert least - 0.02 <= seen.seconds < least + SLACK


def test_the_table_names_each_fault_once() -> None:
    """So that none hides another."""
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


def test_the_page_is_the_table() -> None:
    """docs/reference/what-happens-when.md; `python tests/client/faults.py` writes it anew."""
    assert PAGE.read_text("utf-8") == page()
