"""From logits to tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from duologue.engines.local.sampling import Sampler, Sampling, draw, nucleus, probabilities

LOGITS = np.array([1.0, 3.0, 2.0, -4.0], np.float32)
logits = arrays.arrays(np.float32, st.integers(1, 30), elements=st.floats(-50, 50, width=32))


def picks(count: int = 60, values: np.ndarray = LOGITS, *, index: int = 0, **parameters) -> list[int]:
    sampler = Sampler(Sampling(**parameters), len(values), index=index)
    return [sampler.pick(values) for _ in range(count)]


def test_probabilities_are_the_softmax_at_a_temperature():
    weights = np.exp(LOGITS.astype(np.float64) / 0.5)
    np.testing.assert_allclose(probabilities(LOGITS, 0.5), weights / weights.sum())


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 1e-3])
def test_the_smallest_temperatures_take_the_likeliest(temperature):
    assert probabilities(LOGITS, temperature).tolist() == [0, 1, 0, 0]


@given(logits, st.floats(0, 1))
def test_the_nucleus_is_the_fewest_likeliest_tokens_that_make_up_top_p(values, top_p):
    chances = probabilities(values, 1.0)
    left = nucleus(chances, top_p)
    kept = np.flatnonzero(left)
    assert left.sum() == pytest.approx(1)
    assert len(kept) >= 1
    if top_p < 1:
        dropped = np.setdiff1d(np.arange(len(values)), kept)
        assert chances[kept].min() >= chances[dropped].max(initial=0)
        assert chances[kept].sum() >= top_p - 1e-9
        assert chances[kept].sum() - chances[kept].min() <= top_p + 1e-9
        np.testing.assert_allclose(left[kept], chances[kept] / chances[kept].sum())


@given(logits, st.floats(0, 1, exclude_max=True))
def test_a_token_is_drawn_where_the_running_sum_passes_the_number(values, uniform):
    chances = nucleus(probabilities(values, 1.0), 0.9)
    token = draw(chances, uniform)
    assert chances[token] > 0
    assert chances[:token].sum() <= uniform + 1e-9
    assert chances[: token + 1].sum() >= uniform - 1e-9


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-53])
@pytest.mark.parametrize("total", [0.1, 0.5, 1 - 2.0**-53, 1.0, 1 + 2.0**-52, 1.5])
def test_a_token_without_a_chance_is_never_drawn(uniform, total):
    assert draw(np.array([0.0, total, 0.0]), uniform) == 1


def test_temperature_0_takes_the_likeliest_whatever_else_is_asked():
    assert set(picks(temperature=0, top_p=0.3)) == {1}


def test_a_seed_repeats_and_another_does_not():
    assert picks(seed=5) == picks(seed=5)
    assert picks(seed=5) != picks(seed=6)
    assert picks(seed=-1) != picks(seed=-2)
    assert picks() != picks()


def test_choice_i_of_a_seed_is_the_first_of_the_seed_i_later():
    assert picks(seed=5, index=3) == picks(seed=8)
    assert picks(seed=2**63 - 1, index=1) == picks(seed=-(2**63))


def test_tokens_come_as_often_as_they_are_likely():
    found = np.bincount(picks(4000, seed=1), minlength=4) / 4000
    np.testing.assert_allclose(found, probabilities(LOGITS, 1.0), atol=0.02)


def test_a_tiny_top_p_is_greedy():
    assert set(picks(top_p=0.0, temperature=2)) == set(picks(top_p=1e-6, temperature=2)) == {1}


@pytest.mark.parametrize("temperature", [0, 1, 2])
def test_what_is_banned_is_never_picked(temperature):
    assert 1 not in picks(temperature=temperature, banned=(1,))
    assert LOGITS[1] == 3.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_an_error(bad):
    with pytest.raises(FloatingPointError, match="damaged"):
        picks(1, np.array([0, bad], np.float32))
