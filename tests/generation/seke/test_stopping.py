"""Algorithm 1's stopping rule against its closed form."""

from math import sqrt
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.records import Labels
from seke.generation.seke.stopping import State, acceptance_probability, fixed, random, uamc


class Dice:
    def __init__(self, p: float) -> None:
        self.p = p

    def random(self) -> float:
        return self.p


def state(drawn: int, uncertainty: float | None = None) -> State:
    return State(draws=(Labels(),) * drawn, uncertainty=uncertainty)


def samples(rule, uncertainty, rng) -> int:
    drawn = 0
    while more := rule(state(drawn, uncertainty), rng):
        drawn += more
    return drawn


def expected(uncertainty: float, most: int) -> float:
    """facts: E[S] = 2 + sum over s = 2 .. N - 1 of p_acc^(s - 1) at constant uncertainty."""
    p = 0.5 + 0.5 * uncertainty
    return 2 + sum(p ** (s - 1) for s in range(2, most))


def test_closed_form_at_the_two_ends():
    assert expected(0.0, 5) == 2.875
    assert expected(1.0, 5) == 5


@pytest.mark.parametrize(("uncertainty", "most"), [(0.0, 5), (0.0, 3), (0.3, 5), (0.6, 8), (0.0, 2), (0.9, 10)])
def test_mean_number_of_draws_against_closed_form(uncertainty, most):
    rng = Random(1)
    drawn = [samples(uamc(most), uncertainty, rng) for _ in range(20_000)]
    error = np.std(drawn) / sqrt(len(drawn))
    assert abs(np.mean(drawn) - expected(uncertainty, most)) <= 4 * error + 1e-12
    assert min(drawn) == 2
    assert max(drawn) <= most


@given(st.integers(2, 12), st.integers(0, 100))
def test_full_uncertainty_takes_all(most, seed):
    assert samples(uamc(most), 1.0, Random(seed)) == most


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True), st.integers(2, 9), st.integers(3, 10))
def test_one_more_exactly_if_p_is_below_p_acc(uncertainty, p, drawn, most):
    wanted = uamc(most)(state(drawn, uncertainty), Dice(p))
    assert wanted == (1 if drawn < most and p < acceptance_probability(uncertainty) else 0)


@given(st.floats(0, 1))
def test_two_draws_come_first_and_throw_no_dice(uncertainty):
    assert uamc(5)(state(0), None) == 2
    assert uamc(5)(state(1, uncertainty), None) == 1


@given(st.integers(1, 20), st.floats(0, 1))
def test_fixed_takes_its_number_whatever_the_uncertainty(number, uncertainty):
    assert samples(fixed(number), uncertainty, None) == number


def test_random_spends_its_mean_on_whole_stages():
    rng = Random(1)
    drawn = [samples(random(3.6, (3, 5)), 0.0, rng) for _ in range(20_000)]
    assert set(drawn) == {3, 5}
    assert abs(np.mean(drawn) - 3.6) < 4 * np.std(drawn) / sqrt(len(drawn))


@pytest.mark.parametrize(
    ("mean", "stages", "argument"), [(2.9, (3, 5), "mean_samples=2.9"), (3, (5, 3), "stages"), (3, (3,), "stages")]
)
def test_random_without_such_a_mean_is_the_users_mistake(mean, stages, argument):
    with pytest.raises(UserError, match=argument):
        random(mean, stages)


@pytest.mark.parametrize(
    ("rule", "value", "argument"),
    [(uamc, 1, "generator.max_samples=1"), (uamc, -3, "=-3"), (fixed, 0, "stopping.samples=0")],
)
def test_too_few_is_the_users_mistake(rule, value, argument):
    with pytest.raises(UserError, match=argument):
        rule(value)
