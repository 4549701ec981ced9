"""What travels: the types of requests and answers, named as openai-python names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from . import chat as chat
    from .chat.chat_completion_tool_param import FunctionDefinition as FunctionDefinition
    from .chat.chat_completion_tool_param import FunctionParameters as FunctionParameters
    from .chat.completion_create_params import Metadata as Metadata
    from .chat.completion_create_params import ReasoningEffort as ReasoningEffort
    from .chat.completion_create_params import ResponseFormatJSONObject as ResponseFormatJSONObject
    from .chat.completion_create_params import ResponseFormatJSONSchema as ResponseFormatJSONSchema
    from .chat.completion_create_params import ResponseFormatText as ResponseFormatText
    from .chat_model import ChatModel as ChatModel
    from .completion_usage import CompletionTokensDetails as CompletionTokensDetails
    from .completion_usage import CompletionUsage as CompletionUsage
    from .completion_usage import PromptTokensDetails as PromptTokensDetails
    from .model import Model as Model
    from .model import ModelList as ModelList
else:
    __all__, __getattr__, __dir__ = lazy(
        __name__,
        {
            "chat.chat_completion_tool_param": ("FunctionDefinition", "FunctionParameters"),
            "chat.completion_create_params": (
                "Metadata",
                "ReasoningEffort",
                "ResponseFormatJSONObject",
                "ResponseFormatJSONSchema",
                "ResponseFormatText",
            ),
            "chat_model": ("ChatModel",),
            "completion_usage": ("CompletionTokensDetails", "CompletionUsage", "PromptTokensDetails"),
            "model": ("Model", "ModelList"),
        },
        submodules=("chat",),
    )
