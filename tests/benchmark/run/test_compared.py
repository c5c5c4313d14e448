"""Two runs of a benchmark that is not FEAB compared: scenes' emotions, expressions alone, and judges' marks."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_rel
from sklearn.metrics import accuracy_score, f1_score

from seke.benchmark.judging.judge import parse
from seke.benchmark.judging.rubric import Marks, Rubric
from seke.benchmark.run import plan
from seke.benchmark.scoring.score import score
from seke.benchmark.scoring.significance import compare, comparison_table
from seke.benchmark.tasks.emoset import EMOTIONS, EmoSet, EmotionPrediction, scores
from seke.benchmark.tasks.feab_mikels import FeabMikels
from seke.benchmark.tasks.reasoning import AffectiveReasoning, JudgedAnswer
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels, read_jsonl, write_jsonl

from ..faces import predictions
from ..scoring.test_significance import answered_otherwise

CONF = Path(__file__).resolve().parents[3] / "conf"
EMOSET = EmoSet(yaml.safe_load((CONF / "benchmark" / "emoset.yaml").read_text())["questions"])
RUBRIC = Rubric(Prompts(yaml.safe_load((CONF / "prompts" / "rubric.yaml").read_text())["templates"]))
CRITERIA = list(RUBRIC.criteria)
SAYS = st.sampled_from([None, *EMOTIONS])


def rows(truth, said) -> list[EmotionPrediction]:
    return [
        EmotionPrediction(
            id=str(k), source="emoset", subject=None, text="", judged=None, emotion=answer, truth=true, status="ok"
        )
        for k, (true, answer) in enumerate(zip(truth, said, strict=True))
    ]


def model(rng: np.random.Generator, truth, skill: float) -> list[EmotionPrediction]:
    return rows(truth, [true if rng.random() < skill else str(rng.choice(EMOTIONS)) for true in truth])


def f1_and_accuracy(truth_N, named_N) -> tuple[float, float]:
    """By the definition: F1 of a class is 2 hits / (truly so + named so), of the classes that there are."""
    right_N, f1 = truth_N == named_N, []
    for emotion in set(truth_N):
        f1.append(2 * np.sum(right_N & (truth_N == emotion)) / np.sum([truth_N == emotion, named_N == emotion]))
    return float(np.mean(f1)), float(np.mean(right_N))


# -- EmoSet ------------------------------------------------------------------------------------------------------------


@given(st.data(), st.lists(st.tuples(SAYS, SAYS, SAYS), min_size=1, max_size=30))
def test_any_two_models_are_compared_as_each_is_scored_in_any_order_of_rows(data, pictures) -> None:
    truth, ours, theirs = zip(*pictures, strict=True)
    of_ours, of_theirs = rows(truth, ours), rows(truth, theirs)
    found = compare(of_ours, data.draw(st.permutations(of_theirs)), "b", draws=20, pairing=EMOSET.paired)
    alone = [scores(each, draws=1)["emotion"] for each in (of_ours, of_theirs)]
    if alone[0] is None:
        assert found["metrics"] == [] and found["mcnemar"] is None
        return
    for row in found["metrics"]:
        assert [row["ours"], row["theirs"]] == [each[row["metric"]] for each in alone]
        assert row["difference"] == row["ours"] - row["theirs"] and row["n"] == alone[0]["n"]
    known = [(a == true, b == true) for true, a, b in pictures if true is not None]
    split = found["mcnemar"]
    assert (split["only_ours"], split["only_theirs"]) == (known.count((True, False)), known.count((False, True)))
    assert split["both_right"] == known.count((True, True)) and split["both_wrong"] == known.count((False, False))


def test_the_spread_of_differences_against_a_loop_over_resampled_pictures() -> None:
    rng = np.random.default_rng(0)
    truth = [str(emotion) for emotion in rng.choice(EMOTIONS, 150)]
    ours, theirs = model(rng, truth, 0.7), model(rng, truth, 0.6)
    accuracy, f1 = EMOSET.paired(ours, theirs, 1, 4000).measures
    truth_N, said_2N = np.array(truth), np.array([[row.emotion for row in each] for each in (ours, theirs)])
    for named_N, values in zip(said_2N, ((f1.ours, accuracy.ours), (f1.theirs, accuracy.theirs)), strict=True):
        assert values == pytest.approx(f1_and_accuracy(truth_N, named_N))
        assert values == pytest.approx((f1_score(truth_N, named_N, average="macro"), accuracy_score(truth_N, named_N)))
    loop = []
    for _ in range(800):
        chosen = rng.integers(150, size=150)
        loop.append(np.subtract(*(f1_and_accuracy(truth_N[chosen], named_N[chosen]) for named_N in said_2N)))
    for measure, expected in ((f1, np.std(loop, 0)[0]), (accuracy, np.std(loop, 0)[1])):
        assert np.std(measure.difference_B) == pytest.approx(expected, rel=0.1), measure.metric
    gains = np.array([(a.emotion == a.truth) * 1.0 - (b.emotion == b.truth) for a, b in zip(ours, theirs, strict=True)])
    assert np.std(accuracy.difference_B) == pytest.approx(np.std(gains) / np.sqrt(150), rel=0.04)


def test_p_values_of_equally_good_models_are_uniform() -> None:
    """200 pairs on 80 pictures; ties make the accuracy's p-values larger, never smaller."""
    rng, p = np.random.default_rng(2), []
    for trial in range(200):
        truth = [str(emotion) for emotion in rng.choice(EMOTIONS, 80)]
        ours, theirs = model(rng, truth, 0.6), model(rng, truth, 0.6)
        found = compare(ours, theirs, "b", seed=trial, draws=200, pairing=EMOSET.paired)
        p.append([row["p"] for row in found["metrics"]])
    for share in (0.05, 0.25, 0.5):
        below_accuracy, below_f1 = (np.array(p) < share).mean(0)
        spread = 4 * np.sqrt(share * (1 - share) / 200)
        assert below_f1 == pytest.approx(share, abs=spread)
        assert below_accuracy < share + spread


