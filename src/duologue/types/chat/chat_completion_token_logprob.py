"""The log probability of one token of the answer, and of those that might have stood in its place.

All fields are required, as the protocol has it: an entry with one missing takes the tolerant path.
"""

from __future__ import annotations

from .._wire import WireObject

__all__ = ["ChatCompletionTokenLogprob", "TopLogprob"]


class TopLogprob(WireObject):
    """A candidate: its text, its UTF-8 bytes (None where it has none), its natural-log probability."""

    _nullable = frozenset({"bytes"})

    token: str
    bytes: list[int] | None
    logprob: float


class ChatCompletionTokenLogprob(WireObject):
    """A token of the answer. A logprob of -9999.0 means: very unlikely."""

    _nullable = frozenset({"bytes"})

    token: str
    bytes: list[int] | None
    logprob: float
    top_logprobs: list[TopLogprob]
