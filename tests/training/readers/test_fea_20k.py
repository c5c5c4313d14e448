"""FEA-20K's rows: question and description, labels of the eight, and action units whose absence nobody noted."""

from seke.core.records import Rejection
from seke.training.readers.fea_20k import Fea20k
from seke.training.readers.row import Row

from ...trees import fea_20k


def read(root, keep="all"):
    return list(Fea20k().read(root, root, keep))


def test_question_and_description_become_a_conversation(tmp_path):
    fea_20k.make(tmp_path)
    rows = [row for row in read(tmp_path) if isinstance(row, Row)]
    assert [row.id for row in rows] == [f"fea_{k}" for k in range(5)]
    assert rows[2].turns == (("user", "What does this face show?", 1), ("assistant", "Description 2.", 0))
    assert Fea20k().files(tmp_path) == [tmp_path / "train.json"]


def test_one_emotion_of_the_eight_is_a_label(tmp_path):
    fea_20k.make(tmp_path)
    kept = {row.id: row.turns[1].text for row in read(tmp_path, "expression") if isinstance(row, Row)}
    assert kept == {"fea_0": "The expression is sadness.", "fea_1": "The expression is happiness."}


def test_units_that_are_not_listed_are_unknown_not_absent(tmp_path):
    fea_20k.make(tmp_path)
    found = read(tmp_path, "au")
    assert all(isinstance(row, Rejection) for row in found)
    assert {row.detail for row in found if row.reason == "keep"} == {
        "only active action units are given, which others are absent is not known"
    }


def test_a_missing_picture_rejects_its_row(tmp_path):
    fea_20k.make(tmp_path)
    assert [(row.id, row.reason) for row in read(tmp_path) if isinstance(row, Rejection)] == [("fea_99", "image")]
