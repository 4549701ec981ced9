"""Generated text, read in any pieces: content, reasoning, and the calls of four forms. Nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.engines.local.forms import FORMS, MAX_SPACE, Form, Thoughts
from duologue.engines.local.reader import Part, Reader

RECORDED = Path(__file__).resolve().parents[2] / "data" / "tool_calls"
BY_NAME = {form.name: form for form in FORMS}
TOOLS = {"get_weather": "json", "get_time": "json", "run": "json", "note": "input", "sum": "raw"}
THINK = Thoughts("<think>", "</think>")


def recorded() -> Iterator[Any]:
    for path in sorted(RECORDED.glob("*.json")):
        content = json.loads(path.read_text())
        for case in content["cases"]:
            yield pytest.param(BY_NAME[content["form"]], case, id=f"{path.stem}: {case['about']}")


def reader(form: Form | None = BY_NAME["hermes"], thoughts: Thoughts | None = None) -> Reader:
    return Reader(form, TOOLS, thoughts)


def read(pieces: Iterable[str], by: Reader) -> list[Part]:
    parts = [part for piece in pieces for part in by.push(piece)]
    return parts + by.flush()


def joined(parts: Iterable[Part]) -> list[tuple[str, str, int, bool]]:
    """The parts, neighbours of the same kind as one: (kind, text, index, whether of a custom tool)."""
    whole: list[tuple[str, str, int, bool]] = []
    for kind, text, _, index, custom in parts:
        if whole and kind != "call" and whole[-1][0] == kind and whole[-1][2] == index:
            whole[-1] = (kind, whole[-1][1] + text, index, custom)
        else:
            whole.append((kind, text, index, custom))
    return whole


def said(parts: Iterable[Part]) -> list[list[str]]:
    return [[kind, text] for kind, text, _, _ in joined(parts)]


def splits(text: str) -> Iterable[list[str]]:
    """The text whole, in characters, and in two at every place."""
    yield [text]
    yield list(text)
    for at in range(1, len(text)):
        yield [text[:at], text[at:]]


@pytest.mark.parametrize(("form", "case"), list(recorded()))
def test_what_models_write(form, case):
    """Outputs in the very form of each family's models, cut in two anywhere and into single characters."""
    for pieces in splits(case["text"]):
        by = reader(form, THINK)
        parts = read(pieces, by)
        assert said(parts) == case["said"], pieces
        assert by.called is case["complete"]
        assert [part.index for part in parts if part.kind == "call"] == list(
            range(sum(part.kind == "call" for part in parts))
        )


@pytest.mark.parametrize(("form", "case"), list(recorded()))
def test_a_part_says_where_it_is_in_the_text(form, case):
    text = case["text"]
    for part in read(list(text), reader(form, THINK)):
        if part.kind != "call":
            assert text[part.at :].startswith(part.text)


CALL = '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>'
NOTE = CALL % ("note", '{"input": "%s"}')

CUSTOM = {
    "text in JSON": (NOTE % r"a \"b\" \\ \/ \n\t\u00e9", 'a "b" \\ / \n\té'),
    "a pair of surrogates": (NOTE % r"\ud83d\ude00", "\U0001f600"),
    "half a pair": (NOTE % r"a\ud83db", "a\ufffdb"),
    "two first halves": (NOTE % r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    "what is no escape": (NOTE % r"\q\u12x4", r"\q\u12x4"),
    "nothing": (NOTE % "", ""),
    "as it is": (CALL % ("sum", "1 + {2}\n}"), "1 + {2}\n}"),
    "as it is, with white space": (CALL % ("sum", "  x "), "  x "),
    "as it is, and like the end of a call": (CALL % ("sum", "}\n</tool_call>}"), "}\n</tool_call>}"),
}


@pytest.mark.parametrize(("text", "given_text"), CUSTOM.values(), ids=CUSTOM)
def test_a_custom_tool_is_given_its_text(text, given_text):
    for pieces in splits(text):
        by = reader()
        call, *arguments = joined(read(pieces, by))
        assert (call[0], call[3]) == ("call", True)
        assert "".join(text for _, text, _, _ in arguments) == given_text, pieces
        assert by.called


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("<tool_ca", "<tool_ca", id="a piece of a mark is text"),
        pytest.param('<tool_call>\n{"name": "get', "", id="a mark with nothing said is not"),
        pytest.param(
            '<tool_call>\n{"name": "nobody", "arg', '<tool_call>\n{"name": "nobody", "arg', id="a wrong name"
        ),
        pytest.param("a \n\n", "a \n\n", id="white space at the end"),
    ],
)
def test_the_end_of_the_text_in_the_middle_of_something(text, kept):
    for pieces in splits(text):
        by = reader()
        assert "".join(part.text for part in read(pieces, by)) == kept
        assert not by.called


HELD = {
    "a mark": ("hermes", "<tool_call>\n{"),
    "a call without a mark": ("llama 3", '{"name": "run", "parameters": {"code": 1}}'),
    "a list of calls": ("mistral", '[TOOL_CALLS][{"name": "run", "argu'),
    "thoughts": ("hermes", "<think>Hm.</think>\n<tool_ca"),
}


@pytest.mark.parametrize(("form", "text"), HELD.values(), ids=HELD)
def test_what_a_held_answer_has_only_begun_is_no_content(form, text):
    """Wherever it is cut off: what it may not be, it does not become by its end."""
    for end in range(len(text) + 1):
        for pieces in ([text[:end]], list(text[:end])):
            parts = read(pieces, Reader(BY_NAME[form], TOOLS, THINK, held=True))
            assert "content" not in {part.kind for part in parts}


