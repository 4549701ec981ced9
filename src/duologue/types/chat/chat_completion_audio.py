"""A spoken answer."""

from __future__ import annotations

from .._wire import ABSENT, WireObject

__all__ = ["ChatCompletionAudio"]


class ChatCompletionAudio(WireObject):
    """`data` is base64 in the format asked for; `expires_at` is in Unix seconds."""

    id: str = ABSENT
    data: str = ABSENT
    expires_at: int = ABSENT
    transcript: str = ABSENT
