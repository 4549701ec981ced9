"""The calls that the API has, each as a `Call`: what is asked, and what an answer becomes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..protocol.dialect import asked_by
from ..types.chat.chat_completion_message import ChatCompletionMessage
from ..types.model import Model, ModelList
from .answer import completion, object_of
from .call import Call
from .options import Omit, Options, Timeout
from .request import build_all, chat_body, encode_body, path_segment

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
    if options.send_reasoning and isinstance(body["messages"], Iterable):
        body["messages"] = [_with_reasoning(message) for message in body["messages"]]
    data, once = encode_body(body), f"duologue-{os.urandom(16).hex()}"
    requests = build_all(
        options,
        key,
        "POST",
        "/chat/completions",
        body=data,
        idempotency_key=once,
        stream=bool(stream),
        **extra,
    )
    asked = asked_by(body)
    return Call(
        requests,
        options,
        _timeout(options, timeout),
        None if stream else lambda response, data: completion(response, data, asked, options.dialect),
        asked=asked,
        params=body,
    )


def model_list(options: Options, key: str | None, *, timeout: float | Timeout | None, **extra: Any) -> Call:
    """`GET /models`."""
    return Call(
        build_all(options, key, "GET", "/models", **extra),
        options,
        _timeout(options, timeout),
        lambda response, data: object_of(ModelList, response, data, needs="data"),
    )


def model(
    options: Options, key: str | None, name: str, *, timeout: float | Timeout | None, **extra: Any
) -> Call:
    """`GET /models/{model}`."""
    return Call(
        build_all(options, key, "GET", f"/models/{path_segment('model', name)}", **extra),
        options,
        _timeout(options, timeout),
        lambda response, data: object_of(Model, response, data, needs="id"),
    )


def _with_reasoning(message: Any) -> Any:
    return message.to_param(reasoning=True) if isinstance(message, ChatCompletionMessage) else message


def _timeout(options: Options, given: float | Timeout | None) -> Timeout:
    return options.timeout if isinstance(given, Omit) else Timeout.of(given)