def test_a_better_model_is_found_so_and_the_table_says_over_what() -> None:
    rng = np.random.default_rng(3)
    truth = [str(emotion) for emotion in rng.choice(EMOTIONS, 300)]
    ours, theirs = model(rng, truth, 0.8), model(rng, truth, 0.5)
    found = compare(ours, theirs, "base", draws=2000, pairing=EMOSET.paired)
    split = found["mcnemar"]
    assert all(row["p_holm"] < 0.01 and row["ci95"][0] > 0 for row in found["metrics"])
    assert split["p"] == pytest.approx(
        binomtest(split["only_ours"], split["only_ours"] + split["only_theirs"]).pvalue, rel=1e-6
    )
    table = comparison_table(found, "tuned")
    assert "Paired bootstrap over pictures, 2000 draws" in table and "for the 2 metrics." in table
    assert "McNemar, emotion: " in table and "mae" not in table and "independent" not in table
    same = compare(ours, ours[::-1], "itself", draws=50, pairing=EMOSET.paired)
    assert {row["p_holm"] for row in same["metrics"]} == {same["mcnemar"]["p"]} == {1.0}


# -- from the files of one run to those of another ---------------------------------------------------------------------


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Twelve prepared pictures."""
    (tmp_path / "prepare" / "scenes").mkdir(parents=True)
    records = [
        ImageRecord(
            id=str(k), image="a.jpg", sha256=None, source="emoset", subject=None, split="test", labels=Labels(),
            attributes={"emotion": EMOTIONS[k % 8]},
        )
        for k in range(12)
    ]  # fmt: skip
    write_jsonl(tmp_path / "prepare" / "scenes" / "test.jsonl", records)
    return tmp_path


def scored(outputs: Path, name: str, right: int, compare: str | None = None) -> Path:
    """Score answers of which the first `right` are right, as the command does."""
    (file := outputs / f"{name}.jsonl").write_text(
        "".join(f'{{"id": "{k}", "text": "{EMOTIONS[k % 8 if k < right else 0]}"}}\n' for k in range(12))
    )
    settings = {"records": "scenes", "limit": None, "seed": 0, "predictions": str(file), "predictions_fields": None,
                "compare": compare, "groups": ["attributes.emotion"], "allow_overlap": False,
                "paths": {"images": None}}  # fmt: skip
    asked = plan.check(EMOSET, outputs, settings, None)
    (run := outputs / "evaluate" / name).mkdir(parents=True)
    score(run, EMOSET, asked.records, asked.answers or {}, parse, asked.inputs["records"], 0, **asked.scoring)
    return run


def test_an_emoset_run_is_held_against_another_in_its_files(outputs: Path) -> None:
    scored(outputs, "base", 5)
    run = scored(outputs, "tuned", 11, compare="base")
    found = json.loads((run / "comparison.json").read_text())
    assert [(row["task"], row["metric"]) for row in found["metrics"]] == [
        ("emotion", "accuracy"),
        ("emotion", "f1_macro"),
    ]
    assert found["mcnemar"]["only_ours"] == 5, "the ninth picture is of the first emotion, which is always said"
    assert "## By attributes.emotion" in (run / "table.md").read_text()
    section = (run / "table.md").read_text().partition("## Against base\n\n")[2]
    assert section == (run / "comparison.md").read_text().partition("\n\n")[2] != ""


def test_a_run_of_another_benchmark_is_refused_before_anything_is_asked(outputs: Path) -> None:
    (outputs / "evaluate" / "faces").mkdir(parents=True)
    write_jsonl(outputs / "evaluate" / "faces" / "predictions.jsonl", predictions(0, 12))
    with pytest.raises(UserError, match=r"^compare=.*no predictions of this benchmark .*same benchmark="):
        scored(outputs, "tuned", 11, compare="faces")


def test_a_benchmark_that_does_not_say_what_to_compare_is_refused(outputs: Path) -> None:
    class Silent:
        request, records_file, predictions_from, metrics = print, "test.jsonl", ("evaluate", "predictions.jsonl"), print
        what_differs = show = predictions = table = print

    settings = {"records": "scenes", "predictions": None, "compare": "base"}
    with pytest.raises(UserError, match=r"^compare=base: this benchmark does not say what to compare"):
        plan.check(Silent(), outputs, settings, None)


# -- FEAB by emotions --------------------------------------------------------------------------------------------------


def test_of_faces_asked_for_an_emotion_expressions_alone_are_compared() -> None:
    """Action units that nobody was asked for would be equal, and would weigh in Holm's correction."""
    classes = yaml.safe_load((CONF / "benchmark" / "feab_mikels.yaml").read_text())["classes"]
    ours = predictions(1, 60, 0.9)
    found = compare(ours, answered_otherwise(ours, 2), "b", draws=200, pairing=FeabMikels("?", classes=classes).paired)
    whole = compare(ours, answered_otherwise(ours, 2), "b", draws=200)
    assert {row["task"] for row in whole["metrics"]} > {"expression"}
    assert [row["metric"] for row in found["metrics"]] == ["accuracy", "f1_macro"]
    for row, of_all in zip(found["metrics"], whole["metrics"], strict=False):
        assert {**row, "p_holm": None} == {**of_all, "p_holm": None} and row["p_holm"] <= of_all["p_holm"]
    assert found["mcnemar"] == whole["mcnemar"] and found["remarks"] == [] != whole["remarks"]


