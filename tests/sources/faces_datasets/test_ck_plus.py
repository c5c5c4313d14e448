import json
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, read_jsonl
from seke.sources.faces_datasets.ck_plus import CODES, CKPlus, read_emotion, read_facs

from ...trees import ck_plus
from ..rows import by_id


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("CK+")
    ck_plus.make(root)
    return root


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "CK+")


def read(root, **settings):
    return by_id(CKPlus(str(root), **settings).read(root))


def peak(sequence):
    return f"ck_plus/{sequence}_{ck_plus.FRAMES:08d}"


def test_one_record_for_each_labelled_sequence_is_its_last_frame(tree):
    records, _ = read(tree)
    assert set(records) == {peak(sequence) for sequence in ck_plus.CODES}
    for sequence, code in ck_plus.CODES.items():
        record = records[peak(sequence)]
        assert record.labels == Labels(expression=CODES[code])
        assert record.subject == sequence[:4]
        assert (tree / record.image).is_file()
    assert {records[peak(s)].labels.expression for s in ck_plus.CODES} == set(CODES[1:])


def test_emotion_ids_are_in_the_order_of_ck_plus():
    assert CODES == ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


def test_the_peak_may_have_an_extension_in_capitals(tree):
    records, _ = read(tree)
    assert records[peak("S005_001")].image == "cohn-kanade-images/S005/001/S005_001_00000003.PNG"


def test_folders_that_the_zips_make_are_no_trouble(tree, tmp_path):
    ck_plus.make(tmp_path, zips=True)
    records, rejected = read(tmp_path)
    plain, plain_rejected = read(tree)
    assert [(r.id, r.labels, r.subject) for r in records.values()] == [
        (r.id, r.labels, r.subject) for r in plain.values()
    ]
    assert set(rejected) == set(plain_rejected)
    assert all((tmp_path / record.image).is_file() for record in records.values())


def test_a_missing_peak_is_rejected_and_no_other_frame_takes_its_place(tree):
    records, rejected = read(tree)
    row = rejected[f"ck_plus/{ck_plus.NO_PEAK}"]
    assert row.reason == "no image"
    assert f"Emotion/S011/003/{ck_plus.NO_PEAK}_emotion.txt" in row.detail
    assert not any("S011_003" in record.image for record in records.values())


def test_each_unlabelled_sequence_is_one_rejection_named_by_its_last_frame(tree):
    _, rejected = read(tree)
    assert {row.id for row in rejected.values() if row.reason == "no label"} == {peak(s) for s in ck_plus.UNLABELLED}


def test_two_images_of_one_peak_stand_for_neither(copy):
    shutil.copy(
        copy / "cohn-kanade-images/S010/001/S010_001_00000001.png",
        copy / "cohn-kanade-images/S010/001/S010_001_00000003.jpg",
    )
    records, rejected = read(copy)
    assert peak("S010_001") not in records
    assert "more than one" in rejected[peak("S010_001")].detail


@pytest.mark.parametrize(
    ("content", "expression"),
    [
        (b"   5.0000000e+00\n", "happiness"),
        (b"\xef\xbb\xbf   0.0000000e+00\r\n", "neutral"),
        (b"7", "surprise"),
        (b"", None),
        (b"8.0000000e+00", None),
        (b"-1", None),
        (b"1.5", None),
        (b"NaN", None),
    ],
)
def test_emotion_files_as_they_are_written(tmp_path, content, expression):
    (tmp_path / "x_emotion.txt").write_bytes(content)
    assert read_emotion(tmp_path / "x_emotion.txt") == expression


