"""The constant answer: no other one scores better on what it was fitted to, and it says what it answers."""

from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from seke.answers.extract import extract
from seke.backends.constant import Constant, constant_answer
from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, write_jsonl
from seke.core.vlm import Message, Request

UNITS = (1, 2, 4)
AFFECT = st.sampled_from([-1.0, -0.4, 0.0, 0.25, 0.9])
FACE = st.builds(
    Labels,
    expression=st.sampled_from([None, *EXPRESSIONS[:3]]),
    valence=st.none() | AFFECT,
    arousal=st.none() | AFFECT,
    action_units=st.none() | st.dictionaries(st.sampled_from(UNITS), st.booleans(), min_size=1),
)
QUESTION = Request((Message("user", ("What does this face show?",)),))


def record(number: int, labels: Labels, split: str = "train") -> ImageRecord:
    return ImageRecord(id=str(number), image="a.png", sha256=None, source="s", subject=None, split=split, labels=labels)


@given(st.lists(FACE, min_size=1, max_size=12))
def test_no_other_constant_scores_better(faces: list[Labels]) -> None:
    found = constant_answer(faces)
    named = [face.expression for face in faces if face.expression]
    if named:
        assert named.count(found.expression) == max(named.count(other) for other in EXPRESSIONS)
    for name in ("valence", "arousal"):
        values = [value for face in faces if (value := getattr(face, name)) is not None]
        if values:
            ours, *others = (fmean(abs(value - said) for value in values) for said in (getattr(found, name), *values))
            assert all(ours <= other + 1e-12 for other in others)
    for au in UNITS:
        truth = [face.action_units[au] for face in faces if face.action_units and au in face.action_units]
        if truth:
            scores = {said: f1_score(truth, [said] * len(truth), zero_division=0) for said in (True, False)}
            assert scores[found.action_units[au]] == max(scores.values())
            assert found.action_units[au] or not any(truth)  # a unit that nobody shows is no false alarm
        else:
            assert au not in (found.action_units or {})


def test_it_is_fitted_on_the_training_records_alone_and_says_what_it_answers(tmp_path: Path) -> None:
    happy, sad = Labels(expression="happiness", valence=0.5), Labels(expression="sadness", valence=-0.5)
    write_jsonl(tmp_path / "train.jsonl", [record(0, happy), record(1, happy), record(2, sad)])
    write_jsonl(tmp_path / "test.jsonl", [record(n, sad, "test") for n in range(3, 9)])
    constant = Constant(str(tmp_path / "test.jsonl"), str(tmp_path))
    [(index, reply)] = constant.reply([QUESTION])
    assert (index, reply.model, reply.cost, reply.simulated) == (0, "constant", 0.0, False)
    assert extract(reply.choices[0].text) == happy
    said, *silent = constant.remarks
    assert '"The expression is happiness. Valence is 0.5." (fitted on 3 training records)' in said
    assert silent == [f"no training record has labels of {name}: unanswered" for name in ("arousal", "action units")]


def test_a_schema_is_not_answered(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [record(0, Labels(expression="fear"))])
    asked = Request(QUESTION.messages, schema={"type": "object"}, n=2)
    [(_, reply)] = Constant(str(tmp_path / "train.jsonl"), str(tmp_path)).reply([asked])
    assert [choice.status for choice in reply.choices] == ["invalid", "invalid"]


def test_without_a_prepared_set_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"backend.train=None: no labels to fit the constant answer to"):
        list(Constant(None, str(tmp_path)).reply([QUESTION]))


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ({}, r"backend.train=.*test.jsonl: neither a file nor"),
        ({"test": [record(0, Labels(expression="fear"), "test")]}, r"backend.train=.*train.jsonl: there is no such"),
        ({"test": [], "train": [record(0, Labels())]}, r"holds no labels of the split train \(1 records\)"),
        (
            {"test": [], "train": [record(0, Labels(valence=0.1), "test")]},
            r"no labels of the split train \(0 records\)",
        ),
    ],
)
def test_without_training_labels_there_is_no_answer(tmp_path: Path, records, problem: str) -> None:
    for split, rows in records.items():
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    with pytest.raises(UserError, match=problem):
        list(Constant(str(tmp_path / "test.jsonl"), str(tmp_path)).reply([QUESTION]))
