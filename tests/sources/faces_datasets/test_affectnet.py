import json
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, read_jsonl
from seke.sources.base import label_text
from seke.sources.faces_datasets.affectnet import (
    CODES,
    AffectNet,
    ArrayError,
    Reading,
    contradiction,
    labels_of,
    read_array,
)

from ...trees import affectnet
from ..rows import by_id

TRAINING = affectnet.TRAINING_LIST


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    root = tmp_path_factory.mktemp("AffectNet-csv")
    affectnet.make_csv(root, automatic=True)
    return root


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    root = tmp_path_factory.mktemp("AffectNet-npy")
    affectnet.make_npy(root)
    return root


@pytest.fixture
def copy(lists, tmp_path):
    return shutil.copytree(lists, tmp_path / "AffectNet")


@pytest.fixture
def copied_arrays(arrays, tmp_path):
    return shutil.copytree(arrays, tmp_path / "AffectNet")


def read(root, **settings):
    return by_id(AffectNet(str(root), **settings).read(root))


def key(image):
    return "affectnet/" + image.rpartition(".")[0]


def listed(root, *lines, header=True):
    """The two lists, with these rows only for training."""
    affectnet.write_list(root / TRAINING, list(lines), header)
    return root


def test_every_listed_face_is_a_record_with_expression_and_va(lists):
    records, _ = read(lists)
    for part, number in (("train", affectnet.TRAIN), ("validation", affectnet.VALIDATION)):
        for n in range(number):
            record = records[key(affectnet.path(n, part))]
            valence, arousal = affectnet.VALUES[n % 8]
            assert record.labels == Labels(expression=CODES[n % 8], valence=valence, arousal=arousal)
            assert record.image == f"{affectnet.IMAGES}/{affectnet.path(n, part)}"
            assert record.subject is None
            assert record.attributes == {"annotation": "manual", "official_split": part, "face": [4, 5, 40, 41]}
    assert len(records) == affectnet.TRAIN + affectnet.VALIDATION + 2
    assert all((lists / record.image).is_file() for record in records.values())


def test_expressions_are_in_the_order_of_affectnet():
    assert CODES == ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")


def test_a_face_box_without_area_is_left_out_and_the_face_is_kept(lists):
    records, _ = read(lists)
    assert records[key(affectnet.NO_BOX)].attributes == {"annotation": "manual", "official_split": "train"}


def test_a_face_without_an_expression_is_rejected_and_the_reason_names_it(lists):
    _, rejected = read(lists)
    for image, name in ((affectnet.UNCERTAIN, "9 (Uncertain)"), (affectnet.NO_FACE, "10 (No-Face)")):
        assert rejected[key(image)].reason == "no label"
        assert name in rejected[key(image)].detail
        assert rejected[key(image)].detail.startswith("training.csv, line ")


def test_valence_and_arousal_stay_where_only_the_expression_is_none(copy):
    image = affectnet.path(0)
    records, _ = read(listed(copy, affectnet.row(image, 8, 0.5, -0.25)))
    assert records[key(image)].labels == Labels(valence=0.5, arousal=-0.25)


@pytest.mark.parametrize(
    ("valence", "arousal", "kept"),
    [
        ("-2", "0.5", (None, None)),
        ("0.5", "-2.0000", (None, None)),
        ("1.5", "0.5", (None, 0.5)),
        ("0.5", "-1.01", (0.5, None)),
        ("", "0.5", (None, 0.5)),
        ("nan", "x", (None, None)),
        ("-1", "1.0", (-1.0, 1.0)),
    ],
)
def test_a_missing_code_blanks_both_and_a_value_out_of_range_only_itself(valence, arousal, kept):
    labels = labels_of(Reading("1", valence, arousal))
    assert (labels.valence, labels.arousal) == kept
    assert labels.expression == "happiness"


SPELT = st.one_of(
    st.sampled_from(["-2", "-2.0", "-2.000000", "8", "9", "10", "-1", "-5", "", "nan", "inf", "1e999", "0", "7"]),
    st.floats().map(str),
    st.integers(-20, 20).map(str),
    st.text(max_size=5),
)