@given(st.text())
def test_only_ids_from_0_to_7_become_an_expression(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any_emotion.txt"
    file.write_text(text, encoding="utf-8", newline="")
    expression = read_emotion(file)
    assert expression is None or float(text.lstrip("\ufeff").split()[0]) == CODES.index(expression)


def test_an_emotion_file_without_an_id_is_a_rejection(copy):
    ck_plus.label(copy / "Emotion", "S010_001_00000003", 9)
    _, rejected = read(copy)
    assert rejected[peak("S010_001")].reason == "no label"
    assert "S010_001_00000003_emotion.txt: no emotion id" in rejected[peak("S010_001")].detail


def test_facs_coding_is_kept_but_is_no_label(tree):
    records, _ = read(tree)
    for record in records.values():
        assert record.attributes == {"facs": {"4": 2, "25": 0, "43": 0}}
        assert record.labels.action_units is None


def test_facs_when_asked_names_all_17_aus(tree):
    records, _ = read(tree, facs=True)
    for sequence in ck_plus.CODES:
        units = records[peak(sequence)].labels.action_units
        assert set(units) == set(ACTION_UNITS)
        assert records[peak(sequence)].labels.active == (4, 25)


def test_facs_when_asked_makes_sequences_without_emotion_usable(tree):
    records, rejected = read(tree, facs=True)
    for sequence in ck_plus.UNLABELLED:
        assert records[peak(sequence)].labels.expression is None
        assert records[peak(sequence)].labels.active == (4, 25)
        assert records[peak(sequence)].subject == sequence[:4]
    assert {row.reason for row in rejected.values()} == {"no image"}


def test_a_sequence_without_facs_coding_keeps_no_au(copy):
    (copy / "FACS/S010/001/S010_001_00000003_facs.txt").unlink()
    ck_plus.written(copy / "FACS/S010/002/S010_002_00000003_facs.txt", b"\r\n")
    records, _ = read(copy, facs=True)
    for sequence in ("S010_001", "S010_002"):
        assert records[peak(sequence)].labels.action_units is None
        assert records[peak(sequence)].attributes == {}


def test_facs_files_are_no_must_unless_asked_for(copy):
    shutil.rmtree(copy / "FACS")
    records, _ = read(copy)
    assert len(records) == len(ck_plus.CODES)
    with pytest.raises(UserError, match=r"no FACS or FACS_labels/ in it, found Emotion/, cohn-kanade-images/"):
        read(copy, facs=True)


def test_facs_intensities_are_kept_as_given_and_unknown_where_there_is_none(tmp_path):
    (tmp_path / "x").write_bytes(b"1.0 5.0\r\n\r\n2 0\r\n12 6\r\n17 NaN\r\n")
    assert read_facs(tmp_path / "x") == {1: 5, 2: 0, 12: None, 17: None}


@pytest.mark.parametrize("line", [b"4.0", b"4 1 2", b"AU4 1", b"nan 1"])
def test_a_facs_line_with_other_columns_names_file_and_line(tmp_path, line):
    (tmp_path / "x_facs.txt").write_bytes(b"1 2\n" + line)
    with pytest.raises(UserError, match=r"x_facs\.txt, line 2: .* is not an AU and its intensity"):
        read_facs(tmp_path / "x_facs.txt")


def test_emotion_ids_that_count_from_0_are_refused(copy):
    for file in (copy / "Emotion").rglob("*_emotion.txt"):
        file.write_text(f"{int(float(file.read_text(encoding='utf-8-sig'))) - 1}.0")
    with pytest.raises(UserError, match="it has a class 0 and none 7, and classes go from 1 to 7"):
        read(copy)


def test_a_bad_facs_file_costs_its_aus_and_no_more(copy):
    ck_plus.written(copy / "FACS/S010/001/S010_001_00000003_facs.txt", b"4 2\nsmile\n")
    before, _ = read(copy, facs=True)
    assert before[peak("S010_001")].labels.action_units is None
    assert before[peak("S010_001")].labels.expression is not None
    row = read(copy, facs=True)[1]["ck_plus/FACS/S010/001/S010_001_00000003_facs.txt"]
    assert row.reason == "bad row" and "not an AU and its intensity" in row.detail


def test_text_in_another_encoding_names_the_file(copy):
    ck_plus.written(copy / "Emotion/S010/001/S010_001_00000003_emotion.txt", b"caf\xe9")
    with pytest.raises(UserError, match=r"S010_001_00000003_emotion\.txt: not UTF-8"):
        read(copy)


def test_a_pipe_among_the_label_files_is_not_waited_for(copy):
    file = copy / "Emotion/S010/001/S010_001_00000003_emotion.txt"
    file.unlink()
    os.mkfifo(file)
    assert file not in CKPlus(str(copy)).inputs["emotions"]
    assert read(copy)[1][peak("S010_001")].reason == "no label"


def test_two_files_for_one_frame_name_both(copy):
    ck_plus.label(copy / "Emotion" / "copy", "S010_001_00000003", 2)
    with pytest.raises(UserError, match=r"S010_001_00000003_emotion\.txt for the same frame"):
        read(copy)


@pytest.mark.parametrize(
    ("gone", "wanted"),
    [("Emotion", "no Emotion or Emotion_labels/"), ("cohn-kanade-images", "no cohn-kanade-images")],
)
def test_a_wrong_root_is_told_before_anything_is_read(copy, gone, wanted):
    shutil.rmtree(copy / gone)
    with pytest.raises(UserError, match=wanted):
        _ = CKPlus(str(copy)).inputs


@pytest.mark.parametrize("folder", ["Emotion", "cohn-kanade-images"])
def test_half_an_archive_is_told_before_anything_is_read(copy, folder):
    shutil.rmtree(copy / folder)
    (copy / folder / "S005").mkdir(parents=True)
    with pytest.raises(UserError, match=f"no .*{folder}/"):
        _ = CKPlus(str(copy)).inputs


def test_inputs_are_the_label_files(tree):
    inputs = CKPlus(str(tree)).inputs
    assert len(inputs["emotions"]) == len(ck_plus.CODES) + 1
    assert len(inputs["facs"]) == len(ck_plus.CODES) + len(ck_plus.UNLABELLED)
    assert inputs["emotions"] == sorted(inputs["emotions"])


def test_all_sequences_of_a_subject_are_on_one_side(tree):
    for seed in range(5):
        records, _ = read(tree, seed=seed, test_share=0.4)
        sides = {(record.subject, record.split) for record in records.values()}
        assert len(sides) == len(ck_plus.SUBJECTS)
        assert {"test", "train"} <= {split for _, split in sides}


def test_another_subject_moves_three_others_to_another_split_at_most(tree, copy):
    before, _ = read(tree, test_share=0.3)
    for name in ("cohn-kanade-images", "Emotion"):
        shutil.copytree(copy / name / "S050", copy / name / "S999")
        for file in sorted((copy / name / "S999").rglob("S050*")):
            file.rename(file.with_name(file.name.replace("S050", "S999")))
    after, _ = read(copy, test_share=0.3)
    assert {record.subject for record in after.values()} == {*ck_plus.SUBJECTS, "S999"}
    assert len({record.subject for key, record in before.items() if after[key].split != record.split}) <= 3


def test_through_the_command(cli, tmp_path):
    ck_plus.make(tmp_path / "CK+", zips=True)
    done = cli("prepare", "source=ck_plus", f"paths.data={tmp_path}", f"paths.outputs={tmp_path}", "name=mini")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "prepare" / "mini"
    counts = json.loads((run / "manifest.json").read_text())["counts"]
    assert (counts["rejected"], counts["leaks"]) == (3, 0)
    rows = [row for split in ("train", "validation", "test") for row in read_jsonl(run / f"{split}.jsonl", ImageRecord)]
    assert {row.id for row in rows} == set(read(tmp_path / "CK+")[0])
    assert all(row.sha256 for row in rows)
