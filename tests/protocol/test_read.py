"""The outcome of a stream: what happened, against the table of `protocol/read`."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import pickle
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from duologue.protocol.accumulate import accumulate
from duologue.protocol.codec import decode_chunk
from duologue.protocol.dialect import Asked, Deviation
from duologue.protocol.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    DuologueError,
    InternalServerError,
    RateLimitError,
    StreamCancelledError,
    StreamTimeoutError,
    StreamTruncatedError,
)
from duologue.protocol.read import MAX_TAIL_BYTES, StreamReader
from duologue.types._build import MAX_NESTING

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1750000000, "model": "m"}
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def frame(value: Any, event: str = "") -> bytes:
    return (f"event: {event}\n" if event else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


def part(content: str | None = None, index: int = 0, finish: str | None = None, **delta: Any) -> bytes:
    delta |= {} if content is None else {"content": content}
    return frame({**HEAD, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def begin(content: str, index: int = 0, finish: str | None = None) -> bytes:
    """The first part of a choice."""
    return part(content, index, finish, role="assistant")


def audio(role: str | None = None, **fields: Any) -> bytes:
    """As the last part of a spoken answer comes: without a finish reason, null or not."""
    delta = {"audio": fields} | ({} if role is None else {"role": role})
    return frame({**HEAD, "choices": [{"index": 0, "delta": delta}]})


TEXT = begin("Hello")
STOP = part(finish="stop")
COUNT = frame({**HEAD, "choices": [], "usage": USAGE})
FAULT = {"error": {"message": "overloaded, come later", "type": "server_error", "param": None, "code": None}}
RAW = json.dumps(FAULT).encode()


class Case(NamedTuple):
    body: bytes
    outcome: str
    error: type[APIError] | None = None
    reason: str | None = None  # of a truncation
    says: str = ""  # in the message
    met: tuple[str, ...] = ()  # the deviations
    text: str | None = "Hello"  # of the first choice
    n: int = 1
    tail: bytes | None = None
    raw: bytes | None = None


CUT = (StreamTruncatedError, "eof", "The stream ended before choice 0 had finished.")
CASES = {
    # complete
    "whole": Case(TEXT + STOP + DONE, "complete"),
    "whole-with-usage": Case(TEXT + STOP + COUNT + DONE, "complete"),
    "bytes-after-done": Case(TEXT + STOP + DONE + TEXT + frame(FAULT) + b"garbage", "complete"),
    "no-done": Case(TEXT + STOP, "complete", met=("no-done",)),
    "finish-and-content-in-one": Case(begin("Hello", finish="length") + DONE, "complete"),
    "an-unknown-finish-reason": Case(
        begin("Hello", finish="abort") + DONE, "complete", met=("finish-unknown",)
    ),
    "audio-ends-with-its-expiry": Case(
        audio(role="assistant", id="a", data="AA==") + audio(expires_at=5) + DONE, "complete", text=None
    ),
    "two-choices": Case(TEXT + begin("x", 1) + part(None, 1, "stop") + STOP + DONE, "complete", n=2),
    "choices-beyond-n": Case(
        TEXT + STOP + begin("x", 3) + part(None, 3, "stop") + DONE, "complete", met=("index-beyond-n",)
    ),
    "a-finished-choice-that-goes-on": Case(
        begin("Hel", finish="stop") + part("lo") + part(finish="stop") + DONE,
        "complete",
        met=("finish-not-last",),
    ),
    "a-finished-choice-with-an-empty-delta": Case(TEXT + STOP + part("") + part() + STOP + DONE, "complete"),
    "an-index-that-is-missing": Case(
        frame(
            {
                **HEAD,
                "choices": [{"delta": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
            }
        )
        + DONE,
        "complete",
        met=("index-missing",),
    ),
    "an-index-of-minus-one": Case(
        begin("Hello", -1) + part(None, -1, "stop") + DONE, "complete", met=("index-missing",)
    ),
    "named-events": Case(TEXT.replace(b"data", b"event: chunk\ndata") + STOP + DONE, "complete"),
    "null-error": Case(
        frame(
            {
                **HEAD,
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
                ],
                "error": None,
            }
        )
        + DONE,
        "complete",
    ),
    "empty-error": Case(
        TEXT + frame({**HEAD, "choices": [], "error": {}}) + STOP + DONE, "complete", met=("choices-empty",)
    ),
    # [DONE] as servers write it
    "done-without-space": Case(TEXT + STOP + b"data:[DONE]\n\n", "complete"),
    "done-with-spaces": Case(TEXT + STOP + b"data:   [DONE]  \n\n", "complete"),
    "done-after-crlf": Case((TEXT + STOP + DONE).replace(b"\n", b"\r\n"), "complete"),
    "done-named": Case(TEXT + STOP + b"event: done\ndata: [DONE]\n\n", "complete"),
    "done-without-blank-line": Case(TEXT + STOP + b"data: [DONE]\n", "complete", met=("done-unterminated",)),
    "done-without-line-end": Case(TEXT + STOP + b"data: [DONE]", "complete", met=("done-unterminated",)),
    "half-of-done": Case(TEXT + STOP + b"data: [DO", "complete", met=("trailing-bytes", "no-done")),
    "more-than-done": Case(
        TEXT + STOP + b"data: [DONE] x\n\n", "failed", APIResponseValidationError, raw=b"[DONE] x"
    ),
    # keep-alives
    "empty-data": Case(
        b"data:\n\n" + TEXT + b"data: \n\ndata\n\n" + STOP + DONE, "complete", met=("empty-data",)
    ),
    "comment-as-data": Case(b"data: : ping\n\n" + TEXT + STOP + DONE, "complete", met=("comment-as-data",)),
    "comments-and-fields": Case(
        b": hi\n\nretry: 5\n\nid: 1\n\nevent: ping\n\n" + TEXT + STOP + DONE, "complete"
    ),
    # odd JSON
    "odd-json": Case(
        TEXT.replace(b"Hello", b"Hel\xff") + part("lo") + TEXT.replace(b"Hello", b"\\ud83d") + STOP + DONE,
        "complete",
        met=("odd-json", "role-repeated", "replacement-character"),
        text="Hel\ufffdlo\ud83d",
    ),
    "a-message-for-a-delta": Case(
        frame({**HEAD, "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]})
        + DONE,
        "complete",
        met=("message-in-chunk",),
    ),
    "choices-null": Case(
        frame({**HEAD, "choices": None}) + TEXT + STOP + DONE, "complete", met=("choices-empty-first",)
    ),
    "all-deviations-once": Case(
        b"data:\n\ndata: :\n\n" + TEXT + b"data:\n\ndata: :\n\n" + STOP + b"data: x",
        "complete",
        met=("empty-data", "comment-as-data", "trailing-bytes", "no-done"),
    ),
    # truncated
    "nothing": Case(b"", "truncated", *CUT, text=None),
    "only-comments": Case(
        b": hi\n\n",
        "truncated",
        StreamTruncatedError,
        "eof",
        tail=b": hi\n\n",
        text=None,
        met=("trailing-bytes",),
    ),
    "cut-between-events": Case(TEXT, "truncated", *CUT),
    "cut-in-an-event": Case(TEXT + STOP[:40], "truncated", *CUT, tail=STOP[6:40], met=("trailing-bytes",)),
    "cut-before-the-blank-line": Case(
        TEXT + STOP[:-1], "truncated", *CUT, tail=STOP[6:-2], met=("trailing-bytes",)
    ),
    "done-too-early": Case(
        TEXT + DONE,
        "truncated",
        StreamTruncatedError,
        "unfinished",
        "said [DONE] before choice 0 had finished",
        met=("finish-missing",),
    ),
    "done-only": Case(DONE, "truncated", StreamTruncatedError, "unfinished", text=None),
    "unterminated-done-too-early": Case(
        TEXT + b"data: [DONE]",
        "truncated",
        StreamTruncatedError,
        "unfinished",
        met=("done-unterminated", "finish-missing"),
    ),
    "usage-is-no-finish": Case(
        TEXT + COUNT + DONE, "truncated", StreamTruncatedError, "unfinished", met=("finish-missing",)
    ),
    "an-empty-finish-reason-is-none": Case(
        begin("Hello", finish="") + DONE,
        "truncated",
        StreamTruncatedError,
        "unfinished",
        met=("finish-empty", "finish-missing"),
    ),
    "one-of-two-unfinished": Case(
        TEXT + STOP + begin("x", 1) + DONE,
        "truncated",
        StreamTruncatedError,
        "unfinished",
        "choice 1 had",
        n=2,
        met=("finish-missing",),
    ),
    "one-of-two-never-began": Case(
        TEXT + STOP + DONE,
        "truncated",
        StreamTruncatedError,
        "unfinished",
        "choice 1 had",
        n=2,
        met=("choices-missing",),
    ),
    "three-unfinished": Case(
        TEXT + begin("x", 2),
        "truncated",
        StreamTruncatedError,
        "eof",
        "before choice 0, choice 1, choice 2 had",
        n=3,
    ),
    "very-many-unfinished": Case(
        TEXT, "truncated", StreamTruncatedError, "eof", "choice 6, choice 7 and 92 more had finished", n=100
    ),
    "beyond-n-unfinished": Case(
        TEXT + STOP + begin("x", 5) + DONE,
        "truncated",
        StreamTruncatedError,
        "unfinished",
        "choice 5",
        met=("index-beyond-n", "finish-missing"),
    ),
    "finished-and-gone-on": Case(
        begin("Hel", finish="stop") + part("lo") + DONE,
        "truncated",
        StreamTruncatedError,
        "unfinished",
        met=("finish-not-last", "finish-missing"),
    ),
    "finished-in-each-chunk-and-cut": Case(
        begin("Hel", finish="stop") + part("lo", finish="stop"), "truncated", *CUT, met=("finish-not-last",)
    ),
    "audio-without-expiry": Case(
        audio(role="assistant", id="a", data="AA==") + DONE,
        "truncated",
        StreamTruncatedError,
        "unfinished",
        text=None,
        met=("finish-missing",),
    ),
    # no stream at all
    "html": Case(
        b"<!doctype html>\n<title>Not found</title>\n\n<h1>404</h1>\n",
        "truncated",
        StreamTruncatedError,
        "eof",
        "No event came; the body begins with b'<!doctype html>",
        tail=b"<!doctype html>\n<title>Not found</title>\n\n<h1>404</h1>\n",
        text=None,
        met=("trailing-bytes",),
    ),
    "a-json-answer": Case(
        b'{\n  "id": "c1",\n  "choices": []\n}\n',
        "truncated",
        StreamTruncatedError,
        "eof",
        'No event came; the body begins with b\'{\\n  "id"',
        tail=b'{\n  "id": "c1",\n  "choices": []\n}\n',
        text=None,
        met=("trailing-bytes",),
    ),
    "a-json-error": Case(RAW, "failed", InternalServerError, says="overloaded", raw=RAW, text=None),
    "a-json-error-on-many-lines": Case(
        json.dumps(FAULT, indent=1).encode(), "failed", InternalServerError, says="overloaded", text=None
    ),
    # failed: an error of the server, whenever it comes
    "error-first": Case(
        frame(FAULT) + DONE, "failed", InternalServerError, says="overloaded", raw=RAW, text=None
    ),
    "error-in-the-middle": Case(
        TEXT + frame(FAULT) + DONE, "failed", InternalServerError, says="overloaded", raw=RAW
    ),
    "error-after-the-finish": Case(
        TEXT + STOP + frame(FAULT), "failed", InternalServerError, says="overloaded", raw=RAW
    ),
    "error-without-blank-line": Case(
        TEXT + b"data: " + RAW,
        "failed",
        InternalServerError,
        says="overloaded",
        raw=RAW,
        met=("error-unterminated",),
    ),
    "error-after-the-finish-without-blank-line": Case(
        TEXT + STOP + b"data: " + RAW + b"\n",
        "failed",
        InternalServerError,
        says="overloaded",
        raw=RAW,
        met=("error-unterminated",),
    ),
    "error-event": Case(
        TEXT + frame(FAULT, "error"), "failed", InternalServerError, says="overloaded", raw=RAW
    ),
    "error-event-flat": Case(
        TEXT + frame({"message": "slow down", "code": "rate_limit_exceeded"}, "error"),
        "failed",
        RateLimitError,
        says="slow down",
        met=("error-flat",),
    ),
    "error-event-of-text": Case(
        TEXT + b"event: error\ndata: out of memory\n\n",
        "failed",
        APIError,
        says="out of memory",
        raw=b"out of memory",
        met=("error-string",),
    ),
    "error-event-that-looks-like-a-chunk": Case(
        TEXT + STOP.replace(b"data", b"event: error\ndata"),
        "failed",
        APIError,
        says="An error came in the stream",
        met=("error-flat",),
    ),
    "error-event-of-done": Case(
        TEXT + STOP + b"event: error\ndata: [DONE]\n\n", "failed", APIError, met=("error-string",)
    ),
    "error-event-of-nothing": Case(
        TEXT + STOP + b"event: error\ndata:\n\n",
        "failed",
        APIError,
        says="said nothing",
        met=("error-string",),
    ),
    "error-event-of-text-without-blank-line": Case(
        TEXT + STOP + b"event: error\ndata: boom",
        "failed",
        APIError,
        says="boom",
        raw=b"boom",
        met=("error-string", "error-unterminated"),
    ),
    "error-flat-after-the-finish": Case(
        TEXT + STOP + frame({"code": 503, "message": "overloaded"}) + DONE,
        "failed",
        InternalServerError,
        says="overloaded",
        met=("error-flat",),
    ),
    "error-flat-of-a-message": Case(
        TEXT + frame({"type": "error", "message": "no"}), "failed", APIError, says="no", met=("error-flat",)
    ),
    "a-message-that-is-no-error": Case(
        TEXT + frame({"type": "ping", "message": "busy"}) + STOP + DONE,
        "complete",
        met=("identity-empty", "choices-empty"),
    ),
    "error-detail": Case(
        frame({"detail": "no such model"}) + DONE,
        "failed",
        APIError,
        says="no such model",
        met=("error-detail",),
        text=None,
    ),
    "error-empty": Case(TEXT + STOP + frame({"error": {}}) + DONE, "failed", APIError, met=("error-fields",)),
    "error-without-data": Case(
        TEXT + STOP + RAW + b"\n\n" + DONE,
        "failed",
        InternalServerError,
        says="overloaded",
        raw=RAW,
        met=("error-unframed",),
    ),
    "error-without-data-or-line-end": Case(
        TEXT + STOP + RAW,
        "failed",
        InternalServerError,
        raw=RAW,
        met=("error-unframed", "error-unterminated"),
    ),
    "error-without-data-not-escaped": Case(
        TEXT + b'{"error": "a "b""}\n',
        "failed",
        APIError,
        says='a "b"',
        met=("error-unframed", "error-not-escaped"),
    ),
    "a-bare-line-with-no-error": Case(
        TEXT + b'{"id": "x"}\n\n' + b'{"error": null}\n\n' + STOP + DONE, "complete"
    ),
    "error-event-without-data": Case(TEXT + b"event: error\n\n" + STOP + DONE, "complete"),
    "error-is-a-text": Case(
        TEXT + frame({"error": "no more"}), "failed", APIError, says="no more", met=("error-string",)
    ),
    "error-is-a-number": Case(
        TEXT + frame({"error": 42}),
        "failed",
        APIError,
        says="An error came in the stream: ",
        met=("error-string",),
    ),
    "error-is-true": Case(
        TEXT + frame({"error": True, "message": "no"}), "failed", APIError, says="no", met=("error-string",)
    ),
    "error-of-an-object": Case(
        TEXT + frame({"object": "error", "message": "too long", "code": 400}),
        "failed",
        BadRequestError,
        says="too long",
        met=("error-flat",),
    ),
    "error-with-a-code-of-an-integer": Case(
        TEXT + frame({"error": {"message": "later", "code": 429}}),
        "failed",
        RateLimitError,
        says="later",
        met=("error-fields",),
    ),
    "error-with-a-type": Case(
        TEXT + frame({"error": {"message": "who?", "type": "authentication_error"}}),
        "failed",
        AuthenticationError,
        met=("error-fields",),
    ),
    "error-beside-choices-null": Case(
        TEXT + frame({**HEAD, "choices": None, **FAULT}), "failed", InternalServerError, says="overloaded"
    ),
    "error-beside-a-finish": Case(
        TEXT + frame({**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}], **FAULT}),
        "failed",
        InternalServerError,
        says="overloaded",
    ),
    "error-text-that-is-not-escaped": Case(
        TEXT + b'data: {"error": "device "cuda:0" is out of memory"}\n\n',
        "failed",
        APIError,
        says='device "cuda:0" is out of memory',
        raw=b'{"error": "device "cuda:0" is out of memory"}',
        met=("error-not-escaped",),
    ),
    # failed: what cannot be read
    "no-json": Case(
        TEXT + b"data: {oops\n\n" + STOP,
        "failed",
        APIResponseValidationError,
        says="cannot be read",
        raw=b"{oops",
    ),
    "json-of-another-kind": Case(TEXT + b"data: [1]\n\n", "failed", APIResponseValidationError, raw=b"[1]"),
    "null": Case(TEXT + b"data: null\n\n", "failed", APIResponseValidationError, raw=b"null"),
    "a-field-of-another-kind": Case(
        TEXT + frame({**HEAD, "choices": 5}),
        "failed",
        APIResponseValidationError,
        says="expected an array at choices",
    ),
    "nested-too-deep": Case(
        TEXT + b"data: " + b"[" * 10_000 + b"\n\n",
        "failed",
        APIResponseValidationError,
        says="nested too deep",
    ),
    "cannot-be-read-after-the-finish": Case(
        TEXT + STOP + b"data: {\n\n", "failed", APIResponseValidationError
    ),
    "over-the-limit": Case(
        TEXT + part("x" * 2000) + STOP + DONE,
        "failed",
        APIResponseValidationError,
        says="larger than max_event_bytes, 1000 bytes",
    ),
    "over-the-limit-before-anything": Case(
        b"x" * 1001,
        "failed",
        APIResponseValidationError,
        says="larger than max_event_bytes, 1000 bytes",
        text=None,
    ),
}


def run(
    case: Case, parts: list[bytes], ending: Any = "eof", **options: Any
) -> tuple[StreamReader, list[Any]]:
    limit = 10**6 if b"[[[[" in case.body else 1000
    asked = Asked(case.n, include_usage=COUNT in case.body)
    reader = StreamReader(asked=asked, max_event_bytes=limit, **options)
    chunks = [chunk for data in parts for chunk in reader.feed(data)]
    reader.close(ending)
    return reader, chunks


def check(reader: StreamReader, chunks: list[Any], case: Case) -> None:
    assert (reader.outcome, type(reader.error) if reader.error else None) == (case.outcome, case.error)
    assert tuple(deviation.rule for deviation in reader.deviations) == case.met
    completion = reader.completion
    content = completion.choices[0].message.content if completion is not None and completion.choices else None
    assert content == case.text
    assert (completion is None) == (not chunks)
    assert reader.feed(TEXT) == []
    error = reader.error
    if error is None:
        assert reader.result() == completion
        return
    with pytest.raises(type(error)) as caught:
        reader.result()
    assert caught.value is error
    assert case.says in str(error)
    assert error.completion == completion
    assert error.last_chunk is (chunks[-1] if chunks else None)
    assert error.tail == case.tail
    assert case.raw is None or error.raw == case.raw
    if isinstance(error, StreamTruncatedError):
        assert error.reason == case.reason


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_happened_has_its_outcome(case):
    check(*run(case, [case.body]), case)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_outcome_does_not_depend_on_the_pieces(case):
    if len(case.body) < 20_000:
        check(*run(case, [case.body[at : at + 1] for at in range(len(case.body))]), case)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("ending", ["reset", "timeout"])
def test_how_the_body_ended_changes_the_reason_and_nothing_else(case, ending):
    """A transport cannot be trusted to know how a body ended, so the outcome is the same."""
    reader, _ = run(case, [case.body], ending)
    plain, _ = run(case, [case.body])
    assert reader.outcome == case.outcome
    assert reader.deviations == plain.deviations
    if not isinstance(reader.error, StreamTruncatedError):
        assert type(reader.error) is type(plain.error)
    elif case.reason == "unfinished":
        assert (type(reader.error), reader.error.reason) == (StreamTruncatedError, "unfinished")
    else:
        assert type(reader.error) is (StreamTimeoutError if ending == "timeout" else StreamTruncatedError)
        assert reader.error.reason == ending
        assert reader.error.tail == case.tail


def test_what_the_reasons_say():
    def error(ending: Any, *why: str) -> APIError:
        reader = StreamReader()
        reader.feed(TEXT)
        reader.close(ending, *why)
        assert reader.error is not None
        return reader.error

    assert str(error("reset")) == "The connection broke before choice 0 had finished."
    assert str(error("timeout")) == "The stream was given up before choice 0 had finished: a deadline passed."
    assert str(error("timeout", "no byte for 5 s")).endswith(": no byte for 5 s.")
    assert isinstance(error("eof"), APIConnectionError)
    assert isinstance(error("timeout"), APITimeoutError)


def test_what_is_kept_of_a_body_without_events_is_bounded():
    reader = StreamReader()
    for _ in range(100):
        reader.feed(b"<p>not found</p>\n" * 1000)
    reader.close()
    assert reader.error is not None
    assert reader.error.tail is not None
    assert len(reader.error.tail) == MAX_TAIL_BYTES
    assert len(str(reader.error)) < 300


def test_usage_that_was_asked_for_and_never_came_is_reported():
    for body, met in ((TEXT + STOP + COUNT + DONE, []), (TEXT + STOP + DONE, ["no-usage"])):
        reader = StreamReader(asked=Asked(include_usage=True))
        reader.feed(body)
        assert reader.outcome == "complete"
        assert [deviation.rule for deviation in reader.deviations] == met


def test_the_usage_so_far_travels_with_an_error():
    reader = StreamReader()
    reader.feed(TEXT + COUNT)
    reader.close("reset")
    assert reader.error is not None
    assert reader.error.usage is reader.usage
    assert reader.usage is not None
    assert reader.usage.to_dict() == USAGE


def test_the_request_id_travels_with_an_error():
    reader = StreamReader()
    reader.request_id = "req_1"
    reader.feed(frame(FAULT))
    assert reader.error is not None
    assert reader.error.request_id == "req_1"


def test_a_deviation_is_listed_once_with_the_event_where_it_was_met_first():
    reader = StreamReader()
    reader.feed(TEXT + b"data:\n\n" + part("x") + b"data:\n\n" * 50 + b"data: : hi\n\n")
    assert reader.deviations == [Deviation("empty-data", 1), Deviation("comment-as-data", 53)]
    assert str(reader.deviations[0]) == "empty-data (event 1): an event had empty data"


class TestCancelled:
    def test_leaving_raises_nothing(self):
        reader = StreamReader()
        reader.feed(TEXT)
        reader.cancel()
        assert (reader.outcome, reader.error) == ("cancelled", None)
        assert reader.feed(STOP + DONE) == []
        reader.close("reset")
        assert reader.outcome == "cancelled"

    def test_the_result_of_a_stream_that_was_left_is_an_error_with_what_came(self):
        reader = StreamReader()
        reader.feed(TEXT + COUNT)
        reader.cancel()
        with pytest.raises(StreamCancelledError) as caught:
            reader.result()
        assert caught.value.completion == reader.completion
        assert caught.value.completion.choices[0].message.content == "Hello"
        assert caught.value.usage is reader.usage

    def test_the_result_of_a_stream_that_still_runs_is_an_error_too(self):
        reader = StreamReader()
        reader.feed(TEXT + STOP)
        with pytest.raises(StreamCancelledError):
            reader.result()
        reader.feed(DONE)
        assert reader.result().choices[0].message.content == "Hello"

    @pytest.mark.parametrize(
        "body", [TEXT + STOP + DONE, TEXT + DONE, frame(FAULT)], ids=["complete", "truncated", "failed"]
    )
    def test_leaving_after_the_end_changes_nothing(self, body):
        reader = StreamReader()
        reader.feed(body)
        before = reader.outcome, reader.error
        reader.cancel()
        assert (reader.outcome, reader.error) == before


class TestWithoutAccumulating:
    def test_chunks_and_outcome_are_the_same(self):
        for name, case in CASES.items():
            with_it, chunks = run(case, [case.body])
            without, same = run(case, [case.body], accumulate=False)
            assert same == chunks, name
            assert without.outcome == with_it.outcome
            assert without.completion is None
            assert without.usage == with_it.usage
            assert type(without.error) is type(with_it.error)
            if without.error is not None:
                assert without.error.completion is None
                assert without.error.last_chunk is (same[-1] if same else None)

    def test_there_is_no_result(self):
        reader = StreamReader(accumulate=False)
        (chunk, _) = reader.feed(TEXT + STOP + DONE)
        with pytest.raises(DuologueError, match="accumulate=False") as caught:
            reader.result()
        assert chunk.text == "Hello"
        assert caught.value.last_chunk is reader.last_chunk


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_error_travels_between_processes(case):
    error = run(case, [case.body])[0].error
    if error is not None:
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert (type(again), str(again), again.tail, again.raw) == (
                type(error),
                str(error),
                error.tail,
                error.raw,
            )
            assert again.completion == error.completion


pieces = [TEXT, STOP, COUNT, DONE, frame(FAULT), part("x", 1), part(None, 1, "stop"), audio(expires_at=5)]
pieces += [
    b"data: ",
    b"\n",
    b"\r\n\n",
    b": hi\n\n",
    b"event: error\n",
    b"{}",
    b"[DONE]",
    b"null",
    b'{"choices":[',
    b"\xff",
]
pieces += [b'{"choices":[{"delta":{"content":"a"}}]}', b'{"error":', b'"x"', b"5}", b"]}]}"]


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.sampled_from(pieces), max_size=12),
    st.sampled_from(["eof", "reset", "timeout"]),
    st.integers(1, 2),
)
def test_every_stream_has_one_outcome_and_no_foreign_exception(parts, ending, n):
    reader, joined = StreamReader(n=n), StreamReader(n=n)
    chunks = [chunk for data in parts for chunk in reader.feed(data)]
    assert joined.feed(b"".join(parts)) == chunks
    reader.close(ending)
    joined.close(ending)
    assert reader.outcome == joined.outcome
    assert reader.deviations == joined.deviations
    assert reader.completion == joined.completion
    assert (type(reader.error), str(reader.error)) == (type(joined.error), str(joined.error))
    if reader.outcome == "complete":
        assert reader.error is None
        whole = reader.result()
        assert {choice.index for choice in whole.choices} >= set(range(n))
        assert all(choice.finish_reason or choice.message.audio for choice in whole.choices)
    else:
        assert isinstance(reader.error, APIError)
        assert reader.error.completion == reader.completion


def test_a_whole_message_in_a_chunk_is_not_lost():
    """Some servers stream one chunk with a `message` where the delta belongs: it is read, and reported."""
    reader = StreamReader()
    reader.feed(
        b'data: {"id":"a","created":1,"model":"m","choices":[{"index":0,'
        b'"message":{"role":"assistant","content":"hey"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    assert reader.result().text == "hey"
    assert [deviation.rule for deviation in reader.deviations] == ["message-in-chunk"]


def loose(content: str, *, beside: Any = None, in_choice: Any = None, in_delta: Any = None) -> bytes:
    """A usual chunk with unknown fields, beside its choice and inside it."""
    choice = {"index": 0, "delta": {"content": content, **(in_delta or {})}, "finish_reason": None}
    return frame({**HEAD, "choices": [{**choice, **(in_choice or {})}], **(beside or {})})


LOOSE = [
    loose("a", beside={"provider": "p", "times": {"ms": 1.5}}),
    loose("b", in_choice={"stop_reason": None, "ids": [1]}),
    loose("c", in_delta={"note": "n", "ids": [[2]]}),
    loose("d", beside={"error": None, "padding": ""}, in_choice={"message": None}, in_delta={"note": "o"}),
    *(part("e"), part("f", 1), part(tool_calls=[{"index": 0, "function": {"arguments": "{}"}, "x": 1}])),
    loose("g", in_choice={"index": 1, "ids": [3]}),
    frame({**HEAD, "created": 1.0, "choices": [], "x": 1}),
    frame({**HEAD, "choices": [], "usage": {**USAGE, "cost": 0.5}}),
]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(LOOSE), max_size=40))
def test_chunks_with_unknown_fields_read_in_a_row_as_each_alone(parts):
    """After the first of them the strict decoder is not asked for a while; nothing else changes."""
    reader = StreamReader(n=2, dialect="off")
    alone = [decode_chunk(data[6:-2]) for data in (TEXT, *parts)]
    chunks = [chunk for data in (TEXT, *parts) for chunk in reader.feed(data)]
    assert chunks == alone
    for chunk, other in zip(chunks, alone, strict=True):
        assert chunk.to_dict() == other.to_dict()
        assert chunk.wire.raw == other.wire.raw
        for choice, of_other in zip(chunk.choices, other.choices, strict=True):
            assert choice.wire.extra == of_other.wire.extra
            assert choice.delta.wire.raw == of_other.delta.wire.raw
    completion, whole = reader.completion, accumulate(alone)
    assert completion is not None
    assert whole is not None
    assert completion.to_dict() == whole.to_dict()


def called(index: int | None = 0, *, of: int = 0, **function: Any) -> dict[str, Any]:
    """A choice with a part of a tool call."""
    identity = {name: function.pop(name) for name in ("id", "type") if name in function}
    number = {} if index is None else {"index": index}
    return {"index": of, "delta": {"tool_calls": [{**number, **identity, "function": function}]}}


def thought(
    text: str | None, *, of: int = 0, name: str = "reasoning_content", **delta: Any
) -> dict[str, Any]:
    """A choice with some reasoning."""
    return {"index": of, "delta": {name: text, **delta}}


CHOICES = [
    *(thought("a"), thought("b"), thought("c", content=None), thought("d", of=1), thought("e", content="f")),
    *(
        thought(""),
        thought("g", name="reasoning"),
        thought(None, content="h"),
        thought("i", role="assistant"),
    ),
    *(
        called(id="c1", name="find", arguments=""),
        called(arguments='{"a'),
        called(arguments='":'),
        called(arguments="1"),
    ),
    *(
        called(arguments="}"),
        called(arguments='{"a":1}'),
        called(arguments='"{\\"a\\":1}"'),
        called(arguments="{}"),
    ),
    *(called(1, id="c2", name="look", arguments="{"), called(1, arguments=" "), called(1, arguments='"b"')),
    *(called(0, id="c3", name="seek", arguments="{"), called(None, arguments='"x"'), called(arguments=None)),
    *(called(of=1, id="d1", name="find", arguments="{"), called(of=1, arguments="2"), called(name="find")),
    {"index": 0, "delta": {}, "finish_reason": "tool_calls"},
    {"index": 0, "delta": {"tool_calls": [{"index": 0, "custom": {"input": "x"}}]}},
    {"index": 0, "delta": {"tool_calls": [*called(arguments="3")["delta"]["tool_calls"]] * 2}},
    {"index": 0, "delta": thought("j")["delta"], "logprobs": {"content": [], "refusal": None}},
]


# A server that numbers every call 0: the second is known to be another by the end of the first.
SHARED = [
    called(id="c1", name="find", arguments="{"),
    *(called(arguments=text) for text in ('"a":', "1", "}")),
    called(id="c2", name="find", arguments="{"),
    *(called(arguments=text) for text in ('"b":', "2", "}")),
]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(CHOICES), max_size=30),
    st.sampled_from(["repair", "off", "strict"]),
    st.booleans(),
)
@example(SHARED, "repair", True)
@example(SHARED, "off", True)
@example(SHARED, "repair", False)
def test_thoughts_and_arguments_that_go_on_read_as_those_in_chunks_that_are_all_new(choices, dialect, keep):
    """Where the head changes with each chunk, each is looked at; where it does not, most are told at a glance."""
    tiers = itertools.cycle(["default", "flex"])
    plain = [frame({**HEAD, "choices": [choice]}) for choice in choices]
    anew = [frame({**HEAD, "service_tier": next(tiers), "choices": [choice]}) for choice in choices]
    quick, slow = (StreamReader(n=2, dialect=dialect, accumulate=keep) for _ in range(2))
    chunks = [chunk for data in plain for chunk in quick.feed(data)]
    others = [chunk for data in anew for chunk in slow.feed(data)]
    assert [chunk.to_dict()["choices"] for chunk in chunks] == [
        chunk.to_dict()["choices"] for chunk in others
    ]
    for chunk, data in zip(chunks, plain, strict=False):
        assert chunk.wire.raw == data[6:-2]
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is None or call.function.wire.has("arguments") == (
                b'"arguments"' in call.wire.raw
            )
    quick.close()
    slow.close()
    assert quick.outcome == slow.outcome
    assert quick.deviations == slow.deviations
    if (completion := quick.completion) is not None and (other := slow.completion) is not None:
        assert completion.choices == other.choices
    assert (quick.completion is None) == (slow.completion is None)


DEEP: Any = functools.reduce(lambda inner, _: [inner], range(MAX_NESTING), 1)


@pytest.mark.parametrize(
    ("data", "outcome", "met"),
    [
        pytest.param(loose("x", beside=FAULT), "failed", [], id="an error"),
        pytest.param(loose("x", beside={"y": DEEP}), None, [], id="a deep field"),
        pytest.param(loose("x", beside={"y": [DEEP]}), "failed", [], id="a field that is too deep"),
        pytest.param(loose("x", beside={"y": float("nan")}), None, ["odd-json"], id="no strict JSON"),
        pytest.param(
            loose("x", in_choice={"message": {"audio": None}}), None, ["message-in-chunk"], id="a message"
        ),
    ],
)
def test_what_an_unknown_field_says_is_seen_in_every_chunk(data, outcome, met):
    reader = StreamReader()
    reader.feed(TEXT)
    reader.feed(LOOSE[0] * 3)
    chunks = reader.feed(data)
    assert reader.outcome == outcome
    assert [deviation.rule for deviation in reader.deviations] == met
    assert [chunk.text for chunk in chunks] == ([] if outcome else ["x"])
