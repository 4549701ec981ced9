"""Streams whose chunks do not tell by their size what is in them.

Who sees the encrypted bytes of a stream sees the size of each chunk, and from those can guess at the tokens. On
request (`stream_options.include_obfuscation`) each chunk has a field `obfuscation` of random characters, which
no compression on the way takes out again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..engine import Event
from ..types.chat.request import ChatRequest
from .write import ChunkWriter, Together

__all__ = ["BLOCK", "PaddedWriter"]

# In bytes: what differs between the chunks of a stream is filled up to a multiple of this.
BLOCK = 64

_VARIABLE = b'"choices":['


class PaddedWriter(ChunkWriter):
    """A `ChunkWriter` that pads. `random_text` gives so many random ASCII letters, digits, `-` or `_`."""

    def __init__(self, request: ChatRequest, *, random_text: Callable[[int], str], **identity: Any) -> None:
        super().__init__(request, **identity)
        self._random_text = random_text

    def write(self, event: Event | str | Together) -> bytes:
        """See `ChunkWriter.write`."""
        return self._padded(super().write(event))

    def finish(self) -> bytes:
        """See `ChunkWriter.finish`."""
        return self._padded(super().finish())

    def _padded(self, frames: bytes) -> bytes:
        return b"".join(map(self._pad, frames.split(b"\n\n")[:-1]))

    def _pad(self, frame: bytes) -> bytes:
        if not frame.endswith(b"}"):  # [DONE]
            return frame + b"\n\n"
        # What stands before is the same in every chunk.
        size = len(frame) - frame.index(_VARIABLE)
        return b'%b,"obfuscation":"%b"}\n\n' % (frame[:-1], self._random_text(-size % BLOCK).encode("ascii"))