@pytest.mark.parametrize("form", [None, BY_NAME["hermes"]], ids=["no tools", "tools"])
@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("<thin", ""),
        ('{"a": "<tool_c', '{"a": "<tool_c'),
        ("<think>Hm</think>[1, ", "[1, "),
        ('"<thin', '"<thin'),
    ],
)
def test_a_held_answer_that_is_json_is_content(form, text, content):
    """All of it, with what its texts may spell; only what comes before it may be cut off thoughts."""
    for pieces in splits(text):
        parts = read(pieces, Reader(form, TOOLS, THINK, held=True))
        assert "".join(part.text for part in parts if part.kind == "content") == content


def test_a_call_that_ends_in_the_middle_is_not_complete():
    for text in (CALL % ("run", '{"code": "'), NOTE % 'x"}' + "y", CALL % ("sum", "1")):
        cut = reader()
        read([text[: text.index("arguments") + 16]], cut)
        assert not cut.called


THOUGHTS = {
    "none": ("Hello", THINK, [["content", "Hello"]]),
    "by the model": ("<think>\nHm.\n</think>\n\nHello", THINK, [["reasoning", "Hm."], ["content", "Hello"]]),
    "opened by the prompt": (
        "\nHm.\n</think>\n\nHello",
        Thoughts("<think>", "</think>", opened=True),
        [["reasoning", "Hm."], ["content", "Hello"]],
    ),
    "empty ones": ("<think>\n\n</think>\n\nHello", THINK, [["content", "Hello"]]),
    "cut off": ("<think>Hm. </thi", THINK, [["reasoning", "Hm. </thi"]]),
    "a tag in the middle is text": ("a <think> b", THINK, [["content", "a <think> b"]]),
    "a piece of a tag is text": ("<thi", THINK, [["content", "<thi"]]),
    "with white space inside": ("<think>a \n b</think>c", THINK, [["reasoning", "a \n b"], ["content", "c"]]),
}


@pytest.mark.parametrize(("text", "thoughts", "parts"), THOUGHTS.values(), ids=THOUGHTS)
@pytest.mark.parametrize("form", [None, BY_NAME["hermes"]], ids=["no tools", "tools"])
def test_thoughts(form, text, thoughts, parts):
    for pieces in splits(text):
        assert said(read(pieces, Reader(form, TOOLS, thoughts))) == parts


def test_without_tools_and_thoughts_everything_passes_at_once():
    by = Reader()
    for piece in ("a <tool_call>", "\n", " ", '{"name": "get_time", "parameters": {}}', "<think>"):
        assert "".join(part.text for part in by.push(piece)) == piece
    assert by.flush() == []


@pytest.mark.parametrize(
    ("form", "text", "held"),
    [
        pytest.param("hermes", "a <b", 0, id="no beginning of a mark"),
        pytest.param("hermes", "a <tool", 6, id="a beginning, and the space before it"),
        pytest.param("hermes", "a" + " " * 100, MAX_SPACE, id="white space, so much of it"),
        pytest.param("llama 3", '{"a":', 0, id="JSON that is no call"),
        pytest.param("llama 3", '{"name": "get_ti', 16, id="JSON that may be one"),
        pytest.param("mistral", "[1, 2", 0, id="a list"),
    ],
)
def test_what_is_held_back(form, text, held):
    """Only what may begin a call; everything before it is out already."""
    out = "".join(part.text for part in reader(BY_NAME[form]).push(text))
    assert text.startswith(out)
    assert len(text) - len(out) == held


def test_arguments_come_as_they_are_written():
    by = reader()
    begun = by.push('<tool_call>\n{"name": "run", "arguments": {"a')
    assert said(begun) == [["call", "run"], ["arguments", '{"a']]
    assert said(by.push('": [1')) == [["arguments", '": [1']]
    assert said(by.push("]}}\n</tool")) == [["arguments", "]}"]]


# Pieces that calls, thoughts, and what looks like them are made of.
PIECES = st.sampled_from(
    [
        "<tool_call>", "</tool_call>", '\n{"name": "', '{"name": "get_time"', "get_time", '", "arguments": ',
        '", "parameters": ', "{", "}", '"', "\\", '{"a": "}"}', "; ", ", ", "\n", "   ", "[TOOL_CALLS]", "[", "]",
        "[ARGS]", "[CALL_ID]", "<|python_tag|>", "<think>", "</think>", "text", "<", "é", "note", "sum",
        '{"input": "', "\\u00", "\\ud83d", "\\ude00", CALL % ("get_time", "{}"), CALL % ("sum", "1"), NOTE % "\\n",
        '{"name": "get_time", "parameters": {}}', '[TOOL_CALLS][{"name": "run", "arguments": {}}]',
        "[TOOL_CALLS]run[ARGS]{}",
    ]
)  # fmt: skip


@given(
    st.lists(PIECES, max_size=12).map("".join),
    st.sampled_from(FORMS),
    st.sampled_from([None, THINK, Thoughts("<think>", "</think>", opened=True)]),
    st.data(),
)
def test_how_the_text_is_cut_makes_no_difference(text, form, thoughts, data):
    """And content is text of the model, in its order."""
    whole_reader = reader(form, thoughts)
    whole = read([text], whole_reader)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    by = reader(form, thoughts)
    assert joined(read(pieces, by)) == joined(whole)
    assert by.called == whole_reader.called
    assert joined(read(list(text), reader(form, thoughts))) == joined(whole)
    at = 0
    for part in whole:
        if part.kind in ("content", "reasoning"):
            assert text[part.at :].startswith(part.text)
        assert part.at >= at or part.kind == "call"
        at = part.at


@given(st.text(alphabet="ab <>/\n{}\"'", max_size=60), st.sampled_from(FORMS))
def test_text_without_a_call_is_all_content(text, form):
    assert "".join(part.text for part in read(list(text), reader(form))) == text
