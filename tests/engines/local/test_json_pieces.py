"""JSON in pieces: its end is found wherever it is cut, and escapes are read as `json` reads them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.engines.local.json_pieces import JsonEnd, unescape

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{}é,:', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\}a', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
    st.sampled_from(["", "}", '"', " [", ', {"a']),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_the_end_is_found_wherever_the_text_is_cut(value, behind, sizes):
    text = json.dumps(value)
    end, at = JsonEnd(), 0
    for size in sizes * len(text + behind):
        found = end.find((text + behind)[at : at + size])
        if found is not None:
            assert at + found == len(text)
            return
        at += size
    pytest.fail("no end was found")


@given(st.text(max_size=6))
def test_escapes_are_read_as_json_reads_them(text):
    written = json.dumps(text)[1:-1]
    read = ""
    while written:
        letters, size = unescape(written, final=True) if written[0] == "\\" else (written[0], 1)
        read, written = read + letters, written[size:]
    assert read == "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


@pytest.mark.parametrize(
    ("text", "read", "at_the_end"),
    [
        pytest.param("\\", None, ("\\", 1), id="a backslash"),
        pytest.param("\\n", ("\n", 2), ("\n", 2), id="a letter"),
        pytest.param("\\u00e", None, ("\\u", 2), id="a piece of a number"),
        pytest.param("\\u00e9", ("é", 6), ("é", 6), id="a number"),
        pytest.param("\\ud83d", None, ("\ufffd", 6), id="half a pair"),
        pytest.param("\\ud83d\\u", None, ("\ufffd", 6), id="half a pair and a piece"),
        pytest.param("\\ud83dx", ("\ufffd", 6), ("\ufffd", 6), id="half a pair and no more"),
        pytest.param("\\ude00", ("\ufffd", 6), ("\ufffd", 6), id="the other half alone"),
        pytest.param("\\ud83d\\ude00", ("\U0001f600", 12), ("\U0001f600", 12), id="a pair"),
        pytest.param("\\x41", ("\\x", 2), ("\\x", 2), id="no escape"),
    ],
)
def test_an_escape_that_is_cut(text, read, at_the_end):
    assert unescape(text, final=False) == read
    assert unescape(text, final=True) == at_the_end
