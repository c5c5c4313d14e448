"""Intraclass correlations against Shrout & Fleiss's example and an analysis of variance, and what of AUs is scored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.intensity import icc, rated, score, sums
from seke.benchmark.scoring.metrics import evaluate
from seke.benchmark.scoring.tables import summary_table
from seke.core.records import Labels

from ..faces import prediction, predictions

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float
)
"""Shrout & Fleiss (Psychol. Bull. 1979), Table 2: four judges rate six targets."""


def test_the_worked_example_of_shrout_and_fleiss() -> None:
    found = icc(sums(SHROUT_FLEISS))
    assert [round(float(value), 2) for value in (found.one_one, found.two_one, found.three_one)] == [0.17, 0.29, 0.71]
    # More digits, as pingouin's documentation and psych::ICC print them for the same table.
    assert float(found.one_one) == pytest.approx(0.165742, abs=1e-6)
    assert float(found.two_one) == pytest.approx(0.289764, abs=1e-6)
    assert float(found.three_one) == pytest.approx(0.714841, abs=1e-6)


def anova(table: np.ndarray) -> tuple[float, ...]:
    """Return ICC(1,1), ICC(3,1) and ICC(2,1) by the mean squares of deviations, each written out."""
    n, k = table.shape
    rows, columns_, grand = table.mean(1, keepdims=True), table.mean(0, keepdims=True), table.mean()
    bms = k * ((rows - grand) ** 2).sum() / (n - 1)
    wms = ((table - rows) ** 2).sum() / (n * (k - 1))
    ems = ((table - rows - columns_ + grand) ** 2).sum() / ((n - 1) * (k - 1))
    jms = n * ((columns_ - grand) ** 2).sum() / (k - 1)
    wholes = [bms + (k - 1) * wms, bms + (k - 1) * ems, bms + (k - 1) * ems + k * (jms - ems) / n]
    errors = [wms, ems, ems]
    return tuple(float("nan") if whole < 1e-9 else (bms - e) / whole for e, whole in zip(errors, wholes, strict=True))


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 5))
def test_against_mean_squares_of_deviations(seed: int, n: int, k: int) -> None:
    table = np.random.default_rng(seed).integers(0, 6, (n, k)).astype(float)
    assert tuple(map(float, icc(sums(table)))) == pytest.approx(anova(table), abs=1e-9, nan_ok=True)


def faces(truths, answers, au=12):
    return [
        prediction(
            Labels(au_intensity={au: float(truth)}),
            Labels() if said is None else Labels(au_intensity={au: float(said)}),
            number,
            subject=f"s{number % 4}",
        )
        for number, (truth, said) in enumerate(zip(truths, answers, strict=True))
    ]


def scored(rows, draws=50):
    return score(rated(rows, columns(rows).group_N), draws, 0)


def test_a_perfect_answer_scores_1_and_a_constant_offset_costs_consistency_nothing() -> None:
    truth = [0, 1, 2, 3, 4, 3, 2, 1]
    found, bounds, silent = scored(faces(truth, truth))
    assert (found["icc31"], found["icc11"], found["mae"], silent) == ({"12": 1.0}, {"12": 1.0}, {"12": 0.0}, 0)
    assert bounds["mae"] == {"12": None}  # 0 in every resample
    shifted, _, _ = scored(faces(truth, [value + 1 for value in truth]))
    assert shifted["icc31_mean"] == pytest.approx(1)
    assert shifted["icc11_mean"] < 0.8
    assert shifted["mae_mean"] == pytest.approx(1)


def test_what_does_not_vary_has_no_correlation_and_a_constant_answer_none_above_0() -> None:
    constant, bounds, _ = scored(faces([2] * 8, [2, 3] * 4))
    assert constant["icc31"] == {"12": None}
    assert constant["icc31_mean"] is bounds["icc31_mean"] is None
    assert constant["n_aus"] == {"icc31_mean": 0, "icc11_mean": 0, "mae_mean": 1}
    assert constant["mae_mean"] == 0.5
    same, _, _ = scored(faces([0, 1, 2, 3] * 2, [0] * 8))
    assert same["icc31_mean"] == pytest.approx(0)
    assert same["icc11_mean"] < 0


def test_silence_is_counted_and_never_a_0() -> None:
    found, bounds, silent = scored(faces([0, 2, 4, 5], [None, 2, 4, None]))
    assert (silent, found["n"], found["annotated"], found["answered"]) == (2, 4, {"12": 4}, {"12": 2})
    assert found["mae_mean"] == 0.0
    nobody, bounds, silent = scored(faces([0, 2, 4, 5], [None] * 4))
    assert (nobody["icc31_mean"], nobody["mae"], bounds["mae"], silent) == (None, {"12": None}, {"12": None}, 4)


def test_the_interval_of_the_mean_error_covers_it_by_subjects() -> None:
    """200 sets of 12 subjects whose answers are off by an amount of their own: about 95 % of intervals cover it."""
    rng, covered = np.random.default_rng(0), 0
    truth = np.tile([1.0, 2.0, 3.0, 4.0], 12)
    for _ in range(200):
        off = np.repeat(rng.uniform(0, 1, 12), 4)
        rows = [
            prediction(Labels(au_intensity={1: t}), Labels(au_intensity={1: t + o}), n, subject=f"s{n // 4}")
            for n, (t, o) in enumerate(zip(truth, off, strict=True))
        ]
        low, high = scored(rows, draws=300)[1]["mae_mean"]
        covered += low <= 0.5 <= high
    assert 180 <= covered <= 198


def test_metrics_carry_intensities_only_where_truth_does() -> None:
    plain = evaluate(predictions(0, 30), draws=5)
    assert "au_intensity" not in {*plain, *plain["ci95"], *plain["unanswered"]}
    assert "ntensit" not in summary_table(plain)
    rows = [*predictions(0, 30), *faces([0, 1, 5], [0, 2, 5])]
    found = evaluate(rows, draws=5)
    assert found["au_intensity"]["n"] == found["by_source"]["x"]["au_intensity"]["n"] == 3
    assert "au_intensity" not in found["by_source"]["bp4d"]
    assert {name: found[name] for name in ("expression", "action_units")} == {
        name: evaluate([*predictions(0, 30), *faces([], [])], draws=5)[name] for name in ("expression", "action_units")
    }, "occurrence is none of its business"
    text = summary_table(found)
    assert "| au_intensity | icc31_mean |" in text
    assert "ICC(3,1) of intensity" in text
