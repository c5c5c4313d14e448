"""One interval for every number: the same wherever it is shown, and made in one place."""

import ast
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from seke.benchmark.judging.rubric import mean
from seke.benchmark.scoring.cost_quality import differences, quality
from seke.benchmark.scoring.metrics import evaluate
from seke.core.intervals import Difference, Estimate, estimated, interval, interval_of_sum, over_seeds, p_value
from seke.core.records import Labels

from ..benchmark.faces import prediction, predictions

ROOT = Path(__file__).resolve().parents[2]
QUANTILES = {"percentile", "quantile", "nanpercentile", "nanquantile"}
NO_INTERVAL = {
    "src/seke/benchmark/scoring/subgroups.py": ["quantile"],
    "src/seke/generation/seke/normalisation.py": ["quantile"],
}
"""Calls that make no interval: ages are cut into four groups of equal size, a usual variance is the upper one seen."""


def test_only_one_place_makes_intervals() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]):
        called = [
            name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute | ast.alias)
            if (name := node.attr if isinstance(node, ast.Attribute) else node.name) in QUANTILES
        ]
        if called and path.name != "intervals.py":
            found[str(path.relative_to(ROOT))] = called
    assert found == NO_INTERVAL


def test_figure_5_and_evaluate_give_the_same_interval_of_the_same_predictions() -> None:
    rows = predictions(3, 24)
    evaluated, found = evaluate(rows, seed=0)["ci95"], quality(rows, seed=0)
    for measure, task, metric in (
        ("Expression accuracy", "expression", "accuracy"),
        ("AU F1 (present)", "action_units", "f1_mean_17"),
    ):
        assert found[measure][1:] == pytest.approx(evaluated[task][metric], abs=1e-6)
    for measure, task in (("Valence 1-MAE", "valence"), ("Arousal 1-MAE", "arousal")):
        low, high = evaluated[task]["mae"]
        assert found[measure][1:] == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_one_subject_has_a_value_but_no_interval() -> None:
    rows = [prediction(Labels(valence=0.1), Labels(valence=0.1 * n), n, subject="only") for n in range(5)]
    assert quality(rows)["Valence 1-MAE"] == (pytest.approx(0.86), None, None)
    assert differences(rows, rows)["Valence 1-MAE"] == (0.0, None, None)


def test_a_few_marks_are_known_less_well_than_their_percentiles_say() -> None:
    low, high = mean([2, 3, 3, 5, 4], seed=0, draws=4000)["ci95"]
    few = np.random.default_rng(0).choice([2, 3, 3, 5, 4], (4000, 5)).mean(1)
    assert low <= np.quantile(few, 0.025) and high >= np.quantile(few, 0.975)


def test_what_is_unknown_has_no_interval() -> None:
    nothing = np.full(10, np.nan)
    assert (
        interval(nothing, 0.5, 9) is interval(np.zeros(10), float("nan"), 9) is interval(np.zeros(10), 0.0, 1) is None
    )
    assert interval(np.array([np.nan, 1.0, 1.0]), 1.0, 9) is None
    assert interval(np.array([np.nan, 1.0, 2.0]), 1.5, 2) is p_value(np.array([np.nan, 1.0, 2.0]), 1.5, 2) is None


@given(st.integers(3, 40), st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.5]), st.floats(-3, 3))
def test_p_is_below_005_exactly_where_the_interval_excludes_0(
    clusters: int, seed: int, shape: float, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=clusters) if shape == 0 else rng.lognormal(0, shape, clusters)
    values = (values - values.mean()) / values.std() + shift
    means_B, mean = resampled(values, rng, 200), float(values.mean())
    low, high = interval(means_B, mean, clusters)
    p = p_value(means_B, mean, clusters)
    assert low <= mean <= high and 0 <= p <= 1
    assert (p < 0.05) == (low > 0 or high < 0)
    # Where an end of the interval lies on 0, p is 0.05.
    assert p_value(means_B, mean - low, clusters) == pytest.approx(0.05, abs=1e-6)
    assert p_value(means_B, mean - high, clusters) == pytest.approx(0.05, abs=1e-6)


