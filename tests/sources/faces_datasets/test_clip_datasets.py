"""DFEW, MAFW, RAVDESS and CREMA-D: folds, labels and subjects as shipped, clips shown whole or rejected by name."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection, read_jsonl
from seke.sources.faces_datasets.crema_d import CremaD
from seke.sources.faces_datasets.dfew import CODES, DFEW
from seke.sources.faces_datasets.mafw import MAFW
from seke.sources.faces_datasets.ravdess import RAVDESS
from seke.sources.prepare.prepare import listed, write

from ...trees import crema_d, dfew, mafw, ravdess
from ...trees.merr_fine import film


def prepared(source, folder: Path) -> tuple[list[ImageRecord], dict[str, Rejection]]:
    """Return the records of all splits, and rejections by id."""
    run = folder / "outputs" / "prepare" / "toy"
    run.mkdir(parents=True)
    write(source, run)
    records = [
        row for split in ("train", "validation", "test") for row in read_jsonl(run / f"{split}.jsonl", ImageRecord)
    ]
    return records, {row.id: row for row in read_jsonl(run / "rejected.jsonl", Rejection)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_dfews_fold_tests_its_list_and_trains_on_the_others(root: Path, tmp_path: Path) -> None:
    dfew.make(root)
    records, rejected = prepared(DFEW(str(root), fold=2, shown=3, rate=25.0), tmp_path)
    assert {row.id: row.split == "test" for row in records} == {
        f"dfew/{k:05d}": dfew.fold_of(k) == 2 for k in dfew.LABELS if k not in (dfew.GONE, 15)
    }
    assert all(row.labels.expression == CODES[dfew.LABELS[int(row.id[-5:])]] for row in records)
    assert all(row.attributes["fold"] == dfew.fold_of(int(row.id[-5:])) for row in records)
    one = records[0]
    assert one.clip is not None and len(one.clip.frames) == 3 and one.image == one.clip.frames[1]
    assert one.clip.times == (0.0, 0.08, 0.16)
    assert {id_: row.reason for id_, row in rejected.items()} == {"dfew/00014": "no image", "dfew/00015": "no label"}


def test_dfews_folds_together_are_every_clip_as_test(root: Path, tmp_path: Path) -> None:
    dfew.make(root, layout="videos")
    records, _ = prepared(DFEW(str(root), fold="all", shown=2), tmp_path)
    assert {row.split for row in records} == {"test"} and len(records) == 13
    assert Counter(row.attributes["fold"] for row in records) == {1: 3, 2: 3, 3: 3, 4: 2, 5: 2}
    assert all(row.clip and row.clip.file and row.clip.times and row.image.startswith("frames/") for row in records)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda clip: (clip / f"{clip.name}_00003.jpg").unlink(), "its folder has gaps: no frame 3"),
        (lambda clip: (clip / f"{clip.name}_00005.jpg").write_bytes(b"x"), "00001_00005.jpg is no picture"),
        (
            lambda clip: Image.new("RGB", (20, 30)).save(clip / f"{clip.name}_00005.jpg"),
            "changes its size from 48 x 48",
        ),
        (lambda clip: [(clip / f"{clip.name}_{k:05d}.jpg").unlink() for k in range(2, 6)], "it has 1 frame: no clip"),
        (lambda clip: [path.unlink() for path in clip.iterdir()], "its folder holds no numbered pictures"),
    ],
)
def test_a_folder_that_is_no_clip_is_rejected_by_name(root: Path, tmp_path: Path, spoil, problem: str) -> None:
    dfew.make(root)
    spoil(root / "Clip" / "clip_224x224" / "00001")
    records, rejected = prepared(DFEW(str(root), shown=5), tmp_path)
    assert rejected["dfew/00001"].reason == "clip" and problem in rejected["dfew/00001"].detail
    assert "dfew/00001" not in {row.id for row in records} and len(records) == 12


def test_a_video_that_does_not_decode_is_rejected_by_name(root: Path, tmp_path: Path) -> None:
    dfew.make(root, layout="videos")
    (root / "Clip" / "original" / "2.mp4").write_bytes(b"no video")
    whole = (root / "Clip" / "original" / "3.mp4").read_bytes()
    (root / "Clip" / "original" / "3.mp4").write_bytes(whole[: len(whole) // 2])
    records, rejected = prepared(DFEW(str(root), fold="all"), tmp_path)
    assert {rejected[f"dfew/0000{k}"].reason for k in (2, 3)} == {"clip"} and len(records) == 11


def test_a_video_behind_a_link_out_of_the_root_is_not_read(root: Path, tmp_path: Path) -> None:
    dfew.make(root, layout="videos")
    film(tmp_path / "mine.mp4", 5)
    (root / "Clip" / "original" / "2.mp4").unlink()
    (root / "Clip" / "original" / "2.mp4").symlink_to(tmp_path / "mine.mp4")
    _, rejected = prepared(DFEW(str(root), fold="all"), tmp_path)
    assert "leads out of" in rejected["dfew/00002"].detail


def test_frames_are_drawn_once_and_are_no_pictures_of_the_dataset(root: Path, tmp_path: Path) -> None:
    dfew.make(root, layout="videos")
    prepared(DFEW(str(root), fold="all"), tmp_path / "a")
    drawn = {path: path.stat().st_mtime_ns for path in (root / "frames").rglob("*.jpg")}
    records, _ = prepared(DFEW(str(root), fold="all"), tmp_path / "b")
    assert drawn and {path: path.stat().st_mtime_ns for path in (root / "frames").rglob("*.jpg")} == drawn
    assert not (tmp_path / "b" / "outputs" / "prepare" / "toy" / "pictures.jsonl").read_text().count("frames/")
    assert len(records) == 13


def test_clips_on_both_sides_or_with_two_labels_are_rejected(root: Path, tmp_path: Path) -> None:
    dfew.make(root)
    lists = root / "EmoLabel_DataSplit"
    for name, row in (("test(single-labeled)/set_1.csv", "2,2\n"), ("train(single-labeled)/set_3.csv", "4,1\n")):
        text = (lists / name).read_text()
        (lists / name).write_text(text.replace("\n4,4\n", "\n") + row)
    records, rejected = listed(DFEW(str(root), fold=1), tmp_path)
    why = {row.id: row.detail for row in rejected if row.reason == "bad label"}
    assert why.keys() == {"dfew/00002", "dfew/00004"}
    assert "tested in 1 and 2" in why["dfew/00002"] and "two labels: 4" in why["dfew/00004"]
    assert len(records) == 11


@pytest.mark.parametrize("fold", [0, 6, "two", True])
def test_a_fold_that_is_none_is_refused(root: Path, fold) -> None:
    with pytest.raises(UserError, match=r"source\.fold"):
        DFEW(str(root), fold=fold)


def test_folds_without_lists_are_refused(root: Path, tmp_path: Path) -> None:
    dfew.make(root)
    shutil.rmtree(root / "EmoLabel_DataSplit" / "test(single-labeled)")
    with pytest.raises(UserError, match="no test clip of set 1"):
        listed(DFEW(str(root), fold=1), tmp_path)


def test_labels_from_zero_are_refused(root: Path, tmp_path: Path) -> None:
    dfew.make(root)
    for path in (root / "EmoLabel_DataSplit").rglob("*.csv"):
        path.write_text(path.read_text().replace(",7", ",0"))
    with pytest.raises(UserError, match="another order"):
        listed(DFEW(str(root)), tmp_path)


def test_mafw_keeps_emotions_that_are_no_expression(root: Path, tmp_path: Path) -> None:
    mafw.make(root)
    records, rejected = prepared(MAFW(str(root), fold="all", shown=2), tmp_path)
    assert {row.id: (row.attributes["emotion"], row.labels.expression, row.attributes["fold"]) for row in records} == {
        "mafw/00001": ("happiness", "happiness", 1), "mafw/00002": ("sadness", "sadness", 2),
        "mafw/00003": ("anxiety", None, 3), "mafw/00004": ("surprise", "surprise", 4),
        "mafw/00005": ("anger", "anger", 5), "mafw/00006": ("disappointment", None, 1),
    }  # fmt: skip
    assert rejected["mafw/00007"].reason == "no image"


def test_mafws_numbers_are_read_as_its_words(root: Path, tmp_path: Path) -> None:
    mafw.make(root)
    for path in (root / "Train & Test Set").rglob("*.txt"):
        text = path.read_text()
        for number, name in reversed(list(enumerate(mafw.NAMES, start=1))):
            text = text.replace(f" {name}\n", f" {number}\n")
        path.write_text(text)
    records, _ = listed(MAFW(str(root), fold=1), tmp_path)
    assert {row.attributes["emotion"] for row in records if row.split == "test"} == {"happiness", "disappointment"}


def test_ravdess_takes_each_recording_once_and_splits_by_actor(root: Path, tmp_path: Path) -> None:
    ravdess.make(root)
    records, rejected = listed(RAVDESS(str(root), test_share=0.3), tmp_path)
    assert {row.subject for row in records} == {f"Actor_0{k}" for k in range(1, 7)}
    sides = {row.subject: {other.split for other in records if other.subject == row.subject} for row in records}
    assert all(len(side) == 1 for side in sides.values())
    assert Counter(row.labels.expression for row in records)["surprise"] == 6
    calm = [row for row in rejected if "calm" in row.detail]
    assert len(calm) == 6 and [row.id for row in rejected if row not in calm] == ["ravdess/mine.mp4"]
    assert all("02-01-02-01-01-01-01.mp4" in row.detail for row in calm if row.id.endswith("-01-01-01"))
    both, _ = listed(RAVDESS(str(root), channels=["speech", "song"], calm="neutral"), tmp_path)
    assert Counter(row.attributes["channel"] for row in both) == {"speech": 17, "song": 1}
    assert {row.labels.expression for row in both if row.attributes["emotion"] == "calm"} == {"neutral"}


def test_crema_ds_labels_are_acted_or_voted_for(root: Path, tmp_path: Path) -> None:
    crema_d.make(root)
    records, rejected = prepared(CremaD(str(root), test_share=0.4), tmp_path)
    assert len(records) == 15 and {row.subject for row in records} == {str(actor) for actor in crema_d.ACTORS}
    assert rejected[f"crema_d/{crema_d.POINTER}"].detail.endswith("run git lfs pull")
    happy = next(row for row in records if row.id == "crema_d/1002_DFA_HAP_XX")
    assert (happy.labels.expression, happy.attributes["sex"], happy.attributes["age"]) == ("happiness", "female", "22")
    voted, ties = listed(CremaD(str(root), label="face"), tmp_path)
    assert {row.labels.expression for row in voted if "_HAP_" in row.id} == {"neutral"}
    assert {row.detail for row in ties if "_NEU_" in row.id} == {"votes tie: N:S"}
