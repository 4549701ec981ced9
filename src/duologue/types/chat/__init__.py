"""The types of a chat completion: what is asked and what is answered.

Names that exist twice (`Choice`, `ChoiceLogprobs`, `Function`, ...) can be had from their modules only, such as
`duologue.types.chat.chat_completion_chunk`, and are left out of their `__all__`; so can the checked twins of
what a request holds, from `request`.
"""

# ruff: noqa: F403 - a module's `__all__` is what it gives to this package

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._lazy import lazy

if TYPE_CHECKING:
    from .chat_completion import *
    from .chat_completion_audio import *
    from .chat_completion_chunk import *
    from .chat_completion_deleted import *
    from .chat_completion_list import *
    from .chat_completion_message import *
    from .chat_completion_message_custom_tool_call import *
    from .chat_completion_message_function_tool_call import *
    from .chat_completion_message_param import *
    from .chat_completion_message_tool_call import *
    from .chat_completion_moderation import *
    from .chat_completion_store_message import *
    from .chat_completion_stream_event import *
    from .chat_completion_token_logprob import *
    from .chat_completion_tool_param import *
    from .completion_create_params import *
    from .constructors import *
    from .parsed_chat_completion import *
    from .request import ChatRequest as ChatRequest
else:
    __all__, __getattr__, __dir__ = lazy(
        __name__,
        {
            "chat_completion": (
                "ChatCompletion",
                "FinishReason",
                "ServiceTier",
            ),
            "chat_completion_audio": ("ChatCompletionAudio",),
            "chat_completion_chunk": (
                "ChatCompletionChunk",
                "ChoiceDelta",
                "ChoiceDeltaAudio",
                "ChoiceDeltaFunctionCall",
                "ChoiceDeltaToolCall",
                "ChoiceDeltaToolCallCustom",
                "ChoiceDeltaToolCallFunction",
            ),
            "chat_completion_deleted": ("ChatCompletionDeleted",),
            "chat_completion_list": (
                "ChatCompletionList",
                "ChatCompletionMessageList",
            ),
            "chat_completion_message": (
                "Annotation",
                "AnnotationURLCitation",
                "ChatCompletionMessage",
            ),
            "chat_completion_message_custom_tool_call": ("ChatCompletionMessageCustomToolCall",),
            "chat_completion_message_function_tool_call": ("ChatCompletionMessageFunctionToolCall",),
            "chat_completion_message_param": (
                "AssistantAudioParam",
                "CalledCustomParam",
                "CalledFunctionParam",
                "ChatCompletionAssistantMessageParam",
                "ChatCompletionContentPartFileParam",
                "ChatCompletionContentPartImageParam",
                "ChatCompletionContentPartInputAudioParam",
                "ChatCompletionContentPartParam",
                "ChatCompletionContentPartRefusalParam",
                "ChatCompletionContentPartTextParam",
                "ChatCompletionDeveloperMessageParam",
                "ChatCompletionFunctionMessageParam",
                "ChatCompletionMessageCustomToolCallParam",
                "ChatCompletionMessageFunctionToolCallParam",
                "ChatCompletionMessageParam",
                "ChatCompletionMessageToolCallParam",
                "ChatCompletionMessageToolCallUnionParam",
                "ChatCompletionRole",
                "ChatCompletionSystemMessageParam",
                "ChatCompletionToolMessageParam",
                "ChatCompletionUserMessageParam",
                "CreateChatCompletionRequestMessageParam",
                "FileFile",
                "ImageURL",
                "InputAudio",
                "PromptCacheBreakpoint",
            ),
            "chat_completion_message_tool_call": (
                "ChatCompletionMessageToolCall",
                "ChatCompletionMessageToolCallUnion",
            ),
            "chat_completion_moderation": (
                "ModerationError",
                "ModerationResult",
                "ModerationResults",
            ),
            "chat_completion_store_message": ("ChatCompletionStoreMessage",),
            "chat_completion_stream_event": (
                "ChatCompletionStreamEvent",
                "ChunkEvent",
                "ContentDeltaEvent",
                "ContentDoneEvent",
                "CustomToolCallInputDeltaEvent",
                "CustomToolCallInputDoneEvent",
                "FunctionToolCallArgumentsDeltaEvent",
                "FunctionToolCallArgumentsDoneEvent",
                "LogprobsContentDeltaEvent",
                "LogprobsContentDoneEvent",
                "LogprobsRefusalDeltaEvent",
                "LogprobsRefusalDoneEvent",
                "ReasoningDeltaEvent",
                "ReasoningDoneEvent",
                "RefusalDeltaEvent",
                "RefusalDoneEvent",
            ),
            "chat_completion_token_logprob": (
                "ChatCompletionTokenLogprob",
                "TopLogprob",
            ),
            "chat_completion_tool_param": (
                "ChatCompletionAllowedToolChoiceParam",
                "ChatCompletionAllowedToolsParam",
                "ChatCompletionCustomToolParam",
                "ChatCompletionFunctionCallOptionParam",
                "ChatCompletionFunctionToolParam",
                "ChatCompletionNamedToolChoiceCustomParam",
                "ChatCompletionNamedToolChoiceParam",
                "ChatCompletionToolChoiceOptionParam",
                "ChatCompletionToolParam",
                "ChatCompletionToolUnionParam",
                "CustomDefinition",
                "CustomFormatGrammar",
                "CustomFormatGrammarGrammar",
                "CustomFormatText",
                "FunctionDefinition",
                "FunctionParameters",
                "NamedToolParam",
            ),
            "completion_create_params": (
                "ChatCompletionAudioParam",
                "ChatCompletionModality",
                "ChatCompletionPredictionContentParam",
                "ChatCompletionReasoningEffort",
                "ChatCompletionStreamOptionsParam",
                "CompletionCreateParams",
                "CompletionCreateParamsBase",
                "CompletionCommonParams",
                "CompletionCreateParamsNonStreaming",
                "CompletionCreateParamsStreaming",
                "JSONSchema",
                "Metadata",
                "ModerationPolicy",
                "ModerationPolicyMode",
                "PromptCacheOptions",
                "ReasoningEffort",
                "ResponseFormat",
                "ResponseFormatJSONObject",
                "ResponseFormatJSONSchema",
                "ResponseFormatText",
                "Verbosity",
                "VoiceID",
                "WebSearchOptions",
                "WebSearchOptionsUserLocation",
                "WebSearchOptionsUserLocationApproximate",
            ),
            "constructors": (
                "assistant_message",
                "audio_part",
                "developer_message",
                "file_part",
                "function_message",
                "image_part",
                "refusal_part",
                "system_message",
                "text_part",
                "tool_message",
                "user_message",
                "user_message_parts",
            ),
            "parsed_chat_completion": (
                "ParsedChatCompletion",
                "ParsedChatCompletionMessage",
                "ParsedChoice",
                "ParsedFunction",
                "ParsedFunctionToolCall",
            ),
            "request": ("ChatRequest",),
        },
    )