@given(SPELT, SPELT, SPELT)
def test_no_missing_code_ever_becomes_a_label(expression, valence, arousal):
    labels = labels_of(Reading(expression, valence, arousal))
    assert labels.expression is None or labels.expression == CODES[int(float(expression))]
    for value in (labels.valence, labels.arousal):
        assert value is None or -1 <= value <= 1
    if -2 in (label_text.number(valence), label_text.number(arousal)):
        assert labels.valence is None and labels.arousal is None


def test_labels_without_images_and_images_without_labels_are_counted(lists):
    _, rejected = read(lists)
    line = 2 + affectnet.TRAIN + 2
    row = rejected[key(affectnet.MISSING)]
    assert (row.reason, row.detail) == (
        "no image", f"training.csv, line {line}: no 3/missing.jpg in Manually_Annotated_Images/",
    )  # fmt: skip
    assert rejected[key(affectnet.UNLISTED)].reason == "no label"
    assert len(rejected) == 4


def test_a_second_row_about_one_image_is_rejected(copy):
    line = affectnet.row(affectnet.path(0), 1, 0.5, 0.5)
    rows = list(AffectNet(str(listed(copy, line, line))).read(copy))
    assert rows[0].labels.expression == "happiness"
    assert (rows[1].id, rows[1].reason) == (rows[0].id, "duplicate row")


def test_the_official_validation_part_is_the_test_side(lists):
    records, _ = read(lists, validation_share=0.3)
    splits = {(record.attributes["official_split"], record.split) for record in records.values()}
    assert splits == {("validation", "test"), ("train", "train"), ("train", "validation")}


def test_without_the_official_split_each_image_is_hashed_by_itself(lists):
    records, _ = read(lists, official_split=False, test_share=0.5)
    splits = {(record.attributes["official_split"], record.split) for record in records.values()}
    assert {("train", "test"), ("validation", "train")} <= splits


def test_a_further_row_moves_three_others_to_another_split_at_most(lists, copy):
    before, _ = read(lists, official_split=False)
    lines = [affectnet.row(affectnet.UNLISTED, 1, 0.5, 0.5), *affectnet.rows("train", affectnet.TRAIN)]
    after, _ = read(listed(copy, *lines), official_split=False)
    assert key(affectnet.UNLISTED) in after
    assert sum(record.split != before[k].split for k, record in after.items() if k in before) <= 3


@pytest.mark.parametrize("official_split", [True, False])
def test_automatic_labels_are_left_alone_unless_asked_for_and_never_tested_on(lists, official_split):
    manual, _ = read(lists, official_split=official_split, test_share=1.0)
    both, _ = read(lists, official_split=official_split, test_share=1.0, automatic=True)
    automatic = {k: record for k, record in both.items() if k not in manual}
    assert set(automatic) == {
        "affectnet/automatic/" + affectnet.path(n).rpartition(".")[0] for n in range(affectnet.AUTOMATIC)
    }
    for record in automatic.values():
        assert record.attributes == {"annotation": "automatic", "face": [4, 5, 40, 41]}
        assert record.split != "test"
        assert (lists / record.image).is_file()


def test_the_automatic_list_must_be_there_if_it_is_asked_for(tmp_path):
    affectnet.make_csv(tmp_path)
    with pytest.raises(UserError, match=r"no automatically_annotated\.csv in it, found Manually_Annotated_Images/"):
        _ = AffectNet(str(tmp_path), automatic=True).inputs


def test_a_list_without_a_header_reads_the_same(lists, tmp_path):
    affectnet.make_csv(tmp_path, header=False)
    assert read(tmp_path)[0] == read(lists)[0]


@pytest.mark.parametrize(("level", "flat"), [(False, False), (True, True), (False, True)])
def test_a_missing_folder_level_is_no_trouble(lists, tmp_path, level, flat):
    affectnet.make_csv(tmp_path, level=level, flat=flat)
    records, rejected = read(tmp_path)
    there, _ = read(lists)
    assert [record.labels for record in records.values()] == [record.labels for record in there.values()]
    assert all((tmp_path / record.image).is_file() for record in records.values())
    assert sorted(row.reason for row in rejected.values()) == ["no image", "no label", "no label", "no label"]


