import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.scene_datasets.emoset import EMOTIONS, EmoSet, read_annotation

from ...trees import emoset
from ..rows import by_id


def read(root, **settings):
    return by_id(EmoSet(str(root), **settings).read(root))


@pytest.fixture
def tree(tmp_path):
    emoset.make(tmp_path)
    return tmp_path


def test_the_class_is_an_attribute_and_never_an_expression(tree):
    records, _ = read(tree)
    assert {record.attributes["emotion"] for record in records.values()} == set(EMOTIONS)
    assert all(record.labels == Labels() and record.subject is None for record in records.values())


def test_all_keys_of_the_annotation_are_kept(tree):
    records, _ = read(tree)
    assert records["emoset/fear_00998"].attributes == {
        "emotion": "fear", "image_id": "fear_00998", "brightness": 0.3, "colorfulness": 0.3, "scene": "beach",
        "object": ["Toy", "Dog"], "facial_expression": "happy", "human_action": "smiling",
    }  # fmt: skip
    assert set(records["emoset/fear_00997"].attributes) == {"emotion", "image_id", "brightness", "colorfulness"}


def test_the_owners_lists_are_the_split_and_what_they_do_not_name_is_trained_on(tree):
    records, _ = read(tree)
    splits = [records[f"emoset/awe_{995 + k:05d}"].split for k in (0, 1, 2, 3, 4, 5, 6, emoset.UNLISTED)]
    assert splits == ["test", "test", "validation", *["train"] * 5]


def test_without_lists_each_picture_is_hashed(tmp_path):
    emoset.make(tmp_path, lists=False)
    records, _ = read(tmp_path, test_share=0.3, validation_share=0.3)
    assert {record.split for record in records.values()} == {"train", "validation", "test"}
    again, _ = read(tmp_path, test_share=0.3, validation_share=0.3, seed=1)
    assert [r.split for r in records.values()] != [r.split for r in again.values()]


def test_a_picture_and_an_annotation_alone_are_rejected_by_name(tree):
    _, rejected = read(tree)
    assert {id_ for id_, row in rejected.items() if row.reason == "no label"} == {
        f"emoset/{emotion}_{995 + emoset.ALONE:05d}" for emotion in EMOTIONS
    }
    assert rejected["emoset/anger_77777"].reason == "no image"
    assert "annotation/anger/anger_77777.json" in rejected["emoset/anger_77777"].detail


def test_what_only_a_list_names_is_counted(tree):
    rows = json.loads((tree / "test.json").read_text())
    rows.append(["awe", "image/awe/awe_55555.jpg", "annotation/awe/awe_55555.json"])
    (tree / "test.json").write_text(json.dumps(rows))
    _, rejected = read(tree)
    assert (rejected["emoset/awe_55555"].reason, rejected["emoset/awe_55555"].detail) == (
        "no image", "test.json: no picture image/awe/awe_55555",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"emotion": "joy"}', "'joy' is none of amusement, "),
        (b'{"emotion": "fear"}', "fear in the folder of awe"),
        (b'{"emotion": ["awe"]}', "no emotion in it"),
        (b'{"brightness": 0.4}', "no emotion in it"),
        (b'{"emotion": "awe", "brightness": NaN}', "NaN is no JSON number"),
        (b'["awe"]', "not a JSON object"),
        (b'{"emotion": "awe"', "Expecting"),
        (b'{"emotion": "caf\xe9"}', "can't decode"),
        (b"[" * 100_000, "recursion"),
        (b"", "Expecting value"),
        (b'{"emotion": "awe", "object": "\\ud800"}', "surrogates not allowed"),
        (b'{"emotion": "awe", "brightness": 1e999}', "not JSON compliant"),
        (b'{"emotion": "awe", "brightness": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"emotion": "awe", "object": "' + b"a" * 2**20 + b'"}', "not a file of an annotation"),
    ],
)
def test_a_bad_annotation_is_rejected_with_its_file(tree, content, complaint):
    (tree / "annotation" / "awe" / "awe_00996.json").write_bytes(content)
    records, rejected = read(tree)
    row = rejected["emoset/awe_00996"]
    assert row.reason == "bad label"
    assert row.detail.startswith("annotation/awe/awe_00996.json: ")
    assert complaint in row.detail
    assert len(records) == 8 * 8 - 1, "the others are read"


def test_instructions_that_emovit_wrote_over_the_list_are_recognised(tree):
    row = {"id": "00995", "image": "awe_00995.jpg", "conversations": [{"from": "human", "value": "?"}]}
    (tree / "train.json").write_text(json.dumps([row]))
    with pytest.raises(UserError, match=r"train\.json: holds EmoVIT's instruction rows"):
        read(tree)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[[", "not JSON"),
        (b"{}", "not a list of "),
        (b'[["awe", "image/awe/a.jpg", "annotation/awe/a.json"], ["awe", 3]]', "row 2 is not "),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"[" + b"9" * 5000 + b"]", "not JSON"),
    ],
)
def test_a_bad_list_names_itself(tree, content, complaint):
    (tree / "val.json").write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        read(tree)
    assert str(tree / "val.json") in str(caught.value)