def test_many_symmetric_clusters_have_students_interval() -> None:
    """The mean of 30 values and their mirror images, whose skewness is 0, against scipy."""
    half = np.random.default_rng(0).normal(size=30)
    values = np.concatenate([half, -half])
    expected = scipy.stats.t.interval(0.95, 59, values.mean(), scipy.stats.sem(values))
    found = interval(resampled(values, np.random.default_rng(1), 50_000), 0.0, 60)
    assert found == pytest.approx(expected, abs=0.02)


def test_a_skewed_mean_has_halls_end_on_its_long_side_and_students_on_the_other() -> None:
    """Against the formulae on the values themselves: Hall's g is inverted by searching for its root."""
    values = np.random.default_rng(3).lognormal(0, 1, 25)
    error, mean = scipy.stats.sem(values), values.mean()
    skewness = scipy.stats.skew(values, bias=False) / np.sqrt(25)
    t = scipy.stats.t.ppf(0.975, 24)
    root = scipy.optimize.brentq(lambda x: x + skewness * (x**2 / 3 + 1 / 6) + skewness**2 * x**3 / 27 + t, -100, 100)
    found = interval(resampled(values, np.random.default_rng(1), 100_000), mean, 25)
    assert found == pytest.approx([mean - t * error, mean - root * error], abs=0.05 * error)
    assert found[1] - mean > 1.3 * (mean - found[0])


def test_an_interval_stops_where_the_number_does() -> None:
    values = np.random.default_rng(0).normal(0.98, 0.02, 100_000)
    assert interval(values, 0.98, 4, (0.0, 1.0))[1] == 1.0 < interval(values, 0.98, 4)[1]


def test_coverage_is_95_percent_from_three_subjects_on() -> None:
    """Of 800 samples each, within 3 standard errors of 93 to 97 %; the long run is scripts/check_statistics.py."""
    for draw, truth in ((normal, 0.0), (skewed, np.exp(0.125))):
        for subjects in (3, 5, 20):
            rng = np.random.default_rng(subjects)
            held = 0
            for _ in range(800):
                values = draw(rng, subjects)
                low, high = interval(resampled(values, rng, 300), float(values.mean()), subjects)
                held += low <= truth <= high
            assert 0.93 - 0.027 <= held / 800 <= 0.97 + 0.018, (draw, subjects)


def normal(rng: np.random.Generator, subjects: int) -> np.ndarray:
    return rng.normal(size=subjects)


def skewed(rng: np.random.Generator, subjects: int) -> np.ndarray:
    """Lognormal values of skewness 1.75."""
    return rng.lognormal(0, 0.5, subjects)


