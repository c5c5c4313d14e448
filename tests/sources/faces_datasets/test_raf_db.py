import json
import shutil
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, read_jsonl
from seke.sources.faces_datasets.raf_db import CODES, RAFDB, read_list

from ...trees import raf_db
from ..rows import by_id


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("RAF-DB")
    raf_db.make(root)
    return root


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "RAF-DB")


def read(root, **settings):
    return by_id(RAFDB(str(root), **settings).read(root))


def test_every_listed_picture_is_a_record_with_its_expression(tree):
    records, _ = read(tree)
    assert set(records) == {f"raf_db/{stem}" for stem in raf_db.stems() if stem != raf_db.MISSING}
    for place, stem in enumerate(raf_db.stems()):
        if stem != raf_db.MISSING:
            record = records[f"raf_db/{stem}"]
            assert record.labels == Labels(expression=CODES[raf_db.code(place)])
            assert record.subject is None
            assert (tree / record.image).is_file()


def test_labels_are_in_the_order_of_raf_db():
    assert list(CODES) == [1, 2, 3, 4, 5, 6, 7]
    assert list(CODES.values()) == ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]


def test_aligned_and_original_images_are_called_differently(tree):
    aligned, _ = read(tree)
    original, _ = read(tree, images="original")
    assert aligned["raf_db/train_00001"].image == "basic/Image/aligned/train_00001_aligned.jpg"
    assert original["raf_db/train_00001"].image == "basic/Image/original/train_00001.jpg"
    assert aligned[f"raf_db/{raf_db.UPPER}"].image.endswith("_aligned.JPG")
    assert list(aligned) == list(original)


def test_an_original_in_the_folder_of_aligned_images_is_not_taken_for_one(copy):
    folder = copy / "basic" / "Image"
    shutil.copy(folder / "original" / "train_00001.jpg", folder / "aligned" / "train_00001.jpg")
    (folder / "aligned" / "train_00001_aligned.jpg").unlink()
    records, rejected = read(copy)
    assert "raf_db/train_00001" not in records
    assert rejected["raf_db/train_00001"].reason == "no image"
    assert rejected["raf_db/train_00001.jpg"].reason == "no label"


def test_other_images_than_these_two_are_none(tree):
    with pytest.raises(UserError, match=r"source\.images=cropped: no such images; use aligned or original"):
        RAFDB(str(tree), images="cropped")


def test_the_official_split_is_the_prefix_of_the_name(tree):
    records, _ = read(tree, validation_share=0.3)
    splits = Counter((record.id.split("/")[1].split("_")[0], record.split) for record in records.values())
    assert splits["test", "test"] == raf_db.TEST
    assert set(splits) == {("test", "test"), ("train", "train"), ("train", "validation")}


def test_without_the_official_split_each_picture_is_hashed_by_itself(tree):
    records, _ = read(tree, official_split=False, test_share=0.5)
    splits = Counter((record.id.split("/")[1].split("_")[0], record.split) for record in records.values())
    assert splits["train", "test"] and splits["test", "train"]


def test_a_listed_picture_without_a_file_is_counted_with_its_line(tree):
    _, rejected = read(tree)
    row = rejected[f"raf_db/{raf_db.MISSING}"]
    assert row.reason == "no image"
    assert row.detail == (
        "basic/EmoLabel/list_patition_label.txt, line 7: no train_00007_aligned in basic/Image/aligned/"
    )


def test_a_picture_that_is_not_listed_is_counted(tree):
    _, rejected = read(tree)
    unlabelled = [row.id for row in rejected.values() if row.reason == "no label"]
    assert unlabelled == [f"raf_db/{raf_db.UNLISTED}_aligned.jpg"]


@pytest.mark.parametrize("base", ["basic", "RAF-DB/basic", ""])
def test_the_root_may_be_the_set_or_what_lies_around_it(tmp_path, base):
    raf_db.make(tmp_path, base=base, original=False)
    records, _ = read(tmp_path)
    assert len(records) == raf_db.TRAIN + raf_db.TEST - 1


