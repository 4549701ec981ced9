"""Calling a Chat Completions endpoint: `Client` for blocking code, `AsyncClient` for asynchronous code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy

if TYPE_CHECKING:
    from ..protocol.response import APIResponse as APIResponse
    from ..protocol.response import Timings as Timings
    from .aio import AsyncClient as AsyncClient
    from .aio import AsyncOpenAI as AsyncOpenAI
    from .bulk import BulkResult as BulkResult
    from .events import AsyncChatCompletionStream as AsyncChatCompletionStream
    from .events import ChatCompletionStream as ChatCompletionStream
    from .options import NOT_GIVEN as NOT_GIVEN
    from .options import NotGiven as NotGiven
    from .options import Omit as Omit
    from .options import Timeout as Timeout
    from .options import omit as omit
    from .raw import RawResponse as RawResponse
    from .stream import AsyncStream as AsyncStream
    from .stream import Stream as Stream
    from .sync import Client as Client
    from .sync import OpenAI as OpenAI
    from .unread import AsyncStreamedResponse as AsyncStreamedResponse
    from .unread import StreamedResponse as StreamedResponse
else:
    __all__, __getattr__, __dir__ = lazy(
        __name__,
        {
            ".protocol.response": ("APIResponse", "Timings"),
            "aio": ("AsyncClient", "AsyncOpenAI"),
            "bulk": ("BulkResult",),
            "events": ("AsyncChatCompletionStream", "ChatCompletionStream"),
            "options": ("NOT_GIVEN", "NotGiven", "Omit", "Timeout", "omit"),
            "raw": ("RawResponse",),
            "stream": ("AsyncStream", "Stream"),
            "sync": ("Client", "OpenAI"),
            "unread": ("AsyncStreamedResponse", "StreamedResponse"),
        },
    )
