"""FABA-Instruct's rows: `<image>` after the question, a prefix that may not be on disk, labels in eval rows only."""

import pytest

from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.readers.faba import Faba
from seke.training.readers.row import Row

from ...trees import faba


def read(path, root, keep="all", **settings):
    return list(Faba(**settings).read(path, root, keep))


@pytest.mark.parametrize("root", [".", "FABAInstruct", "FABAInstruct/train"])
def test_pictures_are_found_with_and_without_the_first_folders(tmp_path, root):
    faba.make(tmp_path)
    rows = [row for row in read(tmp_path / root, tmp_path / root) if isinstance(row, Row)]
    assert len(rows) == 8
    assert all(row.turns[0] in (("user", "What is the emotion of this face?", 1),
                                ("user", "Which action units are active?", 1)) for row in rows)  # fmt: skip


def test_a_missing_picture_rejects_its_row(tmp_path):
    faba.make(tmp_path)
    [gone] = [row for row in read(tmp_path, tmp_path) if isinstance(row, Rejection)]
    assert gone.reason == "image" and gone.id == "AffectNet/train/images/AffectNet/gone"


def test_only_eval_rows_have_labels(tmp_path):
    faba.make(tmp_path)
    emotions = {"annotations": ["eval_emotion_anno.json"]}
    assert {row.turns[1].text for row in read(tmp_path, tmp_path, "expression", **emotions)} == {
        "The expression is happiness."
    }
    assert all(isinstance(row, Rejection) for row in read(tmp_path, tmp_path, "expression"))


def test_a_list_of_active_units_is_no_answer_about_units(tmp_path):
    faba.make(tmp_path)
    found = read(tmp_path, tmp_path, "au", annotations=["eval_au_anno.json"])
    assert {row.reason for row in found} == {"keep"} and "only active" in found[0].detail


def test_a_folder_without_annotations_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no train_emotion_anno\.json or train_au_anno\.json in it, found nothing"):
        Faba().files(tmp_path)
