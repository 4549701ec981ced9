"""What is decided before the body is read: the key, the Host, the content type, the size, the time."""

from __future__ import annotations

import json
import socket

import pytest

from duologue.run import run_server
from duologue.server import ServerOptions, create_app
from duologue.server.admission import is_loopback
from support.raw import HI, ask, connect, exchange

KEY = "s3cret"
BODY = json.dumps({"model": "answer", "messages": [HI]}).encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
JSON = b"Content-Type: application/json\r\n"


def answer(request):
    return "Hello"


@pytest.fixture(scope="module")
def keyed():
    with run_server(answer, api_key=KEY) as url:
        yield url


@pytest.fixture(scope="module")
def keyless():
    with run_server(answer, max_body_bytes=100_000, body_timeout=0.2) as url:
        yield url


@pytest.fixture(scope="module")
def roomy():
    with run_server(answer) as url:
        yield url


# --- the key -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_right_key_is_let_in(keyed, scheme):
    """The scheme's name has no case."""
    response = ask(keyed, headers={"Authorization": f"{scheme} {KEY}"}, model="answer")
    assert response.status == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        pytest.param({}, "did not provide", id="missing"),
        pytest.param({"Authorization": ""}, "did not provide", id="empty"),
        pytest.param({"Authorization": "Bearer"}, "did not provide", id="scheme-alone"),
        pytest.param({"Authorization": KEY}, "did not provide", id="key-alone"),
        pytest.param({"Authorization": f"Basic {KEY}"}, "did not provide", id="other-scheme"),
        pytest.param({"Authorization": "Bearer wrong"}, "Incorrect", id="wrong"),
        pytest.param({"Authorization": f"Bearer {KEY}x"}, "Incorrect", id="longer"),
        pytest.param({"Authorization": f"Bearer {KEY[:-1]}"}, "Incorrect", id="shorter"),
        pytest.param({"Authorization": "Bearer \xff\xfe"}, "Incorrect", id="odd-bytes"),
        pytest.param({"X-Api-Key": KEY}, "did not provide", id="other-header"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/chat/completions"), ("GET", "/models"), ("GET", "/models/answer")]
)
def test_anything_else_is_refused(keyed, headers, message, method, path):
    """With a 401 that says what to send, and never what the key is."""
    response = ask(keyed, path, method=method, headers=headers)
    assert response.status == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.error["code"] == "invalid_api_key"
    assert message in response.error["message"]
    assert KEY not in response.error["message"]


def test_two_authorization_headers_are_none(keyed):
    """Nobody can know which one a proxy before the server has checked."""
    twice = f"Authorization: Bearer {KEY}\r\nAuthorization: Bearer wrong\r\n".encode()
    head = POST + b"Host: localhost\r\n" + JSON + twice
    assert exchange(keyed, head + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)).status == 401


def test_the_key_is_checked_before_the_body(keyed):
    """The refusal comes while the body is still on its way."""
    head = POST + b"Host: x\r\n" + JSON + b"Content-Length: 1000\r\n\r\n"
    assert exchange(keyed, head).status == 401


def test_with_a_key_any_host_will_do(keyed):
    """The key is what keeps others out."""
    headers = {"Host": "example.com", "Authorization": f"Bearer {KEY}"}
    assert ask(keyed, headers=headers, model="answer").status == 200


@pytest.mark.parametrize("key", ["", " ", " x", "x\n"])
def test_a_key_that_nobody_could_send_is_refused_at_once(key):
    """When the app is made, not when the first client fails."""
    with pytest.raises(ValueError, match="api_key"):
        create_app(answer, api_key=key)


def test_options_do_not_show_the_key():
    """Not even in a log of them."""
    assert KEY not in repr(ServerOptions(api_key=KEY))


# --- the Host ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost", "LocalHost:8000", "[::1]", "[::1]:8000", "api.localhost:1"],
)
def test_a_keyless_server_answers_to_loopback(keyless, host):
    """By whatever name, with or without a port."""
    assert ask(keyless, headers={"Host": host}, model="answer").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com:8000",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "192.168.0.1",
        "[2001:db8::1]:80",
        "",
        "@localhost@example.com",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/chat/completions"), ("GET", "/models")])
def test_a_keyless_server_refuses_a_foreign_host(keyless, host, method, path):
    """A web page's own name may resolve to 127.0.0.1; its Host gives it away."""
    response = ask(keyless, path, method=method, headers={"Host": host})
    assert response.status == 403
    assert response.error["code"] == "host_not_allowed"
    assert "allowed_hosts" in response.error["message"]


