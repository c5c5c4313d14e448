"""Averages over options: against a plain loop, in limits where the answer is known, and on faces that nobody fitted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.generation.calibration.annotator_model import Beliefs
from seke.generation.calibration.averaging import LEAST, MOST, RESAMPLES, shares


def reference(loss_KN, group_N):
    """Pseudo-BMA+, one resample and one option at a time, nothing left out."""
    names = sorted(set(group_N.tolist()))
    rng = np.random.default_rng(0)
    total = np.zeros(len(loss_KN))
    for weights in rng.dirichlet(np.ones(len(names)), RESAMPLES):
        elpd = [
            -sum(len(names) * weights[names.index(g)] * x for g, x in zip(group_N, row, strict=True)) for row in loss_KN
        ]
        e = np.exp(np.array(elpd) - max(elpd))
        total += e / e.sum()
    return total / RESAMPLES


def test_shares_against_a_plain_loop():
    rng = np.random.default_rng(1)
    loss_KN, group_N = rng.gamma(2.0, 0.2, (4, 12)), rng.integers(0, 5, 12)
    found, all_K = shares(loss_KN, group_N), reference(loss_KN, group_N)
    kept = all_K >= LEAST * all_K.max()
    assert found[~kept].sum() == 0
    assert found[kept] == pytest.approx(all_K[kept] / all_K[kept].sum())


@given(st.integers(1, 30), st.integers(1, 20), st.integers(0, 99))
def test_shares_are_a_few_and_sum_to_one(options, images, seed):
    rng = np.random.default_rng(seed)
    loss_KN = rng.gamma(2.0, 0.5, (options, images))
    found = shares(loss_KN, rng.integers(0, 4, images))
    assert found.sum() == pytest.approx(1.0)
    assert 1 <= (found > 0).sum() <= MOST


def test_an_option_that_is_better_in_every_image_is_read_alone():
    loss_KN = np.array([np.full(100, 0.2), np.full(100, 0.5)])
    assert shares(loss_KN, np.arange(100)).tolist() == [1.0, 0.0]


def test_images_of_one_subject_do_not_count_as_many():
    """Ahead in one subject's forty images and behind in another's, neither of two options is known to be better."""
    one, other = np.full(40, 0.2), np.full(40, 0.4)
    loss_KN = np.array([np.r_[one, other], np.r_[other, one]])
    together = shares(loss_KN, np.repeat([0, 1], 40))
    assert together == pytest.approx([0.5, 0.5], abs=0.06)


@pytest.mark.parametrize("loss", [np.zeros((2, 0)), np.full((2, 3), np.nan)], ids=["no image", "not tried"])
def test_nothing_to_judge_by_is_an_error(loss):
    with pytest.raises(ValueError, match="need images"):
        shares(loss, np.zeros(loss.shape[1], dtype=int))


def test_a_mixture_of_beliefs_against_its_samples():
    rng = np.random.default_rng(3)
    parts = Beliefs(
        p_NE=rng.dirichlet(np.ones(8), 2),
        active_NA=rng.random((2, 17)),
        mean_ND=np.array([[0.1, -0.5], [0.7, 0.2]]),
        sd_ND=np.array([[0.2, 0.1], [0.1, 0.3]]),
    )
    found = parts.averaged(np.array([0.25, 0.75]))
    assert found.p_NE[0] == pytest.approx(0.25 * parts.p_NE[0] + 0.75 * parts.p_NE[1])
    assert found.active_NA[0] == pytest.approx(0.25 * parts.active_NA[0] + 0.75 * parts.active_NA[1])
    of_N1 = (rng.random(200_000) < 0.75).astype(int)
    samples_ND = rng.normal(parts.mean_ND[of_N1], parts.sd_ND[of_N1])
    assert found.mean_ND[0] == pytest.approx(samples_ND.mean(axis=0), abs=0.005)
    assert found.sd_ND[0] == pytest.approx(samples_ND.std(axis=0), abs=0.005)
