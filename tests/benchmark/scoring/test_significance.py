"""Two runs compared: p-values against naive references and under the null, and what cannot be compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

from seke.benchmark.protocol import Paired, PairedMetric
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.bootstrap import drawn, point
from seke.benchmark.scoring.metrics import scores
from seke.benchmark.scoring.significance import compare, comparison_table, holm, mcnemar, other_predictions, p_value
from seke.benchmark.scoring.tables import HEADLINE
from seke.core.errors import UserError
from seke.core.intervals import ANY
from seke.core.records import Labels, write_jsonl

from ..faces import prediction, predictions
from .test_bootstrap import answered, counts, faces

FEAR, ANGER = Labels(expression="fear"), Labels(expression="anger")


def answered_otherwise(rows, seed: int):
    """The same records, answered by somebody else."""
    others = predictions(seed, len(rows), 0.9)
    return [row.model_copy(update={"labels": other.labels}) for row, other in zip(rows, others, strict=True)]


def of(found, task: str, metric: str):
    return next(row for row in found["metrics"] if (row["task"], row["metric"]) == (task, metric))


@given(st.lists(st.sampled_from([0.0002, 0.004, 0.01, 0.011, 0.02, 0.04, 0.3, 0.9]), max_size=14))
def test_holm_against_a_naive_reference(p: list[float]) -> None:
    """Step down from the smallest: the k-th of m is multiplied by m - k, and none falls below one before it."""
    left, expected, largest = list(range(len(p))), [0.0] * len(p), 0.0
    while left:
        smallest = min(left, key=lambda index: p[index])
        largest = max(largest, min(1.0, p[smallest] * len(left)))
        expected[smallest] = largest
        left.remove(smallest)
    assert holm(p) == pytest.approx(expected)


def test_a_run_of_before_intensities_were_kept_can_still_be_compared_with() -> None:
    rows = predictions(0, 20)
    kept = [row.model_copy(update={"truth": row.truth.model_copy(update={"au_intensity": {1: 2.0}})}) for row in rows]
    assert all(row["difference"] in (0, None) for row in compare(kept, rows, "before", draws=5)["metrics"])


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_against_scipys_binomial_test(ours: int, theirs: int) -> None:
    expected = binomtest(ours, ours + theirs, 0.5).pvalue if ours + theirs else 1.0
    assert mcnemar(ours, theirs) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@settings(max_examples=3)
@given(st.integers(0, 1000))
def test_differences_against_a_loop_over_resampled_subjects(seed: int) -> None:
    ours, draws = predictions(seed, 24, 0.9), 25
    theirs = answered_otherwise(ours, seed + 1)
    found = compare(ours, theirs, "theirs", seed=3, draws=draws)
    group_N = columns(ours).group_N
    chosen = np.random.default_rng(3).integers(group_N.max() + 1, size=(draws, group_N.max() + 1))
    every = [range(24), *([k for subject in draw for k in np.flatnonzero(group_N == subject)] for draw in chosen)]
    pairs = [both_or_none(*pair) for pair in zip(ours, theirs, strict=True)]
    parts = [[scores(columns([pairs[k][who] for k in rows])) for rows in every] for who in (0, 1)]
    for row in found["metrics"]:
        values = np.array([[at(part, row["task"], row["metric"]) for part in of_one] for of_one in parts])
        assert [row["ours"], row["theirs"]] == pytest.approx(values[:, 0], abs=1e-6)
        subjects = {group for pair, group in zip(pairs, group_N, strict=True) if counts(pair[0], (row["task"], "all"))}
        assert row["p"] == pytest.approx(
            p_value(values[0, 1:] - values[1, 1:], values[0, 0] - values[1, 0], len(subjects)), abs=1e-3
        ), row


def both_or_none(*pair):
    """A valence or arousal that one of them leaves out, left out by both."""
    gone = {name: None for name in ("valence", "arousal") if any(getattr(row.labels, name) is None for row in pair)}
    return [row.model_copy(update={"labels": row.labels.model_copy(update=gone)}) for row in pair]


def at(part, task: str, metric: str) -> float:
    return np.nan if part[task] is None or part[task][metric] is None else part[task][metric]


def test_p_values_are_uniform_under_the_null() -> None:
    """400 pairs of equally good models, each on 60 subjects: as many p-values below any x as x says."""
    rng, trials = np.random.default_rng(1), 400
    found = {("expression", "accuracy"): [], ("action_units", "f1_mean_14"): [], ("valence", "mae"): []}
    for trial in range(trials):
        data = faces(rng, 60)
        two = [answered(rng, data) for _ in range(2)]
        (ours, theirs), (ours_at, theirs_at) = (drawn(model, 300, trial) for model in two), map(point, two)
        for (task, metric), p in found.items():
            difference_B = ours[task][metric] - theirs[task][metric]
            p.append(p_value(difference_B, ours_at[task][metric] - theirs_at[task][metric], 60))
    for measure, p in found.items():
        for share in (0.05, 0.25, 0.5, 0.75):
            assert np.mean(np.array(p) < share) == pytest.approx(
                share, abs=4 * np.sqrt(share * (1 - share) / trials)
            ), measure
    assert kstest(found["valence", "mae"], "uniform").pvalue > 0.01


def test_an_interval_ends_where_no_difference_can_be() -> None:
    """Of few subjects, Student's t would reach farther than two correlations can differ."""
    drawn_B = np.random.default_rng(0).normal(0.5, 1, 1000)
    metric = PairedMetric("valence", "ccc", 9, 4, 0.75, 0.25, drawn_B, (-1.0, 1.0))
    rows = predictions(4, 8)
    found = compare(rows, rows, "theirs", pairing=lambda *_: Paired([metric], None, "subjects", ()))
    assert found["metrics"][0]["ci95"] == [-2.0, 2.0]
    metric = metric._replace(within=ANY)
    unbounded = compare(rows, rows, "theirs", pairing=lambda *_: Paired([metric], None, "subjects", ()))
    assert unbounded["metrics"][0]["ci95"][1] > 2


