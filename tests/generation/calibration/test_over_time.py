"""Smoothing over time, against brute force: all paths of a chain, and dense Gaussian conditioning."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.generation.calibration.over_time import (
    Gaussian,
    Pairs,
    gaps,
    gaussian_messages,
    gaussian_rate,
    markov_messages,
    markov_rate,
)

quick = settings(max_examples=40, deadline=None)


def chain(seed, frames, states):
    rng = np.random.default_rng(seed)
    base_K = rng.dirichlet(np.ones(states) * 2)
    evidence_TK = rng.random((frames, states)) + 0.01
    return rng, base_K, evidence_TK, rng.random(frames) * 3, rng.uniform(0.05, 3)


@quick
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 3), st.booleans())
def test_messages_of_a_chain_against_the_sum_over_all_paths(seed, frames, states, labelled):
    rng, base_K, evidence_TK, gap_T, rate = chain(seed, frames, states)
    if labelled:  # a human label
        evidence_TK[rng.integers(frames)] = np.eye(states)[rng.integers(states)]
    found_TK = markov_messages(evidence_TK[:, None], base_K[None], np.array([rate]), gap_T)[:, 0]
    expected_TK = np.zeros((frames, states))
    for path in product(range(states), repeat=frames):
        p = base_K[path[0]]
        for t in range(1, frames):
            kept = np.exp(-rate * gap_T[t])
            p *= kept * (path[t] == path[t - 1]) + (1 - kept) * base_K[path[t]]
        for t in range(frames):
            others = np.prod([evidence_TK[u, path[u]] for u in range(frames) if u != t])
            expected_TK[t, path[t]] += p * others / base_K[path[t]]
    np.testing.assert_allclose(found_TK, expected_TK / expected_TK.max(axis=1, keepdims=True), rtol=1e-9)


@quick
@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_messages_of_a_number_against_dense_gaussian_conditioning(seed, frames, silent):
    rng = np.random.default_rng(seed)
    variance, rate, gap_T = rng.uniform(0.05, 2), rng.uniform(0.05, 3), rng.random(frames) * 3
    precision_T, value_T = rng.uniform(0.1, 20, frames), rng.normal(size=frames)
    if silent:
        precision_T[rng.integers(frames)] = 0.0
    time_T = np.cumsum(np.where(np.arange(frames) > 0, gap_T, 0.0))
    prior_TT = variance * np.exp(-rate * np.abs(time_T[:, None] - time_T))
    found = gaussian_messages(
        Gaussian(precision_T[:, None], (precision_T * value_T)[:, None]), np.array([variance]), np.array([rate]), gap_T
    )
    for t in range(frames):
        own_T = np.where(np.arange(frames) == t, 0.0, precision_T)
        posterior_TT = np.linalg.inv(np.linalg.inv(prior_TT) + np.diag(own_T))
        mean = (posterior_TT @ (own_T * value_T))[t]
        precision = found.precision_TS[t, 0] + 1 / variance
        assert precision == pytest.approx(1 / posterior_TT[t, t], rel=1e-6)
        assert found.weighted_TS[t, 0] / precision == pytest.approx(mean, rel=1e-6, abs=1e-9)


def test_frames_far_apart_say_nothing_of_each_other_and_equal_ones_everything():
    base_SK, evidence_TSK = np.array([[0.7, 0.3]]), np.array([[[1.0, 0.0]], [[1.0, 1.0]]])
    far, near = (
        markov_messages(evidence_TSK, base_SK, np.array([1.0]), np.array([0.0, gap]))[1, 0] for gap in (1e6, 0.0)
    )
    assert far == pytest.approx([1, 1])
    assert near == pytest.approx([1, 0])


def test_human_labels_that_contradict_each_other_leave_a_belief():
    evidence_TSK = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 1.0]]])
    still = markov_messages(evidence_TSK, np.array([[0.5, 0.5]]), np.array([1.0]), np.zeros(3))
    assert np.isfinite(still).all()


def walked(rng, rate, base_K, frames, gap):
    states = [rng.choice(len(base_K), p=base_K)]
    for _ in range(frames - 1):
        states.append(states[-1] if rng.random() < np.exp(-rate * gap) else rng.choice(len(base_K), p=base_K))
    return np.array(states)


@pytest.mark.parametrize("rate", [0.2, 2.0])
def test_a_rate_is_found_again_and_few_labels_are_pulled_towards_the_pooled_one(rate):
    rng, base_K, gap = np.random.default_rng(0), np.array([0.6, 0.3, 0.1]), 0.25
    states = walked(rng, rate, base_K, 6000, gap)
    pairs = Pairs((states[1:] == states[:-1]).astype(float), base_K[states[1:]], np.full(len(states) - 1, gap))
    assert markov_rate(pairs) == pytest.approx(rate, rel=0.1)
    few = Pairs(*(column[:8] for column in pairs))
    assert markov_rate(few, towards=1.0, strength=1e6) == pytest.approx(1.0, rel=0.01)
    assert markov_rate(pairs, towards=1.0) == pytest.approx(rate, rel=0.15)


def test_a_rate_of_numbers_is_found_again_whatever_noise_labels_have():
    rng, rate, gap, variance, nugget = np.random.default_rng(1), 0.8, 0.25, 0.2, 0.01
    kept = np.exp(-rate * gap)
    value = [rng.normal(0, variance**0.5)]
    for _ in range(8000):
        value.append(kept * value[-1] + rng.normal(0, (variance * (1 - kept**2)) ** 0.5))
    seen = np.array(value) + rng.normal(0, nugget**0.5, len(value))
    pairs = Pairs(seen[:-1], seen[1:], np.full(len(seen) - 1, gap))
    assert gaussian_rate(pairs, variance, nugget) == pytest.approx(rate, rel=0.1)


def test_smoothed_probabilities_of_simulated_films_are_calibrated_and_closer_to_the_truth():
    rng, base_K, rate, gap, films = np.random.default_rng(2), np.array([0.7, 0.3]), 0.5, 0.25, 500
    likelihood_KY = np.array([[0.8, 0.2], [0.3, 0.7]])
    kept = np.exp(-rate * gap)
    truth_TS = (rng.random((40, films)) < base_K[1]).astype(int)
    for t in range(1, 40):  # kept, or drawn anew
        truth_TS[t] = np.where(rng.random(films) < kept, truth_TS[t - 1], truth_TS[t])
    said_TS = (rng.random(truth_TS.shape) < likelihood_KY[truth_TS, 1]).astype(int)
    evidence_TSK = np.moveaxis(likelihood_KY[:, said_TS], 0, -1).copy()
    evidence_TSK[1::2] = 1.0  # every second frame is not asked
    base_SK = np.tile(base_K, (films, 1))
    message_TSK = markov_messages(evidence_TSK, base_SK, np.full(films, rate), np.full(40, gap))
    p, alone = (
        (values / values.sum(axis=-1, keepdims=True))[..., 1]
        for values in (base_K * evidence_TSK * message_TSK, base_K * evidence_TSK)
    )
    for low in np.arange(0, 1, 0.2):
        inside = (p >= low) & (p < low + 0.2)
        assert p[inside].mean() == pytest.approx(truth_TS[inside].mean(), abs=0.04)
    assert ((p - truth_TS) ** 2).mean() < 0.8 * ((alone - truth_TS) ** 2).mean()


def test_gaps_of_moments():
    assert gaps([]).tolist() == []
    assert gaps([2.0]).tolist() == [0.0]
