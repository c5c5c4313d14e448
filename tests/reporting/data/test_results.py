"""Numbers that the report works out itself: confusion, sampling, cost per record, trust by uncertainty."""

import json
from pathlib import Path

import pytest
from sklearn.metrics import confusion_matrix

from seke.benchmark.scoring.metrics import evaluate
from seke.benchmark.scoring.significance import compare
from seke.core.affect import EXPRESSIONS
from seke.core.intervals import Estimate
from seke.core.records import InstructionRecord, Labels, Origins, Prediction, Turn, Uncertainty, write_jsonl
from seke.core.rules import algorithm_floor
from seke.reporting.data import results
from seke.reporting.data.run_labels import named
from seke.reporting.data.runs import FinishedRun, estimates
from seke.reporting.data.tables import Partial, to_markdown

from .. import experiments


def prediction(number: int, truth: str | None, answer: str | None) -> Prediction:
    return Prediction(
        id=str(number), source="s", subject=None, text="", judged=None, status="ok",
        labels=Labels(expression=answer), truth=Labels(expression=truth),
    )  # fmt: skip


def instruction(
    name: str, labels: Labels, origin: Origins, uncertainty: Uncertainty, samples: int = 2
) -> InstructionRecord:
    turns = (Turn(speaker="human", value="<image>\n?"), Turn(speaker="gpt", value="!"))
    return InstructionRecord(
        id=name, image="x.png", source="s", subject=None, conversations=turns, labels=labels, origin=origin,
        uncertainty=uncertainty, samples=samples, annotator="simulated-annotator",
    )  # fmt: skip


def test_confusion_as_it_was_counted_against_sklearn(tmp_path: Path) -> None:
    truths = [EXPRESSIONS[(3 * n) % 8] for n in range(60)]
    answers = [EXPRESSIONS[(n * n) % 8] if n % 7 else None for n in range(60)]
    rows = [prediction(n, *pair) for n, pair in enumerate(zip(truths, answers, strict=True))]
    rows.append(prediction(99, None, "anger"))  # nobody knows the truth: not counted
    reference = confusion_matrix(truths, [answer or "none" for answer in answers], labels=[*EXPRESSIONS, "none"])
    (tmp_path / "metrics.json").write_text(json.dumps(evaluate(rows, draws=1)))
    found = results.confusion(FinishedRun("evaluate", "e", tmp_path, {}))
    assert [list(row) for row in found.counts] == reference[:8].tolist() and found.classes == EXPRESSIONS
    (tmp_path / "metrics.json").write_text(json.dumps(evaluate(rows[-1:], draws=1)))
    assert results.confusion(FinishedRun("evaluate", "e", tmp_path, {})) is None


def test_gains_are_those_of_the_runs_own_comparisons_and_only_over_one_other_run(tmp_path: Path) -> None:
    found = {}
    for name, skill in (("blind", 0.5), ("seke", 0.9)):
        experiments.evaluation(tmp_path, name, skill)
        found[name] = FinishedRun("evaluate", name, tmp_path / "evaluate" / name, {})
    told = compare(experiments.predictions(0.9), experiments.predictions(0.5), "blind", draws=50)
    (tmp_path / "evaluate" / "seke" / "comparison.json").write_text(json.dumps(told))
    runs = named(list(found.values()), {"blind": {"label": "Not looking"}, "seke": {"label": "SEKE"}})
    plain = results.score_table("it", "It", "Generator", runs, "Of drawn faces.")
    table = results.with_gains(plain, runs)
    rows = {f"{row['task']}.{row['metric']}": row for row in told["metrics"]}
    control, ours = table.rows
    assert list(ours.cells["expression.accuracy.gain"]) == [
        rows["expression.accuracy"]["difference"], *rows["expression.accuracy"]["ci95"]
    ]  # fmt: skip
    low, high = rows["arousal.mae"]["ci95"]
    assert list(ours.cells["arousal.mae.gain"]) == [-rows["arousal.mae"]["difference"], -high, -low]
    assert control.cells["arousal.mae.gain"] == ""
    assert "over Not looking, + is better; paired by subject, on the pictures that both scored (48)." in table.caption
    assert "+0." in to_markdown(table)
    (tmp_path / "evaluate" / "blind" / "comparison.json").write_text(json.dumps({**told, "against": "other"}))
    fresh = [item._replace(run=FinishedRun("evaluate", item.run.name, item.run.path, {})) for item in runs]
    assert results.with_gains(plain, fresh) is plain


