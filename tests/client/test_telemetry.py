"""Spans and metrics, read as a program's own OpenTelemetry set-up gets them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from duologue import AsyncClient, Client, DuologueError
from duologue.client.observe import telemetry
from support.steps import StepByStep
from support.wire import (
    COMPLETION,
    DONE,
    WireServer,
    chunk,
    event,
    events,
    json_answer,
    refused_url,
    sse,
)

from .conftest import ASK, Driver

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
STREAM = events("a", "b", done=False) + event(chunk(usage=USAGE)) + DONE


class Told:
    """What has been told: spans that have ended, and metrics so far."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def metrics(self) -> dict[str, list[Any]]:
        """The points of each metric."""
        data = self._reader.get_metrics_data()
        found = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name.removeprefix("gen_ai.client."): list(metric.data.data_points) for metric in found}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """A program that traces. The set-up is global and only once possible, so it is put in the place of both."""
    told = Told()
    monkeypatch.setattr(trace, "get_tracer", told.tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", told.meters.get_meter)
    monkeypatch.delenv(CAPTURE, raising=False)
    caches = (telemetry._tracer, telemetry._instruments)
    for cache in caches:
        cache.cache_clear()
    yield told
    for cache in caches:
        cache.cache_clear()
    told.meters.shutdown()
    told.tracers.shutdown()


def called(both: Driver, answer: Any, /, *, stream: bool = False, **options: Any) -> str:
    """One call, whatever becomes of it; the URL of its server."""
    with WireServer(answer) as server:
        try:
            (both.read if stream else both.create)(base_url=server.url, **options)
        except DuologueError:
            pass
    return server.url


def test_a_span_of_a_call(both: Driver, told: Told) -> None:
    """Its name, its kind, what was asked, what was answered."""
    params = {
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_p": 1,
        "seed": 7,
        "n": 1,
        "stop": "x",
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "service_tier": "auto",
        "response_format": {"type": "json_object"},
        "extra_body": {"top_k": 5},
    }
    answer = {
        **COMPLETION,
        "usage": USAGE,
        "system_fingerprint": "fp",
        "service_tier": "default",
        "model": "m-1",
    }
    url = called(both, json_answer(answer), params=params)
    assert (told.span.name, told.span.kind) == ("chat m", SpanKind.CLIENT)
    assert told.span.status.status_code == StatusCode.UNSET
    assert dict(told.span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": False,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1,
        "gen_ai.request.top_k": 5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("x",),
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "m-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "openai.api.type": "chat_completions",
        "openai.request.service_tier": "auto",
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(url.split(":")[2].partition("/")[0]),
    }


def test_metrics_of_a_call(both: Driver, told: Told) -> None:
    """How long it took, and the tokens of both kinds; nothing of chunks, of which there are none."""
    called(both, json_answer({**COMPLETION, "usage": USAGE}))
    found = told.metrics()
    assert found.keys() == {"operation.duration", "token.usage"}
    (duration,) = found["operation.duration"]
    assert (duration.count, duration.explicit_bounds) == (1, telemetry._SECONDS)
    assert duration.attributes["gen_ai.response.model"] == "m"
    assert {(point.attributes["gen_ai.token.type"], point.sum) for point in found["token.usage"]} == {
        ("input", 3),
        ("output", 5),
    }


def test_a_stream(both: Driver, told: Told) -> None:
    """The span ends with the stream; each chunk after the first is counted."""
    called(both, sse(STREAM), stream=True)
    attributes = told.span.attributes or {}
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.usage.output_tokens"] == 5
    assert 0 < attributes["gen_ai.response.time_to_first_chunk"] < 60
    assert "error.type" not in attributes
    found = told.metrics()
    (first,), (each,) = found["operation.time_to_first_chunk"], found["operation.time_per_output_chunk"]
    assert (first.count, each.count) == (1, 3)
    assert first.sum == pytest.approx(attributes["gen_ai.response.time_to_first_chunk"])
    assert found["operation.duration"][0].count == 1


def test_the_gaps_of_a_stream_are_those_between_its_chunks(told: Told) -> None:
    """And the span is as long as the call."""
    pieces = [event(chunk("a")), event(chunk("b")), event(chunk(finish="stop")) + DONE]
    answer = StepByStep(*pieces, pause=0.03)
    with WireServer(answer) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        answer.go_on()
        for _ in stream:
            answer.go_on()
    (each,) = told.metrics()["operation.time_per_output_chunk"]
    assert (each.count, each.sum) == (2, pytest.approx(sum(stream.timings.gaps)))
    assert each.min >= 0.03
    span = told.span
    assert span.start_time is not None
    assert span.end_time is not None
    seconds = (span.end_time - span.start_time) / 1e9
    assert seconds == pytest.approx(stream.timings.duration, abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "stream", "kind"),
    [
        pytest.param(json_answer({"error": {"message": "no"}}, 401), False, "401", id="status"),
        pytest.param(json_answer(b"<html>"), False, "APIResponseValidationError", id="unreadable"),
        pytest.param(sse(events("a", done=False, finish=None)), True, "StreamTruncatedError", id="cut"),
        pytest.param(sse(events("a"), cut=80, ending="reset"), True, "StreamTruncatedError", id="reset"),
        pytest.param(sse(event({"error": {"message": "no", "code": 429}})), True, "429", id="event"),
    ],
)
def test_a_failure_has_a_type_and_few_words(
    both: Driver, told: Told, answer: Any, stream: bool, kind: str
) -> None:
    """On the span, which has failed, and on the duration."""
    called(both, answer, stream=stream)
    assert (told.span.attributes or {})["error.type"] == kind
    assert told.span.status.status_code == StatusCode.ERROR
    (duration,) = told.metrics()["operation.duration"]
    assert duration.attributes["error.type"] == kind


