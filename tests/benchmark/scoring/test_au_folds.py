import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from seke.benchmark.scoring.au_folds import Sums, fold_f1, resampled


def drawn(seed: int, images: int = 240, subjects: int = 12, aus: int = 3):
    """Truth and answers of images, and each one's subject."""
    rng = np.random.default_rng(seed)
    truth_NA = rng.random((images, aus)) < [0.5, 0.2, 0.05]
    said_NA = truth_NA ^ (rng.random((images, aus)) < 0.2)
    return truth_NA, said_NA, rng.integers(subjects, size=images)


def summed(truth_NA, said_NA, subject_N, subjects: int) -> Sums:
    def by_subject(values_NA):
        return np.array([values_NA[subject_N == s].sum(0) for s in range(subjects)], dtype=float)

    return Sums(by_subject(truth_NA & said_NA), by_subject(said_NA), by_subject(truth_NA))


@given(st.integers(0, 1000))
def test_f1_of_each_fold_and_their_mean_against_scikit_learn(seed: int) -> None:
    truth_NA, said_NA, subject_N = drawn(seed)
    fold_S = np.arange(12) % 3
    found = fold_f1(summed(truth_NA, said_NA, subject_N, 12), fold_S, 3)
    each = np.full((3, 3), np.nan)
    for fold in range(3):
        rows = fold_S[subject_N] == fold
        for au in range(3):
            if truth_NA[rows, au].any():
                each[fold, au] = f1_score(truth_NA[rows, au], said_NA[rows, au])
    np.testing.assert_allclose(found.f1_BKA[0], each)
    np.testing.assert_allclose(found.mean_BA[0], np.nanmean(each, axis=0))
    np.testing.assert_allclose(found.mean_B[0], np.nanmean(each, axis=0).mean())
    np.testing.assert_allclose(
        found.pooled_B[0], f1_score(truth_NA.astype(int), said_NA.astype(int), average="macro", zero_division=0)
    )


def test_a_fold_that_does_not_show_an_au_does_not_count_for_it() -> None:
    hit, called, active = (
        np.array(values, dtype=float) for values in ([[1, 0], [0, 2]], [[1, 3], [1, 2]], [[1, 0], [2, 2]])
    )
    found = fold_f1(Sums(hit, called, active), np.array([0, 1]), 2)
    assert np.isnan(found.f1_BKA[0, 0, 1])
    assert found.mean_BA[0].tolist() == [0.5, 1.0]
    assert found.mean_B[0] == 0.75


def test_resamples_stay_within_their_folds_and_are_centred_at_the_estimate() -> None:
    truth_NA, said_NA, subject_N = drawn(1, images=6000, subjects=30)
    parts, fold_S = summed(truth_NA, said_NA, subject_N, 30), np.arange(30) % 3
    once, many = fold_f1(parts, fold_S, 3), resampled(parts, fold_S, 3, 400, seed=0)
    assert many.mean_B.shape == (400,)
    assert many.mean_B.mean() == pytest.approx(once.mean_B[0], abs=0.01)
    again = resampled(parts, fold_S, 3, 400, seed=0)
    np.testing.assert_array_equal(many.mean_B, again.mean_B)
    lone = Sums(*(np.repeat(values[:1], 3, axis=0) for values in parts))
    assert np.ptp(resampled(lone, np.arange(3), 3, 20, seed=0).mean_B) == 0, "a fold of one subject is always that one"