def test_the_same_answers_do_not_differ() -> None:
    rows = predictions(4, 80)
    found = compare(rows, rows[::-1], "itself", draws=200)
    assert {row["difference"] for row in found["metrics"]} == {0.0}
    assert {row["p"] for row in found["metrics"]} == {row["p_holm"] for row in found["metrics"]} == {1.0}
    assert found["mcnemar"]["p"] == 1.0


def test_a_clear_difference_is_found_in_the_metric_that_has_it() -> None:
    rng = np.random.default_rng(0)
    truth = [Labels(expression="fear", valence=float(rng.uniform(-0.5, 0.5))) for _ in range(200)]
    noise = rng.uniform(-0.3, 0.3, (2, 200))

    def model(who: int, right: float):
        return [
            prediction(
                labels,
                Labels(expression="fear" if draw < right else "anger", valence=labels.valence + noise[who, k]),
                k,
                subject=f"s{k // 2}",
            )
            for k, (labels, draw) in enumerate(zip(truth, rng.random(200), strict=True))
        ]

    found = compare(model(0, 0.9), model(1, 0.5), "theirs", draws=2000)
    accuracy, error = of(found, "expression", "accuracy"), of(found, "valence", "mae")
    assert accuracy["p_holm"] < 0.01 < 0.05 < error["p"]
    assert accuracy["ci95"][0] > 0
    assert error["ci95"][0] < 0 < error["ci95"][1]
    assert found["mcnemar"]["p"] < 0.001
    lines = comparison_table(found, "ours").splitlines()
    assert [line.split("|")[2].strip() for line in lines if " * |" in line] == ["accuracy", "f1_macro"]


def test_the_interval_ends_where_p_is_005() -> None:
    """By the same draws: p < 0.05 and an interval without 0 are the same finding."""
    agreed = 0
    for seed in range(30):
        rows = predictions(seed, 60, 0.9)
        for row in compare(rows, answered_otherwise(rows, seed + 100), "theirs", draws=400)["metrics"]:
            if row["p"] is not None and not 0.04 < row["p"] < 0.06:
                assert (row["p"] < 0.05) == (row["ci95"][0] > 0 or row["ci95"][1] < 0)
                agreed += 1
    assert agreed > 300