def test_coverage_of_a_run_and_of_one_of_an_earlier_release() -> None:
    truth = Labels(valence=0.0)
    said = [Labels(valence=0.2)] * 48 + [Labels()] * 2
    rows = [
        Prediction(
            id=str(n), source="s", subject=None, text="", judged=None, status="ok", labels=labels, truth=truth,
        )
        for n, labels in enumerate(said)
    ]  # fmt: skip
    now = {key: found.value for key, found in estimates(evaluate(rows, draws=1)).items()}
    earlier = {key: now[key] for key in ("valence.mae", "valence.n", "unanswered.valence")}
    columns = (results.VALENCE_MAE, results.AROUSAL_MAE)
    assert results.partly_answered(columns, now) == {
        "valence.mae": Partial(pytest.approx(0.96), pytest.approx(0.192), pytest.approx(0.232)),
    }
    assert results.partly_answered(columns, earlier) == {"valence.mae": Partial(pytest.approx(0.96), None, None)}
    assert results.partly_answered(columns, {**earlier, "unanswered.valence": 0.0}) == {}


def test_a_table_says_whose_test_images_are_an_own_draw(tmp_path: Path) -> None:
    facts = {
        "ours": {"own_draw": True},
        "released": {"own_draw": False},
        "earlier": {},
        "labels": {"own_draw": True, "scores": "labels"},
    }
    runs = named([FinishedRun("evaluate", name, tmp_path, made) for name, made in facts.items()], {})
    said = {
        names: results.score_table(
            "feab", "FEAB", "System", [run for run in runs if run.run.name in names], "A."
        ).caption
        for names in (("ours", "released", "earlier"), ("ours",), ("released", "earlier", "labels"))
    }
    statement = "Own draw of the test images, not known to be the released FEAB"
    assert list(said.values()) == [f"A. {statement} (ours).", f"A. {statement}.", "A."]


@pytest.mark.parametrize("most", [2, 3, 5, 8])
def test_the_floor_against_the_sum_over_all_courses_of_algorithm_1(most: int) -> None:
    expected, reached = 0.0, 1.0
    for draws in range(2, most + 1):  # reached: probability of being here; at U = 0 one goes on with 1/2
        stops = 1.0 if draws == most else 0.5
        expected, reached = expected + draws * reached * stops, reached * (1 - stops)
    assert algorithm_floor(most) == pytest.approx(expected)


def uncertain(samples: int) -> InstructionRecord:
    return instruction(f"r{samples}", Labels(), Origins(), Uncertainty(), samples)


@pytest.mark.parametrize(
    ("stopping", "samples", "floor"),
    [("stopping.uamc", (2, 5), 2.875), ("stopping.fixed", (5, 5), None), ("stopping.uamc", (0, 0), None)],
)
def test_only_algorithm_1_has_its_floor(
    tmp_path: Path, stopping: str, samples: tuple[int, ...], floor: float | None
) -> None:
    config = {"generator": {"max_samples": 5}, "stopping": {"_target_": stopping}}
    write_jsonl(tmp_path / "instructions.jsonl", [uncertain(draws) for draws in samples])
    drawn = results.sampling(FinishedRun("generate", "g", tmp_path, {"config": config}))
    assert drawn.mean == sum(samples) / len(samples)
    assert drawn.floor == floor


def test_what_a_manifest_says_of_its_rule_counts_and_no_name_does(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "instructions.jsonl", [uncertain(2)])
    config = {"generator": {"max_samples": 5}, "stopping": {"_target_": "my.uamcish.rule"}}
    mine = FinishedRun("generate", "g", tmp_path, {"config": config, "floor": 2.5})
    before = FinishedRun("generate", "g", tmp_path, {"config": config})
    assert results.sampling(mine).floor == 2.5
    assert results.sampling(before).floor is None
    mine = FinishedRun("evaluate", "e", tmp_path, {"config": {"benchmark": {"_target_": "my.reliable.Benchmark"}}})
    assert not results.is_reliability(mine)
    for scores in ("answers", "labels"):
        told = FinishedRun("evaluate", "e", tmp_path, {"config": mine.config, "scores": scores})
        assert results.is_reliability(told) == (scores == "labels")


