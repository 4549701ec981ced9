"""Bodies that come compressed although nobody asked for it: some servers do so all the same."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from ...protocol.transport import TransportError

__all__ = ["MAX_SILENT_BYTES", "Inflater", "inflater"]

# How many compressed bytes may come in a row that hold nothing.
MAX_SILENT_BYTES = 256 * 1024

_GZIP = zlib.MAX_WBITS | 16
_FORMATS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}
_UNKNOWN = ("br", "zstd", "compress", "x-compress")


def inflater(encoding: str) -> Inflater | None:
    """What undoes the `content-encoding` of an answer; None where nothing is to be undone.

    A word that is no compression (`identity`, `utf-8`) says nothing.
    """
    encoding = encoding.strip().lower()
    return Inflater(encoding) if encoding in _FORMATS or encoding in _UNKNOWN else None


class Inflater:
    """Decompresses one body as it comes, of any number of members.

    What comes before a fault is handed out, then the fault is raised: as a `TransportError` of the kind
    `reset`, for the body is as good as cut.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._member: Any = None  # what is being decompressed; None between two
        self._silent = 0
        self._ended = False
        self._fault = "" if encoding in _FORMATS else "which was not asked for and is not understood"

    def read(self, more: Callable[[], bytes]) -> bytes:
        """The next bytes, of as many parts of the body as are needed for some; `b""` at the end.

        Raises `TransportError`, and what `more` raises.
        """
        found = b""
        while not found and not self._over:
            found = self._decode(more())
        return found

    async def aread(self, more: Callable[[], Awaitable[bytes]]) -> bytes:
        """`read`, on an event loop."""
        found = b""
        while not found and not self._over:
            found = self._decode(await more())
        return found

    @property
    def _over(self) -> bool:
        if self._fault:
            fault = TransportError("reset", f"the body is encoded as {self._encoding!r}, {self._fault}")
            raise fault from zlib.error(str(fault))
        return self._ended

    def _decode(self, data: bytes) -> bytes:
        found = bytearray()
        self._ended = not data
        self._silent += len(data)
        while data and not self._fault:
            if self._member is None:
                self._member = zlib.decompressobj(self._bits(data[0]))
            before = self._member.copy()
            try:
                found += self._member.decompress(data)
            except zlib.error as error:
                found += _good_part(before, data)
                self._fault = f"and broken: {error}"
            data = self._member.unused_data
            if self._member.eof:
                self._member = None
        if found:
            self._silent = 0
        elif self._silent > MAX_SILENT_BYTES:
            self._fault = f"and {MAX_SILENT_BYTES} bytes of it hold nothing"
        if self._ended and self._member is not None:
            self._fault = "and cut"
        return bytes(found)

    def _bits(self, first: int) -> int:
        bare = self._encoding == "deflate" and first & 0x0F != zlib.DEFLATED  # as some send it: no header
        return -zlib.MAX_WBITS if bare else _FORMATS[self._encoding]


def _good_part(member: Any, data: bytes) -> bytes:
    """What `data` holds up to its fault."""
    found = bytearray()
    try:
        for byte in data:
            found += member.decompress(bytes((byte,)))
    except zlib.error:
        pass
    return bytes(found)
