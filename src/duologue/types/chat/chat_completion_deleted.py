"""The answer to the deletion of a stored completion."""

from __future__ import annotations

from typing import Literal

from .._wire import ABSENT, Open, WireObject

__all__ = ["ChatCompletionDeleted"]


class ChatCompletionDeleted(WireObject):
    """What `DELETE /chat/completions/{id}` answers."""

    id: str = ABSENT
    deleted: bool = ABSENT
    object: Open[Literal["chat.completion.deleted"]] = "chat.completion.deleted"
