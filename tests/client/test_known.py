"""What an answer knows besides its body: the same from a completion, a stream and an error."""

from __future__ import annotations

import base64
import hashlib
import inspect
import time
from pathlib import Path
from typing import Any

import pytest
from tiktoken import Encoding, load, registry
from tiktoken_ext import openai_public

from duologue import Client, DuologueError, StreamCancelledError
from duologue.client import estimate
from duologue.protocol.ratelimits import RateLimit, RateLimits
from duologue.types.chat import ChatCompletion
from duologue.types.chat.chat_completion_chunk import ChatCompletionChunk
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

HEADERS = {
    "x-request-id": "req_7",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-remaining-tokens": "1000",
}
LIMITS = RateLimits(RateLimit(60, 59, 1), RateLimit(None, 1000, None))
ODD = {**COMPLETION, "object": "completion"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def met(response: Any) -> list[str]:
    return [deviation.rule for deviation in response.deviations]


def test_a_completion(both: Driver) -> None:
    """`completion.response`, and `_request_id` for those who know it from openai-python."""
    with WireServer(json_answer(ODD, headers=HEADERS)) as server:
        began = time.time()
        completion = both.create(base_url=server.url)
    response = completion.response
    assert (completion._request_id, response.request_id, response.status_code) == ("req_7", "req_7", 200)
    assert response.rate_limits == LIMITS
    assert met(response) == ["object-wrong"]
    assert began - 1 <= response.received_at <= time.time() + 1
    timings = response.timings
    assert 0 <= timings.connect <= timings.headers <= timings.first_byte <= timings.duration
    assert (timings.tokens, timings.tokens_per_second, timings.longest_gap) == (2, None, None)
    assert completion.wire.raw.startswith(b'{"id"')


def test_an_object_made_by_hand_has_no_response() -> None:
    """Nor does a chunk have one: its stream does."""
    assert ChatCompletion(id="c", choices=[], created=0, model="m").response is None
    assert not hasattr(ChatCompletionChunk(id="c", choices=[], created=0, model="m"), "response")


def test_a_stream_and_its_result(both: Driver) -> None:
    """The same, with the deviations as far as they are known."""
    with WireServer(sse(events("a", done=False), headers=HEADERS)) as server:
        stream = both.read(base_url=server.url).stream
    assert (stream.request_id, stream.response.request_id) == ("req_7", "req_7")
    assert stream.response.rate_limits == LIMITS
    assert met(stream.response) == ["no-done"]
    assert stream.response.timings is stream.timings
    with WireServer(sse(events("a", done=False))) as server, Client(base_url=server.url) as client:
        whole = client.chat.completions.create(**ASK, stream=True).get_final_completion()
    assert met(whole.response) == ["no-done"]


def problem_of(both: Driver, answer: Any, *, streamed: bool) -> Any:
    with WireServer(answer) as server:
        if streamed:
            return both.read(base_url=server.url).error
        with pytest.raises(DuologueError) as caught:
            both.create(base_url=server.url)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "rules", "streamed"),
    [
        pytest.param(json_answer({"error": "no"}, 500, HEADERS), ["error-string"], False, id="status"),
        pytest.param(json_answer({"a": 1}, 200, HEADERS), [], False, id="not-a-completion"),
        pytest.param(
            json_answer({"error": "no"}, 200, HEADERS), ["error-with-200", "error-string"], False, id="200"
        ),
        pytest.param(
            sse(event(chunk("a")) + event({"error": "no"}), headers=HEADERS),
            ["role-missing", "error-string"],
            True,
            id="event",
        ),
        pytest.param(
            sse(event(chunk("a")) + b"data: {", headers=HEADERS),
            ["role-missing", "trailing-bytes"],
            True,
            id="truncated",
        ),
        pytest.param(
            sse(events("a", "b"), cut=250, ending="reset", headers=HEADERS),
            ["trailing-bytes"],
            True,
            id="reset",
        ),
    ],
)
def test_an_error(both: Driver, answer: Any, rules: list[str], streamed: bool) -> None:
    """`error.response`, wherever in the exchange it went wrong."""
    error = problem_of(both, answer, streamed=streamed)
    assert (error.request_id, error.response.request_id) == ("req_7", "req_7")
    assert error.response.rate_limits == LIMITS
    assert met(error.response) == rules
    assert error.response.timings.headers >= error.response.timings.connect


def test_an_error_without_an_answer(both: Driver) -> None:
    """Then there is none."""
    with pytest.raises(DuologueError) as caught:
        both.create(base_url=refused_url())
    assert caught.value.response is None


def test_a_stream_that_was_left_and_asked_for_its_result() -> None:
    """That error, too, knows the answer."""
    answer = sse(events("a", finish=None, done=False), ending="open", headers=HEADERS)
    with WireServer(answer) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        stream.close()
        with pytest.raises(StreamCancelledError) as caught:
            stream.get_final_completion()
    assert caught.value.response.request_id == "req_7"


# --- timings ----------------------------------------------------------------------------------------------


def delta(**fields: Any) -> bytes:
    value = chunk()
    value["choices"][0]["delta"] = fields
    return event(value)


