"""TLS: whom the client trusts, what it shows of itself, and what it says when it does not trust."""

from __future__ import annotations

import asyncio
import datetime
import gc
import os
import socket
import ssl
import struct
import time
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import pytest
import trustme

from duologue import APIConnectionError, AsyncClient, Client, DuologueError
from support.wire import COMPLETION, WireServer, events, json_answer, sse

from .conftest import ASK

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


class Authority(NamedTuple):
    """An authority of our own, and a client's view of it."""

    root: trustme.CA
    trusting: ssl.SSLContext

    def server(self, *names: str, **more: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.root.issue_cert(*names, **more).configure_cert(context)
        return context


def trusting(root: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    root.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def authority() -> Authority:
    root = trustme.CA()
    return Authority(root, trusting(root))


def create(kind: str, url: str, context: ssl.SSLContext | None, **options: Any) -> str:
    """The text of an answer that `kind` of client got."""
    given = {"base_url": url, "api_key": "k", "max_retries": 2, **options}
    if kind == "sync":
        with Client(ssl_context=context, **given) as client:
            return client.chat.completions.create(**ASK).text
    if kind == "sync-httpx2":
        with httpx2.Client(verify=context or True) as over, Client(http_client=over, **given) as client:
            return client.chat.completions.create(**ASK).text

    async def ask() -> str:
        if kind == "async":
            async with AsyncClient(ssl_context=context, **given) as client:
                return (await client.chat.completions.create(**ASK)).text
        over = httpx2.AsyncClient(verify=context or True)
        async with over, AsyncClient(http_client=over, **given) as client:
            return (await client.chat.completions.create(**ASK)).text

    return asyncio.run(ask())


KINDS = ["sync", "async", "sync-httpx2", "async-httpx2"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param


def test_an_authority_of_ones_own(kind: str, authority: Authority) -> None:
    """`ssl_context` says whom to trust."""
    with WireServer(json_answer(COMPLETION), tls=authority.server("127.0.0.1")) as server:
        assert create(kind, server.url, authority.trusting) == "Hello there"


@pytest.mark.parametrize(
    ("names", "more", "says"),
    [
        (["other.example"], {}, "127.0.0.1"),
        (["127.0.0.1"], {"not_after": LONG_AGO, "not_before": LONG_AGO}, "expired"),
    ],
    ids=["wrong-host", "expired"],
)
def test_a_certificate_that_is_not_right(
    kind: str, names: list[str], more: dict[str, Any], says: str, authority: Authority
) -> None:
    """It is asked once, no request is shown to it, and the error says what is wrong."""
    server = WireServer(json_answer(COMPLETION), tls=authority.server(*names, **more))
    with server, pytest.raises(APIConnectionError, match=f"of {server.url}.*{says}") as raised:
        create(kind, server.url, authority.trusting)
    assert (server.connections, server.asked) == (1, [])
    assert "ssl_context" in str(raised.value)


def test_a_stranger(kind: str, authority: Authority) -> None:
    """Of an authority that nobody has heard of nothing is believed."""
    server = WireServer(json_answer(COMPLETION), tls=authority.server("127.0.0.1"))
    with server, pytest.raises(APIConnectionError, match="is not trusted: unable to get local issuer"):
        create(kind, server.url, None)
    assert (server.connections, server.asked) == (1, [])


def test_a_certificate_of_the_client(kind: str, authority: Authority) -> None:
    """A server that insists on one is shown it; without it, no answer comes."""
    insisting = authority.server("127.0.0.1")
    authority.root.configure_trust(insisting)
    insisting.verify_mode = ssl.CERT_REQUIRED
    known = trusting(authority.root)
    authority.root.issue_cert("someone@example.org").configure_cert(known)
    with WireServer(json_answer(COMPLETION), tls=insisting) as server:
        assert create(kind, server.url, known) == "Hello there"
        with pytest.raises(APIConnectionError):
            create(kind, server.url, authority.trusting, max_retries=0)
    assert len(server.asked) == 1


def test_streams_use_a_connection_again(authority: Authority) -> None:
    """One handshake serves five streams, for blocking and for asynchronous code."""

    async def read(url: str) -> None:
        async with AsyncClient(base_url=url, ssl_context=authority.trusting) as client:
            for _ in range(5):
                stream = await client.chat.completions.create(**ASK, stream=True)
                assert (await stream.get_final_completion()).text == "Hello"

    with WireServer(sse(events("Hello")), tls=authority.server("127.0.0.1")) as server:
        with Client(base_url=server.url, ssl_context=authority.trusting) as client:
            for _ in range(5):
                stream = client.chat.completions.create(**ASK, stream=True)
                assert stream.get_final_completion().text == "Hello"
        asyncio.run(read(server.url))
    assert (server.connections, len(server.asked)) == (2, 10)


@pytest.mark.parametrize("by", ["option", "environment"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_tunnel_through_a_proxy(
    kind: str, by: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is told the host and its own password, and sees nothing else; the host is the one trusted."""
    with (
        WireServer(json_answer(COMPLETION), tls=authority.server("elsewhere.example")) as server,
        WireServer(lambda peer: peer.tunnel(server.port)) as proxy,
    ):
        url = f"http://me:secret@127.0.0.1:{proxy.port}"
        options: dict[str, Any] = {"proxy": url} if by == "option" else {}
        if by == "environment":
            monkeypatch.setenv("HTTPS_PROXY", url)
        assert create(kind, "https://elsewhere.example/v1", authority.trusting, **options) == "Hello there"
    (asked,) = proxy.asked
    assert (asked.method, asked.target) == ("CONNECT", "elsewhere.example:443")
    assert asked.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
    assert "authorization" not in asked.headers
    assert server.asked[0].headers["authorization"] == "Bearer k"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_proxy_whatever_the_environment_says(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`proxy=None` goes straight there; a proxy that is given is asked even for a loopback host."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with WireServer(json_answer(COMPLETION)) as server:
        url = f"http://localhost.example:{server.port}/v1"
        with pytest.raises(APIConnectionError):
            create(kind, url, None, max_retries=0)
        with pytest.raises(APIConnectionError, match=r"localhost\.example"):  # there is no such host
            create(kind, url, None, max_retries=0, proxy=None)
        create(kind, "http://127.0.0.1:1/v1", None, proxy=f"http://127.0.0.1:{server.port}")
    assert [asked.target for asked in server.asked] == ["http://127.0.0.1:1/v1/chat/completions"]


@pytest.mark.parametrize("cls", [Client, AsyncClient])
@pytest.mark.parametrize(
    "proxy", ["socks5://h:1", "https://h:1", "h:1", "http://", "http://h:99999", "http://a..b", ""]
)
def test_a_proxy_that_cannot_be(cls: type, proxy: str) -> None:
    """The error says what can."""
    with pytest.raises(DuologueError, match="proxy must be an http:// URL"):
        cls(base_url="http://h/v1", proxy=proxy)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there(kind: str, scheme: str) -> None:
    """The error says where it should be, and keeps its password."""
    password = "secret" * 2  # so that no line of code holds it
    proxy = f"http://me:{password}@127.0.0.1:1"
    with pytest.raises(APIConnectionError, match=r"by way of the proxy 127\.0\.0\.1:1\)") as raised:
        create(kind, f"{scheme}://h.example/v1", None, max_retries=0, proxy=proxy)
    assert password not in "".join(traceback.format_exception(raised.value))


class Slow(ssl.SSLContext):
    """Begins a handshake so late that the server has left."""

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        time.sleep(0.05)
        return super().wrap_bio(*args, **more)


def test_a_reset_before_the_handshake_closes_nothing_else(authority: Authority) -> None:
    """Whoever gets the number of such a socket keeps it, when what is left of the socket is collected."""

    def reset(sock: socket.socket) -> None:
        time.sleep(0.01)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def ask(url: str) -> None:
        context = Slow(ssl.PROTOCOL_TLS_CLIENT)
        async with AsyncClient(ssl_context=context, base_url=url, api_key="k", max_retries=0) as client:
            for _ in range(3):
                with pytest.raises(APIConnectionError):
                    await client.chat.completions.create(**ASK)

    with WireServer(greet=reset, tls=authority.server("127.0.0.1")) as server:
        asyncio.run(ask(server.url))
        others = [socket.socket() for _ in range(20)]
        gc.collect()
        for other in others:
            os.fstat(other.fileno())
            other.close()
