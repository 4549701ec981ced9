"""What is decided of a request before its body is read, and how the body is read.

The order matters: a key is checked before a byte of the body is taken, and a server without a key answers
only to who can name it as this machine. Without that, any web page could drive it: a browser sends a
cross-site `text/plain` POST without asking, and a name of the attacker's may resolve to 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress

from ..protocol.errors import APIStatusError, AuthenticationError, BadRequestError, PermissionDeniedError
from .asgi import Disconnected, Receive, Scope, header
from .options import ServerOptions

__all__ = ["admit", "is_loopback", "read_body"]

# No content length worth reading has more digits.
MAX_DIGITS = 20


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
    length = header(scope, b"content-length") or ""
    # The body is counted as it comes, too: this only saves reading what is known to be too much.
    if length.isdecimal() and (len(length) > MAX_DIGITS or int(length) > options.max_body_bytes):
        raise _too_large(options)


async def read_body(receive: Receive, options: ServerOptions) -> bytes:
    """The whole body. Raises for one too large or too slow, and `Disconnected`."""
    body = bytearray()
    try:
        async with asyncio.timeout(options.body_timeout):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                body += message.get("body", b"")
                if len(body) > options.max_body_bytes:
                    raise _too_large(options)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise APIStatusError(
            f"The body of the request did not arrive within {options.body_timeout:g} s.",
            status_code=408,
            code="request_timeout",
        ) from None


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
    name = (host or "").rsplit(":", 1)[0] if not (host or "").endswith("]") else host or ""
    name = name.lower()
    return is_loopback(name) if allowed is None else "*" in allowed or name in allowed


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


def _too_large(options: ServerOptions) -> BadRequestError:
    return BadRequestError(
        f"The body of the request is larger than {options.max_body_bytes} bytes, which is this server's "
        "max_body_bytes.",
        status_code=413,
        code="request_too_large",
    )
