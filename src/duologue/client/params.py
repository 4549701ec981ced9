"""What the methods of `client.chat.completions` take: the parameters of a request, and options of one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from ..types.chat.completion_create_params import CompletionCommonParams, CompletionCreateParamsBase
from .options import Timeout

__all__ = ["CallOptions", "CommonParams", "CreateParams"]


class CallOptions(TypedDict, total=False):
    """What may be said of one call, beside the parameters of its request."""

    extra_headers: Mapping[str, str | None] | None
    """Beside those of the client; None removes one that would be sent."""

    extra_query: Mapping[str, object] | None
    """Query parameters, beside those of the client."""

    extra_body: Mapping[str, Any] | None
    """Fields of the body that only your server knows."""

    timeout: float | Timeout | None
    """In place of the client's."""


class CreateParams(CompletionCreateParamsBase, CallOptions, total=False):
    """Of `create`, but for `stream`."""


class CommonParams(CompletionCommonParams, CallOptions, total=False):
    """Of `parse`, `stream` and `run_tools`, but for those that say what is returned."""