def test_no_answer_at_all(both: Driver, told: Told) -> None:
    """The class of what is raised."""
    with pytest.raises(DuologueError):
        both.create(base_url=refused_url())
    assert (told.span.attributes or {})["error.type"] == "APIConnectionError"


def test_leaving_a_stream_is_no_failure(told: Told) -> None:
    """The span ends at once, marked, and is no error; that of a stream that is dropped ends with the next call."""
    left = sse(events("a", finish=None, done=False), ending="open")
    with WireServer(left, left, json_answer(COMPLETION)) as server, Client(base_url=server.url) as client:
        with client.chat.completions.create(**ASK, stream=True) as stream:
            next(stream)
            assert told.spans == []
        assert (told.span.attributes or {})["error.type"] == "cancelled"
        assert told.span.status.status_code == StatusCode.UNSET
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        del stream
        client.chat.completions.create(**ASK)
    kinds = [(span.attributes or {}).get("error.type") for span in told.spans]
    assert kinds == ["cancelled", "cancelled", None]


async def test_a_cancelled_task(told: Told) -> None:
    """Before the answer, and in a stream."""
    left = sse(events("a", finish=None, done=False), ending="open")
    with WireServer(lambda peer: peer.gone() and None, left) as server:
        async with AsyncClient(base_url=server.url) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.chat.completions.create(**ASK)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await (await client.chat.completions.create(**ASK, stream=True)).get_final_completion()
    assert [(span.attributes or {})["error.type"] for span in told.spans] == ["cancelled", "cancelled"]


def test_attempts_are_one_span(both: Driver, told: Told) -> None:
    """With how often it was sent again, and the last status."""
    slow = json_answer({"error": {"message": "slow"}}, 429, {"retry-after-ms": "1"})
    with WireServer(slow, json_answer(COMPLETION)) as server:
        both.create(base_url=server.url, max_retries=1)
    attributes = told.span.attributes or {}
    assert (attributes["http.request.resend_count"], attributes["http.response.status_code"]) == (1, 200)


def test_a_span_is_the_child_of_the_one_it_was_called_in(both: Driver, told: Told) -> None:
    """Also where the stream is read later."""
    with told.tracers.get_tracer("mine").start_as_current_span("mine") as mine:
        called(both, sse(STREAM), stream=True)
    span = told.spans[0]
    assert span.parent is not None
    assert span.parent.span_id == mine.get_span_context().span_id


def test_nothing_that_was_said_is_told_unless_asked(
    both: Driver, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither question nor answer, nor errors' texts; with the variable of the conventions both."""
    secret = {"role": "user", "content": [{"type": "text", "text": "secret"}, {"type": "image_url"}]}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made = {"role": "assistant", "content": "secret too", "tool_calls": [call]}
    answer = {**COMPLETION, "choices": [{"index": 0, "message": made, "finish_reason": "tool_calls"}]}
    tool = {"role": "tool", "tool_call_id": "c", "content": "42"}
    for value in ("", "false", "event_only"):
        monkeypatch.setenv(CAPTURE, value)
        called(both, json_answer(answer), params={"messages": [secret]})
        called(both, json_answer({"error": {"message": "secret"}}, 400), params={"messages": [secret]})
    assert "secret" not in "".join(span.to_json() for span in told.spans)
    monkeypatch.setenv(CAPTURE, "true")
    called(both, json_answer(answer), params={"messages": [secret, tool]})
    attributes = told.spans[-1].attributes or {}
    assert json.loads(str(attributes["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "secret"}, {"type": "image_url"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c", "response": "42"}]},
    ]
    text = {"type": "text", "content": "secret too"}
    parts = [text, {"type": "tool_call", "id": "c", "name": "f", "arguments": "{}"}]
    assert json.loads(str(attributes["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": parts, "finish_reason": "tool_calls"}
    ]


@pytest.mark.parametrize(
    ("url", "provider", "port"),
    [
        ("https://api.openai.com/v1", "openai", 443),
        ("https://me.openai.azure.com/openai/v1", "azure.ai.openai", 443),
        ("https://api.groq.com/openai/v1", "groq", 443),
        ("https://api.deepseek.com", "deepseek", 443),
        ("https://api.x.ai/v1", "x_ai", 443),
        ("https://notx.ai/v1", "openai", 443),
        ("http://localhost:8000/v1", "openai", 8000),
        ("http://host/v1", "openai", 80),
    ],
)
def test_who_is_asked(url: str, provider: str, port: int) -> None:
    """By the name of the host; the usual name for everybody else."""
    common = telemetry._common(url, {"model": None})
    assert (common["gen_ai.provider.name"], common["server.port"]) == (provider, port)
    assert "gen_ai.request.model" not in common


def test_other_calls_have_no_span(told: Told) -> None:
    """Models are no chat."""
    answer = json_answer({"object": "list", "data": []})
    with WireServer(answer) as server, Client(base_url=server.url) as client:
        client.models.list()
    assert told.spans == []


def test_without_opentelemetry_nothing_of_it_is_imported() -> None:
    """Nor where it is installed and the program does not use it."""
    code = (
        "import sys; from duologue import Client, create_app, as_engine\n"
        "def m(request): return 'hi'\n"
        "client = Client(app=create_app(as_engine(m)))\n"
        "client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'Hi'}])\n"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.stdout.strip(), result.returncode) == ("[]", 0), result.stderr
