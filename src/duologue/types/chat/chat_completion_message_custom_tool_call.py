"""A call of a custom tool: one whose input is free text."""

from __future__ import annotations

from typing import Literal

from .._wire import ABSENT, Open, WireObject

__all__ = ["ChatCompletionMessageCustomToolCall", "Custom"]


class Custom(WireObject):
    """The tool's name and the text the model wrote for it."""

    input: str = ABSENT
    name: str = ABSENT


class ChatCompletionMessageCustomToolCall(WireObject):
    """A call of a custom tool; `id` is what the tool message answers."""

    id: str = ABSENT
    custom: Custom = ABSENT
    type: Open[Literal["custom"]] = "custom"