def test_an_image_of_the_same_name_in_another_folder_takes_nobodys_place(copy):
    image = affectnet.path(0)
    shutil.move(copy / affectnet.IMAGES / image, copy / affectnet.IMAGES / "3" / image.partition("/")[2])
    records, rejected = read(copy)
    assert key(image) not in records
    assert rejected[key(image)].reason == "no image"


def test_folders_that_unpacking_leaves_are_no_trouble(lists, tmp_path):
    shutil.copytree(lists / affectnet.IMAGES, tmp_path / "AffectNet/Manually_Annotated" / affectnet.IMAGES)
    for name in ("training.csv", "validation.csv"):
        (tmp_path / "AffectNet/Manual lists").mkdir(exist_ok=True)
        shutil.copy(lists / "Manually_Annotated_file_lists" / name, tmp_path / "AffectNet/Manual lists" / name)
    records, _ = read(tmp_path)
    assert list(records) == list(read(lists)[0])
    assert all((tmp_path / record.image).is_file() for record in records.values())


def test_clean_rejects_faces_that_contradict_themselves(copy):
    images = [affectnet.path(n) for n in range(4)]
    rows = [(1, -0.1, 0.3), (2, 0.1, 0.3), (0, 0.4, -0.4), (2, -0.1, 0.3)]
    listed(copy, *(affectnet.row(image, *labels) for image, labels in zip(images, rows, strict=True)))
    assert {key(image) for image in images} <= set(read(copy)[0])
    records, rejected = read(copy, clean=True)
    assert [rejected[key(image)].reason for image in images[:3]] == ["inconsistent label"] * 3
    assert rejected[key(images[0])].detail == "training.csv, line 2: happiness with valence -0.1"
    assert key(images[3]) in records


@pytest.mark.parametrize(
    ("labels", "consistent"),
    [
        (Labels(expression="neutral", valence=0.3, arousal=0.4), True),
        (Labels(expression="neutral", valence=0.31, arousal=0.4), False),
        (Labels(expression="neutral", valence=0.9), True),
        (Labels(expression="happiness", valence=0.0), True),
        (Labels(expression="sadness", valence=0.0), True),
        (Labels(expression="happiness"), True),
        (Labels(expression="anger", valence=0.9, arousal=0.9), True),
        (Labels(valence=-0.9, arousal=0.9), True),
    ],
)
def test_what_contradicts_itself(labels, consistent):
    assert (contradiction(labels) is None) == consistent


def test_arrays_give_what_the_lists_give(arrays):
    records, rejected = read(arrays)
    assert len(records) == affectnet.TRAIN + affectnet.VALIDATION
    for n in range(affectnet.VALIDATION):
        record = records[f"affectnet/val_set/{n}"]
        valence, arousal = affectnet.VALUES[n % 8]
        assert record.labels == Labels(expression=CODES[n % 8], valence=valence, arousal=arousal)
        assert (record.image, record.subject, record.split) == (f"val_set/images/{n}.jpg", None, "test")
        assert record.attributes == {"annotation": "manual", "official_split": "validation"}
    assert all(records[f"affectnet/train_set/{n}"].split != "test" for n in range(affectnet.TRAIN))
    assert {k: row.reason for k, row in rejected.items()} == {
        "affectnet/train_set/991": "no image",
        "affectnet/train_set/992": "no label",
    }
    detail = rejected["affectnet/train_set/991"].detail
    assert detail == "train_set/annotations/991_aro.npy: no 991.jpg in train_set/images/"


def test_arrays_of_numbers_read_like_arrays_of_texts(arrays, tmp_path):
    affectnet.make_npy(tmp_path, text=False)
    assert read(tmp_path)[0] == read(arrays)[0]


