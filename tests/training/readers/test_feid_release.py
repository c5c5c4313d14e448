"""FEID's release: LLaVA rows as they are, other rows by mapped keys, and one line that shows them otherwise."""

import json

import pytest

from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.readers.feid_release import FeidRelease

from ...trees.pictures import save

LLAVA = {"id": "a", "image": "x.jpg", "conversations": [
    {"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "She."}]}  # fmt: skip
OTHER = {"name": "b", "path": "x.jpg", "meta": {"text": "Joy."}, "ask": "What?"}


def read(tmp_path, *rows, **settings):
    save(tmp_path / "x.jpg")
    (tmp_path / "notes.json").write_text(json.dumps(rows))
    return list(FeidRelease(question="Well?", **settings).read(tmp_path, tmp_path))


def test_llava_rows_are_read_as_they_are(tmp_path):
    [row] = read(tmp_path, LLAVA)
    assert row.id == "a" and row.turns == (("user", "Who?", 1), ("assistant", "She.", 0))


def test_other_rows_are_refused_with_their_keys_and_the_setting(tmp_path):
    with pytest.raises(
        UserError, match=r"data\.reader\.fields=None: .*notes\.json, row 1 lacks conversations.* name, path, meta, ask"
    ):
        read(tmp_path, OTHER)


@pytest.mark.parametrize("question", ["ask", None])
def test_mapped_rows_are_read_and_reach_inside_objects(tmp_path, question):
    fields = {"id": "name", "image": "path", "question": question, "answer": "meta.text"}
    [row] = read(tmp_path, OTHER, fields=fields)
    assert row.id == "b" and row.images == (tmp_path.resolve() / "x.jpg",)
    assert row.turns == (("user", "What?" if question else "Well?", 1), ("assistant", "Joy.", 0))


def test_a_key_that_is_not_there_shows_those_that_are(tmp_path):
    with pytest.raises(UserError, match=r"fields=\{'image': 'file', 'answer': 'ask'\}.*name, path"):
        read(tmp_path, OTHER, fields={"image": "file", "answer": "ask"})


def test_a_mapped_row_without_picture_or_answer_is_rejected(tmp_path):
    fields = {"id": "name", "image": "path", "answer": "meta.text"}
    rows = [OTHER, {**OTHER, "path": None}, {**OTHER, "meta": {}}]
    assert [getattr(found, "reason", None) for found in read(tmp_path, *rows, fields=fields)] == [
        None,
        "image",
        "answer",
    ]


def test_a_row_without_its_picture_is_rejected(tmp_path):
    [found] = read(tmp_path, {**LLAVA, "image": "gone.jpg"})
    assert isinstance(found, Rejection) and found.reason == "image"


@pytest.mark.parametrize("fields", [{"image": "path"}, {"picture": "path", "image": "path", "answer": "a"}])
def test_half_a_mapping_is_a_users_mistake(fields):
    with pytest.raises(UserError, match=r"^data\.reader\.fields"):
        FeidRelease(question="?", fields=fields)


def test_all_files_of_a_folder_are_read(tmp_path):
    (tmp_path / "DISFA").mkdir()
    (tmp_path / "DISFA" / "more.jsonl").write_text(json.dumps({**LLAVA, "id": "c"}))
    assert [row.id for row in read(tmp_path, LLAVA)] == ["a", "c"]
    with pytest.raises(UserError, match="found nothing"):
        FeidRelease(question="?").files(tmp_path / "nothing")


def tree(root, *names):
    """A folder of files of one row each, called like its file."""
    save(root / "x.jpg")
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps([{**LLAVA, "id": name}]))
    return root


@pytest.mark.parametrize(
    ("names", "trained"),
    [
        (["train.json", "val.json", "test.json"], ["train.json"]),
        (["feid_training.json", "feid-dev.json", "Validation.jsonl"], ["feid_training.json"]),
        (["train/RAF-DB.json", "train/CK.json", "test/RAF-DB.json"], ["train/CK.json", "train/RAF-DB.json"]),
        (["FEID/DISFA.json", "FEAB/DISFA.json"], ["FEID/DISFA.json"]),
        (["train.json", "tests.json", "held_out.json"], ["train.json"]),
        (["trainval.json", "HeldOut/x.json", "evaluate/y.json", "minival.json"], ["trainval.json"]),
        (["TrainSet.json", "ValSet.json", "testing.json"], ["TrainSet.json"]),
        (["constrained.json", "latest.json", "valence.json"], ["constrained.json", "latest.json", "valence.json"]),
    ],
)
def test_files_of_other_sides_are_not_trained_on_but_told(tmp_path, names, trained):
    reader = FeidRelease(question="?")
    found = list(reader.read(tree(tmp_path, *names), tmp_path))
    assert [row.id for row in found if not isinstance(row, Rejection)] == trained
    left_out = {row.id.removeprefix("left out: ") for row in found if isinstance(row, Rejection)}
    assert left_out == set(names) - set(trained)
    assert len(reader.files(tmp_path)) == len(trained)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train.json", "more.json"], "1 of 2 files tell no side"),
        (["more.json", "test.json"], "1 of 2 files tell no side"),
        (["test.json", "val/a.json"], "all files are held out: test.json, val/a.json"),
        (["train.json", "train.jsonl"], "train.json stands beside a .jsonl of its name"),
    ],
)
def test_a_folder_whose_sides_are_not_clear_is_refused(tmp_path, names, said):
    with pytest.raises(UserError, match=f"^data.path=.*{said}"):
        FeidRelease(question="?").files(tree(tmp_path, *names))


def test_a_held_out_file_that_is_named_is_read(tmp_path):
    tree(tmp_path, "test.json")
    assert [row.id for row in FeidRelease(question="?").read(tmp_path / "test.json", tmp_path)] == ["test.json"]


def test_a_first_row_that_is_broken_does_not_stand_for_its_file(tmp_path):
    save(tmp_path / "x.jpg")
    file = tmp_path / "rows.jsonl"
    file.write_text("{broken\n[]\n" + json.dumps(LLAVA))
    assert [getattr(row, "reason", row.id) for row in FeidRelease(question="?").read(file, tmp_path)] == ["json", "a"]


@pytest.mark.parametrize(
    "odd", [{"path": ["x.jpg", 3]}, {"path": {"a": 1}}, {"ask": 5}, {"meta": "Joy."}, {"meta": []}]
)
def test_an_odd_mapped_row_is_rejected(tmp_path, odd):
    fields = {"id": "name", "image": "path", "question": "ask", "answer": "meta.text"}
    good, bad = read(tmp_path, OTHER, {**OTHER, **odd}, fields=fields)
    assert good.id == "b" and isinstance(bad, Rejection) and "NoneType" not in bad.detail
