"""Server-sent events against the standard.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import itertools
import random
import re
import time
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from duologue.protocol.sse import (
    DONE,
    MAX_EVENT_BYTES,
    Event,
    EventDecoder,
    encode_comment,
    encode_event,
)


def decode(*parts: bytes) -> list[Event]:
    decoder = EventDecoder()
    return [event for part in parts for event in decoder.feed(part)]


def by_the_standard(body: bytes) -> list[tuple[str, str, str]]:
    """Type, data and last event id of each event, step by step as section 9.2.6 has it."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unterminated = re.split("\r\n|\n|\r", text)
    events = []
    data, kind, last_id = "", "", ""
    for line in lines:
        if line == "":
            if data != "":
                events.append((kind or "message", data.removesuffix("\n"), last_id))
            data, kind = "", ""
            continue
        if line.startswith(":"):
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


def seen(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(event.event, event.text, event.id) for event in events]


CASES = {
    # The examples of the standard.
    "standard-stock-ticker": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
    "standard-four-blocks": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        [("message", "first event", "1"), ("message", "second event", "")],
    ),
    "standard-empty-strings": (b"data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
    "standard-space-after-colon": (b"data:test\n\ndata: test\n\n", [("message", "test", "")] * 2),
    "standard-named-events": (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        [("add", "73857293", ""), ("remove", "2153", "")],
    ),
    # Line ends.
    "cr": (b"data: a\rdata: b\r\rdata: c\r\r", [("message", "a\nb", ""), ("message", "c", "")]),
    "crlf": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [("message", "a\nb", ""), ("message", "c", "")]),
    "mixed-line-ends": (b"data: a\r\ndata: b\rdata: c\n\r\n", [("message", "a\nb\nc", "")]),
    "lf-cr-is-two-ends": (b"data: a\n\rdata: b\n\n", [("message", "a", ""), ("message", "b", "")]),
    "many-blank-lines": (
        b"\n\n\r\n\rdata: a\n\n\n\n\n\ndata: b\n\n",
        [("message", "a", ""), ("message", "b", "")],
    ),
    "a-leading-blank-line-in-a-block": (
        b"data: a\n\n\ndata: b\n\n",
        [("message", "a", ""), ("message", "b", "")],
    ),
    "line-separators-of-unicode-are-text": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\n\n".encode(),
        [("message", "a\u2028b\u2029c\u0085d\x0be\x0cf", "")],
    ),
    # Byte order marks.
    "bom": (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
    "only-the-first-bom": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("message", "b", "")]),
    "bom-later": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", "a", "")]),
    "half-a-bom": (b"\xef\xbbdata: a\n\ndata: b\n\n", [("message", "b", "")]),
    # Fields.
    "comments": (b":\n: hi\n:data: no\ndata: a\n: between\ndata: b\n\n", [("message", "a\nb", "")]),
    "comment-blocks": (b": keep-alive\n\n:\n\ndata: a\n\n", [("message", "a", "")]),
    "no-data-no-event": (b"event: ping\n\nid: 1\n\nretry: 3000\n\n", []),
    "an-event-without-data-names-no-other": (b"event: ping\n\ndata: a\n\n", [("message", "a", "")]),
    "the-last-name-counts": (b"event: a\nevent: b\ndata: x\n\n", [("b", "x", "")]),
    "an-empty-name-is-message": (b"event: a\nevent:\ndata: x\n\n", [("message", "x", "")]),
    "empty-data": (b"data:\n\ndata: \n\n", [("message", "", "")] * 2),
    "one-space-only": (b"data:  a \n\ndata:\tb\n\n", [("message", " a ", ""), ("message", "\tb", "")]),
    "colons-in-data": (b"data: a: b:c\n\n", [("message", "a: b:c", "")]),
    "unknown-fields": (b"datum: a\nDATA: b\n data: c\nfoo\ndata: d\n\n", [("message", "d", "")]),
    "id-lasts": (b"id: 7\ndata: a\n\ndata: b\n\n", [("message", "a", "7"), ("message", "b", "7")]),
    "id-without-data-lasts": (b"id: 7\n\ndata: a\n\n", [("message", "a", "7")]),
    "id-with-nul-is-ignored": (
        b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n",
        [("message", "a", "1"), ("message", "b", "1")],
    ),
    "id-is-reset": (b"id: 1\ndata: a\n\nid\ndata: b\n\n", [("message", "a", "1"), ("message", "b", "")]),
    "nul-in-data": (b"data: a\x00b\n\n", [("message", "a\x00b", "")]),
    "invalid-utf8": (b"data: a\xff\xc3(\xe2\x82\n\n", [("message", "a\ufffd\ufffd(\ufffd", "")]),
    "invalid-utf8-in-names": (b"event: \xff\nid: \xfe\ndata: a\n\n", [("\ufffd", "a", "\ufffd")]),
    # The end.
    "no-blank-line": (b"data: a\n\ndata: b\n", [("message", "a", "")]),
    "no-line-end": (b"data: a\n\ndata: b", [("message", "a", "")]),
    "nothing": (b"", []),
    "html": (b"<!doctype html>\n<title>Not found</title>\n\n<p>data: none</p>\n\n", []),
    "json": (b'{"id": "x",\n "choices": []}\n', []),
}