def test_arrays_may_hold_missing_codes_and_may_be_missing(copied_arrays):
    affectnet.write_arrays(copied_arrays / "train_set", "0", 1, -2, 0.5)
    affectnet.write_arrays(copied_arrays / "train_set", "1", 10, -2, -2)
    (copied_arrays / "train_set/annotations/2_exp.npy").unlink()
    records, rejected = read(copied_arrays)
    assert records["affectnet/train_set/0"].labels == Labels(expression="happiness")
    assert "10 (No-Face)" in rejected["affectnet/train_set/1"].detail
    assert records["affectnet/train_set/2"].labels == Labels(valence=-0.6, arousal=-0.3)


def test_two_pictures_of_one_name_stand_for_neither_and_are_listed(copied_arrays):
    shutil.copy(copied_arrays / "train_set/images/1.jpg", copied_arrays / "train_set/images/0.png")
    records, rejected = read(copied_arrays)
    assert "affectnet/train_set/0" not in records
    assert {id_: row.reason for id_, row in rejected.items() if "/0" in id_} == {
        "affectnet/train_set/0": "no image",
        "affectnet/train_set/images/0.jpg": "two files of one name",
        "affectnet/train_set/images/0.png": "two files of one name",
    }


def test_expressions_that_are_counted_from_1_are_refused(copy):
    listed(copy, *(affectnet.row(affectnet.path(n), 1 + n % 8, 0.5, 0.5) for n in range(8)))
    affectnet.write_list(copy / affectnet.VALIDATION_LIST, [affectnet.row(affectnet.path(0, "validation"), 3, 0.5, 0)])
    with pytest.raises(UserError, match="it has a class 8 and none 0, and classes go from 0 to 7"):
        read(copy)


def test_one_bad_row_among_many_is_rejected_and_counted(copy):
    good = [affectnet.row(affectnet.path(n), n % 8, 0.5, 0.5) for n in range(8)]
    huge = "9" * 200_000
    spoilt = [good[0].replace(affectnet.LANDMARKS, huge), "1,2,3", '"', good[1].replace("4,5,40,41", f"4,5,{huge},9")]
    before, _ = read(listed(copy, *good))
    listed(copy, *good[:4], *spoilt[:2], *good[4:], spoilt[3])
    after, rejected = read(copy)
    assert after == before
    bad = [row.detail for row in rejected.values() if row.reason == "bad row"]
    assert len(bad) == 3 and all(len(detail) < 250 for detail in bad)
    with pytest.raises(UserError, match="a quote is never closed"):
        read(listed(copy, *good, spoilt[2]))


@pytest.mark.parametrize(
    "value", [np.array("5"), np.array("5.0"), np.array(5), np.array([5.0]), np.array(b"5"), np.array(5, np.uint8)]
)
def test_one_value_is_read_whatever_its_type(tmp_path, value):
    np.save(tmp_path / "a.npy", value)
    assert float(read_array(tmp_path / "a.npy")) == 5


def broken(folder):
    """Files that are no array of one value."""
    np.save(folder / "whole.npy", np.array("0.5"))
    whole = (folder / "whole.npy").read_bytes()
    yield b""
    yield whole[:40]
    yield whole[:-4]
    yield b"0.5"
    yield pickle.dumps(0.5)
    yield whole.replace(b"'shape': ()", b"'shape': (99999999999999,)", 1)
    for value in (np.arange(3), np.array(None), np.array(1j), np.array([])):
        np.save(folder / "other.npy", value, allow_pickle=True)
        yield (folder / "other.npy").read_bytes()
    np.savez(folder / "other.npz", a=np.array(1))
    yield (folder / "other.npz").read_bytes()


def test_a_broken_array_rejects_its_image_and_is_named(copied_arrays, tmp_path):
    contents = list(broken(tmp_path))
    assert len(contents) == 11
    for n, content in enumerate(contents):
        file = copied_arrays / f"train_set/annotations/{n}_val.npy"
        file.write_bytes(content)
        with pytest.raises(ArrayError):
            read_array(file)
    records, rejected = read(copied_arrays)
    for n in range(len(contents)):
        row = rejected[f"affectnet/train_set/{n}"]
        assert (row.reason, row.detail.split(":")[0]) == ("bad label", f"{n}_val.npy")
    assert len(records) == affectnet.TRAIN + affectnet.VALIDATION - len(contents)


