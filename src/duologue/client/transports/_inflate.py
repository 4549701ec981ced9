"""Bodies that come compressed although nobody asked for it: some servers do so all the same."""

from __future__ import annotations

import asyncio
import zlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ...protocol.transport import READ_BYTES, TransportError

__all__ = ["MAX_SILENT_BYTES", "AsyncBody", "Body", "Inflater", "inflater"]

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

    At most `READ_BYTES` are handed out at once, and nothing is decompressed before it is asked for: a few bytes
    can stand for very many. What comes before a fault is handed out, then the fault is raised: as a
    `TransportError` of the kind `reset`, for the body is as good as cut.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._member: Any = None  # what is being decompressed; None between two
        self._rest = b""  # what has come and is not decompressed
        self._due = False  # there is such, or the member holds some back
        self._silent = 0
        self._ended = False
        self._fault = "" if encoding in _FORMATS else "which was not asked for and is not understood"

    def read(self, more: Callable[[], bytes]) -> bytes:
        """The next bytes, of as many parts of the body as are needed for some; `b""` at the end.

        Raises `TransportError`, and what `more` raises.
        """
        while not (found := self._next()) and not self._over:
            self._add(more())
        return found

    async def aread(self, more: Callable[[], Awaitable[bytes]]) -> bytes:
        """`read`, on an event loop, which goes round before anything that had come already."""
        if self._due:
            await asyncio.sleep(0)
        while not (found := self._next()) and not self._over:
            self._add(await more())
        return found

    @property
    def _over(self) -> bool:
        if self._fault:
            fault = TransportError("reset", f"the body is encoded as {self._encoding!r}, {self._fault}")
            raise fault from zlib.error(str(fault))
        return self._ended

    def _add(self, data: bytes) -> None:
        """A part of the body has come, `b""` for its end."""
        self._rest, self._due, self._ended = data, bool(data), not data
        self._silent += len(data)
        if self._ended and self._member is not None:
            self._fault = "and cut"

    def _next(self) -> bytes:
        """The next bytes of what has come; `b""` when there are none in it any more."""
        found = b""
        while self._due and not found and not self._fault:
            found = self._decompressed()
        if found:
            self._silent = 0
        elif self._silent > MAX_SILENT_BYTES:
            self._fault = f"and {MAX_SILENT_BYTES} bytes of it hold nothing"
        return found

    def _decompressed(self) -> bytes:
        """What the present member, or the next one, has to give."""
        if self._member is None:
            self._member = zlib.decompressobj(self._bits(self._rest[0]))
        member, before = self._member, self._member.copy()
        try:
            found: bytes = member.decompress(self._rest, READ_BYTES)
        except zlib.error as error:
            self._fault = f"and broken: {error}"
            return _good_part(before, self._rest)
        if member.eof:
            self._member, self._rest = None, member.unused_data
            self._due = bool(self._rest)
        else:
            self._rest = member.unconsumed_tail
            self._due = len(found) == READ_BYTES
        return found

    def _bits(self, first: int) -> int:
        bare = self._encoding == "deflate" and first & 0x0F != zlib.DEFLATED  # as some send it: no header
        return -zlib.MAX_WBITS if bare else _FORMATS[self._encoding]


class Body(ABC):
    """A body that is handed out as it was before it was compressed, by whoever reads it as it comes."""

    def __init__(self, encoding: str) -> None:
        self._inflater = inflater(encoding)

    def read(self, by: float | None = None) -> bytes:
        """The next bytes as they arrive, `b""` at the end; given up at `by`. Raises `TransportError`."""
        if self._inflater is None:
            return self._read(by)
        try:
            return self._inflater.read(partial(self._read, by))
        except TransportError:
            self.close()
            raise

    @abstractmethod
    def _read(self, by: float | None) -> bytes:
        """The same, as they come."""

    @abstractmethod
    def close(self) -> None:
        """Leave at once."""


class AsyncBody(ABC):
    """`Body`, for an event loop."""

    def __init__(self, encoding: str) -> None:
        self._inflater = inflater(encoding)

    @property
    def compressed(self) -> bool:
        """Whether there is something to undo; else `read` only passes on to `_read`."""
        return self._inflater is not None

    async def read(self, by: float | None = None) -> bytes:
        """The next bytes as they arrive, `b""` at the end; given up at `by`. Raises `TransportError`."""
        if self._inflater is None:
            return await self._read(by)
        try:
            return await self._inflater.aread(partial(self._read, by))
        except TransportError:
            self.close()
            raise

    @abstractmethod
    async def _read(self, by: float | None = None) -> bytes:
        """The same, as they come."""

    @abstractmethod
    def close(self) -> None:
        """Leave at once."""


def _good_part(member: Any, data: bytes) -> bytes:
    """What `data` holds up to its fault."""
    found = bytearray()
    try:
        for byte in data:
            found += member.decompress(bytes((byte,)))
    except zlib.error:
        pass
    return bytes(found)
