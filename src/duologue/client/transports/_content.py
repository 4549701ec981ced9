"""What has come of a body over aiohttp and is not read yet."""

from __future__ import annotations

import aiohttp

__all__ = ["Content"]


class Content(aiohttp.StreamReader):
    """aiohttp's, read in one step and without a record of where each piece of a chunked body ended.

    The parser makes readers of aiohttp's class, so an object of that becomes one of this by its `__class__`,
    before anything is fed to it.
    """

    __slots__ = ()

    def begin_http_chunk_receiving(self) -> None:
        """Nothing: nobody asks which bytes came in one piece."""

    def end_http_chunk_receiving(self) -> None:
        """Nothing, likewise."""

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        """Keep what has come, and wake the reader; false, for none of it is left to be fed."""
        del size
        self._buffer.append(data)
        self._size += len(data)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._size > self._high_water:
            self._protocol.pause_reading()
        return False

    async def take(self) -> bytes:
        """All that has come, at least a byte; `b""` at the end.

        Raises what aiohttp makes of a broken body, and `RuntimeError` where nothing can come, or somebody waits
        already.
        """
        if self._exception is not None:
            raise self._exception
        buffer = self._buffer
        if not buffer and not self._eof:
            if self._protocol.transport is None:
                raise RuntimeError("the connection is closed")
            if self._waiter is not None:
                raise RuntimeError("somebody else waits for this body")
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None
        data = buffer.popleft() if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._size = 0
        if self._protocol._reading_paused:
            self._protocol.resume_reading()
        return data
