"""The files that a scored run leaves: what is compared, grouped and marked is in all of them."""

import json
from pathlib import Path

import pytest

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.judging import judge
from seke.benchmark.scoring.score import score
from seke.benchmark.tasks.feab import Feab
from seke.benchmark.tasks.reliability import Reliability
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Origins

from ..faces import predictions

ROWS = predictions(6, 80, 0.9)
RECORDS = [
    ImageRecord(
        id=row.id, image="x.png", sha256=None, source=row.source, subject=row.subject, split="test", labels=row.truth,
        attributes={"gender": "f" if number % 2 else "m"},
    )
    for number, row in enumerate(ROWS)
]  # fmt: skip
ANSWERS = {row.id: Answer(id=row.id, text=describe(row.labels), model="some-model") for row in ROWS}


def scored(path: Path, answers=ANSWERS, **more):
    path.mkdir()
    return score(path, Feab("What?"), RECORDS, answers, judge.parse, path / "test.jsonl", 0, **more)


def test_a_comparison_is_written_and_shown_in_the_table(tmp_path: Path) -> None:
    theirs = [row.model_copy(update={"labels": row.truth}) for row in ROWS]
    scored(tmp_path / "ours", against=("perfect", theirs))
    found = json.loads((tmp_path / "ours" / "comparison.json").read_text())
    assert found["against"] == "perfect"
    perfect = [row["theirs"] for row in found["metrics"] if row["metric"] in ("accuracy", "f1_macro", "ccc", "pearson")]
    assert perfect == pytest.approx([1.0] * 6)
    comparison, table = ((tmp_path / "ours" / name).read_text() for name in ("comparison.md", "table.md"))
    assert comparison.startswith("# ours against perfect\n")
    assert comparison.split("\n\n", 1)[1] in table


def test_a_comparison_with_other_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="compare=other: "):
        scored(tmp_path / "ours", against=("other", ROWS[1:]))


def test_groups_are_in_the_metrics_and_in_the_table(tmp_path: Path) -> None:
    scored(tmp_path / "ours", groups=["attributes.gender", "source"])
    metrics = json.loads((tmp_path / "ours" / "metrics.json").read_text())
    assert {key: list(found["groups"]) for key, found in metrics["groups"].items()}["attributes.gender"] == ["f", "m"]
    table = (tmp_path / "ours" / "table.md").read_text()
    assert "## By attributes.gender" in table
    assert "## By source" in table


def test_caveats_of_the_command_stand_beside_those_of_the_records(tmp_path: Path) -> None:
    facts = scored(tmp_path / "ours", caveats=["trained on 3 of the test images"], remarks=["subjects not checked"])
    assert facts["remarks"] == ["subjects not checked"]
    assert (tmp_path / "ours" / "table.md").read_text().endswith("\n\n- subjects not checked\n")
    assert facts["notes"] == [
        "own draw of 80 images, not known to be the released FEAB",
        "trained on 3 of the test images",
    ]
    assert "trained on 3 of the test images" in (tmp_path / "ours" / "table.md").read_text()
    assert facts["own_draw"]


def test_a_released_list_and_a_prevalence_of_the_benchmark_are_in_notes_metrics_and_table(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join(record.id for record in RECORDS))
    feab = Feab("What?", release=str(tmp_path / "list.txt"), prevalence={1: 0.1, 9: 0.02})
    (tmp_path / "ours").mkdir()
    facts = score(tmp_path / "ours", feab, RECORDS, ANSWERS, judge.parse, tmp_path / "test.jsonl", 0)
    assert facts["notes"] == ["the 80 images of the list in benchmark.release, not the paper's 3035"]
    assert not facts["own_draw"]
    found = json.loads((tmp_path / "ours" / "metrics.json").read_text())["action_units"]["at_prevalence"]
    table = (tmp_path / "ours" / "table.md").read_text()
    line = next(line for line in table.splitlines() if line.startswith("| 1 | "))
    assert line.endswith(f"| {found['f1']['1']:.3f} | 10.0 % |")
    assert f"Mean F1 at these shares: {found['f1_mean_14']:.3f}, of 1 of the paper's 14 AUs." in table


def test_a_model_that_always_says_the_same_is_scored_and_warned_of(tmp_path: Path, capsys) -> None:
    same = describe(Labels(expression="neutral"))
    scored(tmp_path / "ours", {id_: Answer(id=id_, text=same) for id_ in ANSWERS})
    known = [row.truth.expression for row in ROWS if row.truth.expression]
    metrics = json.loads((tmp_path / "ours" / "metrics.json").read_text())
    assert metrics["expression"]["accuracy"] == pytest.approx(known.count("neutral") / len(known))
    warning = f"expression is neutral in all {len(known)} answers"
    assert f"warning: {warning}\n" in capsys.readouterr().err
    assert f"**Warning:** {warning}.\n" in (tmp_path / "ours" / "table.md").read_text()


def test_who_is_said_to_have_answered_counts_where_the_answers_do_not_say(tmp_path: Path) -> None:
    nameless = {id_: answer.model_copy(update={"model": None}) for id_, answer in ANSWERS.items()}
    facts = scored(tmp_path / "ours", nameless, models=["simulated-annotator"])
    assert facts["models"] == ["simulated-annotator"]
    assert "answers of a simulated annotator" in (tmp_path / "ours" / "table.md").read_text()


def test_the_number_that_is_told_is_the_number_that_was_scored(tmp_path: Path) -> None:
    """Of a generation that annotated six of all records, six are scored, whatever the file of records holds."""
    origin = Origins(expression="generated")
    some = {row.id: Answer(id=row.id, labels=row.labels, origin=origin, model="gpt-4o") for row in ROWS[:6]}
    (run := tmp_path / "run").mkdir()
    (tmp_path / "truth.jsonl").write_text("")
    facts = score(run, Reliability(), RECORDS, some, judge.parse, tmp_path / "truth.jsonl", 0)
    assert facts["counts"] == {"predictions": 6, "missing": len(RECORDS) - 6}
    assert "synthetic faces (6 images), not FEAB's photographs" in facts["notes"]
    assert str(len(RECORDS)) not in (run / "table.md").read_text()


def test_one_simulated_model_among_others_is_told_as_such(tmp_path: Path) -> None:
    facts = scored(tmp_path / "ours", models=("simulated-annotator",))
    assert (
        facts["notes"][-1] == "some of the answers are of a simulated annotator (simulated-annotator), not of a model"
    )


def test_records_without_an_answer_are_counted_with_a_reason(tmp_path: Path, capsys) -> None:
    gone = Answer(id=RECORDS[1].id, status="unanswered", detail="x.png changed after it was prepared")
    facts = scored(tmp_path / "ours", ANSWERS | {gone.id: gone})
    said = f"1 of {len(RECORDS)} records are scored as unanswered, such as {gone.id}: {gone.detail}"
    assert said in facts["remarks"] and said in " ".join(capsys.readouterr().err.split())
    assert "scored as unanswered" not in str(scored(tmp_path / "whole")["remarks"])
