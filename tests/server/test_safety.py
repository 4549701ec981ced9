"""What the web and hostile clients send: refused clearly, at a bounded cost, with nothing given away."""

from __future__ import annotations

import json
import socket
import threading
import time
import tracemalloc
from typing import Any

import pytest

from duologue import as_engine
from duologue.run import run_server
from duologue.server import ServerOptions
from duologue.server.admission import MAX_COMMAS, admit
from support.raw import HI, Response, ask, connect, exchange

BODY = json.dumps({"model": "answer", "messages": [HI]}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


async def answer(request):
    yield "Hello"


@pytest.fixture(scope="module")
def url():
    with run_server(as_engine(answer, native=["tools"])) as url:
        yield url


# --- what a web page can do ----------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain;charset=UTF-8", "multipart/form-data"])
def test_a_cross_site_post_is_refused(url, content_type):
    """A page of another origin can send these without asking; what it sends never reaches the engine."""
    headers = {"Content-Type": content_type, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    response = ask(url, headers=headers, model="answer")
    assert (response.status, response.error["code"]) == (415, "unsupported_media_type")


def test_a_name_that_was_bound_anew_is_refused(url):
    """The page's own host resolves to this machine, and its script may read what comes: the Host tells."""
    headers = {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}
    for method, path in (("POST", "/chat/completions"), ("GET", "/models")):
        response = ask(url, path, method=method, headers=headers, model="answer")
        assert (response.status, response.error["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        pytest.param(host, allowed, id=host)
        for allowed, hosts in {
            True: (
                "localhost",
                "LOCALHOST:80",
                "localhost.",
                "127.9.9.9:1",
                "[::1]",
                "[::1]:8000",
                "a.localhost",
            ),
            False: (
                *("", "::1", "0.0.0.0", "[::]:80", "127.1", "2130706433", "localhost.evil.example"),
                *("127.0.0.1.nip.io", "localhost:evil.example", "evil.example:127.0.0.1", "127.0.0.1:80:90"),
                *("127.0.0.1@evil.example", "localhost,evil.example", "localhost/evil", "[::1]evil.example"),
                *("]127.0.0.1[", "[::1%25lo]", "evil.example]", "localhost..", "LOCALHOST.EVIL.EXAMPLE."),
            ),
        }.items()
        for host in hosts
    ],
)
def test_only_names_of_this_machine_are_answered(url, host, allowed):
    """In whatever way they are written; what another header says of the host means nothing."""
    headers = b"Host: %b\r\nX-Forwarded-Host: localhost\r\nForwarded: host=localhost\r\n" % host.encode()
    answered = exchange(url, POST + headers + JSON + LENGTH + b"Connection: close\r\n\r\n" + BODY)
    assert answered.status == (200 if allowed else 403)


def test_two_hosts_are_none(url):
    """Nor is that of an absolute address, which no header confirms."""
    request = POST + HOST + b"Host: evil.example\r\n" + JSON + LENGTH + b"\r\n" + BODY
    assert exchange(url, request).status == 403
    absolute = POST.replace(b" /", b" http://localhost/")
    request = absolute + b"Host: evil.example\r\n" + JSON + LENGTH + b"\r\n" + BODY
    assert exchange(url, request).status == 403


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "GET"])
def test_no_other_origin_may_read_an_answer(url, method):
    """A browser asks first, by OPTIONS; without these headers it goes no further."""
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    response = ask(url, method=method, headers=headers, model="answer")
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert method == "POST" or response.status >= 400


# --- keys ----------------------------------------------------------------------------------------------


def test_a_wrong_key_takes_as_long_whatever_its_beginning():
    """Nobody finds a key out letter by letter. The keys are long, so that a comparison that stops would show."""
    key = "k" * 1_000_000
    options = ServerOptions(api_key=key)

    def spent(given: str) -> float:
        scope = {"method": "GET", "headers": [(b"authorization", b"Bearer " + given.encode())]}
        begun = time.thread_time()
        with pytest.raises(Exception, match="Incorrect"):
            admit(scope, options)
        return time.thread_time() - begun

    first_wrong, last_wrong = "x" + key[1:], key[:-1] + "x"
    times = [(spent(first_wrong), spent(last_wrong)) for _ in range(9)]
    early, late = min(time for time, _ in times), min(time for _, time in times)
    assert 0.5 < early / late < 2


def test_an_error_shows_no_more_of_a_header_than_it_must(url):
    """What others chose is cut and quoted."""
    response = ask(url, headers={"Content-Encoding": "x" * 5000}, model="answer")
    assert response.status == 415
    assert len(response.error["message"]) < 300


# --- bodies that cost ----------------------------------------------------------------------------------


def around(inner: bytes) -> bytes:
    return b'{"model":"answer","messages":[{"role":"user","content":"Hi"}],%b}' % inner


def parameters(inner: bytes) -> bytes:
    return around(b'"tools":[{"type":"function","function":{"name":"f","parameters":{"a":%b}}}]' % inner)


