"""A message of a stored completion."""

from __future__ import annotations

from typing import Any

from .._wire import ABSENT
from .chat_completion_message import ChatCompletionMessage

__all__ = ["ChatCompletionStoreMessage"]


class ChatCompletionStoreMessage(ChatCompletionMessage):
    """One entry of `GET /chat/completions/{id}/messages`.

    `content_parts` are the text and image parts of a message that was sent as parts, else None.
    """

    id: str = ABSENT
    content_parts: list[dict[str, Any]] | None = None