def test_a_picture_in_two_lists_is_refused(tree):
    (tree / "val.json").write_text((tree / "test.json").read_text())
    with pytest.raises(UserError, match=r"test\.json: amusement_00995 stands in val\.json as well"):
        read(tree)


@pytest.mark.parametrize(
    "spelt", ["{stem}.jpg", "images/{stem}.JPG", "./{emotion}/{stem}.jpg", "data\\\\image\\\\{emotion}\\\\{stem}.jpg"]
)
def test_however_a_list_spells_its_paths_its_pictures_keep_their_side(tree, spelt):
    before, _ = read(tree)
    for name in ("train", "val", "test"):
        rows = json.loads((tree / f"{name}.json").read_text())
        for row in rows:
            stem = row[1].rpartition("/")[2].partition(".")[0]
            row[1] = spelt.format(stem=stem, emotion=row[0]).replace("\\\\", "\\")
        (tree / f"{name}.json").write_text(json.dumps(rows))
    after, _ = read(tree)
    assert {id_: row.split for id_, row in after.items()} == {id_: row.split for id_, row in before.items()}


def test_lists_may_be_called_by_any_word_of_their_side_and_no_side_has_two(tree):
    before, _ = read(tree)
    for name, other in (("val", "validation"), ("test", "Test_list"), ("train", "training")):
        (tree / f"{name}.json").rename(tree / f"{other}.json")
    assert read(tree)[0] == before
    (tree / "testing.json").write_text("[]")
    with pytest.raises(UserError, match="keep one of the two lists"):
        read(tree)


def test_a_list_of_other_pictures_is_refused(tree):
    (tree / "test.json").write_text(json.dumps([["awe", "image/awe/999.jpg", "annotation/awe/999.json"]]))
    with pytest.raises(UserError, match=r"test\.json: none of its 1 pictures is there, such as image/awe/999"):
        read(tree)


def test_a_bad_row_costs_its_picture_in_training_and_is_refused_where_it_would_be_trained_on(tree):
    rows = json.loads((tree / "train.json").read_text())
    (tree / "train.json").write_text(json.dumps([*rows, ["awe", 3]]))
    _, rejected = read(tree)
    assert [row.detail for row in rejected.values() if row.reason == "bad row"] == [
        f"train.json: row {len(rows) + 1} is not [class, image, annotation]"
    ]
    rows = json.loads((tree / "test.json").read_text())
    (tree / "test.json").write_text(json.dumps([*rows, ["awe", 3]]))
    with pytest.raises(UserError, match=rf"test\.json: row {len(rows) + 1} is not "):
        read(tree)


def test_two_pictures_of_one_name_stand_for_neither(tree):
    (tree / "image" / "fear" / "fear_00995.png").write_bytes(b"")
    records, rejected = read(tree)
    assert "emoset/fear_00995" not in records
    assert sorted(id_ for id_, row in rejected.items() if row.reason == "two files of one name") == [
        "emoset/image/fear/fear_00995.jpg", "emoset/image/fear/fear_00995.png",
    ]  # fmt: skip


def test_a_lost_list_would_mix_its_pictures_into_training(tree):
    (tree / "test.json").unlink()
    with pytest.raises(UserError, match=r"no test\.json beside train\.json, val\.json"):
        read(tree)


def test_a_lost_training_list_loses_nothing(tree):
    before, _ = read(tree)
    (tree / "train.json").unlink()
    assert read(tree)[0] == before


def test_an_archive_in_a_folder_of_its_own_is_found_with_its_lists(tmp_path):
    emoset.make(tmp_path / "EmoSet-118K")
    records, _ = read(tmp_path)
    assert records["emoset/awe_00996"].image == "EmoSet-118K/image/awe/awe_00996.JPG"
    assert records["emoset/awe_00996"].split == "test"


def test_a_half_unpacked_root_says_what_is_missing(tree):
    (tree / "annotation").rename(tree / "notes")
    with pytest.raises(UserError, match=r"no annotation/ in it, found image/"):
        EmoSet(str(tree)).inputs  # noqa: B018


def test_every_annotation_and_list_decides_the_run(tree):
    inputs = EmoSet(str(tree)).inputs
    assert len(inputs["annotations"]) == 8 * 8 + 1
    assert {name: path.name for name, path in inputs.items() if name != "annotations"} == {
        "train": "train.json", "val": "val.json", "test": "test.json",
    }  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["emotion", "expression", "valence", "action_units"]), JSON))
def test_whatever_an_annotation_says_is_kept_beside_its_emotion_or_refused(tmp_path_factory, annotation):
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps(annotation))
    try:
        found = read_annotation(file)
    except ValueError:
        return
    assert {**found, "emotion": annotation["emotion"]} == annotation
    assert found["emotion"] == annotation["emotion"].strip().lower()