def test_the_root_may_be_the_folder_called_basic(tree):
    records, _ = read(tree / "basic")
    assert records["raf_db/train_00001"].image == "Image/aligned/train_00001_aligned.jpg"


def test_the_list_is_found_in_plain_spelling_too(tmp_path):
    raf_db.make(tmp_path, table="list_partition_label.txt", original=False)
    assert RAFDB(str(tmp_path)).inputs == {"labels": tmp_path / "basic" / "EmoLabel" / "list_partition_label.txt"}
    assert len(read(tmp_path)[0]) == raf_db.TRAIN + raf_db.TEST - 1


def test_the_compound_set_is_refused_before_anything_is_read(tmp_path):
    raf_db.make_compound(tmp_path)
    with pytest.raises(UserError, match=r"label 8 in line 8: this is the compound set, .*; give the folder basic/"):
        _ = RAFDB(str(tmp_path)).inputs


def test_of_both_sets_side_by_side_the_basic_one_is_read(copy):
    raf_db.make_compound(copy)
    (copy / "basic" / "EmoLabel" / raf_db.LIST).rename(copy / "basic" / "EmoLabel" / "list_partition_label.txt")
    assert len(read(copy)[0]) == raf_db.TRAIN + raf_db.TEST - 1


@pytest.mark.parametrize(("label", "other"), [(0, 7), (-1, 2)])
def test_a_number_that_is_no_label_rejects_its_picture(copy, label, other):
    raf_db.write_list(copy / "basic", [f"train_00001.jpg {label}", f"train_00002.jpg {other}.0"])
    records, rejected = read(copy)
    assert list(records) == ["raf_db/train_00002"]
    assert rejected["raf_db/train_00001"].reason == "no label"
    assert f"line 1: {label} is no label from 1 to 7" in rejected["raf_db/train_00001"].detail


@pytest.mark.parametrize("labels", [range(7), (0, 2), (0,), (6, 5, 0, 0)])
def test_a_list_that_counts_from_0_is_refused_before_anything_is_read(copy, labels):
    raf_db.write_list(copy / "basic", [f"train_{n:05d}.jpg {label}" for n, label in enumerate(labels, start=1)])
    with pytest.raises(
        UserError, match=rf"its labels go from 0 to {max(labels)} and not from 1 to 7: .*; use the list"
    ):
        _ = RAFDB(str(copy)).inputs


def test_one_bad_line_among_many_is_rejected_and_counted(copy):
    lines = [f"train_{n:05d}.jpg {n}" for n in range(1, 7)]
    raf_db.write_list(copy / "basic", [*lines, "train_00009.jpg", "train_00001.jpg 7", "\0" * 50 + " 7", "9" * 5000])
    records, rejected = read(copy)
    assert len(records) == 6
    bad = {id_.rpartition(", ")[2]: row.detail for id_, row in rejected.items() if row.reason == "bad row"}
    assert set(bad) == {"line 7", "line 8", "line 9", "line 10"}
    assert "stands in line 1 already" in bad["line 8"]
    assert max(map(len, bad.values())) < 250


def test_two_pictures_of_one_name_stand_for_neither(copy):
    folder = copy / "basic" / "Image" / "aligned"
    shutil.copy(folder / "train_00002_aligned.jpg", folder / "train_00001_aligned.png")
    records, rejected = read(copy)
    assert "raf_db/train_00001" not in records and rejected["raf_db/train_00001"].reason == "no image"
    twins = [id_.rpartition("/")[2] for id_, row in rejected.items() if row.reason == "two files of one name"]
    assert twins == ["train_00001_aligned.jpg", "train_00001_aligned.png"]