def test_valence_is_compared_over_the_images_that_both_answered() -> None:
    truth = Labels(valence=0.0)
    ours = [prediction(truth, Labels(valence=0.1), k) for k in range(4)]
    theirs = [prediction(truth, Labels(valence=None if k == 3 else 0.2), k) for k in range(4)]
    ours[0] = prediction(truth, Labels(valence=0.4), 0)
    ours[3] = prediction(truth, Labels(valence=1.0), 3)
    row = of(compare(ours, theirs, "theirs", draws=50), "valence", "mae")
    assert (row["n"], row["ours"], row["theirs"]) == (3, pytest.approx(0.2), pytest.approx(0.2))
    assert row["difference"] == pytest.approx(0)


def test_a_metric_without_truth_is_not_compared_and_one_of_a_single_subject_has_no_p() -> None:
    ours = [prediction(FEAR, FEAR, k, subject="s") for k in range(5)]
    theirs = [prediction(FEAR, ANGER, k, subject="s") for k in range(5)]
    found = compare(ours, theirs, "theirs", draws=50)
    assert [(row["task"], row["metric"]) for row in found["metrics"]] == [
        ("expression", m) for m in HEADLINE["expression"]
    ]
    assert all(row["p"] is row["p_holm"] is row["ci95"] is None for row in found["metrics"])
    counts = {"both_right": 0, "only_ours": 5, "only_theirs": 0, "both_wrong": 0}
    assert found["mcnemar"] == {"task": "expression", **counts, "p": 0.0625}
    silent = [prediction(Labels(valence=0.1), Labels(valence=0.1), k) for k in range(5)]
    assert compare(silent, silent, "theirs", draws=50)["mcnemar"] is None


def test_other_records_or_another_truth_are_refused() -> None:
    ours = [prediction(FEAR, FEAR, k) for k in range(3)]
    with pytest.raises(
        UserError, match=r"compare=run-b: 0 of its ids are not scored here and 1 of ours not there, .*'2'"
    ):
        compare(ours, ours[:2], "run-b")
    with pytest.raises(UserError, match=r"compare=run-b: 1 of its ids are not scored here"):
        compare(ours[:2], ours, "run-b")
    with pytest.raises(UserError, match=r"compare=run-b: the truth of '2' is another there; compare runs on the same"):
        compare(ours, [*ours[:2], prediction(ANGER, FEAR, 2)], "run-b")


def test_labels_are_compared_on_the_records_that_both_scored_and_it_says_on_how_many() -> None:
    """A calibrated run leaves its pilot out, another one faces that it rejected: the same as comparing the rest."""
    rows = predictions(5, 40, 0.9)
    others = answered_otherwise(rows, 6)
    found = compare(rows[:30], others[10:], "blind", draws=100, on_shared=True)
    same = compare(rows[10:30], others[10:30], "blind", draws=100)
    assert found["n"] == 20
    assert found["remarks"][0] == "On the 20 records that both scored; 10 of ours and 10 of the other are not."
    assert {**found, "remarks": found["remarks"][1:]} == same
    assert compare(rows, others, "blind", draws=10, on_shared=True)["remarks"] == same["remarks"]
    with pytest.raises(UserError, match=r"compare=blind: no record is scored in both"):
        compare(rows[:3], others[3:], "blind", on_shared=True)
    with pytest.raises(UserError, match=r"compare=blind: the truth of '0' is another there"):
        compare([prediction(FEAR, FEAR, 0)], [prediction(ANGER, FEAR, 0)], "blind", on_shared=True)


def test_a_rival_is_refused_before_anything_is_asked(tmp_path) -> None:
    file = tmp_path / "predictions.jsonl"
    rows = [prediction(FEAR, FEAR, k) for k in range(3)]
    write_jsonl(file, rows)
    assert other_predictions(file, {"0", "1", "2"}, every=True) == rows
    assert other_predictions(file, {"0", "1", "2", "3"}, every=False) == rows
    with pytest.raises(UserError, match=r"1 of ours not there, such as '3'"):
        other_predictions(file, {"0", "1", "2", "3"}, every=True)
    with pytest.raises(UserError, match=r"1 of its ids are not scored here .*'2'"):
        other_predictions(file, {"0", "1"}, every=False)
    write_jsonl(file, [*rows, rows[1]])
    with pytest.raises(UserError, match=r"compare=.*predictions.jsonl: id '1' occurs twice"):
        other_predictions(file, {"0", "1", "2"}, every=True)
