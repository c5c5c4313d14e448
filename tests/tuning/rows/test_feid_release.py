"""FEID's release: LLaVA rows as they are, other rows by mapped keys, and one line that shows them otherwise."""

import json

import pytest

from seke.errors import UserError
from seke.records import Rejection
from seke.tuning.rows.feid_release import FeidRelease

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
