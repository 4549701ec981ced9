"""Whole characters: halves of a surrogate pair find each other, and none is written alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.protocol.characters import WholeCharacters, whole_characters

units = st.text(st.sampled_from("aé😀\ud83d\ude00"), max_size=10)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        pytest.param("a😀", "a😀", id="whole"),
        pytest.param("\ud83d\ude00", "😀", id="two-halves"),
        pytest.param("a\ud83db", "a\ufffdb", id="first-half"),
        pytest.param("a\ude00b", "a\ufffdb", id="second-half"),
        pytest.param("\ude00\ud83d", "\ufffd\ufffd", id="the-wrong-way-round"),
    ],
)
def test_one_replacement_for_each_lone_half(text, whole):
    """And a pair is a character."""
    assert whole_characters(text) == whole


@given(st.lists(units, max_size=5))
def test_pieces_say_what_the_whole_says(pieces):
    """However a text is cut; every piece can be written at once."""
    characters = WholeCharacters[str]()
    said = [characters.push("x", piece) for piece in pieces]
    said.append(characters.flush("x"))
    assert not characters.waiting
    assert "".join(said) == whole_characters("".join(pieces))
    assert all(piece.encode() or not piece for piece in said)


def test_texts_do_not_mix():
    """Each waits for its own other half."""
    characters = WholeCharacters[int]()
    assert (characters.push(1, "a\ud83d"), characters.push(2, "\ude00b")) == ("a", "\ufffdb")
    assert list(characters.waiting) == [1]
    assert characters.push(1, "") == ""
    assert (characters.push(1, "\ude00"), characters.flush(2), characters.flush(1)) == ("😀", "", "")
