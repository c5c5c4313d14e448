"""Calibration measures against scikit-learn and brute force."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from seke.benchmark.scoring.calibration_metrics import (
    aurc,
    bin_of,
    brier,
    calibration_p,
    ece,
    ece_debiased,
    excess_aurc,
)

LABELS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40)


def arrays(labels: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    p, right = zip(*labels, strict=True)
    return np.array(p), np.array(right)


@given(LABELS)
def test_brier_against_sklearn(labels: list[tuple[float, bool]]) -> None:
    p, right = arrays(labels)
    assert brier(p, right) == pytest.approx(brier_score_loss(right, p, labels=[False, True]))


@given(st.integers(0, 10**6), st.integers(1, 20))
def test_ece_of_equal_bins_against_sklearn(seed: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.permutation(np.linspace(0.01, 0.99, 12 * bins))
    right = rng.random(len(p)) < p**2
    share, confidence = calibration_curve(right, p, n_bins=bins, strategy="quantile")
    assert ece(p, right, bins) == pytest.approx(np.mean(np.abs(share - confidence)))


def test_ece_is_zero_when_confidence_is_the_share_right_and_the_gap_otherwise() -> None:
    right = np.array([True, True, True, False] * 5)
    assert ece(np.full(20, 0.75), right) == pytest.approx(0)
    assert ece(np.full(20, 0.95), right) == pytest.approx(0.2)


@given(LABELS, st.randoms(use_true_random=False))
def test_no_measure_depends_on_the_order_of_the_labels(labels, random) -> None:
    shuffled = labels.copy()
    random.shuffle(shuffled)
    for measure in (ece, brier, aurc, excess_aurc):
        assert measure(*arrays(shuffled)) == pytest.approx(measure(*arrays(labels)))


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=6))
def test_aurc_against_all_orders_of_tied_labels(labels: list[tuple[float, bool]]) -> None:
    areas = []
    for order in permutations(labels):
        if all(a[0] >= b[0] for a, b in pairwise(order)):
            wrong = [not right for _, right in order]
            areas.append(np.mean([np.mean(wrong[:k]) for k in range(1, len(wrong) + 1)]))
    assert aurc(*arrays(labels)) == pytest.approx(np.mean(areas))


@given(LABELS)
def test_excess_aurc_is_never_negative_and_zero_for_the_best_ranking(labels: list[tuple[float, bool]]) -> None:
    p, right = arrays(labels)
    assert excess_aurc(p, right) >= -1e-12
    assert excess_aurc(right.astype(float), right) == 0


@given(LABELS, st.integers(1, 6), st.integers(1, 4))
def test_the_debiased_error_against_a_loop_over_pairs_of_labels(labels, bins: int, clusters: int) -> None:
    """Of each bin the mean of (p - y)(p' - y') over all pairs of labels of different clusters, weighted by labels."""
    p, right = arrays(labels)
    of = np.arange(len(p)) % clusters
    squares, weights = [], []
    for bin_ in np.unique(bin_of(p, bins)):
        inside = np.flatnonzero(bin_of(p, bins) == bin_)
        products = [(p[a] - right[a]) * (p[b] - right[b]) for a in inside for b in inside if of[a] != of[b]]
        if products:
            squares.append(np.mean(products))
            weights.append(len(inside))
    found = ece_debiased(p, right, of, bins)
    if not squares:
        assert np.isnan(found)
    else:
        assert found * abs(found) == pytest.approx(np.average(squares, weights=weights), abs=1e-12)


def confident(rng: np.random.Generator, subjects: int, labels: int, excess: float = 0.0):
    """Confidences of `labels` labels a subject; each is right with that probability less `excess`.

    Whether labels of one subject are right depends on one another: 30 % of what decides it is the subject's.
    """
    of = np.repeat(np.arange(subjects), labels)
    p = 0.05 + 0.9 * rng.beta(4, 1.5, len(of))
    shared = 0.3 if labels > 1 else 0.0
    luck = np.sqrt(shared) * rng.normal(size=subjects)[of] + np.sqrt(1 - shared) * rng.normal(size=len(of))
    return p, ndtr(luck) < p - excess, of


@pytest.mark.parametrize(("subjects", "labels"), [(100, 1), (20, 5)])
def test_true_confidences_have_no_error_on_average_and_pass_the_test(subjects: int, labels: int) -> None:
    """300 times 100 labels whose confidence is true: the binned ECE is .12, the debiased one 0, and p is below .05
    in no more than 7 % (and chance: 2.5 standard errors).
    """
    rng = np.random.default_rng(0)
    trials = [confident(rng, subjects, labels) for _ in range(300)]
    assert np.mean([ece(p, right) for p, right, _ in trials]) > 0.1
    errors = [ece_debiased(*trial) for trial in trials]
    assert abs(np.mean(errors)) < 0.02
    p_values = [calibration_p(*trial, seed=k, draws=199) for k, trial in enumerate(trials)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.07 + 2.5 * np.sqrt(0.05 * 0.95 / 300)


def test_untrue_confidences_are_measured_and_found() -> None:
    rng = np.random.default_rng(1)
    trials = [confident(rng, 60, 5, excess=0.15) for _ in range(60)]
    assert np.mean([ece_debiased(*trial) for trial in trials]) == pytest.approx(0.15, abs=0.02)
    assert np.mean([calibration_p(*trial, seed=k, draws=199) < 0.05 for k, trial in enumerate(trials)]) > 0.8


def test_fewer_than_three_subjects_have_no_test() -> None:
    p, right = np.full(20, 0.9), np.zeros(20, bool)
    assert calibration_p(p, right, np.arange(20) % 2, seed=0) is None
    assert calibration_p(p, right, np.arange(20), seed=0) == pytest.approx(0.001)
