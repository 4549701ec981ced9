"""Dialects of streams: what is met, what is repaired, what is told, and that nothing is lost."""

from __future__ import annotations

import copy
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.protocol import errors
from duologue.protocol.codec import encode
from duologue.protocol.dialect import RULES, Dialect, asked_by
from duologue.protocol.errors import APIResponseValidationError
from duologue.protocol.read import StreamReader
from support.dialects import ANSWERS, FOLDER, Answer, check_completion, check_error

ROOT = Path(__file__).resolve().parents[2]
STREAMS = [answer for answer in ANSWERS if answer.name.endswith(".sse")]

each_stream = pytest.mark.parametrize("answer", STREAMS, ids=[answer.name for answer in STREAMS])


class Read:
    """A stream that was read to its end."""

    def __init__(self, answer: Answer, *parts: bytes, dialect: Dialect = "repair") -> None:
        self.reader = StreamReader(asked=asked_by(answer.request), dialect=dialect)
        self.chunks = [chunk for part in parts or [answer.body] for chunk in self.reader.feed(part)]
        self.reader.close()

    @property
    def met(self) -> list[str]:
        return [deviation.rule for deviation in self.reader.deviations]

    @property
    def told(self) -> tuple[Any, ...]:
        """All that a caller can know of it."""
        reader = self.reader
        raws = [chunk.wire.raw for chunk in self.chunks]
        error = (type(reader.error), str(reader.error))
        return reader.outcome, reader.deviations, reader.completion, self.chunks, raws, error


@each_stream
def test_what_a_stream_becomes(answer: Answer) -> None:
    """The deviations that were met, the outcome, and the whole as it is repaired."""
    read = Read(answer)
    assert read.met == answer.met
    assert read.reader.outcome == answer.outcome
    completion = read.reader.completion
    assert completion is not None
    check_completion(completion, answer)
    if answer.outcome == "complete":
        assert read.reader.error is None
        assert read.reader.result() == completion
    else:
        check_error(read.reader.error, answer)
        assert read.reader.error is not None
        assert read.reader.error.completion == completion


@each_stream
def test_how_chunks_are_repaired(answer: Answer) -> None:
    """A field is corrected where it stands: who reads chunks sees what who reads the whole sees."""
    row, chunks = answer.row, Read(answer).chunks
    for name, value in row.get("same", {}).items():
        assert {getattr(chunk, name) for chunk in chunks} == {value}
    for name, value in row.get("last", {}).items():
        assert getattr(chunks[-1], name) == value
    if "first" in row:
        first = {"role": chunks[0].choices[0].delta.role, "content": chunks[0].choices[0].delta.content}
        assert first == row["first"]
    if "indexes" in row:
        parts = [choice for chunk in chunks for choice in chunk.choices]
        calls = [call for choice in parts for call in choice.delta.tool_calls or ()]
        assert [part.index for part in calls or parts][: len(row["indexes"])] == row["indexes"]


