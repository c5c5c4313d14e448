"""EmoVIT's rows: the picture comes first and is found wherever EmoSet lies, residues go, and nothing is labelled."""

import pytest

from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.readers.emovit import Emovit
from seke.training.readers.row import Row

from ...trees import emovit


def read(tmp_path, keep="all"):
    return list(Emovit().read(tmp_path / "EmoVIT", tmp_path / "EmoSet", keep))


@pytest.mark.parametrize("images", ["image/{cls}/{file}", "{cls}/{file}", "{file}"])
def test_the_picture_comes_first_wherever_it_lies(tmp_path, images):
    emovit.make(tmp_path, images=images)
    rows = [row for row in read(tmp_path) if isinstance(row, Row)]
    assert len(rows) == 24 and all(row.turns[0].images == 1 for row in rows)
    assert {row.images[0].name for row in rows} == {f"{c}_{k:05d}.jpg" for c in emovit.CLASSES for k in range(4)}


def test_only_the_residue_at_an_answers_end_goes(tmp_path):
    emovit.make(tmp_path)
    assert {row.turns[1].text for row in read(tmp_path) if isinstance(row, Row)} == {
        "A Complex of colours.", *(f"Predict emotion: {cls}" for cls in emovit.CLASSES)
    }  # fmt: skip


def test_ids_tell_the_classes_apart(tmp_path):
    emovit.make(tmp_path)
    found = read(tmp_path)
    assert len({row.id for row in found}) == len(found)
    assert all(row.id.startswith(row.images[0].stem) for row in found if isinstance(row, Row))


def test_a_missing_picture_rejects_its_row(tmp_path):
    emovit.make(tmp_path)
    [gone] = [row for row in read(tmp_path) if isinstance(row, Rejection)]
    assert gone.id.startswith("awe_99999") and gone.reason == "image"


def test_its_classes_are_no_expressions(tmp_path):
    emovit.make(tmp_path)
    assert all(isinstance(row, Rejection) for row in read(tmp_path, "expression"))


def test_emosets_own_list_is_not_taken_for_instructions(tmp_path):
    emovit.make(tmp_path)
    with pytest.raises(UserError, match=r"val\.json.*EmoSet's list"):
        list(Emovit().read(tmp_path / "EmoVIT" / "emo" / "val.json", tmp_path / "EmoSet"))


def test_the_file_is_found_in_the_folder_or_missed_by_name(tmp_path):
    emovit.make(tmp_path)
    assert Emovit().files(tmp_path / "EmoVIT") == [tmp_path / "EmoVIT" / "emo" / "train.json"]
    with pytest.raises(UserError, match=r"no train\.json in it, found image/"):
        Emovit().files(tmp_path / "EmoSet")