MANY = MAX_COMMAS + 1
COSTLY = {
    "nested-lists": (b"[" * 3_000_000, 400),
    "nested-objects": (b'{"a":' * 500_000, 400),
    "nested-in-a-schema": (parameters(b"[" * 500_000 + b"]" * 500_000), 400),
    "many-lists": (parameters(b"[" + b"[]," * MANY + b"[]]"), 413),
    "many-objects": (parameters(b"[" + b"{}," * MANY + b"{}]"), 413),
    "many-messages": (b'{"model":"answer","messages":[' + b"{}," * MANY + b"{}]}", 413),
    "many-unknown": (around(b",".join(b'"k%d":1' % number for number in range(100_000))), 400),
    "digits": (around(b'"seed":' + b"9" * 3_000_000), 400),
    "not-utf-8": (b'{"model":"' + b"\xff" * 3_000_000 + b'"}', 400),
    "nothing-but-spaces": (b" " * 3_000_000, 400),
    "nul-bytes": (b"\0" * 3_000_000, 400),
    "half-a-pair": (around(b'"user":"' + b"\\ud800" * 500_000 + b'"'), 400),
    "a-long-value": (around(b'"reasoning_effort":"' + b"v" * 3_000_000 + b'"'), 400),
    "a-long-model": (b'{"model":"' + b"m" * 3_000_000 + b'","messages":[]}', 400),
    "a-long-unknown-model": (BODY.replace(b'"answer"', b'"' + b"m" * 3_000_000 + b'"'), 404),
    "a-long-name": (around(b'"' + b"n" * 3_000_000 + b'":1'), 400),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_hostile_body_is_refused_at_a_bounded_cost(url, name):
    """Memory in proportion to its bytes, little processor time, an error of the usual size."""
    body, status = COSTLY[name]
    tracemalloc.start()
    begun = time.process_time()
    try:
        response = ask(url, body=body)
        spent = time.process_time() - begun
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status == status
    assert len(response.body) < 2000
    assert response.error["message"]
    assert peak < 20_000_000 + 12 * len(body)
    assert spent < 3  # tracemalloc takes most of it; without a bound it would be minutes
    assert ask(url, model="answer").status == 200


def test_slow_bodies_hold_up_nobody():
    """They wait at most `body_timeout`, and each holds what it has sent."""
    with run_server(answer, body_timeout=0.4) as url:
        head = POST + HOST + JSON + b"Content-Length: 1000\r\n\r\n"
        slow = [connect(url, head) for _ in range(50)]
        try:
            for _ in range(5):
                for connection in slow:
                    connection.sendall(b" ")
                assert ask(url, model="answer").status == 200
            assert all(connection.recv(12) == b"HTTP/1.1 408" for connection in slow)
        finally:
            for connection in slow:
                connection.close()


def test_slow_bodies_are_bounded_in_number():
    """They count as requests at work: with `max_requests` of them others are told to come again."""
    with run_server(answer, body_timeout=5, max_requests=3) as url:
        head = POST + HOST + JSON + b"Content-Length: 1000\r\n\r\n"
        slow = [connect(url, head + b" ") for _ in range(3)]
        statuses = []
        for _ in range(20):
            statuses.append(ask(url, model="answer").status)
            if statuses[-1] == 503:
                break
            time.sleep(0.05)
        for connection in slow:
            connection.close()
        assert statuses[-1] == 503


# --- odd HTTP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x"])
def test_an_encoded_body_is_refused_clearly(url, coding):
    """Not taken for broken JSON, and never unpacked to a thousand times its size."""
    response = ask(url, headers={"Content-Encoding": coding}, model="answer")
    assert (response.status, response.error["code"]) == (415, "unsupported_content_encoding")
    assert "content encoding" in response.error["message"]


def test_an_encoding_that_is_told_twice_is_one(url):
    """However many headers say it."""
    for codings in (b"gzip", b"identity"), (b"gzip", b"gzip"):
        head = b"".join(b"Content-Encoding: %b\r\n" % coding for coding in codings)
        refused = exchange(url, POST + HOST + JSON + head + LENGTH + b"\r\n" + BODY)
        assert (refused.status, refused.error["code"]) == (415, "unsupported_content_encoding")


def test_identity_is_no_encoding(url):
    """It says that there is none."""
    assert ask(url, headers={"Content-Encoding": "identity"}, model="answer").status == 200


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        pytest.param(POST + HOST + JSON + CHUNKED, {200}, id="chunked"),
        pytest.param(POST + HOST + JSON + LENGTH + CHUNKED, {400}, id="chunked-and-length"),
        pytest.param(POST + HOST + JSON + LENGTH + LENGTH + b"\r\n" + BODY, {400, 413}, id="length-twice"),
        pytest.param(
            POST + HOST + JSON + LENGTH + b"Content-Length: 1\r\n\r\n" + BODY, {400, 413}, id="two-lengths"
        ),
        pytest.param(POST + HOST + JSON + b"Content-Length: -1\r\n\r\n", {400}, id="negative-length"),
        pytest.param(POST + HOST + JSON + b"Content-Length: 1_0\r\n\r\n", {400}, id="odd-length"),
        pytest.param(
            POST + HOST + JSON + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", {400, 413}, id="vast-length"
        ),
        pytest.param(POST + HOST + JSON + b"\r\n", {400}, id="no-length"),
        pytest.param(
            POST + HOST + JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400, 501}, id="te"
        ),
        pytest.param(
            POST.replace(b"1.1", b"1.0") + HOST + JSON + LENGTH + b"\r\n" + BODY, {200}, id="http-1.0"
        ),
        pytest.param(
            POST.replace(b" /", b" http://localhost/") + HOST + JSON + LENGTH + b"\r\n" + BODY,
            {200},
            id="absolute-form",
        ),
        pytest.param(
            POST.replace(b"chat/", b"%63hat%2F") + HOST + JSON + LENGTH + b"\r\n" + BODY,
            {200},
            id="percent-encoded",
        ),
        pytest.param(POST + HOST + b"X: a\x00b\r\n" + JSON + LENGTH + b"\r\n" + BODY, {400}, id="nul"),
        pytest.param(b"GET /v1/models\x00 HTTP/1.1\r\n" + HOST + b"\r\n", {400}, id="nul-in-path"),
        pytest.param(b"GET /v1/models/%00%ff HTTP/1.1\r\n" + HOST + b"\r\n", {404}, id="odd-id"),
        pytest.param(b"GET //v1//models HTTP/1.1\r\n" + HOST + b"\r\n", {404}, id="slashes"),
        pytest.param(b"GET /v1/../v1/models HTTP/1.1\r\n" + HOST + b"\r\n", {404}, id="dots"),
        pytest.param(b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}, id="star"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}, id="http-2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", {400}, id="tls"),
        pytest.param(b"HEAD /v1/chat/completions HTTP/1.1\r\n" + HOST + b"\r\n", {404, 405}, id="head"),
    ],
)
def test_odd_requests_have_one_plain_answer(url, request_, statuses):
    """The right ones are answered, all others refused; the server goes on."""
    with connect(url, request_) as connection:
        line = connection.recv(65536)
    assert int(line[9:12]) in statuses, line
    assert ask(url, model="answer").status == 200


