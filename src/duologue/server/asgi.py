"""The few words of ASGI that the server speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

__all__ = [
    "Disconnected",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "header",
    "send_body",
    "send_head",
    "values",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Disconnected(Exception):  # noqa: N818 - nothing went wrong
    """The client went before it was answered."""


def values(scope: Scope, name: bytes) -> list[str]:
    """What a header of the request says, once for each time that it stands there."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def header(scope: Scope, name: bytes) -> str | None:
    """A header of the request; None where it is missing or stands more than once."""
    found = values(scope, name)
    return found[0] if len(found) == 1 else None


async def send_head(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Send the status and the headers. Raises `Disconnected` where the server says that the client has gone."""
    encoded = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers.items()
    ]
    try:
        await send({"type": "http.response.start", "status": status, "headers": encoded})
    except OSError:
        raise Disconnected from None


async def send_body(send: Send, body: bytes, *, more: bool = False) -> None:
    """Send a piece of the body, the last one unless `more` follows. Raises as `send_head` does."""
    try:
        await send({"type": "http.response.body", "body": body, "more_body": more})
    except OSError:
        raise Disconnected from None
