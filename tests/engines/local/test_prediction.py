"""Predicted output as guesses at the next tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.engines.local.prediction import MAX_DRAFT, Draft, Prediction

LONG = list(range(100, 200))


def go(draft: Draft, answer: list[int]) -> int:
    """Let an answer be written with the draft's guesses; how many steps it took."""
    at = steps = 0
    while at < len(answer):
        guesses = list(draft.propose(len(answer) - at - 1))
        rest = answer[at:]
        right = next((i for i, guess in enumerate(guesses) if guess != rest[i]), len(guesses))
        picked = rest[: right + 1]
        draft.follow(guesses, picked)
        at += len(picked)
        steps += 1
    return steps


def test_an_answer_as_predicted_takes_few_steps():
    draft = Draft(Prediction(LONG))
    assert go(draft, LONG) == -(-100 // (MAX_DRAFT + 1))
    assert draft.rejected == 0
    assert draft.accepted == 100 - 6


def test_no_more_is_guessed_than_may_be_used():
    assert list(Draft(Prediction(LONG)).propose(3)) == LONG[:3]
    assert list(Draft(Prediction(LONG)).propose(0)) == []
    assert len(Draft(Prediction(LONG)).propose(1000)) == MAX_DRAFT


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([*LONG[:40], 1, 2, 3, *LONG[40:]], id="something is put in"),
        pytest.param(LONG[:40] + LONG[50:], id="something is left out"),
        pytest.param([*LONG[:40], 1, *LONG[41:]], id="a token is another"),
        pytest.param([1, 2, *LONG], id="it begins otherwise"),
    ],
)
def test_a_prediction_is_taken_up_again_behind_a_difference(answer):
    draft = Draft(Prediction(LONG))
    assert go(draft, answer) < 16
    assert draft.accepted > 75
    assert draft.rejected <= 2 * MAX_DRAFT


def test_a_prediction_that_is_wrong_from_the_start_costs_one_guess():
    draft = Draft(Prediction(LONG))
    assert go(draft, list(range(50))) == 50
    assert (draft.accepted, draft.rejected) == (0, MAX_DRAFT)


def test_without_a_prediction_nothing_is_guessed():
    draft = Draft(Prediction([]))
    assert go(draft, LONG) == 100
    assert (draft.accepted, draft.rejected) == (0, 0)


def test_tokens_that_others_knew_before_are_never_wrong():
    """They count as accepted where they are as predicted, from where the prediction is found again."""
    draft = Draft(Prediction(LONG))
    draft.follow([1, 2], [1, 2, 3], own=False)
    assert (draft.accepted, draft.rejected) == (0, 0)
    draft.follow(LONG[10:14], LONG[10:15], own=False)
    assert (draft.accepted, draft.rejected) == (2, 0)
    assert list(draft.propose(2)) == LONG[15:17]


ids = st.lists(st.integers(0, 3), max_size=40)


@given(ids, ids)
def test_whatever_is_predicted_no_more_steps_are_taken_than_there_are_tokens(predicted, answer):
    draft = Draft(Prediction(predicted))
    assert go(draft, answer) + draft.accepted == len(answer)
    assert draft.rejected <= MAX_DRAFT * len(answer)
