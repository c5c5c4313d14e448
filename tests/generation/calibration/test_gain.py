"""A gain is sure as seldom by chance with few subjects as with many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ttest_1samp

from seke.generation.calibration.gain import LEVEL, Gain, discovery_level, gain


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


def test_many_gates_together_let_hardly_anything_through_by_chance():
    """Four witnesses, three descriptions, four patterns: 48 gates at 5 % each would let something through always."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(20), 4)
    any_at_once, any_apart, false, found = 0, 0, [], 0
    for _ in range(150):
        nulls = [gain(rng.normal(size=80), of).p for _ in range(48)]
        level = discovery_level(nulls)
        any_at_once += min(nulls) <= level
        any_apart += min(nulls) <= LEVEL
        real = [gain(rng.normal(0.6, 1, size=80), of).p for _ in range(12)]
        level = discovery_level([*nulls[:36], *real])
        heard = sum(p <= level for p in real)
        wrong = sum(p <= level for p in nulls[:36])
        false.append(wrong / max(heard + wrong, 1))
        found += heard
    assert any_apart > 135
    assert any_at_once < 150 * LEVEL + 3 * (150 * LEVEL * (1 - LEVEL)) ** 0.5
    assert np.mean(false) < LEVEL, "of what is heard one in twenty adds nothing, at most"
    assert found > 0.9 * 150 * 12, "and what helps is heard"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from((0.01, 0.05, 0.2, 0.5)))
def test_discoveries_against_scipys_benjamini_hochberg(p_values, level):
    adjusted = false_discovery_control(p_values)
    near = np.abs(adjusted - level) < 1e-12  # where rounding decides
    found = np.asarray(p_values) <= discovery_level(p_values, level)
    if (adjusted <= level).any():
        assert (found == (adjusted <= level))[~near].all()
    else:
        assert not found[~near].any()


def test_p_against_scipys_test_of_a_mean():
    values = np.random.default_rng(2).normal(0.2, 1, 30)
    found = gain(values, np.arange(30))
    assert found.p == pytest.approx(ttest_1samp(values, 0.0, alternative="greater").pvalue)
    assert (found.p < LEVEL) == found.sure
