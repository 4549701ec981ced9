"""What is decided of a request before its body is read, how the body is read, and how many are taken on.

The order matters: a key is checked before a byte of the body is taken, and a server without a key answers
only to who can name it as this machine. Without that, any web page could drive it: a browser sends a
cross-site `text/plain` POST without asking, and a name of the attacker's may resolve to 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from ..protocol.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    PermissionDeniedError,
)
from .asgi import Disconnected, Scope, header, values
from .exchange import Exchange
from .options import ServerOptions

__all__ = ["RETRY_AFTER_S", "Gate", "admit", "host_names", "is_loopback", "read_body"]

# How many values a body may have, as far as can be told before it is read: by its commas, those of texts too.
MAX_COMMAS = 500_000

# The Host of a request: a name or an address, and perhaps a port. A dot after a name means the same name.
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:/\[\]]+?)\.?(?P<port>:[0-9]*)?", re.ASCII)

# No content length worth reading has more digits.
MAX_DIGITS = 20

# How much of a header that others chose an error shows, in characters.
MAX_SHOWN = 40

# When to ask again, as a server with too much to do says it.
RETRY_AFTER_S = 1


def admit(scope: Scope, options: ServerOptions) -> None:
    """Raise what a request is refused with by its headers alone."""
    if options.api_key is not None:
        _check_key(header(scope, b"authorization"), options.api_key)
    elif not _host_allowed(header(scope, b"host"), options.allowed_hosts):
        raise PermissionDeniedError(
            "This server has no key and answers only to loopback Hosts. Call it as 127.0.0.1 or localhost, give "
            "it a key, or list the Host in allowed_hosts.",
            code="host_not_allowed",
        )
    if scope["method"] == "POST" and not _is_json(header(scope, b"content-type")):
        raise APIStatusError(
            "The content type must be application/json. Send the header 'Content-Type: application/json'.",
            status_code=415,
            code="unsupported_media_type",
        )
    coding = ", ".join(values(scope, b"content-encoding")).strip().lower()
    if coding not in ("", "identity"):
        raise APIStatusError(
            f"The body is sent as {_shown(coding)}, and this server takes bodies as they are. Send it without "
            "a content encoding.",
            status_code=415,
            code="unsupported_content_encoding",
            headers={"accept-encoding": "identity"},
        )
    length = header(scope, b"content-length") or ""
    # The body is counted as it comes, too: this only saves reading what is known to be too much.
    if length.isdecimal() and (len(length) > MAX_DIGITS or int(length) > options.max_body_bytes):
        raise _too_large(options)


class Gate:
    """What a server has taken on: how many requests, and how many bytes of their bodies."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._lock = threading.Lock()  # an app may be called from several event loops
        self.requests = 0
        self.held_bytes = 0

    @contextmanager
    def enter(self) -> Iterator[Callable[[int], None]]:
        """Take a request on, for as long as the block runs. Raises a 503 where there are too many.

        Gives what is to be called with the size of each part of its body that is held from then on, which
        raises the same.
        """
        with self._lock:
            if self.requests >= self._options.max_requests:
                raise _too_many(f"is at work on {self.requests} requests, which is its max_requests")
            self.requests += 1
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            with self._lock:
                if self.held_bytes + size > self._options.max_held_bytes:
                    raise _too_many(
                        f"holds {self.held_bytes} bytes of requests, and its max_held_bytes is "
                        f"{self._options.max_held_bytes}"
                    )
                self.held_bytes += size
                mine += size

        try:
            yield hold
        finally:
            with self._lock:
                self.requests -= 1
                self.held_bytes -= mine


def host_names(hosts: Collection[str]) -> frozenset[str]:
    """Names of hosts as they are compared. Raises `ValueError` for one that no Host header could be."""
    for host in hosts:
        match = _HOST.fullmatch(host.lower())
        if host != "*" and (match is None or match["port"] or "*" in host):
            raise ValueError(
                f"allowed_hosts has {host!r}, which is no name of a host: give it without a scheme and a port, "
                "such as 'example.com' or '[::1]', or '*' for all"
            )
    return frozenset(host.lower().removesuffix(".") for host in hosts)


async def read_body(exchange: Exchange) -> bytes:
    """The whole body. Raises for one too large or too slow, for too many at once, and `Disconnected`."""
    options = exchange.options
    body = bytearray()
    try:
        async with asyncio.timeout(options.body_timeout):
            while True:
                message = await exchange.receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part = message.get("body", b"")
                if len(body) + len(part) > options.max_body_bytes:
                    raise _too_large(options)
                exchange.hold(len(part))
                body += part
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise APIStatusError(
            f"The body of the request did not arrive within {options.body_timeout:g} s.",
            status_code=408,
            code="request_timeout",
        ) from None
    # A small value takes some twenty times its bytes once it is read, and time that nobody else has.
    if body.count(b",") > MAX_COMMAS:
        raise BadRequestError(
            f"The body of the request has more than {MAX_COMMAS} commas: more values than are read at once.",
            status_code=413,
            code="request_too_large",
        )
    return bytes(body)


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address without a port, is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_key(authorization: str | None, key: str) -> None:
    scheme, _, given = (authorization or "").partition(" ")
    sent = given.strip().encode("latin-1")  # the bytes that stood in the header
    # Digests have one length, so the comparison takes the same time whatever was sent.
    same = hmac.compare_digest(hashlib.sha256(sent).digest(), hashlib.sha256(key.encode()).digest())
    if scheme.lower() != "bearer" or not sent:
        raise AuthenticationError(
            "You did not provide an API key. Send the header 'Authorization: Bearer YOUR_KEY'.",
            headers={"www-authenticate": "Bearer"},
        )
    if not same:
        raise AuthenticationError("Incorrect API key provided.", headers={"www-authenticate": "Bearer"})


def _host_allowed(host: str | None, allowed: frozenset[str] | None) -> bool:
    if allowed is not None and "*" in allowed:
        return True
    match = _HOST.fullmatch((host or "").lower())
    if match is None:
        return False
    return is_loopback(match["name"]) if allowed is None else match["name"] in allowed


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


def _too_large(options: ServerOptions) -> BadRequestError:
    return BadRequestError(
        f"The body of the request is larger than {options.max_body_bytes} bytes, which is this server's "
        "max_body_bytes.",
        status_code=413,
        code="request_too_large",
    )


def _too_many(what: str) -> InternalServerError:
    return InternalServerError(
        f"This server {what}. Ask again later.",
        status_code=503,
        code="overloaded",
        headers={"retry-after": str(RETRY_AFTER_S)},
    )


def _shown(text: str) -> str:
    return repr(text[:MAX_SHOWN])