@each_stream
def test_a_repaired_chunk_still_has_its_bytes_and_is_encoded_as_repaired(answer: Answer) -> None:
    """Nothing is lost, and what is passed on is right: it has no deviation of the kind that was repaired."""
    read = Read(answer)
    events = [line[6:] for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
    assert [chunk.wire.raw for chunk in read.chunks if _is_strict(chunk.wire.raw)] == [
        data for data in events[: len(read.chunks)] if _is_strict(data)
    ]
    again = b"".join(b"data: " + encode(chunk) + b"\n\n" for chunk in read.chunks)
    second = Read(answer, again)
    repaired = [rule for rule in answer.met if RULES[rule].action == "repair"]
    unrepairable = {"identity-empty"} if answer.name == "identity-empty.sse" else set()
    unrepairable |= {"index-missing", "role-repeated"} if answer.name == "index-missing-of-two.sse" else set()
    assert set(second.met) & set(repaired) <= unrepairable
    assert [chunk.to_dict() for chunk in second.chunks] == [chunk.to_dict() for chunk in read.chunks]


def _is_strict(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


@each_stream
def test_off_repairs_nothing_and_lists_the_same(answer: Answer) -> None:
    """The chunks are what stands in the bytes; none was added or removed by a repair."""
    read, repaired = Read(answer, dialect="off"), Read(answer)
    if "off" in answer.row:
        assert type(read.reader.error) is getattr(errors, answer.row["off"])
        return
    assert len(read.chunks) == len(repaired.chunks)
    for chunk in read.chunks:
        if _is_strict(chunk.wire.raw):
            assert chunk.to_dict() == json.loads(chunk.wire.raw)
    # What a repair has removed shows in the whole of what nobody has repaired.
    assert [rule for rule in read.met if rule in answer.met] == answer.met
    assert set(read.met) - set(answer.met) <= {"arguments-not-json", "finish-hides-length"}
    if answer.outcome == "complete":
        assert read.reader.outcome == "complete"


@each_stream
def test_strict_makes_an_error_of_what_the_protocol_forbids(answer: Answer) -> None:
    """An error of the server stays that error; else it names the deviation, and has what came before."""
    read, repaired = Read(answer, dialect="strict"), Read(answer)
    forbidden = answer.forbidden
    if not forbidden:
        assert read.reader.outcome == answer.outcome
        assert read.met == answer.met
    elif answer.outcome == "complete":
        error = read.reader.error
        assert read.reader.outcome == "failed"
        assert type(error) is APIResponseValidationError
        assert f": {forbidden[0]} (event " in str(error)
        assert error.completion == read.reader.completion
        assert read.met == answer.met[: len(read.met)]
        # Nothing is lost: the chunks before it, and the bytes that it stands in.
        assert len(read.chunks) + (error.raw is not None) >= min(len(repaired.chunks), 1)
        assert error.raw is None or error.raw in answer.body
    else:
        assert read.reader.outcome in ("failed", answer.outcome)
        assert isinstance(
            read.reader.error, (getattr(errors, answer.row["error"]), APIResponseValidationError)
        )


@each_stream
def test_any_split_makes_the_same(answer: Answer) -> None:
    """However the bytes are cut: at each place once, and into single bytes."""
    told = Read(answer).told
    body = answer.body
    assert Read(answer, *(body[at : at + 1] for at in range(len(body)))).told == told
    for cut in range(1, len(body)):
        assert Read(answer, body[:cut], body[cut:]).told == told, cut


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(STREAMS), st.sampled_from(["repair", "strict", "off"]), st.data())
def test_any_splits_make_the_same_in_every_dialect(answer: Answer, dialect: Dialect, data: Any) -> None:
    """Events come alone or many in one piece."""
    size = len(answer.body)
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=8)))
    parts = [answer.body[a:b] for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    assert Read(answer, *parts, dialect=dialect).told == Read(answer, dialect=dialect).told


@each_stream
def test_without_accumulating_the_chunks_are_repaired_alike(answer: Answer) -> None:
    """But for what only shows in arguments that nobody keeps."""
    reader = StreamReader(asked=asked_by(answer.request), accumulate=False)
    chunks = reader.feed(answer.body)
    reader.close()
    assert reader.outcome == answer.outcome
    if not {"arguments-repeated", "arguments-encoded-twice"} & set(answer.met):
        assert chunks == Read(answer).chunks


# --- the table ---


def test_each_rule_is_shown_or_says_where_it_is_tested() -> None:
    """A file for each that shows in the bytes of an answer; a test that exists for each other."""
    shown = {answer.name.partition(".")[0] for answer in ANSWERS} | {r for a in ANSWERS for r in a.met}
    for name, rule in RULES.items():
        assert (name in shown) != bool(rule.seen), name
        assert not rule.seen or (ROOT / rule.seen).is_file(), name
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert rule.text
        assert rule.source


def test_each_file_has_its_row_and_its_rule() -> None:
    """A file is named after its rule, with a suffix where a rule has several."""
    files = {path.name for path in FOLDER.iterdir()} - {"outcomes.json", "README.md"}
    assert files == {answer.name for answer in ANSWERS}
    for answer in ANSWERS:
        assert answer.name.rpartition(".")[0].startswith(tuple(RULES))


def test_a_deviation_says_what_it_is_and_where() -> None:
    """Its text is that of its rule."""
    (answer,) = (answer for answer in STREAMS if answer.name == "role-repeated.sse")
    (deviation,) = Read(answer).reader.deviations
    assert str(deviation) == f"role-repeated (event 1): {RULES['role-repeated'].text}"


def test_the_page_and_the_table_agree() -> None:
    """`python scripts/dialects.py` writes the page."""
    made = runpy.run_path(str(ROOT / "scripts" / "dialects.py"))
    assert made["PAGE"].read_text("utf-8") == made["page"]()


# --- what must not be repaired ---


def frame(**fields: Any) -> bytes:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": fields.pop("delta", {}), "finish_reason": None, **fields}
    return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"


def call(arguments: str, **fields: Any) -> bytes:
    return frame(delta={"tool_calls": [{"index": 0, "function": {"arguments": arguments, **fields}}]})


BEGIN = frame(
    delta={
        "role": "assistant",
        "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}],
    }
)
END = frame(finish_reason="tool_calls") + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(['{"a":', '{"a":{}}', "}"], id="an-object-in-itself"),
        pytest.param(['{"a":[', "{}", ",", "{}", "]}"], id="empty-objects"),
        pytest.param(['{"a":"', '{"a":"', '"}'], id="text-that-is-its-own-beginning"),
        pytest.param(['{"a":', '"b"', "}"], id="a-quoted-part"),
        pytest.param(["{}", " "], id="a-space-after-it"),
        pytest.param(["1", "1"], id="no-object"),
    ],
)
def test_arguments_that_only_look_repeated_stay(parts: list[str]) -> None:
    """What could be meant is never removed."""
    reader = StreamReader()
    reader.feed(BEGIN + b"".join(map(call, parts)) + END)
    (tool_call,) = reader.result().choices[0].message.tool_calls or ()
    assert tool_call.type == "function"
    assert tool_call.function.arguments == "".join(parts)
    assert not {d.rule for d in reader.deviations} & {"arguments-repeated", "arguments-encoded-twice"}


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_finish_reason_that_says_more_is_never_overwritten(reason: str) -> None:
    """Only `stop` hides the calls; the others tell what happened to them."""
    reader = StreamReader()
    reader.feed(BEGIN + call("{}") + frame(finish_reason=reason) + b"data: [DONE]\n\n")
    assert reader.result().choices[0].finish_reason == reason
    assert reader.deviations == []