def resampled(values: np.ndarray, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Return the means of as many values, drawn with replacement."""
    return rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws) @ values / len(values)


@pytest.mark.parametrize(("trained", "subjects"), [(1.0, 5), (0.2, 20)])
def test_a_difference_over_three_seeds_that_is_none_is_found_in_5_percent_at_most(
    trained: float, subjects: int
) -> None:
    """600 comparisons of equal ways of training: all three seeds agree in a quarter of them or more."""
    rng, found, agree = np.random.default_rng(0), 0, 0
    for _ in range(600):
        shared, each = rng.normal(size=subjects), []
        for luck in trained * rng.normal(size=3) / np.sqrt(subjects):
            values = luck + shared + 0.5 * rng.normal(size=subjects)
            means_B, mean = resampled(values, rng, 100), float(values.mean())
            each.append(Difference(estimated(means_B, mean, subjects), None, subjects))
        (mean, low, high), p, clusters = over_seeds(each)
        assert low < mean < high and clusters == subjects
        assert (p < 0.05) == (low > 0 or high < 0)
        found += p < 0.05
        agree += len({gain.estimate.value > 0 for gain in each}) == 1
    assert found / 600 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 600)
    assert agree / 600 > 0.25


def test_without_subjects_a_difference_over_seeds_is_a_t_test_against_scipy() -> None:
    gains = [0.3, 0.5, 0.1]
    found = over_seeds([Difference(Estimate(gain)) for gain in gains])
    expected = scipy.stats.ttest_1samp(gains, 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.estimate[1:] == pytest.approx(expected.confidence_interval())
    assert over_seeds([Difference(Estimate(0.3), 0.2, 9)]) == (Estimate(0.3), 0.2, 9)
    assert over_seeds([]).estimate.value is None


MANY = 10**9
"""Degrees of freedom with which Student's t is normal."""


@given(st.integers(0, 40), st.integers(1, 200))
def test_an_interval_of_a_sum_against_wilsons_of_a_share(shown: int, others: int) -> None:
    assume(shown != others)  # of half and half, as of all symmetric parts, no end is nearer than Student's
    total = shown + others
    values = np.repeat([1.0, 0.0], [shown, others])
    unseen = 0.0 if shown else 1 / total
    found = interval_of_sum((values - values.mean()) / total, values.mean(), MANY, unseen=unseen)
    theirs = scipy.stats.binomtest(shown, total).proportion_ci(method="wilson")
    assert found is not None
    assert found[1] == pytest.approx(theirs.high, abs=1e-6)
    if shown:  # of none the least is none
        assert found[0] == pytest.approx(theirs.low, abs=1e-6)


def tango(more: int, fewer: int, total: int) -> list[float]:
    """Tango's score interval (1998, Eq. 3 and 6) of the difference of two paired shares, by root finding."""

    def score(gap: float) -> float:
        b = -more - fewer + (2 * total - more + fewer) * gap
        c = -fewer * gap * (1 - gap)
        rate = (np.sqrt(b * b - 8 * total * c) - b) / (4 * total)
        return (more - fewer - total * gap) / np.sqrt(total * (2 * rate + gap * (1 - gap)))

    z, seen = scipy.stats.norm.ppf(0.975), (more - fewer) / total
    return [
        scipy.optimize.brentq(lambda gap, side=side: score(gap) - side * z, *ends)
        for side, ends in ((1, (-1 + 1e-9, seen - 1e-9)), (-1, (seen + 1e-9, 1 - 1e-9)))
    ]


@given(st.integers(0, 12), st.integers(0, 12), st.integers(200, 2_000))
def test_an_interval_of_a_sum_against_tangos_of_a_paired_difference(more: int, fewer: int, total: int) -> None:
    """Of errors in two directions, of which there may be none of either."""
    values = np.repeat([1.0, -1.0, 0.0], [more, fewer, total - more - fewer])
    found = interval_of_sum((values - values.mean()) / total, values.mean(), MANY, unseen=1 / total)
    assert found == pytest.approx(tango(more, fewer, total), abs=0.1 / total)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_no_end_of_symmetric_parts_is_nearer_than_students(seed: int, unseen: float) -> None:
    parts = np.random.default_rng(seed).normal(size=30)
    parts = np.concatenate([parts, -parts])
    found = interval_of_sum(parts, 0.0, 60, unseen=unseen)
    half = scipy.stats.t.ppf(0.975, 59) * np.sqrt(np.sum(parts**2))
    assert found is not None
    assert -found[0] == pytest.approx(found[1])
    assert half * (1 - 1e-9) <= found[1] <= 1.2 * half


def test_an_interval_of_a_sum_of_nothing_is_none() -> None:
    assert interval_of_sum(np.zeros(9), 0.0, 9) is None
    assert interval_of_sum(np.ones(2), 0.0, 2) is None
    assert interval_of_sum(np.array([1.0, -1.0, 0.0]), float("nan"), 3) is None
    assert interval_of_sum(np.array([1.0, -1.0, 0.0]), 0.5, 3, (0.0, 1.0)) == [0.0, 1.0]