@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES)
def test_a_case_of_the_standard(body, expected):
    assert by_the_standard(body) == expected  # the test's own decoder is right about it
    assert seen(decode(body)) == expected
    assert seen(decode(*(body[at : at + 1] for at in range(len(body))))) == expected
    for cut in range(len(body)):
        assert seen(decode(body[:cut], body[cut:])) == expected


WORDS = [
    b"data",
    b"event",
    b"id",
    b"retry",
    b":",
    b": ",
    b" ",
    b"\n",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"x",
    b"[DONE]",
]
WORDS += [
    b"\0",
    b"\xef\xbb\xbf",
    b"\xef",
    b"\xe2\x80\xa8",
    b"\xff",
    b"9",
    b"data: x\n\n",
    b"data: y\r\n\r\n",
    b"id: 3\n",
]
soups = st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join)
seeds = st.integers(0, 2**32)


def pieces(body: bytes, seed: int) -> list[bytes]:
    """`body` in pieces; about half of the cuts stand after a line end, where reads often end."""
    rng = random.Random(seed)
    places = [rng.randrange(len(body) + 1) for _ in range(rng.randrange(8))]
    places += [end for end in (match.end() for match in re.finditer(b"\n\n", body)) if rng.random() < 0.5]
    return [body[a:b] for a, b in itertools.pairwise([0, *sorted(places), len(body)])]


@settings(max_examples=600, deadline=None)
@given(soups, seeds)
@example(b"data: x\r\r\ndata: y\n\n", 3)
def test_any_bytes_in_any_pieces_are_read_as_by_the_standard(body, seed):
    expected = by_the_standard(body)
    assert seen(decode(body)) == expected
    assert seen(decode(*pieces(body, seed))) == expected


@settings(max_examples=300, deadline=None)
@given(soups, seeds, st.integers(1, 30))
def test_the_limit_stops_at_the_same_event_in_any_pieces(body, seed, limit):
    def run(parts):
        decoder = EventDecoder(max_event_bytes=limit)
        events = [event for part in parts for event in decoder.feed(part)]
        return events, decoder.overflow

    whole = run([body])
    assert run(pieces(body, seed)) == whole
    assert run([body[at : at + 1] for at in range(len(body))]) == whole
    events, overflow = whole
    free = decode(body)
    assert events == free[: len(events)]
    assert all(len(event.data) <= limit for event in events)
    lines = re.split(b"\r\n|\n|\r", body.removeprefix(b"\xef\xbb\xbf"))
    if (
        max(map(len, lines)) <= limit
        and all(len(event.data) <= limit for event in free)
        and not tail_data(body)
    ):
        assert not overflow
        assert events == free
    if max(map(len, lines)) > limit:
        assert overflow


def tail_data(body: bytes) -> bool:
    """Whether there is data in an unfinished event."""
    decoder = EventDecoder()
    decoder.feed(body)
    return decoder.tail() is not None


