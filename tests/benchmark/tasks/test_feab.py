"""From answers to predictions: judged, paired with the truth, nothing lost and nothing invented."""

import json
from pathlib import Path

import pytest

from seke.answers.extract import describe
from seke.benchmark.answer import Answer
from seke.benchmark.judging import judge
from seke.benchmark.run.import_predictions import read
from seke.benchmark.tasks.feab import Feab
from seke.benchmark.tasks.reliability import Reliability, generated
from seke.core.errors import UserError
from seke.core.records import ImageRecord, InstructionRecord, Labels, Origins, Turn, Uncertainty, write_jsonl

FEAB, RELIABILITY = Feab(question="What?"), Reliability()
SAID = Labels(expression="fear", valence=-0.5, arousal=0.5, action_units={1: True, 2: False})


def record(id_: str, labels: Labels = SAID) -> ImageRecord:
    return ImageRecord(
        id=id_, image=f"{id_}.png", sha256="0", source="disfa", subject="s1", split="test", labels=labels
    )


def instruction(id_: str, labels: Labels, origin: Origins) -> InstructionRecord:
    turns = (Turn(speaker="human", value="<image>\nWhat?"), Turn(speaker="gpt", value=describe(labels)))
    return InstructionRecord(
        id=id_,
        image=f"{id_}.png",
        source="disfa",
        subject="s1",
        conversations=turns,
        labels=labels,
        origin=origin,
        uncertainty=Uncertainty(),
        samples=2,
        annotator="simulated-annotator",
    )


def test_parse_reads_the_text_and_tells_silence_from_refusal() -> None:
    assert judge.parse(Answer(id="a", text=describe(SAID))) == (SAID, None, "ok")
    assert judge.parse(Answer(id="a", text="")) == (Labels(), None, "unanswered")
    assert judge.parse(Answer(id="a", text="A drawing of a face.")) == (Labels(), None, "unanswered")
    assert judge.parse(Answer(id="a", text=describe(SAID), status="truncated")) == (SAID, None, "truncated")
    assert judge.parse(Answer(id="a", text=describe(SAID), status="refusal")) == (Labels(), None, "refusal")


def test_labels_given_without_a_text_are_taken_as_they_stand() -> None:
    assert judge.parse(Answer(id="a", labels=SAID)) == (SAID, None, "ok")
    assert judge.parse(Answer(id="a", text="Valence is 0.1.", labels=SAID)).labels == Labels(valence=0.1)


def test_rows_of_predictions_and_of_instructions_are_answers(tmp_path: Path) -> None:
    rows, _ = FEAB.predictions([record("a")], {"a": Answer(id="a", text=describe(SAID))}, judge.parse)
    write_jsonl(tmp_path / "predictions.jsonl", rows)
    again, _ = FEAB.predictions([record("a")], read(tmp_path / "predictions.jsonl", {"a"}).answers, judge.parse)
    assert again == rows
    write_jsonl(tmp_path / "instructions.jsonl", [instruction("a", SAID, Origins(expression="manual"))])
    answer = read(tmp_path / "instructions.jsonl", {"a"}).answers["a"]
    assert (answer.labels, answer.model, answer.text) == (SAID, "simulated-annotator", "")


def test_an_outsiders_row_needs_an_id_and_a_text_only(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"id": "a", "text": describe(SAID), "temperature": 1}) + "\n")
    assert judge.parse(read(tmp_path / "p.jsonl", {"a"}).answers["a"]).labels == SAID


def test_reliability_scores_generated_labels_only() -> None:
    truth = Labels(expression="anger", valence=-0.4, arousal=0.6, action_units={1: False, 2: True, 4: True})
    labels = Labels(expression="anger", valence=-0.1, arousal=0.6, action_units={1: False, 2: False, 4: True})
    origin = Origins(
        expression="manual", valence="generated", arousal="manual", action_units={"1": "manual", "2": "generated"}
    )
    answers = {"a": Answer(id="a", labels=labels, origin=origin)}
    rows, left_out = RELIABILITY.predictions([record("a", truth), record("b", truth)], answers, judge.parse)
    assert left_out == 1
    assert [(row.id, row.labels, row.truth) for row in rows] == [
        ("a", Labels(valence=-0.1, action_units={2: False}), Labels(valence=-0.4, action_units={2: True}))
    ]


def test_nothing_generated_is_nothing_to_score() -> None:
    assert generated(SAID, Origins(expression="manual")) == Labels()
    with pytest.raises(UserError, match="does not say where its labels come from"):
        RELIABILITY.predictions([record("a")], {"a": Answer(id="a", labels=SAID)}, judge.parse)
    with pytest.raises(UserError, match="no record was annotated"):
        RELIABILITY.predictions([record("a")], {}, judge.parse)
