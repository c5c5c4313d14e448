"""A gain is sure as seldom by chance with few subjects as with many."""

import numpy as np
import pytest

from seke.generation.calibration.gain import LEVEL, Gain, gain


@pytest.mark.parametrize("groups", [3, 5, 40])
def test_no_gain_seems_sure_by_chance(groups):
    rng = np.random.default_rng(groups)
    of = np.repeat(np.arange(groups), 4)
    sure = [gain(np.repeat(rng.normal(size=groups), 4) + rng.normal(size=len(of)), of).sure for _ in range(4000)]
    assert LEVEL - 0.01 < np.mean(sure) < LEVEL + 0.01


def test_with_many_subjects_the_margin_is_that_of_the_normal_distribution():
    assert Gain(1.0, 0.1, 10_000).margin == pytest.approx(0.1645, abs=1e-4)


def test_one_subject_tells_nothing_about_others():
    found = gain(np.array([1.0, 2.0]), np.array([3, 3]))
    assert (found.mean, found.standard_error, found.sure) == (1.5, np.inf, False)


def test_no_image_is_no_gain():
    assert gain(np.zeros(0), np.zeros(0, dtype=int)) == Gain(0.0, np.inf, 0)
