"""From logits to tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from duologue.engines.local.sampling import (
    Sampler,
    Sampling,
    draw,
    likeliest,
    logprobs,
    nucleus,
    probabilities,
)
from duologue.protocol.errors import BadRequestError

LOGITS = np.array([1.0, 3.0, 2.0, -4.0], np.float32)
logits = arrays.arrays(np.float32, st.integers(1, 30), elements=st.floats(-50, 50, width=32))


def picks(
    count: int = 60, values: np.ndarray = LOGITS, *, index: int = 0, constraint=None, **parameters
) -> list[int]:
    sampler = Sampler(Sampling(**parameters), len(values), index=index, constraint=constraint)
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


# --- bias ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [{0: 2.5}, {1: -2.5, 3: 8.0}], ids=str)
def test_a_bias_is_added_to_the_logits(bias):
    shifted = LOGITS.copy()
    for token, value in bias.items():
        shifted[token] += value
    for temperature in (0, 1, 2):
        assert picks(temperature=temperature, seed=3, bias=bias) == picks(
            values=shifted, temperature=temperature, seed=3
        )


WIDE = np.array([900.0, -900.0, 0.0, 30.0], np.float32)


@pytest.mark.parametrize("temperature", [0, 1e-9, 1, 2])
@pytest.mark.parametrize("values", [LOGITS, WIDE], ids=["usual", "far apart"])
def test_the_ends_of_the_bias_ban_and_select(values, temperature):
    assert 1 not in picks(values=values, temperature=temperature, bias={1: -100})
    assert set(picks(values=values, temperature=temperature, bias={1: 100})) == {1}
    assert set(picks(values=values, temperature=temperature, bias={1: 100, 3: 100})) <= {1, 3}
    assert 1 not in picks(values=values, temperature=temperature, bias={1: 100}, banned=(1,))


def test_several_that_are_selected_keep_their_odds():
    found = np.bincount(picks(4000, seed=1, bias={1: 100, 2: 100}), minlength=4) / 4000
    chances = probabilities(LOGITS[1:3], 1.0)
    np.testing.assert_allclose(found, [0, *chances, 0], atol=0.02)


# --- penalties -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("presence", "frequency"), [(0.7, 0.0), (0.0, 0.4), (1.5, 0.25), (-1.0, -0.5), (2.0, -2.0)]
)
def test_the_penalties_follow_the_formula(presence, frequency):
    """Each pick is that of logits from which, for what has come before, count * frequency + presence is taken."""
    picked: list[int] = []
    sampler = Sampler(Sampling(seed=11, presence_penalty=presence, frequency_penalty=frequency), 4)
    plain = Sampler(Sampling(seed=11), 4)
    for _ in range(40):
        counts = np.bincount(picked, minlength=4)
        punished = LOGITS - counts * frequency - (counts > 0) * presence
        picked.append(sampler.pick(LOGITS))
        assert picked[-1] == plain.pick(punished.astype(np.float32))


def test_a_penalty_reaches_what_is_selected():
    """At temperature 0, two selected tokens take turns when each is punished for having come."""
    assert picks(6, temperature=0, bias={1: 100, 2: 100}, frequency_penalty=2) == [1, 2, 1, 2, 1, 2]


# --- constraints -----------------------------------------------------------------------------------------


class Allows:
    """A constraint that lets a token through if it is in the next set of a list."""

    def __init__(self, *steps: set[int]) -> None:
        self.steps = list(steps)
        self.accepted: list[int] = []

    @property
    def done(self) -> bool:
        return not self.steps

    def mask(self, values: np.ndarray) -> None:
        values[[token for token in range(len(values)) if token not in self.steps[0]]] = -np.inf

    def accept(self, token: int) -> None:
        self.steps.pop(0)
        self.accepted.append(token)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"temperature": 0}, id="temperature 0"),
        pytest.param({"temperature": 2}, id="temperature 2"),
        pytest.param({"temperature": 2, "bias": {1: 100}}, id="another is selected"),
        pytest.param(
            {"temperature": 2, "bias": {0: -100, 2: -100, 3: -100}}, id="all that may come are banned"
        ),
        pytest.param({"temperature": 1, "top_p": 0.0}, id="top_p 0"),
        pytest.param({"temperature": 1, "frequency_penalty": 2, "presence_penalty": 2}, id="penalties"),
    ],
)
def test_only_what_a_constraint_lets_through_is_picked(parameters):
    steps = [{0, 2}, {3}, {2, 3}, {0}] * 5
    constraint = Allows(*steps)
    picked = picks(20, constraint=constraint, **parameters)
    assert all(token in step for token, step in zip(picked, steps, strict=True))
    assert constraint.accepted == picked


def test_a_sampler_is_done_when_its_constraint_is():
    sampler = Sampler(Sampling(), 4, constraint=Allows({1}))
    assert not sampler.done
    assert sampler.pick(LOGITS) == 1
    assert sampler.done
    assert not Sampler(Sampling(), 4).done


# --- log probabilities -----------------------------------------------------------------------------------


@given(logits)
def test_logprobs_are_the_logarithms_of_the_models_probabilities(values):
    np.testing.assert_allclose(np.exp(logprobs(values)), probabilities(values, 1.0), atol=1e-12)


@given(st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0]), min_size=1, max_size=30), st.integers(0, 35))
def test_the_likeliest_come_in_order(values, count):
    found = likeliest(np.array(values), count)
    assert found == sorted(range(len(values)), key=lambda token: (-values[token], token))[:count]


# --- a request's parameters ------------------------------------------------------------------------------


def test_what_is_left_out_has_the_protocols_defaults(make_request):
    assert Sampling.read(make_request("Hi"), vocabulary=4) == Sampling()


def test_what_a_request_asks(make_request):
    asked = make_request(
        "Hi",
        temperature=0,
        top_p=0.5,
        presence_penalty=1,
        frequency_penalty=-1,
        logit_bias={"3": -100, "02": 5},
        seed=-7,
    )
    assert Sampling.read(asked, vocabulary=40, banned={9, 8}) == Sampling(
        temperature=0.0,
        top_p=0.5,
        presence_penalty=1.0,
        frequency_penalty=-1.0,
        bias={3: -100.0, 2: 5.0},
        banned=(8, 9),
        seed=-7,
    )


@pytest.mark.parametrize(
    ("bias", "words"),
    [
        pytest.param({"4": 1}, "'4' is no token id of this model, whose ids are 0 to 3", id="too large"),
        pytest.param({"9" * 5000: 1}, "'9999", id="much too large"),
        pytest.param({"-1": 1}, "'-1' is no token id", id="negative"),
        pytest.param({"one": 1}, "'one' is no token id", id="a word"),
        pytest.param({"": 1}, "'' is no token id", id="empty"),
        pytest.param({"\u0663": 1}, "is no token id", id="a digit of another script"),
        pytest.param({"0": 1}, "token 0 is a control token", id="a control token"),
        pytest.param({"1": -100, "2": -100, "3": -100}, "bans every token", id="all are banned"),
    ],
)
def test_a_bias_that_cannot_be_honoured_is_refused(make_request, bias, words):
    with pytest.raises(BadRequestError, match=words) as caught:
        Sampling.read(make_request("Hi", logit_bias=bias), vocabulary=4, banned=(0,))
    assert caught.value.param == "logit_bias"
    assert len(str(caught.value)) < 200


def test_a_control_token_may_be_banned_again(make_request):
    assert Sampling.read(make_request("Hi", logit_bias={"0": -100}), vocabulary=4, banned=(0,)).banned == (0,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_an_error(bad):
    with pytest.raises(FloatingPointError, match="damaged"):
        picks(1, np.array([0, bad], np.float32))
