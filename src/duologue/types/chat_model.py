"""The id of a model."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["ChatModel"]

# openai-python lists OpenAI's models here and takes any other text as well; each endpoint says at `/models`
# which ones it has.
ChatModel: TypeAlias = str