# -- affective reasoning -----------------------------------------------------------------------------------------------


def marked(k: int, mark: int | None, question: str = "Why?", model: str = "m-1", judge: str = "mild") -> JudgedAnswer:
    """An answer to which one judge gave the same mark by each criterion; None: it was not judged."""
    marks = Marks(status="ok", marks=dict.fromkeys(CRITERIA, mark), model=model) if mark else Marks(status="refusal")
    return JudgedAnswer(
        id=str(k), source="emoset", subject=None, kind="humour", question=question, text="Awe.", truth="awe",
        status="ok", model="m", marks={judge: marks},
    )  # fmt: skip


REASONING = AffectiveReasoning(rubric=RUBRIC, judges={"mild": object()}, questions={"humour": ["Why?"]})


def test_marks_are_compared_over_what_the_same_judges_marked_of_the_same_question() -> None:
    ours = [marked(k, mark) for k, mark in enumerate((5, 4, 5, 5, 5, 5))]
    theirs = [
        marked(0, 3), marked(1, 4), marked(2, None), marked(3, 1, question="How?"), marked(4, 1, model="m-2"),
        marked(5, 1, judge="stern"),
    ]  # fmt: skip
    found = compare(ours, theirs, "b", draws=100, pairing=REASONING.paired)
    assert [row["metric"] for row in found["metrics"]] == CRITERIA and found["mcnemar"] is None
    for row in found["metrics"]:
        assert (row["n"], row["ours"], row["theirs"], row["difference"]) == (2, 4.5, 3.5, 1.0)
    assert "same question to the same judge" in comparison_table(found, "a")


