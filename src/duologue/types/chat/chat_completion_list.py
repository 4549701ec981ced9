"""Pages of stored completions and of their messages."""

from __future__ import annotations

from typing import Literal

from .._wire import ABSENT, Open, WireObject
from .chat_completion import ChatCompletion
from .chat_completion_store_message import ChatCompletionStoreMessage

__all__ = ["ChatCompletionList", "ChatCompletionMessageList"]


class _Page(WireObject):
    """A part of a list. `last_id` is what `after` takes to ask for the next one; both are None in an empty one."""

    _nullable = frozenset({"first_id", "last_id"})

    first_id: str | None = None
    has_more: bool = ABSENT
    last_id: str | None = None
    object: Open[Literal["list"]] = "list"


class ChatCompletionList(_Page):
    """A page of `GET /chat/completions`."""

    data: list[ChatCompletion] = []


class ChatCompletionMessageList(_Page):
    """A page of `GET /chat/completions/{id}/messages`."""

    data: list[ChatCompletionStoreMessage] = []
