"""Chat Completions, both ends of the wire.

    from duologue import Client

    client = Client(base_url="http://127.0.0.1:8000/v1")
    for chunk in client.chat.completions.create(model=..., messages=[...], stream=True):
        print(chunk.text, end="")

The names below are imported when they are used, so `import duologue` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import types as types
    from .client.aio import AsyncClient as AsyncClient
    from .client.aio import AsyncOpenAI as AsyncOpenAI
    from .client.bulk import BulkResult as BulkResult
    from .client.events import AsyncChatCompletionStream as AsyncChatCompletionStream
    from .client.events import ChatCompletionStream as ChatCompletionStream
    from .client.options import NOT_GIVEN as NOT_GIVEN
    from .client.options import NotGiven as NotGiven
    from .client.options import Omit as Omit
    from .client.options import Timeout as Timeout
    from .client.options import omit as omit
    from .client.stream import AsyncStream as AsyncStream
    from .client.stream import Stream as Stream
    from .client.sync import Client as Client
    from .client.sync import OpenAI as OpenAI
    from .client.tool_run import AsyncToolRun as AsyncToolRun
    from .client.tool_run import ToolRun as ToolRun
    from .engine import Engine as Engine
    from .engine import as_engine as as_engine
    from .protocol.accumulate import accumulate as accumulate
    from .protocol.accumulate import split as split
    from .protocol.errors import APIConnectionError as APIConnectionError
    from .protocol.errors import APIError as APIError
    from .protocol.errors import APIResponseValidationError as APIResponseValidationError
    from .protocol.errors import APIStatusError as APIStatusError
    from .protocol.errors import APITimeoutError as APITimeoutError
    from .protocol.errors import AuthenticationError as AuthenticationError
    from .protocol.errors import BadRequestError as BadRequestError
    from .protocol.errors import ConflictError as ConflictError
    from .protocol.errors import ContentFilterFinishReasonError as ContentFilterFinishReasonError
    from .protocol.errors import DuologueError as DuologueError
    from .protocol.errors import InternalServerError as InternalServerError
    from .protocol.errors import LengthFinishReasonError as LengthFinishReasonError
    from .protocol.errors import MaxTurnsError as MaxTurnsError
    from .protocol.errors import NotFoundError as NotFoundError
    from .protocol.errors import OpenAIError as OpenAIError
    from .protocol.errors import PermissionDeniedError as PermissionDeniedError
    from .protocol.errors import RateLimitError as RateLimitError
    from .protocol.errors import StreamCancelledError as StreamCancelledError
    from .protocol.errors import StreamTimeoutError as StreamTimeoutError
    from .protocol.errors import StreamTruncatedError as StreamTruncatedError
    from .protocol.errors import UnprocessableEntityError as UnprocessableEntityError
    from .protocol.partial import PartialJSON as PartialJSON
    from .protocol.progress import Accumulator as Accumulator
    from .protocol.schema.errors import ParseError as ParseError
    from .protocol.schema.errors import SchemaError as SchemaError
    from .protocol.schema.form import TypedFormat as TypedFormat
    from .protocol.schema.form import typed_format as typed_format
    from .protocol.schema.strict import strict_schema as strict_schema
    from .run import run_server as run_server
    from .run import serve as serve
    from .server.app import create_app as create_app
    from .tools.custom import CustomTool as CustomTool
    from .tools.custom import custom_tool as custom_tool
    from .tools.function import Tool as Tool
    from .tools.function import tool as tool
    from .tools.models import pydantic_function_tool as pydantic_function_tool
    from .tools.schema import SchemaTool as SchemaTool
    from .tools.schema import schema_tool as schema_tool
    from .tools.signature import Context as Context
    from .types.chat.constructors import assistant_message as assistant_message
    from .types.chat.constructors import audio_part as audio_part
    from .types.chat.constructors import developer_message as developer_message
    from .types.chat.constructors import file_part as file_part
    from .types.chat.constructors import function_message as function_message
    from .types.chat.constructors import image_part as image_part
    from .types.chat.constructors import refusal_part as refusal_part
    from .types.chat.constructors import system_message as system_message
    from .types.chat.constructors import text_part as text_part
    from .types.chat.constructors import tool_message as tool_message
    from .types.chat.constructors import user_message as user_message
    from .types.chat.constructors import user_message_parts as user_message_parts
else:
    __all__, __getattr__, __dir__ = lazy(
        __name__,
        {
            "client.aio": ("AsyncClient", "AsyncOpenAI"),
            "client.bulk": ("BulkResult",),
            "client.events": ("AsyncChatCompletionStream", "ChatCompletionStream"),
            "client.options": ("NOT_GIVEN", "NotGiven", "Omit", "Timeout", "omit"),
            "client.stream": ("AsyncStream", "Stream"),
            "client.sync": ("Client", "OpenAI"),
            "client.tool_run": ("AsyncToolRun", "ToolRun"),
            "engine": ("Engine", "as_engine"),
            "protocol.accumulate": ("accumulate", "split"),
            "protocol.errors": (
                "APIConnectionError",
                "APIError",
                "APIResponseValidationError",
                "APIStatusError",
                "APITimeoutError",
                "AuthenticationError",
                "BadRequestError",
                "ConflictError",
                "ContentFilterFinishReasonError",
                "DuologueError",
                "InternalServerError",
                "LengthFinishReasonError",
                "MaxTurnsError",
                "NotFoundError",
                "OpenAIError",
                "PermissionDeniedError",
                "RateLimitError",
                "StreamCancelledError",
                "StreamTimeoutError",
                "StreamTruncatedError",
                "UnprocessableEntityError",
            ),
            "protocol.partial": ("PartialJSON",),
            "protocol.progress": ("Accumulator",),
            "protocol.schema.errors": ("ParseError", "SchemaError"),
            "protocol.schema.form": ("TypedFormat", "typed_format"),
            "protocol.schema.strict": ("strict_schema",),
            "run": ("run_server", "serve"),
            "server.app": ("create_app",),
            "tools.custom": ("CustomTool", "custom_tool"),
            "tools.function": ("Tool", "tool"),
            "tools.models": ("pydantic_function_tool",),
            "tools.schema": ("SchemaTool", "schema_tool"),
            "tools.signature": ("Context",),
            "types.chat.constructors": (
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
        },
        submodules=("types",),
    )