def test_repeated_arguments_are_looked_for_in_linear_time() -> None:
    """Parts that might be repetitions do not make a long text be put together again and again."""
    import time

    def run(count: int) -> float:
        events = [call("{}") for _ in range(count)]
        reader = StreamReader()
        reader.feed(BEGIN)
        begun = time.process_time()
        for event in events:
            reader.feed(event)
        return time.process_time() - begun

    assert run(16_000) < 24 * min(run(2000) for _ in range(3))


def test_an_identity_that_changes_back_and_forth() -> None:
    """The usual chunks after an unusual one are repaired like all others."""
    reader = StreamReader()
    body = b"".join(
        frame(delta={"role": "assistant", "content": "a"} if not at else {"content": "b"}).replace(
            b'"c"', b'"c%d"' % (at // 3), 1
        )
        for at in range(9)
    )
    assert {chunk.id for chunk in reader.feed(body)} == {"c0"}
    assert [str(d) for d in reader.deviations] == [f"id-changes (event 3): {RULES['id-changes'].text}"]


ODD = [None, "", 0, -1, 1.5, True, "x", [], {}, [None], {"a": 1}, "assistant", "{}", [{"index": 0}], 10**30]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(STREAMS), st.sampled_from(["repair", "strict", "off"]), st.data())
def test_whatever_stands_in_a_field_there_is_one_outcome(answer: Answer, dialect: Dialect, data: Any) -> None:
    """No rule lets an exception out, and none makes unreadable what could be read without it."""
    events = answer.body.split(b"\n\n")
    numbers = [
        at for at, event in enumerate(events) if event.startswith(b"data: {") and _is_strict(event[6:])
    ]
    if not numbers:
        return
    for at in data.draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=3)):
        value = json.loads(events[at][6:])
        *path, last = data.draw(st.sampled_from([place for place in places(value) if place]))
        holder = value
        for step in path:
            holder = holder[step]
        holder[last] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
        events[at] = b"data: " + json.dumps(value).encode()
    body = b"\n\n".join(events)
    read = Read(answer, body, dialect=dialect)
    assert read.reader.outcome is not None
    assert all(encode(chunk) for chunk in read.chunks)
    if dialect == "repair" and Read(answer, body, dialect="off").reader.outcome == "complete":
        assert read.reader.outcome == "complete"
