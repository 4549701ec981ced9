"""The calls that the API has, each as a `Call`: what is asked, and what an answer becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..types.model import Model, ModelList
from .answer import completion, object_of
from .call import Call
from .options import Omit, Options, Timeout
from .request import build, chat_body, encode_body, path_segment

__all__ = ["chat_completion", "model", "model_list"]


def chat_completion(
    options: Options,
    key: str | None,
    params: Mapping[str, Any],
    *,
    stream: bool | None,
    extra_body: Mapping[str, Any] | None,
    timeout: float | Timeout | None,
    **extra: Any,
) -> Call:
    """`POST /chat/completions`."""
    body = chat_body(params, stream, extra_body)
    request = build(
        options, key, "POST", "/chat/completions", body=encode_body(body), stream=bool(stream), **extra
    )
    n = body.get("n")
    n = n if isinstance(n, int) and n > 0 else 1
    stream_options = body.get("stream_options")
    return Call(
        request,
        options,
        _timeout(options, timeout),
        None if stream else lambda response, data: completion(response, data, n=n),
        n=n,
        usage_asked=isinstance(stream_options, Mapping) and bool(stream_options.get("include_usage")),
    )


def model_list(options: Options, key: str | None, *, timeout: float | Timeout | None, **extra: Any) -> Call:
    """`GET /models`."""
    return Call(
        build(options, key, "GET", "/models", **extra),
        options,
        _timeout(options, timeout),
        lambda response, data: object_of(ModelList, response, data, needs="data"),
    )


def model(
    options: Options, key: str | None, name: str, *, timeout: float | Timeout | None, **extra: Any
) -> Call:
    """`GET /models/{model}`."""
    return Call(
        build(options, key, "GET", f"/models/{path_segment('model', name)}", **extra),
        options,
        _timeout(options, timeout),
        lambda response, data: object_of(Model, response, data, needs="id"),
    )


def _timeout(options: Options, given: float | Timeout | None) -> Timeout:
    return options.timeout if isinstance(given, Omit) else Timeout.of(given)
