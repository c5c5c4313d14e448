"""benchmark=faba and fea_20k: their rules as their programs apply them, ours beside them, where theirs are wrong."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.judging.llm import LlmJudge
from seke.benchmark.run.predict import planned
from seke.benchmark.scoring.significance import compare
from seke.benchmark.tasks import faba, fea_20k
from seke.benchmark.tasks.two_rules import Reading, TwoRules, TwoRulesPrediction
from seke.core.errors import UserError
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, Labels
from seke.core.vlm import Choice, Reply
from seke.sources.faces_datasets.faba import UNITS
from seke.sources.faces_datasets.faba import Faba as FabaSource
from seke.sources.faces_datasets.fea_20k import Fea20k as FeaSource
from seke.sources.prepare.prepare import write

from ...trees import faba as faba_tree
from ...trees import fea_20k as fea_tree
from .published_rules import rows

QUESTIONS = {"emotion": "What emotions are conveyed by this face?", "au": "What AUs are conveyed by this face?"}
FABA_F1 = {
    "1": 0.0,
    "2": 0.0,
    "4": 0.1142857142857143,
    "6": 0.0,
    "12": 0.11320754716981132,
    "25": 0.0,
    "43": 0.19444444444444445,
}
FEA_F1 = {"1": 0.20512820512820512, "4": 0.3, "12": 0.27956989247311825, "25": 0.23255813953488372}
"""What the two programs computed of the recorded answers."""


def predictions(benchmark: TwoRules, recorded: list[dict[str, Any]]) -> list[TwoRulesPrediction]:
    made = []
    for number, row in enumerate(recorded):
        published = Reading(units=tuple(row["true_units"]))
        made.append(
            TwoRulesPrediction(
                id=str(number), source="x", subject=None, of_set="x", text=row["text"], judged=None, labels=Labels(),
                truth=None, published=published, theirs=benchmark.their_reading(row["text"], published), status="ok",
            )
        )  # fmt: skip
    return made


def test_faba_s_rule_reads_every_recorded_answer_against_its_record() -> None:
    recorded = rows("faba")
    assert len(recorded) == 150
    assert [faba.their_emotion(row["text"]) for row in recorded] == [row["label"] for row in recorded]
    assert sum(row["label"] is None for row in recorded) > 5  # at these their program stops
    known = [set(faba.their_units(row["text"])) - {"06"} for row in recorded]
    assert known == [set(row["units"]) for row in recorded]
    assert faba.Faba().their_f1(predictions(faba.Faba(), recorded)) == pytest.approx(FABA_F1)


def test_fea_20k_s_rule_reads_every_recorded_answer_against_its_record() -> None:
    recorded = rows("fea_20k")
    assert [fea_20k.their_label(row["text"]) for row in recorded] == [row["label"] for row in recorded]
    assert [set(fea_20k.their_units(row["text"])) for row in recorded] == [set(row["units"]) for row in recorded]
    found = fea_20k.Fea20k().their_f1(predictions(fea_20k.Fea20k(), recorded))
    assert found == pytest.approx(FEA_F1)
    assert np.mean(list(found.values())) == pytest.approx(0.25431405928405176)


def faba_records(root: Path) -> list[ImageRecord]:
    faba_tree.make(root)
    return prepared(FabaSource(str(root / "FABAInstruct"), QUESTIONS), root / "FABAInstruct", faba.Faba())


def prepared(source: Any, root: Path, benchmark: TwoRules) -> list[ImageRecord]:
    run = root / "outputs" / "prepare" / "toy"
    run.mkdir(parents=True)
    write(source, run)
    (run / "manifest.json").write_text(f'{{"image_root": "{root}"}}')
    return planned(benchmark, {"records": run / "test.jsonl"}, None)


def test_faba_has_two_questions_about_one_picture_and_counts_what_has_none(tmp_path: Path) -> None:
    records = faba_records(tmp_path)
    emotion, units = (next(row for row in records if row.attributes["set"] == name) for name in ("emotion", "au"))
    assert emotion.image == units.image
    assert [row.attributes["question"] for row in (emotion, units)] == list(QUESTIONS.values())
    assert (emotion.labels, emotion.attributes["published"]) == (Labels(expression="happiness"), {"label": "happiness"})
    assert units.labels.active == (6, 12)
    assert set(units.labels.action_units or {}) == set(UNITS) - {43}
    assert units.attributes["published"] == {"units": [6, 12]}
    assert [row.sha256 for row in records if row.sha256 is None] == [None]
    texts = {"emotion": "The nose is wrinkled, yet they look happy.", "au": "AU6 and AU12 are active; AU4 is not."}
    answers = {row.id: Answer(id=row.id, text=texts[row.attributes["set"]]) for row in records if row.sha256}
    found, missing = faba.Faba().predictions(records, answers, parse)
    metrics = faba.Faba().metrics(found, 0)
    assert (missing, metrics["n"]) == (1, 9)
    assert metrics["class"]["accuracy"] == 1.0
    # The fifth face, whose picture is missing, shows AU1: nobody could name it.
    assert metrics["units"]["f1"]["6"] == metrics["units"]["f1"]["12"] == 1.0
    assert (metrics["units"]["f1"]["1"], metrics["units"]["f1"]["4"], metrics["units"]["n"]) == (0.0, None, 5)
    assert metrics["units"]["f1_mean"] == pytest.approx(2 / 3)
    # Theirs hears AU4 in "AU4 is not"; the one unit that is never true and always heard counts as 0.
    assert metrics["theirs"]["f1"] == {"1": 0.0, "4": 0.0, "6": 1.0, "12": 1.0}
    assert metrics["theirs"]["f1_mean"] == pytest.approx(0.5)
    assert metrics["theirs"]["accuracy"] == 1.0
    table = faba.Faba().table("x", metrics, faba.Faba().what_differs(tmp_path, records, []))
    assert "9 of its 728 questions" in table and "1 of 9 questions have no picture here" in table


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        ("The nose is wrinkled in disgust. There is joy.", None, "happiness"),
        ("The person is not happy.", None, "happiness"),
        ("She looks sad and tearful.", "sadness", "happiness"),
        ("Contempt shows in the curled lip.", "contempt", "disgust"),
        ("A sad face", "sadness", None),
    ],
)
def test_where_faba_s_rule_is_wrong_is_listed(tmp_path: Path, text: str, ours: str | None, theirs: str | None) -> None:
    row = next(row for row in faba_records(tmp_path) if row.attributes["set"] == "emotion")
    found, _ = faba.Faba().predictions([row], {row.id: Answer(id=row.id, text=text)}, parse)
    assert (found[0].labels.expression, found[0].theirs.label) == (ours, theirs)
    metrics = faba.Faba().metrics(found, 0)
    faba.Faba().write(tmp_path, metrics)
    [listed] = csv.DictReader((tmp_path / "differences.csv").open())
    assert (listed["ours"], listed["theirs"]) == (ours or "", theirs or "")


def test_fea_20k_asks_the_row_s_question_and_knows_absence_by_dataset(tmp_path: Path) -> None:
    fea_tree.make(tmp_path)
    source = FeaSource(str(tmp_path), str(tmp_path), "What is the emotion?", "Give the units and an <answer>.")
    records = prepared(source, tmp_path, fea_20k.Fea20k())
    assert len(records) == 6
    first = records[0]
    assert first.attributes["question"] == "What does this face show?\n\nGive the units and an <answer>."
    assert (first.labels.expression, first.labels.action_units) == ("sadness", {1: True, 4: True})
    assert first.attributes["published"] == {"label": "sadness", "units": ["AU1", "AU4", "AU43"]}
    by_label = {row.attributes["published"]["label"]: row.labels.expression for row in records}
    assert (by_label["confusion"], by_label["fear"], by_label[None]) == (None, None, None)  # of two, neither
    text = "AU1 and AU4 are active. <answer>Sadness</answer>"
    [row], _ = fea_20k.Fea20k().predictions([first], {first.id: Answer(id=first.id, text=text)}, parse)
    assert (row.labels.expression, row.labels.active) == ("sadness", (1, 4))
    metrics = fea_20k.Fea20k().metrics([row], 0)
    assert (metrics["class"]["accuracy"], metrics["theirs"]["accuracy"]) == (1.0, 0.0)  # "Sadness" is not "sadness"
    assert metrics["theirs"]["f1"] == {"1": 1.0, "4": 1.0, "43": 0.0}


def test_a_judge_that_rewrites_reads_the_whole_answer(tmp_path: Path) -> None:
    row = next(row for row in faba_records(tmp_path) if row.attributes["set"] == "emotion")
    answers = {row.id: Answer(id=row.id, text="<think>Hm.</think> <answer>delighted</answer>")}

    class Rewriter:
        def reply(self, requests):
            for index, request in enumerate(requests):
                assert "<think>Hm." in request.text
                yield index, Reply((Choice("Expression: happiness."),), "rewriter")

    prompts = Prompts({"faces": "{answer}", "faces_system": "Rewrite."})
    judge = LlmJudge(Rewriter(), prompts).ready(answers).read
    [found], _ = faba.Faba().predictions([row], answers, judge)
    assert (found.labels.expression, found.judged, found.status) == ("happiness", "Expression: happiness.", "ok")


def test_two_runs_are_compared_by_units_and_by_who_names_the_expression(tmp_path: Path) -> None:
    records = faba_records(tmp_path)
    good = {row.id: Answer(id=row.id, text="Happy. AU6 and AU12.") for row in records}
    bad = {row.id: Answer(id=row.id, text="Sad. AU1.") for row in records}
    ours, theirs = (faba.Faba().predictions(records, answers, parse)[0] for answers in (good, bad))
    found = compare(ours, theirs, "base", seed=0, pairing=faba.Faba().paired)
    assert found["metrics"][0]["difference"] == pytest.approx((8 / 9 + 8 / 9 - 2 / 6) / 3)  # AU6, AU12; AU1
    [ranked, *_, f1] = faba.Faba().ranked(ours, 0, 50)
    assert (ranked.key, ranked.value, f1.key) == ("class.accuracy", 1.0, "units.f1_mean")


@pytest.mark.parametrize(
    ("change", "says"),
    [(('"label": "6, 12"', '"label": "many"'), "no list of units"), (('"image"', '"picture"'), "is no path")],
)
def test_annotations_that_are_not_as_published_are_refused(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    faba_tree.make(tmp_path)
    file = tmp_path / "FABAInstruct" / "eval" / "eval_au_anno.json"
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(UserError, match=f"^source.root=.*{says}"):
        FabaSource(str(tmp_path / "FABAInstruct"), QUESTIONS)
