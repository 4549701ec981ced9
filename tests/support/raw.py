"""HTTP as it is on the wire, for tests of the server: sockets and the standard library, no client of ours."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["HI", "Response", "ask", "connect", "exchange", "opened", "wait_for"]

HI = {"role": "user", "content": "Hi"}
TIMEOUT = 10


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of the answer, whose shape is always the same."""
        assert self.headers["content-type"] == "application/json"
        value = self.json
        assert value.keys() == {"error"}
        assert value["error"].keys() == {"message", "type", "param", "code"}
        assert isinstance(value["error"]["message"], str)
        assert isinstance(value["error"]["type"], str)
        assert isinstance(value["error"]["code"], (str, type(None)))
        error: dict[str, Any] = value["error"]
        return error


def ask(
    url: str,
    path: str = "/chat/completions",
    *,
    method: str = "POST",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Response:
    """A request that is right but for what the test says; `fields` are parameters of the completion."""
    with opened(url, path, method=method, body=body, headers=headers, **fields) as answer:
        return Response(answer.status, _headers(answer), answer.read())


@contextlib.contextmanager
def opened(
    url: str,
    path: str = "/chat/completions",
    *,
    method: str = "POST",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Iterator[http.client.HTTPResponse]:
    """The same, with a body that is read while it comes; leaving closes the connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT)
    if method == "POST" and body is None:
        body = json.dumps({"model": "m", "messages": [HI], **fields}).encode()
    sent = {"Content-Type": "application/json"} if method == "POST" else {}
    connection.request(method, parts.path + path, body, {**sent, **(headers or {})})
    answer = connection.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def connect(url: str, data: bytes) -> socket.socket:
    """A connection on which `data` has been sent."""
    parts = urlsplit(url)
    connection = socket.create_connection((str(parts.hostname), parts.port or 80), timeout=TIMEOUT)
    connection.sendall(data)
    return connection


def exchange(url: str, data: bytes) -> Response:
    """What is answered to these bytes."""
    with connect(url, data) as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return Response(answer.status, _headers(answer), answer.read())


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Whether `condition` became true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _headers(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}
