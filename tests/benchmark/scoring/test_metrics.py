"""The metrics against scikit-learn, NumPy's formulae and loops that only know the rows."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, mean_absolute_error, root_mean_squared_error

from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.bootstrap import intervals
from seke.benchmark.scoring.metrics import evaluate, scores
from seke.core.affect import ACTION_UNITS, EXPRESSIONS, TABLE2_AUS
from seke.core.records import Labels

from ..faces import prediction, predictions

sets = st.builds(predictions, st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0.05, 0.5, 0.95]))


def approx(value):
    return pytest.approx(value, abs=1e-6, nan_ok=True)


@given(sets)
def test_expression_against_sklearn(rows) -> None:
    known = [row for row in rows if row.truth.expression]
    found = scores(columns(rows))["expression"]
    if not known:
        assert found is None
        return
    truth, said = ([row.truth.expression for row in known], [row.labels.expression or "unanswered" for row in known])
    f1 = f1_score(truth, said, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert found == {"accuracy": approx(accuracy_score(truth, said)), "f1_macro": approx(f1), "n": len(known)}
    names = [*EXPRESSIONS, "unanswered"]
    every = evaluate(rows, draws=2)
    counts = every["confusion"]
    of_sources = [part["confusion"]["counts"] for part in every["by_source"].values() if part["confusion"]]
    assert np.sum(of_sources, axis=0).tolist() == counts["counts"]
    assert counts["predicted"] == names
    assert counts["counts"] == confusion_matrix(truth, said, labels=names)[:8].tolist()


@given(sets)
def test_action_units_against_sklearn(rows) -> None:
    found = scores(columns(rows))["action_units"]
    f1 = {}
    for au in ACTION_UNITS:
        annotated = [row for row in rows if au in (row.truth.action_units or {})]
        truth = [row.truth.action_units[au] for row in annotated]
        said = [(row.labels.action_units or {}).get(au, False) for row in annotated]
        f1[au] = f1_score(truth, said, zero_division=0) if any(truth) else None
    if not any(row.truth.action_units for row in rows):
        assert found is None
        return
    assert found["f1"] == {str(au): value if value is None else approx(value) for au, value in f1.items()}
    for name, aus in (("f1_mean_14", TABLE2_AUS), ("f1_mean_17", ACTION_UNITS)):
        values = [f1[au] for au in aus if f1[au] is not None]
        assert found["f1_n_aus"][name] == len(values)
        assert found[name] == (approx(np.mean(values)) if values else None)
    assert found["n"] == sum(row.truth.action_units is not None for row in rows)
    assert found["annotated"] == {
        str(au): sum(au in (row.truth.action_units or {}) for row in rows) for au in ACTION_UNITS
    }


@given(sets)
def test_action_units_against_a_loop_over_images(rows) -> None:
    found = scores(columns(rows))["action_units"] or {"f1": {}}
    for au, value in found["f1"].items():
        hits = false = missed = 0
        for row in rows:
            if int(au) in (row.truth.action_units or {}):
                true, said = row.truth.action_units[int(au)], int(au) in row.labels.active
                hits, false, missed = hits + (true and said), false + (said and not true), missed + (true and not said)
        if value is not None:
            assert value == approx(2 * hits / (2 * hits + false + missed) if hits + false + missed else 0)


@given(sets, st.sampled_from(["valence", "arousal"]))
def test_valence_and_arousal_against_sklearn_scipy_and_numpy(rows, name: str) -> None:
    found = scores(columns(rows))
    pairs = [(getattr(row.labels, name), getattr(row.truth, name)) for row in rows]
    known = [pair for pair in pairs if pair[1] is not None]
    answered = np.array([pair for pair in known if pair[0] is not None]).reshape(-1, 2)
    assert found["unanswered"][name] == len(known) - len(answered)
    if not known:
        assert found[name] is None
        return
    x, y = answered.T
    assert found[name]["n"] == len(known)
    assert found[name]["mae"] == (approx(mean_absolute_error(y, x)) if len(x) else None)
    assert found[name]["rmse"] == (approx(root_mean_squared_error(y, x)) if len(x) else None)
    if len(x) < 2:
        assert found[name]["ccc"] is found[name]["pearson"] is None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spread = x.var(ddof=1) + y.var(ddof=1) + (x.mean() - y.mean()) ** 2
        assert found[name]["ccc"] == approx(2 * np.cov(x, y)[0, 1] / spread if spread > 1e-12 else 0)
    varies = len(set(x)) > 1 and len(set(y)) > 1
    assert found[name]["pearson"] == (approx(pearsonr(x, y).statistic) if varies else None)


def test_a_task_without_truth_is_absent_not_zero() -> None:
    everything = Labels(expression="fear", valence=0.0, arousal=0.0, action_units=dict.fromkeys(ACTION_UNITS, True))
    found = evaluate([prediction(Labels(expression="fear"), everything, number) for number in range(3)], draws=10)
    assert found["expression"] == {"accuracy": 1.0, "f1_macro": 1.0, "n": 3}
    assert found["valence"] is found["arousal"] is found["action_units"] is None
    assert set(found["ci95"]) == {"expression"}
    assert found["unanswered"] == {"expression": 0, "action_units": 0, "valence": 0, "arousal": 0}


def test_unanswered_counts_as_wrong_absent_or_left_out_and_is_counted() -> None:
    truth = Labels(expression="fear", valence=0.5, arousal=0.5, action_units={1: True, 4: False})
    rows = [prediction(truth, Labels(), 0), prediction(truth, truth, 1)]
    found = scores(columns(rows))
    assert found["expression"]["accuracy"] == 0.5
    assert found["action_units"]["f1"]["1"] == approx(2 / 3)
    assert found["valence"]["mae"] == 0.0
    assert found["valence"]["n"] == 2
    assert found["unanswered"] == {"expression": 1, "action_units": 1, "valence": 1, "arousal": 1}


@pytest.mark.parametrize("said", [False, True])
def test_an_au_that_no_image_shows_has_no_f1_and_its_false_alarms_are_counted(said: bool) -> None:
    truth, answer = Labels(action_units={1: False, 2: True}), Labels(action_units={1: said, 2: True})
    found = scores(columns([prediction(truth, answer, number) for number in range(3)]))["action_units"]
    assert found["f1"]["1"] is None
    assert found["f1_mean_14"] == 1.0
    assert found["f1_n_aus"]["f1_mean_14"] == 1
    assert (found["active"]["1"], found["false_alarms"]["1"]) == (0, 3 * said)


@given(sets)
def test_a_perfect_model_scores_one_whatever_the_sample_shows(rows) -> None:
    perfect = columns([row.model_copy(update={"labels": row.truth, "status": "ok"}) for row in rows])
    found, low_high = scores(perfect), intervals(perfect, 20, 0)
    for name in ("f1_mean_14", "f1_mean_17"):
        assert found["action_units"] is None or found["action_units"][name] in (None, 1.0)
        bounds = low_high["action_units"][name]
        assert bounds is None or bounds == approx([1.0, 1.0])


def test_constant_answers_are_scored_and_warned_about() -> None:
    rng = np.random.default_rng(0)
    same = Labels(expression="neutral", valence=0.1, arousal=0.1, action_units={12: True})
    rows = []
    for number in range(20):
        truth = Labels(
            expression=str(rng.choice(EXPRESSIONS)), valence=rng.random(), arousal=rng.random(), action_units={12: True}
        )
        rows.append(prediction(truth, same, number, subject=f"s{number % 5}"))
    found = evaluate(rows, draws=50)
    assert found["valence"]["ccc"] == 0.0
    assert found["valence"]["pearson"] is None
    assert found["valence"]["mae"] > 0
    assert [warning.split(" ")[0] for warning in found["warnings"]] == ["expression", "the", "valence", "arousal"]
    assert "AU12" in found["warnings"][1]
    assert evaluate(rows[:5], draws=5)["warnings"] == []


def test_sources_are_scored_apart() -> None:
    rows = predictions(3, 60)
    found = evaluate(rows, draws=20)
    assert list(found["by_source"]) == sorted({row.source for row in rows})
    for source, part in found["by_source"].items():
        alone = evaluate([row for row in rows if row.source == source], draws=20)
        assert part == {key: alone[key] for key in part}


def test_records_without_any_label_and_answers_without_any_content_are_told_of() -> None:
    truth = Labels(expression="fear", valence=0.5)
    unlabelled = evaluate([prediction(Labels(), truth)], draws=5)
    assert unlabelled["warnings"] == ["no record has a label: there is nothing to score"]
    assert all(unlabelled[task] is None for task in ("expression", "action_units", "valence", "arousal"))
    silent = evaluate([prediction(truth, Labels(), number) for number in range(3)], draws=5)
    assert silent["warnings"] == ["none of 3 answers states expression, valence"]
    undefined = {"mae": None, "rmse": None, "ccc": None, "pearson": None, "n": 3}
    assert {key: silent["valence"][key] for key in undefined} == undefined
    assert (silent["valence"]["coverage"], silent["valence"]["mae_over_all"]) == (0.0, 0.0)


@given(sets, st.sampled_from(["valence", "arousal"]), st.integers(0, 2**40))
def test_silence_is_worth_the_best_constant_over_all_and_nothing_in_a_competition(rows, name: str, mask: int) -> None:
    quiet = [
        row.model_copy(update={"labels": row.labels.model_copy(update={name: None})}) if mask >> place & 1 else row
        for place, row in enumerate(rows)
    ]
    before, after = scores(columns(rows))[name], scores(columns(quiet))[name]
    if before is None:
        return
    truth = [getattr(row.truth, name) for row in rows if getattr(row.truth, name) is not None]
    constant = [
        row.model_copy(update={"labels": row.labels.model_copy(update={name: after["constant"]})})
        if getattr(row.labels, name) is None
        else row
        for row in quiet
    ]
    said = scores(columns(constant))[name]
    assert said["coverage"] == 1.0
    assert said["mae"] == said["mae_over_all"] == said["at_worst"]["mae"] == approx(after["mae_over_all"])
    of_constants = [np.abs(np.subtract(truth, value)).mean() for value in (after["constant"], *truth)]
    assert of_constants[0] == approx(min(of_constants))
    for error in ("mae", "rmse"):
        assert after["at_worst"][error] >= before["at_worst"][error] - 1e-9


@given(sets)
def test_silence_about_action_units_is_worth_as_much_as_naming_none(rows) -> None:
    silent, none = (
        scores(columns([row.model_copy(update={"labels": Labels(action_units=units)}) for row in rows]))["action_units"]
        for units in (None, dict.fromkeys(ACTION_UNITS, False))
    )
    assert silent == none