def test_who_waits_for_a_100_gets_it_once_its_head_is_accepted(url):
    """And who is refused gets the refusal instead, with no body to send."""
    head = POST + HOST + JSON + LENGTH + b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
    with connect(url, head) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    refused = exchange(url, head.replace(b"application/json", b"text/plain"))
    assert refused.status == 415


def test_requests_in_a_row_are_answered_in_a_row(url):
    """Sent at once, on one connection, whole answers and streams."""
    stream = json.dumps({"model": "answer", "messages": [HI], "stream": True}).encode()
    one = POST + HOST + JSON + LENGTH + b"\r\n" + BODY
    other = POST + HOST + JSON + b"Content-Length: %d\r\n\r\n" % len(stream) + stream
    last = b"GET /v1/models HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    with connect(url, one + other + one + last) as connection:
        received = bytearray()
        while part := connection.recv(65536):
            received += part
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 4
    order = [received.find(mark) for mark in (b'"chat.completion"', b"data: [DONE]", b'"object":"list"')]
    assert -1 not in order
    assert order == sorted(order)


def test_a_body_that_is_longer_than_told_is_another_request(url):
    """The rest is taken for what comes next, and refused as that: it is never part of the first."""
    smuggled = b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    with connect(url, POST + HOST + JSON + LENGTH + b"\r\n" + BODY + smuggled) as connection:
        received = bytearray()
        while part := connection.recv(65536):
            received += part
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert received.count(b"HTTP/1.1 403 ") == 1


def test_health_answers_whoever_floods():
    """Many connections that send nothing, or halves of heads, do not keep it from answering."""
    with run_server(answer) as url:
        idle = [connect(url, b"" if number % 2 else POST[:20]) for number in range(100)]
        spent: list[Response] = []
        asker = threading.Thread(target=lambda: spent.append(ask(url, "/health", method="GET")))
        asker.start()
        asker.join(10)
        for connection in idle:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        assert spent[0].status == 200


def test_values_of_all_kinds_in_unknown_places_end_in_typed_errors(url):
    """Whatever the shape, the answer is an error of the protocol and no failure of the server."""
    values: list[Any] = [None, True, -1, 1e308, "", "x", [], {}, [[]], {"a": {}}]
    for name in ("model", "messages", "stop", "tools", "n", "response_format", "stream", "metadata"):
        for value in values:
            body = json.dumps({"model": "answer", "messages": [HI], name: value}).encode()
            assert ask(url, body=body).status < 500
