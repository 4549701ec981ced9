"""One request and its answer: identity, headers, errors."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping

from ..protocol.codec import to_text
from ..protocol.errors import APIStatusError, InternalServerError, error_body
from ..protocol.transport import is_header_name
from .asgi import Disconnected, Receive, Scope, Send, send_body, send_head
from .options import ServerOptions

__all__ = ["Exchange"]

_log = logging.getLogger("duologue.server")

# A header value that holds what others chose is cut to this many characters.
MAX_HEADER_TEXT = 512

ERROR_STATUSES = range(400, 600)

# Headers that say how a body travels: an error that was another server's may bring its own.
_FRAMING = frozenset(
    ("connection", "content-encoding", "content-length", "content-type", "keep-alive", "transfer-encoding")
)


class Exchange:
    """What all routes need of a request: who it is, and how to answer it."""

    def __init__(self, options: ServerOptions, scope: Scope, receive: Receive, send: Send) -> None:
        self.options = options
        self.scope = scope
        self.receive = receive
        self.send = send
        self.hold: Callable[[int], None] = lambda _: None  # told of each part of the body that is kept
        self.request_id = f"req_{secrets.token_hex(16)}"
        self._begun = time.perf_counter()

    def head(self, content_type: str, more: Mapping[str, str]) -> dict[str, str]:
        """The headers that every answer has, and `more`."""
        spent = round((time.perf_counter() - self._begun) * 1000)
        return {
            "content-type": content_type,
            "x-request-id": self.request_id,
            "openai-processing-ms": str(spent),
            **{
                name.lower(): _header_safe(str(value))
                for name, value in more.items()
                if is_header_name(str(name))  # an engine may have given another
            },
        }

    async def send_json(
        self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer."""
        more = {**(headers or {}), "content-length": str(len(body))}
        await send_head(self.send, status, self.head("application/json", more))
        await send_body(self.send, b"" if self.scope["method"] == "HEAD" else body)

    async def send_error(self, error: BaseException) -> None:
        """Send `error` in the protocol's shape, if there is still somebody to send it to."""
        status = self.as_status(error)
        headers = {name: value for name, value in status.headers.items() if name.lower() not in _FRAMING}
        try:
            await self.send_json(to_text(error_body(status)), status=status.status_code, headers=headers)
        except Disconnected:
            pass

    def as_status(self, error: BaseException) -> APIStatusError:
        """`error` as the protocol has it. What is not one of our errors is nobody's business but the log's."""
        if isinstance(error, APIStatusError) and error.status_code in ERROR_STATUSES:
            return error
        _log.error("request %s failed", self.request_id, exc_info=error)
        return InternalServerError(
            f"The server had an error while processing your request. Its log has more under {self.request_id}."
        )


def _header_safe(text: str) -> str:
    """A header value from text that others chose: printable, short, one line."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:MAX_HEADER_TEXT])
