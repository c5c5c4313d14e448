"""The scene sets that EmoVIT is tested across: FI, Emotion6 and WEBEmo."""

import pytest
import yaml

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection
from seke.sources.scene_datasets.emoset import EMOTIONS
from seke.sources.scene_datasets.emotion6 import FEELINGS, Emotion6
from seke.sources.scene_datasets.fi import FI
from seke.sources.scene_datasets.webemo import FAMILIES, WEBEmo

from ...trees import emotion6, fi, webemo
from ...trees.pictures import save

SAME = {emotion: emotion for emotion in EMOTIONS}
SIX = {"anger": "anger", "disgust": "disgust", "fear": "fear", "sadness": "sadness", "joy": "amusement"}
FEW = {"affection": "contentment", "rage": "anger", "shame": None}


def read(source):
    rows = list(source.read(source.root))
    records = {row.id: row for row in rows if isinstance(row, ImageRecord)}
    rejected = {row.id: row for row in rows if isinstance(row, Rejection)}
    assert len(records) + len(rejected) == len(rows), "ids are unique"
    assert all(record.labels == Labels() and record.subject is None for record in records.values())
    return records, rejected


@pytest.mark.parametrize(("name", "own"), [("fi", EMOTIONS), ("emotion6", FEELINGS), ("webemo", tuple(FAMILIES))])
def test_the_shipped_class_maps_name_every_class(name, own, request):
    settings = yaml.safe_load((request.config.rootpath / "conf" / "source" / f"{name}.yaml").read_text())
    assert tuple(sorted(settings["classes"])) == tuple(sorted(own))
    assert {emotion for emotion in settings["classes"].values() if emotion} <= set(EMOTIONS)


def test_a_class_map_of_unknown_classes_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"source\.classes=glee: no class of fi"):
        FI(str(tmp_path), {"glee": "awe"})
    with pytest.raises(UserError, match=r"source\.classes\.joy=happiness: none of the eight"):
        Emotion6(str(tmp_path), {"joy": "happiness"})


def test_fi_pictures_are_named_by_their_folder(tmp_path):
    fi.make(tmp_path)
    records, rejected = read(FI(str(tmp_path), SAME))
    assert not rejected
    assert len(records) == 16
    found = records["fi/emotion_dataset/awe/a_1"]
    assert found.attributes == {"emotion": "awe", "class": "awe"}
    assert found.image == "emotion_dataset/awe/a_1.jpg"


def test_fi_split_folders_are_the_split_and_without_them_each_picture_is_hashed(tmp_path):
    for part in ("train", "val", "test"):
        fi.make(tmp_path / "split", within=f"FI/{part}")
    records, _ = read(FI(str(tmp_path / "split"), SAME))
    parts = {record.image.split("/")[1]: record.split for record in records.values()}
    assert parts == {"train": "train", "val": "validation", "test": "test"}
    fi.make(tmp_path / "flat")
    records, _ = read(FI(str(tmp_path / "flat"), SAME, test_share=0.4, validation_share=0.4))
    assert {record.split for record in records.values()} == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("folder", "side"),
    [
        ("testing", "test"), ("Test", "test"), ("test_set", "test"), ("TESTSET", "test"), ("tst", "test"),
        ("eval", "test"), ("FI-test", "test"), ("TestImages", "test"), ("held_out", "test"), ("PrivateTest", "test"),
        ("valid", "validation"), ("dev", "validation"), ("val_set", "validation"), ("PublicTest", "validation"),
        ("Validation", "validation"), ("training2", "train"),
    ],
)  # fmt: skip
def test_a_folder_of_any_known_word_is_that_side(tmp_path, folder, side):
    fi.make(tmp_path, within="train")
    fi.make(tmp_path, within=folder)
    records, _ = read(FI(str(tmp_path), SAME))
    assert {row.split for row in records.values() if row.image.startswith(f"{folder}/")} == {side}


def test_a_folder_beside_a_split_that_names_none_is_refused_until_it_is_said(tmp_path):
    for within in ("train", "unseen"):
        fi.make(tmp_path, within=within)
    with pytest.raises(
        UserError, match=r"the folder unseen \(beside train\) .*; say so with 'source\.splits=\{unseen: test\}"
    ):
        read(FI(str(tmp_path), SAME))
    records, _ = read(FI(str(tmp_path), SAME, splits={"Unseen": "test"}))
    assert {(row.image.partition("/")[0], row.split) for row in records.values()} == {
        ("train", "train"), ("unseen", "test"),
    }  # fmt: skip
    with pytest.raises(
        UserError, match=r"source\.splits\.unseen=testing: no split; use train, validation, test or null"
    ):
        FI(str(tmp_path), SAME, splits={"unseen": "testing"})


