"""The intervals against a loop that resamples subjects' rows, and against known coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.benchmark.bootstrap import estimates, intervals, statistics
from seke.benchmark.columns import columns
from seke.benchmark.metrics import scores
from seke.records import Labels

from .faces import prediction, predictions

FEAR, ANGER = Labels(expression="fear"), Labels(expression="anger")


def leaves(tree, path=()):
    for key, value in tree.items():
        yield from leaves(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)]


def at(tree, path):
    for key in path:
        tree = None if tree is None else tree[key]
    return tree


@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0.05, 0.5, 0.95]))
def test_formulae_on_sums_against_torchmetrics(seed: int, count: int, known: float) -> None:
    data = columns(predictions(seed, count, known))
    found = scores(data)
    totals = {name: sums.sum(0, keepdims=True) for name, sums in statistics(data).items()}
    for path, value in leaves(estimates(totals)):
        expected = at(found, path)
        assert value[0] == pytest.approx(float("nan") if expected is None else expected, abs=1e-6, nan_ok=True), path


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_intervals_against_a_loop_over_resampled_subjects(seed: int) -> None:
    rows, draws = predictions(seed, 30, 0.9), 40
    data = columns(rows)
    groups = int(data.group_N.max()) + 1
    # The same draws: the loop takes each drawn subject's rows as often as the subject was drawn.
    chosen = np.random.default_rng(7).integers(groups, size=(draws, groups))
    drawn = []
    for draw in chosen:
        sample = [row for subject in draw for row, group in zip(rows, data.group_N, strict=True) if group == subject]
        drawn.append(scores(columns(sample)))
    for path, bounds in leaves(intervals(data, draws, seed=7)):
        values = [value for found in drawn if (value := at(found, path)) is not None]
        if bounds is not None:
            assert bounds == pytest.approx(list(np.percentile(values, [2.5, 97.5])), abs=1e-6), path


def test_same_seed_same_intervals_and_another_seed_others() -> None:
    data = columns(predictions(1, 60))
    assert intervals(data, 100, 0) == intervals(data, 100, 0)
    assert intervals(data, 100, 0) != intervals(data, 100, 1)


def test_no_interval_from_a_single_subject() -> None:
    one = Labels(expression="fear", valence=0.5)
    found = intervals(columns([prediction(one, one, number, subject="s") for number in range(9)]), 50, 0)
    assert all(bounds is None for _, bounds in leaves(found))


def test_images_of_one_subject_are_drawn_together() -> None:
    """Ten equal images a subject must give the width of one image a subject, not one that is √10 narrower."""
    rng = np.random.default_rng(0)
    right = rng.random(60) < 0.6

    def width(copies: int) -> float:
        rows = [
            prediction(FEAR, FEAR if good else ANGER, f"{subject}-{copy}", subject=str(subject))
            for subject, good in enumerate(right)
            for copy in range(copies)
        ]
        low, high = intervals(columns(rows), 500, 0)["expression"]["accuracy"]
        return high - low

    assert width(10) == width(1)


def test_coverage_of_accuracy_is_about_95_percent() -> None:
    """200 simulated test sets of 80 subjects, truth 0.7: the interval holds it in 95 % of them, give or take 4."""
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        right = rng.random(80) < 0.7
        rows = [prediction(FEAR, FEAR if good else ANGER, number) for number, good in enumerate(right)]
        low, high = intervals(columns(rows), 300, trial)["expression"]["accuracy"]
        held += low <= 0.7 <= high
    assert 0.91 <= held / 200 <= 0.99