def test_what_two_judges_gave_is_averaged_and_nothing_in_common_is_no_difference() -> None:
    two = [
        row.model_copy(update={"marks": {**row.marks, "stern": marked(0, stern).marks["mild"]}})
        for row, stern in ((marked(0, 5), 2), (marked(0, 1), 1))
    ]
    found = compare(two[:1], two[1:], "b", draws=20, pairing=REASONING.paired)
    assert {(row["ours"], row["theirs"], row["p"]) for row in found["metrics"]} == {(3.5, 1.0, None)}
    nothing = compare([marked(0, 5)], [marked(0, None)], "b", draws=20, pairing=REASONING.paired)
    assert {(row["n"], row["difference"], row["ci95"], row["p_holm"]) for row in nothing["metrics"]} == {
        (0, None, None, None)
    }
    json.dumps(nothing, allow_nan=False)


@pytest.mark.parametrize("seed", range(4))
def test_p_values_of_marks_against_scipys_paired_t_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marks_2N = rng.integers(1, 6, (2, 60))
    ours, theirs = ([marked(k, int(mark)) for k, mark in enumerate(marks)] for marks in marks_2N)
    row = compare(ours, theirs, "b", draws=10_000, pairing=REASONING.paired)["metrics"][0]
    assert row["p"] == pytest.approx(ttest_rel(*marks_2N).pvalue, abs=0.05)  # ties count as beyond
    expected = ttest_rel(*marks_2N).confidence_interval()
    assert row["ci95"] == pytest.approx([expected.low, expected.high], abs=0.06)


def test_the_row_of_each_benchmark_reads_its_own_predictions(tmp_path: Path) -> None:
    for benchmark, row in ((EMOSET, rows(["awe"], ["fear"])[0]), (REASONING, marked(0, 3))):
        write_jsonl(tmp_path / "predictions.jsonl", [row])
        assert list(read_jsonl(tmp_path / "predictions.jsonl", benchmark.row)) == [row]


@pytest.mark.parametrize(("drawn", "size", "told"), [("nothing", 6, 1), ("scenes", 6, 0), ("nothing", 200_000_000, 0)])
def test_a_small_model_on_photographs_is_told_of_before_anything_is_asked(outputs: Path, drawn, size, told) -> None:
    (outputs / "prepare" / "scenes" / "manifest.json").write_text(f'{{"synthetic": "{drawn}"}}')
    model = outputs / "model"
    model.mkdir()
    with (model / "model.safetensors").open("wb") as weights:
        weights.truncate(size)
    settings = {"records": "scenes", "limit": None, "seed": 0, "predictions": None, "predictions_fields": None,
                "compare": None, "groups": [], "allow_overlap": False, "paths": {"images": None}}  # fmt: skip
    remarks = plan.check(EMOSET, outputs, settings, str(model)).remarks
    assert sum("knows drawn faces only" in remark for remark in remarks) == told
