"""The scene sets that EmoVIT is tested across: FI, Emotion6 and WEBEmo."""

import pytest
import yaml

from seke.errors import UserError
from seke.records import ImageRecord, Labels, Rejection
from seke.sources.emoset import EMOTIONS
from seke.sources.emotion6 import FEELINGS, Emotion6
from seke.sources.fi import FI
from seke.sources.webemo import FAMILIES, WEBEmo

from ..trees import emotion6, fi, webemo
from ..trees.pictures import save

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


@pytest.mark.parametrize("line", ["https://x/1.jpg 25", "https://x/1.jpg", "https://x/1.jpg love", "7"])
def test_webemo_a_bad_line_names_itself(tmp_path, line):
    webemo.make(tmp_path)
    (tmp_path / "test25.txt").write_text(f"{webemo.address('a')} 3\n{line}\n")
    with pytest.raises(UserError, match=r"test25\.txt, line 2: not an address and a class from 0 to 24"):
        read(WEBEmo(str(tmp_path), FEW))