def test_two_folders_of_classes_that_say_nothing_need_a_word(tmp_path):
    for within in ("flickr", "instagram"):
        fi.make(tmp_path, within=within)
    with pytest.raises(UserError, match=r"the folder flickr \(one of 2 that hold classes\)"):
        read(FI(str(tmp_path), SAME))
    records, _ = read(FI(str(tmp_path), SAME, splits={"flickr": None, "instagram": "test"}))
    assert {row.split for row in records.values() if row.image.startswith("instagram/")} == {"test"}


def test_fi_counts_pictures_outside_its_classes_and_keeps_files_of_one_stem_apart(tmp_path):
    fi.make(tmp_path)
    save(tmp_path / "emotion_dataset" / "joy" / "1.jpg")
    save(tmp_path / "emotion_dataset" / "awe" / "a_1.png")
    records, rejected = read(FI(str(tmp_path), SAME))
    assert list(rejected) == ["fi/emotion_dataset/joy/1.jpg"]
    assert {"fi/emotion_dataset/awe/a_1.png", "fi/emotion_dataset/awe/a_1.jpg"} <= set(records)


def test_fi_without_class_folders_says_what_it_looked_for(tmp_path):
    save(tmp_path / "joy" / "1.jpg")
    with pytest.raises(UserError, match="no pictures in folders amusement, anger, awe"):
        read(FI(str(tmp_path), SAME))


@pytest.fixture
def six(tmp_path):
    emotion6.make(tmp_path)
    return tmp_path


def test_emotion6_counts_what_was_felt_not_the_word_it_was_found_by(six):
    records, _ = read(Emotion6(str(six), SIX))
    assert records["emotion6/joy/1"].attributes["emotion"] == "amusement"
    assert records["emotion6/joy/3"].attributes["emotion"] == "fear"
    told = records["emotion6/disgust/1"].attributes
    assert (told["class"], told["valence_1_to_9"], told["arousal_1_to_9"]) == ("disgust", 2.5, 3.8)
    assert told["shares"]["disgust"] == 0.7


def test_emotion6_rejects_what_has_no_class_no_row_and_no_picture(six):
    records, rejected = read(Emotion6(str(six), SIX))
    assert len(records) + len(rejected) == 19
    assert {id_ for id_, row in rejected.items() if row.reason == "no class"} == {
        *(f"emotion6/{word}/2" for word in emotion6.KEYWORDS), "emotion6/surprise/1",
    }  # fmt: skip
    assert rejected["emotion6/surprise/3"].reason == "no label"
    assert rejected["emotion6/joy/9"].reason == "no image"
    assert "ground_truth.txt, line 19" in rejected["emotion6/joy/9"].detail


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("anger/1.jpg\t2.5\t3.8\t0.4\t0.4\t0\t0\t0.2\t0\t0", "anger and disgust were chosen equally often"),
        ("anger/1.jpg\t2.5\t3.8\t0.4", "not 10 columns"),
        ("anger/1.jpg\t2.5\t3.8\tx\t0.4\t0\t0\t0.2\t0\t0", "not 10 columns"),
    ],
)
def test_emotion6_rejects_a_bad_row_with_its_line(six, line, complaint):
    (six / "ground_truth.txt").write_text(f"{emotion6.HEADER}\n{line}\n")
    _, rejected = read(Emotion6(str(six), SIX))
    assert rejected["emotion6/anger/1"].reason == "bad label"
    assert rejected["emotion6/anger/1"].detail.startswith("ground_truth.txt, line 2: ")
    assert complaint in rejected["emotion6/anger/1"].detail


def test_webemo_lists_are_split_and_class(tmp_path):
    webemo.make(tmp_path)
    records, rejected = read(WEBEmo(str(tmp_path), FEW, validation_share=0.0))
    assert {id_: row.split for id_, row in records.items()} == {
        **{f"webemo/220_F_{label}{number}": "train" for label in ("00", "17") for number in (0, 1)},
        "webemo/220_F_002": "test", "webemo/220_F_172": "test", "webemo/220_F_flat": "train",
    }  # fmt: skip
    assert records["webemo/220_F_002"].attributes == {
        "emotion": "contentment", "class": "affection", "family": "love", "positive": True,
    }  # fmt: skip
    assert records["webemo/220_F_flat"].image == "flat/17_220_F_flat.jpg"
    assert rejected["webemo/220_F_gone"].reason == "no image"
    assert [row.reason for row in rejected.values()].count("no class") == 3