@pytest.mark.parametrize(
    ("size", "overflow"),
    [(99, False), (100, False), (101, True), (10_000, True)],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n", b"\n: more\n\n", b"\ndata:\n\n"], ids=repr)
@pytest.mark.parametrize("step", [1, 7, 99, 100, 101, 1 << 20])
def test_a_line_of_the_limit_passes_and_one_byte_more_does_not(size, overflow, end, step):
    line = b"data: ".ljust(size, b"x")
    body = b"data: before\n\n" + line + end + b"data: after\n\n" * 3
    decoder = EventDecoder(max_event_bytes=100)
    events = [event for at in range(0, len(body), step) for event in decoder.feed(body[at : at + step])]
    assert decoder.overflow is overflow
    assert events[0].data == b"before"
    if overflow:
        assert [event.data for event in events] == [b"before"]
        assert decoder.feed(b"data: much later\n\n") == []
        assert decoder.tail() is None


def test_the_lines_of_one_event_are_limited_together():
    for count, overflow in ((10, False), (11, True)):
        decoder = EventDecoder(max_event_bytes=99)
        events = decoder.feed(b"data:123456789\n" * count + b"\n")
        assert decoder.overflow is overflow
        assert [len(event.data) for event in events] == ([] if overflow else [99])


def test_the_limit_is_openai_gos_unless_told_otherwise():
    assert EventDecoder().max_event_bytes == MAX_EVENT_BYTES == 33_554_432


@pytest.mark.parametrize("read", [b"x" * 2**16, b"data: x\n" * 2**13], ids=["one-line", "data-lines"])
def test_an_event_without_end_stops_at_the_limit_and_keeps_no_memory(read):
    limit = 2**17
    decoder = EventDecoder(max_event_bytes=limit)
    tracemalloc.start()
    try:
        for _ in range(100):
            assert decoder.feed(read) == []
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoder.overflow
    assert peak < 3 * limit
    assert held < 2**12


def test_a_hundred_megabytes_of_one_line_stop_at_the_default_limit():
    decoder = EventDecoder()
    read = b"x" * 2**20
    fed = 0
    while not decoder.overflow:
        decoder.feed(read)
        fed += len(read)
        assert fed <= 100 * 2**20
    assert fed == MAX_EVENT_BYTES + len(read)


def test_comments_for_ever_cost_no_memory():
    decoder = EventDecoder(max_event_bytes=1000)
    tracemalloc.start()
    try:
        for _ in range(20_000):
            decoder.feed(b": keep-alive\n")
            decoder.feed(b": and a block\n\nevent: ping\n\n")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not decoder.overflow
    assert peak < 20_000
    assert held < 20_000
    assert seen(decoder.feed(b"data: x\n\n")) == [("message", "x", "")]


def byte_by_byte(size: int) -> float:
    decoder = EventDecoder()
    start = time.process_time()
    for _ in range(size):
        decoder.feed(b"x")
    return time.process_time() - start


def in_small_reads(size: int) -> float:
    decoder = EventDecoder()
    line = b"data: " + b"x" * 250
    start = time.process_time()
    for _ in range(size // 256):
        decoder.feed(line)
        decoder.feed(b"\n")
    return time.process_time() - start


@pytest.mark.parametrize(("run", "size"), [(byte_by_byte, 40_000), (in_small_reads, 1_000_000)])
def test_time_is_linear_in_the_bytes(run, size):
    """Eight times the bytes take about eight times as long; looking at what came before would take 64."""
    small = min(run(size) for _ in range(3))
    assert run(8 * size) < 24 * small


@pytest.mark.parametrize(
    ("line", "retry"),
    [
        (b"retry: 3000", 3000),
        (b"retry:0", 0),
        (b"retry", None),
        (b"retry: ", None),
        (b"retry: 3s", None),
        (b"retry: -1", None),
        (b"retry: 1.5", None),
        (b"retry:  7", None),
        ("retry: ٣".encode(), None),
    ],
)
def test_retry_is_digits(line, retry):
    decoder = EventDecoder()
    assert decoder.feed(line + b"\n\n") == []
    assert decoder.retry == retry


def test_a_retry_of_a_million_digits_is_a_number_all_the_same():
    decoder = EventDecoder()
    decoder.feed(b"retry: " + b"9" * 1_000_000 + b"\n\n")
    assert isinstance(decoder.retry, int)


@pytest.mark.parametrize(
    ("body", "tail"),
    [
        (b"data: a\n\n", None),
        (b"data: a\n\ndata: b", b"b"),
        (b"data: a\n\ndata: b\n", b"b"),
        (b"data: a\n\ndata: b\r", b"b"),
        (b"data: b\ndata: c", b"b\nc"),
        (b"data: a\n\nevent: error\ndata: b", b"b"),
        (b"data: a\n\n: comment", None),
        (b"data: a\n\ndat", None),
        (b"", None),
        (b"\xef\xbb", None),
    ],
    ids=repr,
)
def test_the_tail_is_what_stands_after_the_last_whole_event(body, tail):
    decoder = EventDecoder()
    decoder.feed(body)
    event = decoder.tail()
    assert (event.data if event else None) == tail
    assert event is None or event.event == ("error" if b"error" in body else "message")
    assert decoder.tail() is None


lines = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=30), lines, lines), max_size=5))
@example([(b"", "", ""), (b" \n", "", ":"), (b"\r\n\r", " a", "")])
def test_what_is_encoded_is_decoded_again(events):
    """Line ends become `\\n`; comments between the events mean nothing."""
    body = b"".join(encode_comment(note) + encode_event(data, event=name) for data, name, note in events)
    expected = [(re.sub(b"\r\n|\r", b"\n", data), name or "message") for data, name, _ in events]
    assert [(event.data, event.event) for event in decode(body)] == expected


@pytest.mark.parametrize(
    ("data", "event", "expected"),
    [
        (b"{}", None, b"data: {}\n\n"),
        (b"[DONE]", None, DONE),
        (b"a\nb", None, b"data: a\ndata: b\n\n"),
        (b"", None, b"data: \n\n"),
        (b"x", "error", b"event: error\ndata: x\n\n"),
    ],
    ids=repr,
)
def test_the_encoding_of_an_event(data, event, expected):
    assert encode_event(data, event=event) == expected


def test_a_comment_is_one_line():
    assert encode_comment() == b": \n\n"
    assert encode_comment("still here") == b": still here\n\n"


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\n\ndata: forged"])
def test_no_name_and_no_comment_can_forge_an_event(text):
    with pytest.raises(ValueError, match="more than one line"):
        encode_comment(text)
    with pytest.raises(ValueError, match="more than one line"):
        encode_event(b"x", event=text)