@given(st.dictionaries(st.integers(1, 9), st.integers(-9, 7), min_size=1))
def test_only_1_to_7_become_an_expression(tmp_path_factory, labels):
    file = raf_db.write_list(
        tmp_path_factory.getbasetemp() / "any", [f"train_0000{n}.jpg {code}" for n, code in labels.items()]
    )
    read_back = {int(row.stem[-1]): row.label for row in read_list(file)}
    assert read_back == labels
    assert all((code in CODES) == (1 <= code <= 7) for code in read_back.values())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("train_00002.jpg", "is not the name of an image and its label"),
        ("train_00002.jpg 3 4", "is not the name of an image and its label"),
        ("3 train_00002.jpg", "is not the name of an image and its label"),
        ("name label", "is not the name of an image and its label"),
        ("train_00001.jpg 4", "stands in line 1 already"),
        ("valid_00002.jpg 4", "begins with neither train_ nor test_"),
    ],
)
def test_a_line_that_is_no_row_names_file_and_line(copy, line, problem):
    raf_db.write_list(copy / "basic", ["train_00001.jpg 1", line])
    with pytest.raises(UserError, match=rf"list_patition_label\.txt, line 2: .*{problem}"):
        _ = RAFDB(str(copy)).inputs


def test_names_without_a_prefix_do_without_the_official_split(copy):
    (copy / "basic/Image/aligned/train_00001_aligned.jpg").rename(copy / "basic/Image/aligned/a_aligned.jpg")
    raf_db.write_list(copy / "basic", ["a.jpg 1"])
    assert list(read(copy, official_split=False)[0]) == ["raf_db/a"]


def test_an_empty_list_is_no_list(copy):
    raf_db.write_list(copy / "basic", [])
    with pytest.raises(UserError, match=r"list_patition_label\.txt: no label in it"):
        _ = RAFDB(str(copy)).inputs


def test_a_list_in_another_encoding_is_named(copy):
    (copy / "basic" / "EmoLabel" / raf_db.LIST).write_bytes(b"caf\xe9.jpg 1\n")
    with pytest.raises(UserError, match=r"list_patition_label\.txt: not UTF-8"):
        _ = RAFDB(str(copy)).inputs


@pytest.mark.parametrize(
    ("gone", "wanted"),
    [("EmoLabel", r"no list_patition_label\.txt or .* in it, found Image/"), ("Image", "no aligned/ in it")],
)
def test_half_an_archive_is_told_before_anything_is_read(copy, gone, wanted):
    shutil.rmtree(copy / "basic" / gone)
    with pytest.raises(UserError, match=wanted):
        _ = RAFDB(str(copy)).inputs


def test_a_linked_part_is_named_however_deep_it_lies(copy, tmp_path):
    (copy / "basic" / "Image" / "aligned").rename(tmp_path / "aligned")
    (copy / "basic" / "Image" / "aligned").symlink_to(tmp_path / "aligned")
    with pytest.raises(UserError, match="Image/aligned is a link, and links are not followed; move"):
        _ = RAFDB(str(copy)).inputs


def test_a_further_picture_moves_three_others_to_another_split_at_most(tree, copy):
    before, _ = read(tree, official_split=False)
    lines = (copy / "basic" / "EmoLabel" / raf_db.LIST).read_text().split("\n")
    raf_db.write_list(copy / "basic", [f"{raf_db.UNLISTED}.jpg 4", *(line for line in lines if line)])
    after, _ = read(copy, official_split=False)
    assert set(after) - set(before) == {f"raf_db/{raf_db.UNLISTED}"}
    assert sum(after[key].split != record.split for key, record in before.items()) <= 3


def test_through_the_command(cli, tmp_path):
    raf_db.make(tmp_path / "RAF-DB", original=False)
    done = cli("prepare", "source=raf_db", f"paths.data={tmp_path}", f"paths.outputs={tmp_path}", "name=mini")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "prepare" / "mini"
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    assert (counts["test"], counts["rejected"], counts["leaks"]) == (raf_db.TEST, 2, 0)
    rows = [row for split in ("train", "validation", "test") for row in read_jsonl(run / f"{split}.jsonl", ImageRecord)]
    assert {row.id for row in rows} == set(read(tmp_path / "RAF-DB")[0])
    assert all(row.sha256 for row in rows)
