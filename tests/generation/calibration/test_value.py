"""The value of asking: mutual information against simulation and by hand, and greedy budgets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, dirichlet_multinomial

from seke.generation.calibration import value

shares = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)


def channel(seed, classes=3, outcomes=4):
    return np.log(np.random.default_rng(seed).dirichlet(np.ones(outcomes), classes))


@settings(max_examples=60, deadline=None)
@given(shares, st.integers(0, 50), st.floats(0, 1))
def test_an_answer_promises_something_and_never_more_than_there_is_to_know(weights, seed, power):
    p = np.array(weights) / sum(weights)
    promised = value.of_classes(p, value.tempered(channel(seed), power))
    assert -1e-12 <= promised <= -(p * np.log(p)).sum() + 1e-9
    assert value.of_classes(p, value.tempered(channel(seed), 0.0)) == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(0, 50))
def test_of_units_against_of_classes(p, seed):
    active, inactive = np.exp(channel(seed, classes=2))
    found = value.of_units(np.array([p]), active[None], inactive[None])
    assert found[0] == pytest.approx(value.of_classes(np.array([p, 1 - p]), np.array([active, inactive])), abs=1e-9)


def test_promise_against_simulated_falls_of_log_loss():
    """Truths and answers are drawn; the mean fall of the posterior's log loss is what was promised."""
    rng = np.random.default_rng(0)
    p, likely = np.array([0.6, 0.3, 0.1]), np.exp(channel(3))
    truth = rng.choice(3, 40_000, p=p)
    answers = np.array([rng.choice(4, p=likely[t]) for t in truth])
    posterior = p * likely.T
    posterior /= posterior.sum(axis=1, keepdims=True)
    fall = np.log(posterior[answers, truth]) - np.log(p[truth])
    assert fall.mean() == pytest.approx(value.of_classes(p, likely), abs=4 * fall.std() / 200)


def test_of_number_against_simulated_falls_of_log_loss():
    rng = np.random.default_rng(1)
    truth = 0.4 * rng.normal(size=40_000)
    answer = truth + 0.25 * rng.normal(size=40_000)
    precision = 1 / 0.4**2 + 1 / 0.25**2
    mean, sd = answer / 0.25**2 / precision, precision**-0.5
    fall = np.log(0.4 / sd) + 0.5 * (truth / 0.4) ** 2 - 0.5 * ((truth - mean) / sd) ** 2
    assert fall.mean() == pytest.approx(value.of_number(0.4, 1 / 0.25**2), abs=4 * fall.std() / 200)


def test_outcomes_against_scipys_distributions():
    found = np.exp(value.log_counts(np.array([0.7, 3.0]), np.array([2.0, 1.0]), 5))
    for row, (a, b) in zip(found, [(0.7, 2.0), (3.0, 1.0)], strict=True):
        assert row == pytest.approx(betabinom.pmf(np.arange(6), 5, a, b))
    alpha = np.array([[0.5, 1.5, 2.0], [4.0, 0.2, 0.3]])
    found = np.exp(value.log_votes(alpha, 3))
    counts, _ = value._votes(3, 3)
    for row, each in zip(found, alpha, strict=True):
        assert row == pytest.approx([dirichlet_multinomial.pmf(votes.astype(int), each, 3) for votes in counts])
        assert row.sum() == pytest.approx(1.0)


def steps(rng, faces):
    """Two actions in any order: states are nothing, the first, the second, both."""
    promised = np.full((faces, 4, 2), np.nan)
    promised[:, 0] = rng.exponential(1, (faces, 2))
    promised[:, 1, 1], promised[:, 2, 0] = rng.exponential(0.5, (2, faces))
    return value.Steps(promised, np.tile([1.0, 5.0], (faces, 1)), np.array([[1, 2], [-1, 3], [3, -1], [-1, -1]]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100), st.floats(0.5, 200))
def test_a_budget_is_kept_and_a_larger_one_never_takes_a_step_back(seed, budget):
    rng = np.random.default_rng(seed)
    found, weight = value.paths(steps(rng, 12)), rng.uniform(1, 4, 12)
    rates = [value.least(found, weight, dollars) for dollars in (budget, 2 * budget)]
    spent = [value.ends(found, 12, rate)[1] for rate in rates]
    assert (weight * spent[0]).sum() <= budget * (1 + 1e-6)
    assert np.all(spent[1] >= spent[0])
    everything = value.ends(found, 12, 0.0)[1].sum()
    assert value.ends(found, 12, value.least(found, weight, 1e9))[1].sum() == everything


def test_the_greedy_budget_against_the_best_choice_of_one_step_each():
    """Where each face has one action, greedy by value per dollar is the knapsack's relaxed optimum, up to one face."""
    rng = np.random.default_rng(4)
    promised, usd = rng.exponential(1, 60), rng.uniform(0.5, 2, 60)
    once = np.stack([promised, np.full(60, np.nan)], axis=1)[:, :, None]
    found = value.paths(value.Steps(once, usd[:, None], np.array([[1], [-1]])))
    rate = value.least(found, np.ones(60), 20.0)
    state, spent = value.ends(found, 60, rate)
    order = np.argsort(-promised / usd)
    relaxed = np.interp(20.0, np.cumsum(usd[order]), np.cumsum(promised[order]))
    assert relaxed - promised[state > 0].sum() <= promised.max()
    assert 18.0 < spent.sum() <= 20.0


def test_who_promises_most_per_dollar_is_asked_and_nothing_is_no_reason():
    assert value.best({"cheap": 0.1, "dear": 1.0}, {"cheap": 1.0, "dear": 20.0}) == ("cheap", pytest.approx(0.1))
    assert value.best({"cheap": 0.0, "dear": 1.0}, {"cheap": 0.0, "dear": 20.0}) == ("dear", pytest.approx(0.05))
    assert value.best({"cheap": 0.0}, {"cheap": 0.0}) is None
    assert value.best({"free": 0.1, "dear": 1.0}, {"free": 0.0, "dear": 1.0})[0] == "free"