def test_webemo_without_lists_goes_by_folders(tmp_path):
    webemo.make(tmp_path, lists=False)
    save(tmp_path / "validation" / "rage" / "1.jpg")
    records, _ = read(WEBEmo(str(tmp_path), FEW))
    assert records["webemo/test/17/220_F_172"].split == "test"
    assert records["webemo/train/0/220_F_000"].attributes["class"] == "affection"
    assert records["webemo/validation/rage/1"].split == "validation"


def numbered_folders(root, numbers):
    for number in numbers:
        save(root / "train" / str(number) / f"{number}.jpg")


@pytest.mark.parametrize(
    ("numbers", "complaint"),
    [
        (range(2), "0 to 1: WEBEmo's 2 classes"), (range(6), "0 to 5: WEBEmo's 6 classes"),
        (range(1, 26), "1 to 25, where the 25 classes go from 0 to 24"), (range(1, 25), "1 to 24, where"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lists", [True, False])
def test_webemo_numbers_of_another_convention_are_refused(tmp_path, numbers, complaint, lists):
    numbered_folders(tmp_path, numbers)
    if lists:
        rows = "".join(f"{webemo.address(str(number))} {number}\n" for number in numbers if number < 25)
        (tmp_path / "train25.txt").write_text(rows)
        (tmp_path / "test25.txt").write_text("")
    if lists and max(numbers) > 24:
        complaint = "1 to 24, where"
    with pytest.raises(UserError, match=complaint):
        read(WEBEmo(str(tmp_path), FEW))


def test_webemo_lists_what_no_list_names_and_what_is_there_twice(tmp_path):
    webemo.make(tmp_path)
    save(tmp_path / "more" / "220_F_000.jpg")
    save(tmp_path / "more" / "220_F_extra.jpg")
    (tmp_path / "train25.txt").write_text((tmp_path / "train25.txt").read_text() + "junk\n")
    records, rejected = read(WEBEmo(str(tmp_path), FEW))
    assert "webemo/220_F_000" not in records
    assert "is there more than once: more/220_F_000.jpg, train/0/220_F_000.jpg" in rejected["webemo/220_F_000"].detail
    assert rejected["webemo/more/220_F_extra.jpg"].reason == "no label"
    assert [row.id for row in rejected.values() if row.reason == "bad row"] == ["webemo/train25.txt, line 9"]


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (emotion6.HEADER.replace("anger", "x").replace("joy", "anger").replace("x", "joy"), "its columns are valence"),
        ("image prob_anger prob_disgust prob_fear prob_joy prob_sadness prob_surprise prob_neutral valence arousal",
         "its columns are anger, disgust, fear, joy, sadness, surprise, neutral, valence, arousal; expected are"),
        (emotion6.row("anger/1.jpg", 0), "a row where the names of the columns should be"),
    ],
)  # fmt: skip
def test_emotion6_columns_of_another_order_are_refused_by_their_header(six, header, complaint):
    table = six / "ground_truth.txt"
    table.write_text(table.read_text().replace(emotion6.HEADER, header))
    with pytest.raises(UserError, match=complaint):
        read(Emotion6(str(six), SIX))


def test_emotion6_columns_of_another_order_are_refused_by_their_range(six):
    table = six / "ground_truth.txt"
    rows = table.read_text().splitlines()[1:]
    moved = ["\t".join([name, *cells[2:], *cells[:2]]) for name, *cells in (row.split("\t") for row in rows)]
    table.write_text("\n".join(["a b c d e f g h i j", *moved]))
    with pytest.raises(UserError, match=r"17 of 18 rows have numbers out of range: are its columns in another order"):
        read(Emotion6(str(six), SIX))


@pytest.mark.parametrize("row", ["anger/1.jpg 0.5 3.8 1 0 0 0 0 0 0", "anger/1.jpg 5 3.8 0.5 0 0 0 0 0 0"])
def test_emotion6_one_row_out_of_range_is_rejected_alone(six, row):
    table = six / "ground_truth.txt"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], row, *lines[2:], lines[3]]))
    _, rejected = read(Emotion6(str(six), SIX))
    assert "out of range" in rejected["emotion6/anger/1"].detail


@pytest.mark.parametrize("line", ["https://x/1.jpg 25", "https://x/1.jpg", "https://x/1.jpg love", "7"])
def test_webemo_a_bad_line_names_itself(tmp_path, line):
    webemo.make(tmp_path)
    (tmp_path / "test25.txt").write_text(f"{webemo.address('a')} 3\n{line}\n")
    with pytest.raises(UserError, match=r"test25\.txt, line 2: not an address and a class from 0 to 24"):
        read(WEBEmo(str(tmp_path), FEW))
