"""One interval for every number: the same wherever it is shown, and made in one place."""

import ast
from pathlib import Path

import numpy as np
import pytest

from seke.benchmark.judging.rubric import mean
from seke.benchmark.scoring.cost_quality import differences, quality
from seke.benchmark.scoring.metrics import evaluate
from seke.core.intervals import interval, p_value
from seke.core.records import Labels

from ..benchmark.faces import prediction, predictions

ROOT = Path(__file__).resolve().parents[2]
QUANTILES = {"percentile", "quantile", "nanpercentile", "nanquantile"}
NO_INTERVAL = {"src/seke/benchmark/scoring/subgroups.py": ["quantile"]}
"""Calls that make no interval: ages are cut into four groups of equal size."""


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
        ("AU F1", "action_units", "f1_mean_17"),
    ):
        assert list(found[measure][1:]) == evaluated[task][metric]
    for measure, task in (("Valence 1-MAE", "valence"), ("Arousal 1-MAE", "arousal")):
        low, high = evaluated[task]["mae"]
        assert found[measure][1:] == pytest.approx((1 - high, 1 - low), abs=1e-12)


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
    assert interval(np.array([np.nan, 1.0, 1.0]), 1.0, 9) == [1.0, 1.0]


@pytest.mark.parametrize("clusters", [12, 60, 500])
def test_p_is_005_where_the_interval_ends_at_0(clusters: int) -> None:
    values = np.random.default_rng(clusters).normal(size=100_000)
    low, _ = interval(values, 0.0, clusters)
    assert p_value(values - low, clusters) == pytest.approx(0.05, abs=0.002)