def test_inputs_are_the_lists_or_the_arrays_without_landmarks(lists, arrays):
    assert AffectNet(str(lists)).inputs == {
        "training": lists / TRAINING, "validation": lists / affectnet.VALIDATION_LIST,
    }  # fmt: skip
    assert AffectNet(str(lists), automatic=True).inputs["automatically_annotated"] == lists / affectnet.AUTOMATIC_LIST
    inputs = AffectNet(str(arrays)).inputs
    assert len(inputs["val_set"]) == 3 * affectnet.VALIDATION
    assert all(file.is_file() and not file.name.endswith("_lnd.npy") for files in inputs.values() for file in files)


def test_a_folder_with_neither_release_says_what_is_there_instead(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=r"no training\.csv .* or train_set/ .* in it, found photos/"):
        _ = AffectNet(str(tmp_path)).inputs


def test_both_releases_below_one_root_need_a_word(copy):
    for part in ("train_set", "val_set"):
        affectnet.write_arrays(copy / part, "0", 1, 0.5, 0.5)
        affectnet.picture(copy / part / "images", "0.jpg")
    with pytest.raises(UserError, match=r"source\.release=auto: both releases lie below .*; set csv or npy"):
        _ = AffectNet(str(copy)).inputs
    assert "affectnet/val_set/0" in read(copy, release="npy")[0]
    assert key(affectnet.path(0)) in read(copy, release="csv")[0]


def test_a_release_that_is_not_there_is_not_replaced_by_the_other(lists):
    with pytest.raises(UserError, match="no train_set/"):
        _ = AffectNet(str(lists), release="npy").inputs


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"release": "matlab"}, "use auto, csv or npy"), ({"automatic": True}, "the npy release has no automatic labels")],
)
def test_settings_that_no_release_can_meet(arrays, settings, problem):
    with pytest.raises(UserError, match=problem):
        _ = AffectNet(str(arrays), **settings).inputs


@pytest.mark.parametrize(
    ("gone", "wanted"), [(affectnet.IMAGES, "no Manually_Annotated_Images/"), (TRAINING, r"no training\.csv")]
)
def test_half_of_the_csv_release_is_told_before_anything_is_read(copy, gone, wanted):
    (copy / gone).rename(copy / "gone")
    with pytest.raises(UserError, match=wanted):
        _ = AffectNet(str(copy)).inputs


@pytest.mark.parametrize("gone", ["val_set", "val_set/annotations", "train_set/images"])
def test_half_of_the_npy_release_is_told_before_anything_is_read(tmp_path, gone):
    for part in ("train_set", "val_set"):
        affectnet.write_arrays(tmp_path / part, "0", 1, 0.5, 0.5)
        (tmp_path / part / "images").mkdir()
    assert set(AffectNet(str(tmp_path)).inputs) == {"train_set", "val_set"}
    shutil.rmtree(tmp_path / gone)
    with pytest.raises(UserError, match=f"no {gone.rpartition('/')[2]}/ in it"):
        _ = AffectNet(str(tmp_path)).inputs


def test_through_the_command(cli, tmp_path):
    affectnet.make_csv(tmp_path / "AffectNet")
    done = cli("prepare", "source=affectnet", f"paths.data={tmp_path}", f"paths.outputs={tmp_path}", "name=mini")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "prepare" / "mini"
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    assert (counts["test"], counts["rejected"], counts["leaks"]) == (affectnet.VALIDATION, 4, 0)
    rows = [row for split in ("train", "validation", "test") for row in read_jsonl(run / f"{split}.jsonl", ImageRecord)]
    assert {row.id for row in rows} == set(read(tmp_path / "AffectNet")[0])
    assert all(row.sha256 for row in rows)
