"""Spans and metrics of chat completions, by OpenTelemetry's conventions for generative AI.

Only `opentelemetry-api` is used, and only by programs that have imported it: who sends them where is theirs to
set up. The span is named `chat {model}`; it ends with the call, for a stream with its outcome. The conventions
are young, so all their names stand in the tables below.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.metrics import Histogram
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from ..._version import __version__
from ...protocol.errors import APIError, APIStatusError
from ...protocol.response import APIResponse
from ...protocol.transport import Request
from ...types._wire import WireObject
from ...types.chat.chat_completion import ChatCompletion
from ...types.chat.chat_completion_chunk import ChatCompletionChunk
from ...types.completion_usage import CompletionUsage
from .content import asks_for_content, input_messages, output_messages

if TYPE_CHECKING:
    from ..call import Call
    from . import Ending

__all__ = ["observer"]

OPERATION = "chat"

# The parameters of a request that have an attribute, and the types that it takes.
_REQUEST: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "model": ("gen_ai.request.model", (str,)),
    "max_tokens": ("gen_ai.request.max_tokens", (int,)),
    "max_completion_tokens": ("gen_ai.request.max_tokens", (int,)),
    "temperature": ("gen_ai.request.temperature", (int, float)),
    "top_p": ("gen_ai.request.top_p", (int, float)),
    "top_k": ("gen_ai.request.top_k", (int, float)),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", (int, float)),
    "presence_penalty": ("gen_ai.request.presence_penalty", (int, float)),
    "seed": ("gen_ai.request.seed", (int,)),
    "n": ("gen_ai.request.choice.count", (int,)),
    "service_tier": ("openai.request.service_tier", (str,)),
}
_FORMATS: Mapping[object, str] = {"text": "text", "json_object": "json", "json_schema": "json"}
_ANSWER: Mapping[str, str] = {
    "id": "gen_ai.response.id",
    "model": "gen_ai.response.model",
    "service_tier": "openai.response.service_tier",
    "system_fingerprint": "openai.response.system_fingerprint",
}

# Who is asked, by how the name of the host ends; whoever else speaks this protocol goes under its first name.
_PROVIDERS: Mapping[str, str] = {
    "openai.azure.com": "azure.ai.openai",
    "groq.com": "groq",
    "deepseek.com": "deepseek",
    "x.ai": "x_ai",
    "mistral.ai": "mistral_ai",
    "perplexity.ai": "perplexity",
    "cohere.com": "cohere",
    "openai.com": "openai",
}

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**power for power in range(14))


class _Instruments(NamedTuple):
    duration: Histogram
    first_chunk: Histogram
    each_chunk: Histogram
    tokens: Histogram


def observer(call: Call) -> _Trace | None:
    """Who traces a call; None for one that is no chat completion."""
    return None if call.params is None else _Trace(call, call.params)


class _Trace:
    def __init__(self, call: Call, params: Mapping[str, Any]) -> None:
        self._common = _common(call.requests[0].url, params)
        self._streams = call.answer is None
        self._params = params
        self._began = time.time_ns()
        self._first: float | None = None
        self._last = 0.0
        attributes = {**self._common, **_request_attributes(params, streams=self._streams)}
        if asks_for_content():
            attributes |= input_messages(params)
        model = params.get("model")
        name = f"{OPERATION} {model}" if isinstance(model, str) and model else OPERATION
        self._span: Span = _tracer().start_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, start_time=self._began
        )

    def sends(self, request: Request, retry: int) -> None:
        del request
        if retry:
            self._span.set_attribute("http.request.resend_count", retry)

    def answered(self, response: APIResponse) -> None:
        self._span.set_attribute("http.response.status_code", response.status_code)

    def retries(self, why: APIResponse | APIError, pause: float) -> None:
        del why, pause

    def receives(self, data: bytes, chunks: int, now: float) -> None:
        del data
        if not chunks:
            return
        each = _instruments().each_chunk
        if self._first is None:
            self._first = now
        else:
            each.record(now - self._last, self._common)
        for _ in range(chunks - 1):  # they came together
            each.record(0.0, self._common)
        self._last = now

    def ends(self, ending: Ending) -> None:
        """Ends the span, and records what the whole took."""
        answer = ending.answer()
        measured = {**self._common}
        model = getattr(answer, "model", None)
        if isinstance(model, str):
            measured["gen_ai.response.model"] = model
        self._span.set_attributes(_answer_attributes(answer, ending.usage))
        if self._first is not None:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", self._first)
            _instruments().first_chunk.record(self._first, measured)
        if ending.outcome != "complete":
            measured["error.type"] = kind = _error_type(ending)
            self._span.set_attribute("error.type", kind)
            if ending.outcome != "cancelled":  # to leave early is no error
                self._span.set_status(Status(StatusCode.ERROR, kind))
        if asks_for_content() and isinstance(answer, ChatCompletion):
            self._span.set_attributes(output_messages(answer))
        _instruments().duration.record(ending.duration, measured)
        if ending.usage is not None:
            for kind, count in _token_counts(ending.usage):
                _instruments().tokens.record(count, {**measured, "gen_ai.token.type": kind})
        self._span.end(self._began + int(ending.duration * 1e9))


@functools.cache
def _tracer() -> Tracer:
    return trace.get_tracer("duologue.client", __version__)


@functools.cache
def _instruments() -> _Instruments:
    meter = metrics.get_meter("duologue.client", __version__)

    def histogram(name: str, unit: str, text: str, edges: tuple[float, ...]) -> Histogram:
        return meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=edges)

    return _Instruments(
        histogram("gen_ai.client.operation.duration", "s", "How long a call took.", _SECONDS),
        histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Until the first chunk of a stream.", _SECONDS
        ),
        histogram(
            "gen_ai.client.operation.time_per_output_chunk", "s", "Between two chunks of a stream.", _SECONDS
        ),
        histogram("gen_ai.client.token.usage", "{token}", "Tokens that went in and came out.", _TOKENS),
    )


def _common(url: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What spans and metrics have in common."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    ends = (name for end, name in _PROVIDERS.items() if host == end or host.endswith(f".{end}"))
    common = {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": next(ends, "openai"),
        "server.address": host,
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
    }
    model = params.get("model")
    return {**common, "gen_ai.request.model": model} if isinstance(model, str) else common


def _request_attributes(params: Mapping[str, Any], *, streams: bool) -> dict[str, Any]:
    attributes: dict[str, Any] = {"openai.api.type": "chat_completions", "gen_ai.request.stream": streams}
    for name, (attribute, kinds) in _REQUEST.items():
        value = params.get(name)
        if isinstance(value, kinds) and not isinstance(value, bool):
            attributes[attribute] = value
    stop = params.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if isinstance(stops, (list, tuple)) and all(isinstance(each, str) for each in stops):
        attributes["gen_ai.request.stop_sequences"] = stops
    answer_format = params.get("response_format")
    if isinstance(answer_format, Mapping) and answer_format.get("type") in _FORMATS:
        attributes["gen_ai.output.type"] = _FORMATS[answer_format["type"]]
    if attributes.get("gen_ai.request.choice.count") == 1:
        del attributes["gen_ai.request.choice.count"]
    return attributes


def _answer_attributes(answer: WireObject | None, usage: CompletionUsage | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, attribute in _ANSWER.items():
        value = getattr(answer, name, None)
        if isinstance(value, str):
            attributes[attribute] = value
    if isinstance(answer, (ChatCompletion, ChatCompletionChunk)):
        reasons = [choice.finish_reason for choice in answer.choices if choice.finish_reason]
        if reasons:
            attributes["gen_ai.response.finish_reasons"] = reasons
    if usage is not None:
        attributes |= {f"gen_ai.usage.{kind}_tokens": count for kind, count in _token_counts(usage)}
        prompt, made = usage.prompt_tokens_details, usage.completion_tokens_details
        if prompt is not None and prompt.cached_tokens is not None:
            attributes["gen_ai.usage.cache_read.input_tokens"] = prompt.cached_tokens
        if made is not None and made.reasoning_tokens is not None:
            attributes["gen_ai.usage.reasoning.output_tokens"] = made.reasoning_tokens
    return attributes


def _token_counts(usage: CompletionUsage) -> list[tuple[str, int]]:
    counts = (("input", usage.prompt_tokens), ("output", usage.completion_tokens))
    return [(kind, count) for kind, count in counts if isinstance(count, int)]


def _error_type(ending: Ending) -> str:
    """Few different words: the status of an answer, else the class of what is raised."""
    if ending.outcome == "cancelled":
        return "cancelled"
    if isinstance(ending.error, APIStatusError):
        return str(ending.error.status_code)
    return type(ending.error).__name__
