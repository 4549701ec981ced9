"""HTTP connections as uvicorn serves them, with bounds that it does not have: on a head's bytes and on its time.

Without them a client that has no key could send a head without an end. And the requests that a client sent in
a row are all told when it has gone; uvicorn tells the last one only. An offer to speak anything but HTTP/1.1 is
passed over; uvicorn would take the body from such a request. A client that speaks HTTP/1.0 gets a body that ends
with its connection; uvicorn would send it chunks, which it does not know.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["HEAD_TIMEOUT", "MAX_HEAD_BYTES", "MAX_IN_A_ROW", "HttpProtocol"]

# The most bytes of a request's first line and headers; and how long, in seconds, a client may take for them,
# from its connection or the first of these bytes, and for the rest of a body that nobody wants.
MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT = 30.0

# How many requests a client may send in a row while the first of them waits for its answer. Hardly any client
# sends two, and what one read can hold of them would keep the server busy for seconds.
MAX_IN_A_ROW = 16

# The header that offers another protocol, as JDK clients do with each request (RFC 9110, 7.8).
_OFFER = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self._head_bytes = 0  # that came, perhaps with more than the head
        self._told_bytes = 0  # that the parser has told of
        self._in_head = True
        self._cycles: list[RequestResponseCycle] = []
        self._limit: asyncio.TimerHandle | None = None
        self._begin_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_limit()
        super().connection_lost(exc)
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if self._limit is None:
                self._begin_limit()
            self._head_bytes += len(data)
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _OFFER.sub(b"", head) + end + rest
        super().data_received(data)
        # A line of a head without an end is not told of before its end.
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._leave(_TOO_LARGE)

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = self._told_bytes = 0
        self._end_limit()
        self._cycles = [cycle for cycle in self._cycles if not cycle.response_complete]
        if len(self._cycles) > MAX_IN_A_ROW:
            self._refuse()
        super().on_headers_complete()
        if self.cycle is not None and self.scope["http_version"] == "1.0":
            self.cycle.__class__ = _UntilClosed  # before its first step
        if self.cycle is not None:  # None where another protocol takes over
            self._cycles.append(self.cycle)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._end_limit()

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing():  # it was refused already
            return
        if self._answering():
            self._leave(b"")
        else:
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head:  # the body still comes
            self._begin_limit()

    def _count(self, *parts: bytes) -> None:
        """Count a part of a head. Raises, which ends the parser, where it is too much: a read may hold more."""
        self._told_bytes += sum(map(len, parts))
        if self._told_bytes > MAX_HEAD_BYTES:
            self._refuse()

    def _refuse(self) -> None:
        """Take nothing more from the client. Raises, so that the parser takes no more of this read either."""
        self._leave(_TOO_LARGE)
        raise ValueError("more than is taken at once")

    def _leave(self, last_words: bytes) -> None:
        """Close the connection; no words go into the middle of an answer."""
        if not self._answering():
            self.transport.write(last_words)
        self.transport.close()

    def _answering(self) -> bool:
        return any(not cycle.response_complete for cycle in self._cycles)

    def _begin_limit(self) -> None:
        self._end_limit()
        self._limit = self.loop.call_later(HEAD_TIMEOUT, self._out_of_time)

    def _end_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _out_of_time(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class _UntilClosed(RequestResponseCycle):
    """An answer to HTTP/1.0, which has no chunks: where its length is not known, it ends with the connection."""

    _unsized = False

    async def send(self, message: Any) -> None:
        """Send a part of the answer."""
        if message["type"] != "http.response.start":
            if self._unsized:
                self.expected_content_length = len(message.get("body", b""))
        else:
            self._unsized = all(name != b"content-length" for name, _ in message["headers"])
            if self._unsized:
                self.chunked_encoding = False
        await super().send(message)
