"""JSON that comes in pieces: what there is of it, at any place, cut anywhere."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue import PartialJSON
from duologue.protocol.partial import MAX_DEPTH, MAX_NUMBER

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.builds(
    lambda value, ascii_only, indent: json.dumps(value, ensure_ascii=ascii_only, indent=indent),
    JSON,
    st.booleans(),
    st.sampled_from([None, 1]),
)


def read(*pieces: str, **options: Any) -> PartialJSON:
    partial = PartialJSON(**options)
    for piece in pieces:
        partial.feed(piece)
    return partial


def begins(part: Any, whole: Any) -> bool:
    """Whether a partial value is a beginning of the whole one."""
    if isinstance(part, dict) and isinstance(whole, dict):
        names = list(part)
        return list(whole)[: len(names)] == names and all(
            part[name] == whole[name] if name != names[-1] else begins(part[name], whole[name])
            for name in names
        )
    if isinstance(part, list) and isinstance(whole, list):
        pairs = list(zip(part, whole, strict=False))
        return len(part) <= len(whole) and all(
            mine == theirs if at < len(part) - 1 else begins(mine, theirs)
            for at, (mine, theirs) in enumerate(pairs)
        )
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    return part == whole and type(part) is type(whole)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("  ", None),
        ("{", {}),
        ("[", []),
        ('"', ""),
        ('"a', "a"),
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a":', {}),
        ('{"a": "', {"a": ""}),
        ('{"a": "b', {"a": "b"}),
        ('{"a": "b"', {"a": "b"}),
        ('{"a": "b",', {"a": "b"}),
        ('{"a": 1', {}),
        ('{"a": 1 ', {"a": 1}),
        ('{"a": -', {}),
        ('{"a": tru', {}),
        ('{"a": true', {}),
        ('{"a": true}', {"a": True}),
        ('{"a": {"b": [1, "c', {"a": {"b": [1, "c"]}}),
        ('[1, 2, {"a": nul', [1, 2, {}]),
        ("[1, 2", [1]),
        ("[[], [", [[], []]),
        (r'"a\\', "a\\"),
        ('"a\\', "a"),
        (r'"a\u00', "a"),
        (r'"a\u00e9', "aé"),
        (r'"a\ud83d', "a"),
        (r'"a\ud83d\ude', "a"),
        (r'"a\ud83d\ude00', "a😀"),
        (r'"a\ud83d"', "a\ud83d"),
        (r'"a\ud83dx', "a\ud83dx"),
        (r'"a\ud83d\n', "a\ud83d\n"),
        (r'"a\ud83d\u0041', "a\ud83dA"),
        ('"a\nb', "a\nb"),
        ('{"a": 1, "a": "b', {"a": "b"}),
    ],
)
def test_what_there_is(text, value):
    """Whole or character by character; unfinished texts are there, unfinished numbers and words are not."""
    whole, slowly = read(text), PartialJSON()
    for character in text:
        slowly.feed(character)
        _ = slowly.value
    assert whole.value == slowly.value == value
    assert whole.error is slowly.error is None


@settings(max_examples=80, deadline=None)
@given(TEXTS)
def test_every_beginning_of_json_is_read(text):
    """At every place the value is a beginning of the whole; at the end it is what `json.loads` gives."""
    whole, partial = json.loads(text), PartialJSON()
    for character in text:
        partial.feed(character)
        value = partial.value
        assert partial.error is None
        assert value is None or begins(value, whole)
    partial.close()
    assert partial.complete
    assert partial.value == whole
    assert json.dumps(partial.value) == json.dumps(whole)


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.data())
def test_cuts_make_no_difference(text, data):
    """The same text in other pieces, with or without looking in between."""
    length = data.draw(st.integers(0, len(text)))
    cuts = sorted({0, length, *data.draw(st.lists(st.integers(0, length), max_size=6))})
    looked = PartialJSON()
    for start, end in pairwise(cuts):
        looked.feed(text[start:end])
        _ = looked.value
    assert looked.value == read(text[:length]).value


def is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except ValueError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[]":,\\u0dn1-.eE tfarslue', max_size=30))
def test_what_is_not_json_raises_nothing(text):
    """It is complete and without an error just where `json.loads` reads it, too, and then gives the same."""
    partial = read(text)
    partial.close()
    assert (partial.complete and partial.error is None) == is_json(text)
    if is_json(text):
        assert partial.value == json.loads(text, strict=False)


@pytest.mark.parametrize(
    ("text", "value", "error"),
    [
        ("nope", None, "'nope' where a value was expected, at character 0"),
        ("Sure! {", None, "'S' where a value was expected, at character 0"),
        ('{"a": 1} and', {"a": 1}, "'a' behind the end of the value, at character 9"),
        ('{"a": 1]', {"a": 1}, "']' where a comma or the end was expected, at character 7"),
        ('["a" "b"', ["a"], "'\"' where a comma or the end was expected, at character 5"),
        ("[1, 01, 2", [1], "'01' where a value was expected, at character 4"),
        ("[1, ]", [1], "']' where a value was expected, at character 4"),
        ('["\\x', [""], "'\\\\x' is no escape, at character 2"),
        ("[NaN", [], "'N' where a value was expected, at character 1"),
        ("[" * (MAX_DEPTH + 1), None, f"nested more than {MAX_DEPTH} deep, at character {MAX_DEPTH}"),
        ("[" + "1" * (MAX_NUMBER + 1), [], f"a number of more than {MAX_NUMBER} characters, at character 1"),
    ],
    ids=lambda case: str(case)[:12],
)
def test_where_it_goes_wrong(text, value, error):
    """What was there stays, `error` names the place, and what comes then changes nothing."""
    partial = read(text)
    before = partial.value
    partial.feed('"more"')
    assert partial.error == error
    assert partial.value == before
    if len(text) < MAX_DEPTH:
        assert before == value


def test_values_that_were_given_do_not_change():
    """Each is what there was when it was asked for; what has ended is the same object in the next."""
    partial = read('{"a": {"b": [1, 2]}, "c": ["x')
    first = partial.value
    partial.feed('y", "z"], "d": 1}')
    second = partial.value
    assert first == {"a": {"b": [1, 2]}, "c": ["x"]}
    assert second == {"a": {"b": [1, 2]}, "c": ["xy", "z"], "d": 1}
    assert first["a"] is second["a"]
    assert partial.value is second


def test_texts_may_be_left_out_until_they_are_whole():
    """With `strings=False`."""
    partial = read('{"a": "b", "c": "d', strings=False)
    assert partial.value == {"a": "b"}
    partial.feed('"')
    assert partial.value == {"a": "b", "c": "d"}
    assert read('"a', strings=False).value is None


def test_a_value_inside_of_the_outermost_object():
    """`inside` names its key; it is None before it begins."""
    partial = PartialJSON(inside="value")
    assert partial.value is None
    partial.feed('{"val')
    assert partial.value is None
    partial.feed('ue": [1, 2, 3')
    assert partial.value == [1, 2]
    partial.feed("]}")
    assert partial.value == [1, 2, 3]
    assert partial.complete
    assert read("[1]", inside="value").value is None


def test_a_number_alone_ends_with_the_text():
    """Nothing else says that it has ended."""
    partial = read("12")
    assert partial.value is None
    assert not partial.complete
    partial.close()
    assert partial.value == 12
    assert partial.complete


def test_reading_after_each_piece_costs_no_more_for_a_longer_text():
    """Each character is read once: looking after each piece of one twice as long costs about twice as much."""

    def seconds(pieces: int) -> float:
        begun = time.process_time()
        partial = PartialJSON()
        partial.feed('{"a": [')
        for at in range(pieces):
            partial.feed(f'{{"index": {at}, "text": "one two three"}}, ')
            if at % 50 == 0:
                _ = partial.value
        return time.process_time() - begun

    seconds(500)
    short, long = (min(seconds(pieces) for _ in range(3)) for pieces in (1000, 8000))
    assert long < 30 * short  # 8 times as long; reading from the start each time would take 64 times as long