def test_cost_is_per_written_record_and_an_unknown_price_stays_unknown(tmp_path: Path) -> None:
    cost = {
        "records": 4,
        "rejected": 1,
        "requests": 10,
        "input_tokens": 1000,
        "output_tokens": 50,
        "usd": None,
        "seconds": 0.5,
    }
    (tmp_path / "cost.json").write_text(json.dumps(cost))
    write_jsonl(tmp_path / "instructions.jsonl", [uncertain(2), uncertain(3)])
    (row,) = results.cost_table(named([FinishedRun("generate", "g", tmp_path, {})], {}), "").rows
    expected = {"records": 4, "rejected": 1, "requests": 2.5, "input_tokens": 250, "output_tokens": 12.5, "usd": None,
                "rate": 8, "mean_samples": 2.5, "floor": None}  # fmt: skip
    for key, value in expected.items():
        assert row.cells[key] == Estimate(value), key
    assert row.cells["annotator"] == "simulated-annotator"


def test_right_labels_by_uncertainty_by_hand() -> None:
    true = Labels(expression="fear", valence=0.0, arousal=0.5, action_units={1: True, 2: False, 4: True})
    said = Labels(expression="fear", valence=0.2, arousal=0.9, action_units={1: True, 2: True, 4: False})
    generated = Origins(
        expression="generated", valence="generated", arousal="generated",
        action_units={"1": "generated", "2": "generated", "4": "manual"},
    )  # fmt: skip
    rows = [
        instruction(
            name, said.model_copy(update={"expression": expression}),
            generated.model_copy(update={"expression": origin}),
            Uncertainty(expression=level, valence=level, arousal=0.0, action_units=level, max=level),
        )
        for name, expression, origin, level in (
            ("a", "fear", "generated", 0.0), ("b", "anger", "generated", 0.9), ("c", "fear", "generated", 0.5),
            ("d", "fear", "manual", 0.6), ("nobody knows", "fear", "generated", 0.5),
        )
    ]  # fmt: skip
    found = results.right_by_uncertainty(rows, dict.fromkeys("abcd", true))
    assert [(level.top, level.n, level.right) for level in found["expression"]] == [
        (0.0, 1, 1),
        (0.5, 1, 1),
        (0.9, 1, 0),
    ]
    assert [(level.n, level.right) for level in found["valence"]] == [(2, 2), (1, 1), (1, 1)]  # 0.2 off is right
    assert [(level.n, level.right) for level in found["arousal"]] == [(4, 0)]  # ties stay together
    assert [(level.n, level.right) for level in found["action_units"]] == [(4, 2), (2, 1), (2, 1)]  # AU4 is manual
    assert results.right_by_uncertainty([], {})["valence"] == ()
    table = results.uncertainty_table(found, "")
    assert [(row.label, row.cells["spread"]) for row in table.rows][:4] == [
        ("Expression, low", "all agree"), ("Expression, middle", "44 % of pairs differ"),
        ("Expression, high", "79 % of pairs differ"), ("Valence, low", "all agree to ± 0.71"),
    ]  # fmt: skip
    assert [row.label for row in table.rows if row.label.startswith("Arousal")] == ["Arousal, all"]


def test_two_bins_are_low_and_high_and_none_is_empty() -> None:
    [*bins] = results._thirds([*((0.0, [True]) for _ in range(8)), (0.2, [True]), (0.4, [False])])
    assert [(level.label, level.bottom, level.top, level.n, level.right) for level in bins] == [
        ("low", 0.0, 0.0, 8, 8), ("high", 0.2, 0.4, 2, 1),
    ]  # fmt: skip


def test_counts_are_told_per_task_where_tasks_differ() -> None:
    tasks = ("expression", "action_units", "valence", "arousal")
    alike = {"n": Estimate(9.0), **{f"{task}.n": Estimate(9.0) for task in tasks}}
    assert results.per_task(alike, "n", "{}.n") == Estimate(9.0)
    assert results.per_task({**alike, "valence.n": Estimate(5.0)}, "n", "{}.n") == "E 9, AU 9, V 5, A 9"
    assert results.per_task({"unanswered": Estimate(2.0)}, "unanswered", "unanswered.{}") == Estimate(2.0)
    assert results.per_task({}, "n", "{}.n") == Estimate(None)


def test_a_score_table_says_of_how_many_subjects(tmp_path: Path) -> None:
    metrics = {"n": 9, "subjects": {"expression": 3, "action_units": 4, "valence": 4, "arousal": 4, "f1": {"1": 2}}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    [item] = named([FinishedRun("evaluate", "e", tmp_path, {})], {})
    [row] = results.score_table("feab", "", "", [item], "").rows
    assert row.cells["subjects"] == "E 3, AU 4, V 4, A 4"
    earlier = item._replace(run=FinishedRun("evaluate", "f", tmp_path / "none", {}))
    assert results.score_table("feab", "", "", [earlier], "").rows[0].cells["subjects"] == Estimate(None)
