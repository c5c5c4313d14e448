"""Calibration measures against scikit-learn and brute force."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from seke.benchmark.scoring.calibration_metrics import aurc, brier, ece, excess_aurc

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
