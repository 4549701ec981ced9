"""A call of a custom tool: one whose input is free text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from .._wire import ABSENT, Open, WireObject

if TYPE_CHECKING:
    from .chat_completion_message_param import ChatCompletionMessageCustomToolCallParam

__all__ = ["ChatCompletionMessageCustomToolCall"]


class Custom(WireObject):
    """The tool's name and the text the model wrote for it."""

    input: str = ABSENT
    name: str = ABSENT


class ChatCompletionMessageCustomToolCall(WireObject):
    """A call of a custom tool; `id` is what the tool message answers."""

    id: str = ABSENT
    custom: Custom = ABSENT
    type: Open[Literal["custom"]] = "custom"

    def to_param(self) -> ChatCompletionMessageCustomToolCallParam:
        """This call as part of the next request. Its unknown fields go along: some servers need them back."""
        param = {"type": self.type, **self.to_dict()}
        # Some servers leave out what is empty.
        if self.custom is not None and self.custom.input is None:
            param["custom"] = {**param["custom"], "input": ""}
        return cast("ChatCompletionMessageCustomToolCallParam", param)
