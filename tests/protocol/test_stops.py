"""Stop sequences in text that comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.protocol.stops import StopFilter, find_stop
from duologue.types.chat.request import MAX_STOP_LENGTH


def run(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    """What is visible in the end, and whether a stop ended it."""
    filtered = StopFilter(stops)
    said = ""
    for piece in pieces:
        said += filtered.push(piece)
        if filtered.stopped:
            return said, True
    return said + filtered.flush(), False


@pytest.mark.parametrize(
    ("text", "stops", "found"),
    [
        pytest.param("one two", [], None, id="no stops"),
        pytest.param("one two", ["three"], None, id="not there"),
        pytest.param("one two", [""], None, id="an empty one stops nothing"),
        pytest.param("one two two", ["two"], (4, 7), id="the first of several"),
        pytest.param("one two", ["two", "one"], (0, 3), id="the first of two"),
        pytest.param("abcd", ["abcd", "bc"], (1, 3), id="the one complete first"),
        pytest.param("xabc", ["bc", "abc"], (1, 4), id="the longest of those complete together"),
    ],
)
def test_find_stop(text, stops, found):
    assert find_stop(text, stops) == found


@pytest.mark.parametrize(
    ("pieces", "stops", "visible"),
    [
        pytest.param(["Hel", "lo"], [], ["Hel", "lo"], id="nothing is held back without stops"),
        pytest.param(["a<", "b"], ["<end>"], ["a", "<b"], id="a beginning is held back until it is none"),
        pytest.param(["<e", "<end>"], ["<end>"], ["", "<e"], id="a new beginning frees the older"),
        pytest.param(["ab", "ab", "c"], ["abc"], ["", "ab", ""], id="no more than the longest beginning"),
        pytest.param(["x\n", "\ny"], ["\n\n"], ["x", ""], id="a stop across pieces"),
    ],
)
def test_what_each_piece_lets_through(pieces, stops, visible):
    filtered = StopFilter(stops)
    assert [filtered.push(piece) for piece in pieces] == visible


letters = st.text("ab<", max_size=12)


@given(letters, st.lists(letters, max_size=3), st.data())
def test_cutting_the_text_differently_changes_nothing(text, stops, data):
    """The visible text is that before the first complete stop, however the text was cut; none leaks."""
    at = data.draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))
    pieces = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    said, stopped = run(pieces, stops)
    ends = [end for end in range(len(text) + 1) if any(stop and text[:end].endswith(stop) for stop in stops)]
    if ends:
        longest = max(len(stop) for stop in stops if stop and text[: ends[0]].endswith(stop))
        assert (said, stopped) == (text[: ends[0] - longest], True)
    else:
        assert (said, stopped) == (text, False)
    assert not any(stop and stop in said for stop in stops)


def test_what_is_held_back_is_bounded():
    """By the longest stop sequence that a request may have, however long the text goes on like its beginning."""
    stop = StopFilter(["a" * (MAX_STOP_LENGTH - 1) + "b"])
    shown = 0
    for made in range(1, 5_000):
        shown += len(stop.push("a"))
        assert made - shown < MAX_STOP_LENGTH
    assert stop.push("b") == ""
    assert stop.stopped