def test_first_chunk_first_token_first_content() -> None:
    """The role, then a thought, then the first word; each at its own time, with the gaps between them."""
    pieces = [delta(role="assistant", content=""), delta(reasoning="Hm"), delta(content="Hi")]
    pieces += [event(chunk(finish="stop", usage=USAGE)) + DONE]
    answer = StepByStep(*pieces, pause=0.02)
    with WireServer(answer) as server, Client(base_url=server.url) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        answer.go_on()
        for _ in stream:
            answer.go_on()
    timings = stream.timings
    assert timings.first_chunk is not None
    assert timings.first_chunk + 0.02 <= timings.first_token
    assert timings.first_token + 0.02 <= timings.first_content <= timings.last_chunk - 0.02
    assert len(timings.gaps) == 3
    assert timings.longest_gap == max(timings.gaps)
    assert sum(timings.gaps) == pytest.approx(timings.last_chunk - timings.first_chunk)
    assert timings.tokens == 5
    assert timings.tokens_per_second == pytest.approx(4 / (timings.last_chunk - timings.first_token))


def test_a_call_is_a_token_and_no_content(both: Driver) -> None:
    """What is not there is None, and so is a pace that cannot be known."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    body = delta(tool_calls=[call]) + event(chunk(finish="tool_calls")) + DONE
    with WireServer(sse(body)) as server:
        timings = both.read(base_url=server.url).stream.timings
    assert timings.first_token is not None
    assert (timings.first_content, timings.tokens, timings.tokens_per_second) == (None, None, None)
    assert "first_token=" in repr(timings)


# --- usage -------------------------------------------------------------------------------------------------


@pytest.fixture
def no_vocabulary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any of tiktoken's files, and without a network to get them by."""

    def download(address: str) -> bytes:
        raise AssertionError(f"a download of {address}")

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(registry, "ENCODINGS", {})
    monkeypatch.setattr(load, "read_file", download)
    estimate._counter.cache_clear()
    yield tmp_path
    estimate._counter.cache_clear()


def estimated(both: Driver, answer: Any, **options: Any) -> Any:
    with WireServer(answer) as server:
        return both.read(base_url=server.url, **options).stream


@pytest.mark.usefixtures("no_vocabulary")
@pytest.mark.parametrize(
    ("answer", "made"),
    [
        pytest.param(sse(events("12345678", "9"), cut=420, ending="reset"), 3, id="cut"),
        pytest.param(sse(b"data: [DONE]\n\n"), 0, id="nothing"),
        pytest.param(sse(delta(reasoning="1234", content="12345") + DONE), 3, id="reasoning"),
        pytest.param(
            sse(delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": "1234", "arguments": "{}"}}])),
            2,
            id="call",
        ),
    ],
)
def test_what_a_stream_took_that_was_cut_is_estimated(both: Driver, answer: Any, made: int) -> None:
    """Four bytes a token, for each text; three for each message and for the answer. What was received stays."""
    stream = estimated(both, answer)
    assert stream.usage is None
    usage = stream.usage_estimate
    asked = 3 + 3 + 1 + 1  # the answer, the message, "user", "Hi"
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (asked, made, asked + made)
    assert usage.estimated is True


@pytest.mark.usefixtures("no_vocabulary")
def test_an_estimate_counts_all_text_of_the_request(both: Driver) -> None:
    """Parts, calls and tools; what is no text is not counted."""
    tools = [{"type": "function", "function": {"name": "f"}}]  # 45 bytes as JSON
    parts = [
        {"type": "text", "text": "12345"},
        {"type": "image_url", "image_url": {"url": "data:" + "x" * 999}},
    ]
    stream = estimated(
        both, sse(events("a")), params={"messages": [{"role": "user", "content": parts}], "tools": tools}
    )
    assert stream.usage_estimate.prompt_tokens == 3 + 3 + 1 + 2 + 12


def test_what_was_received_is_not_estimated(both: Driver) -> None:
    """Both are there; only the estimate says that it is one. Without accumulating nothing can be counted."""
    body = events("a", done=False) + event(chunk(usage=USAGE)) + DONE
    stream = estimated(both, sse(body))
    assert (stream.usage.total_tokens, stream.usage.estimated) == (8, None)
    assert stream.usage_estimate.estimated is True
    assert estimated(both, sse(body), accumulate=False).usage_estimate is None


WORDS = [bytes([byte]) for byte in range(256)] + [b"He", b"ll", b"Hell", b"Hello"]


def test_with_a_vocabulary_its_tokens_are_counted(
    both: Driver, no_vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that tiktoken has loaded, the usual one for models that it does not know."""
    ranks = {word: rank for rank, word in enumerate(WORDS)}
    encoding = Encoding("o200k_base", pat_str=r".+", mergeable_ranks=ranks, special_tokens={})
    monkeypatch.setitem(registry.ENCODINGS, "o200k_base", encoding)
    stream = estimated(both, sse(events("HelloHello", "Hello!")))
    assert stream.usage_estimate.completion_tokens == 4
    assert stream.usage_estimate.prompt_tokens == 3 + 3 + len("user") + len("Hi")


def test_only_a_whole_file_in_the_cache_is_a_vocabulary(
    no_vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tiktoken would download one that is missing or broken, so it is not asked for it."""
    data = b"\n".join(base64.b64encode(word) for word in WORDS)
    file = no_vocabulary / hashlib.sha1(estimate._ADDRESS.format("cl100k_base").encode()).hexdigest()
    assert estimate._is_here("cl100k_base") is False
    file.write_bytes(data)
    assert estimate._is_here("cl100k_base") is False
    monkeypatch.setitem(estimate._VOCABULARIES, "cl100k_base", hashlib.sha256(data).hexdigest())
    assert estimate._is_here("cl100k_base") is True
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # tiktoken keeps no cache then
    assert estimate._is_here("cl100k_base") is False


def test_the_vocabularies_are_those_of_tiktoken() -> None:
    """The addresses that its cache is named after, and the hashes that it wants to see."""
    source = inspect.getsource(openai_public)
    for name, digest in estimate._VOCABULARIES.items():
        assert estimate._ADDRESS.format(name) in source
        assert digest in source