@pytest.mark.parametrize(
    "hosts", [b"", b"Host: localhost\r\nHost: example.com\r\n", b"Host: localhost\r\nHost: localhost\r\n"]
)
def test_no_host_or_two_are_not_loopback(keyless, hosts):
    """HTTP/1.0 needs none, but a keyless server does; of two, none counts."""
    version = b"1.0" if not hosts else b"1.1"
    request = b"GET /v1/models HTTP/%b\r\n%b\r\n" % (version, hosts)
    assert exchange(keyless, request).status in (400, 403)


@pytest.mark.parametrize(
    ("allowed", "host", "status"),
    [
        (["chat.example.com"], "Chat.Example.com:80", 200),
        (["chat.example.com"], "example.com", 403),
        (["chat.example.com"], "localhost", 403),
        (["*"], "anything", 200),
    ],
)
def test_allowed_hosts_take_the_place_of_loopback(allowed, host, status):
    """`*` is for an app behind somebody else's checks."""
    with run_server(answer, allowed_hosts=allowed) as url:
        assert ask(url, "/models", method="GET", headers={"Host": host}).status == status


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("evil-localhost", False),
    ],
)
def test_what_is_loopback(host, expected):
    """This machine itself, by name or address."""
    assert is_loopback(host) is expected


# --- the content type ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_taken(keyless, content_type):
    """With or without parameters."""
    assert ask(keyless, headers={"Content-Type": content_type}, model="answer").status == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"]
)
def test_what_a_web_page_can_post_unasked_is_refused(keyless, content_type):
    """A cross-site POST with one of these types is sent by browsers without asking first."""
    response = ask(keyless, headers={"Content-Type": content_type}, model="answer")
    assert response.status == 415
    assert response.error["code"] == "unsupported_media_type"
    assert "application/json" in response.error["message"]


def test_no_content_type_is_refused(keyless):
    """It cannot be known what the body is."""
    head = POST + b"Host: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    assert exchange(keyless, head + BODY).status == 415


# --- the size ------------------------------------------------------------------------------------------


def test_a_body_that_says_it_is_too_large_is_refused_unread(keyless):
    """The refusal names the limit, and comes before a byte of the body."""
    head = POST + b"Host: localhost\r\n" + JSON + b"Content-Length: 100001\r\n\r\n"
    response = exchange(keyless, head)
    assert response.status == 413
    assert response.error["code"] == "request_too_large"
    assert "100000 bytes" in response.error["message"]


def test_a_chunked_body_is_counted_as_it_comes(keyless):
    """Without a content length nothing tells beforehand."""
    head = POST + b"Host: localhost\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    response = exchange(
        keyless, head + b"c351\r\n" + b" " * 0xC351 + b"\r\nc351\r\n" + b" " * 0xC351 + b"\r\n"
    )
    assert response.status == 413


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_a_body_of_40_mb_is_refused(roomy, chunked):
    """By the limit that is there unless another is given, whether the size is told or not."""
    piece = b" " * 1_000_000
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 40000000"
    with connect(roomy, POST + b"Host: localhost\r\n" + JSON + framing + b"\r\n\r\n") as connection:
        try:
            for _ in range(40):
                connection.sendall(b"f4240\r\n" + piece + b"\r\n" if chunked else piece)
        except OSError:
            pass  # the server has hung up, as it may
        status = connection.recv(100)
    assert status.startswith(b"HTTP/1.1 413 ")


def test_a_body_within_the_limit_is_read_whole(keyless):
    """Up to the last byte."""
    body = BODY + b" " * (100_000 - len(BODY))
    assert ask(keyless, body=body).status == 200
    assert ask(keyless, body=body + b" ").status == 413


# --- the time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", BODY[:5]], ids=["no-byte", "some-bytes"])
def test_a_body_that_does_not_come_is_not_waited_for(keyless, sent):
    """After `body_timeout` there is a 408."""
    head = POST + b"Host: localhost\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % len(BODY)
    response = exchange(keyless, head + sent)
    assert response.status == 408
    assert "0.2 s" in response.error["message"]


def test_a_client_that_leaves_within_its_body_harms_nobody(keyless):
    """The server goes on."""
    head = POST + b"Host: localhost\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % len(BODY)
    connection = connect(keyless, head + BODY[:5])
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()
    assert ask(keyless, model="answer").status == 200
