"""The content of a message as one text, for engines that take text only."""

from __future__ import annotations

from ..protocol.errors import BadRequestError
from ..types.chat.request import Message, RefusalPart, TextPart

__all__ = ["cannot_take", "text_of"]


def text_of(message: Message, path: str) -> str:
    """The text of a message, its parts joined; that of its refusal where it has no content.

    Raises `BadRequestError` for a part that is no text; `path` is the message's place in the request.
    """
    content = message.content
    if content is None:
        return getattr(message, "refusal", None) or ""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for index, part in enumerate(content):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
        else:
            raise cannot_take(f"content of type {part.type!r}", f"{path}.content[{index}]")
    return "".join(texts)


def cannot_take(what: str, path: str) -> BadRequestError:
    """The error for a part of a request that is no text."""
    return BadRequestError(f"{path} is {what}, and this model takes text only.", param=path)
