"""Rows: what is read, what `keep` rewrites, what is refused, how a mixture is weighed."""

import json

import pytest
from PIL import Image

from seke.answers import describe, extract
from seke.errors import UserError
from seke.records import Labels, RecordError, Rejection
from seke.tuning.data import KEPT, Data, Row, read_rows

LABELS = {"expression": "happiness", "valence": 0.5, "arousal": -0.25, "action_units": {"6": True, "12": False}}


@pytest.fixture
def root(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    return tmp_path


def conversation(**changes):
    row = {"id": "1", "image": "a.png", "labels": LABELS, "conversations": [
        {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Said."}]}  # fmt: skip
    return {**row, **changes}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_reads_jsonl_and_json_alike(root):
    lines = write(root / "x.jsonl", conversation(), conversation(id=7))
    whole = root / "x.json"
    whole.write_text(json.dumps([conversation(), conversation(id=7)]))
    one, other = list(read_rows(lines, root)), list(read_rows(whole, root))
    assert one == other
    assert [row.id for row in one] == ["1", "7"]
    assert one[0].turns == (("user", "What?", 1), ("assistant", "Said.", 0))
    assert one[0].images == ((root / "a.png").resolve(),)


@pytest.mark.parametrize("keep", list(KEPT))
def test_keep_rewrites_the_answer_to_one_description(root, keep):
    [row] = read_rows(write(root / "x.jsonl", conversation()), root, keep)
    kept = Labels(**{name: getattr(Labels.model_validate(LABELS), name) for name in KEPT[keep]})
    assert row.turns[-1].text == describe(kept)
    assert extract(row.turns[-1].text) == kept
    assert row.turns[0].text == "What?"


def test_a_row_without_the_kept_description_is_rejected_not_dropped(root):
    file = write(root / "x.jsonl", conversation(labels={**LABELS, "action_units": None}))
    assert [type(found) for found in read_rows(file, root, "au")] == [Rejection]


def test_text_only_and_several_images(root):
    two = conversation(image=["a.png", "a.png"])
    two["conversations"] = [{"from": "human", "value": "<image>\n<image>\nSame?"}, {"from": "gpt", "value": "Yes."}]
    none = {"id": "t", "conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hi."}]}
    unplaced = conversation(conversations=[{"from": "human", "value": "What?"}, {"from": "gpt", "value": "Said."}])
    rows = list(read_rows(write(root / "x.jsonl", two, none, unplaced), root))
    assert [row.turns[0].images for row in rows] == [2, 0, 1]


@pytest.mark.parametrize("image", ["missing.png", "../../etc/passwd"])
def test_a_missing_or_escaping_image_is_rejected(root, image):
    [found] = read_rows(write(root / "x.jsonl", conversation(image=image)), root)
    assert isinstance(found, Rejection) and found.reason == "image"


NOT_CONVERSATIONS = (
    "{",
    '{"id": 1}',
    '{"conversations": []}',
    '{"conversations": [{"from": "cat", "value": ""}]}',
    '{"conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "x"}]}',
)


@pytest.mark.parametrize("broken", NOT_CONVERSATIONS)
def test_a_broken_row_names_file_and_line(root, broken):
    file = root / "x.jsonl"
    file.write_text(json.dumps(conversation()) + "\n" + broken + "\n")
    with pytest.raises(RecordError, match=r"x\.jsonl.*line"):
        list(read_rows(file, root))


def test_weights_repeat_and_sample_a_source(root):
    file = write(root / "x.jsonl", *[conversation(id=str(k)) for k in range(10)])
    data = Data(mixture=[{"path": str(file), "weight": 2.5}])
    rows, rejected = data.read(data.sources(root))
    again, _ = data.read(data.sources(root))
    assert len(rows) == 25 and not rejected and rows == again
    assert all(isinstance(row, Row) for row in rows)
    assert {row.id for row in rows} == {str(k) for k in range(10)}


WRONG_SETTINGS = (
    {"path": None},
    {"path": "a", "mixture": [{"path": "b"}]},
    {"mixture": [{"path": "b", "weight": 0}]},
    {"path": "a", "keep": "aus"},
    {"path": "a", "label_mask": "all"},
    {"path": "a", "cache": "yes"},
)


@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
def test_wrong_settings_are_users_mistakes(wrong):
    with pytest.raises(UserError, match=r"^data\."):
        Data(**wrong)


def test_a_run_that_is_not_there_is_named(root):
    with pytest.raises(UserError, match=r"data\.path=nothing.*generate"):
        Data(path="nothing").sources(root)
