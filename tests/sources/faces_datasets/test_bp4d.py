import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.sources.faces_datasets.bp4d import BP4D, read_codes
from seke.sources.prepare import prepare
from seke.sources.prepare.image_check import ImageChecks

from ...trees import bp4d
from ...trees.pictures import save
from ..rows import by_id

ONE = ("F001",)
HEADER = ["0", *map(str, bp4d.AUS)]
ZEROS = ["0"] * len(bp4d.AUS)


def read(root, **settings):
    return by_id(BP4D(str(root), **settings).read(root))


def rewrite(root, *rows, sequence="F001_T1"):
    (root / "AUCoding" / "AU_OCC" / f"{sequence}.csv").write_text("".join(",".join(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("bp4d")
    bp4d.make(root)
    return root


@pytest.fixture
def one(tmp_path):
    bp4d.make(tmp_path, subjects=ONE)
    return tmp_path


@pytest.mark.parametrize("layout", ["original", "fera"])
def test_every_coded_frame_is_a_record_with_its_twelve_aus(tmp_path, layout):
    bp4d.make(tmp_path, layout=layout)
    records, rejected = read(tmp_path)
    assert len(records) == len(bp4d.SUBJECTS) * len(bp4d.TASKS) * bp4d.FRAMES
    assert len(rejected) == len(bp4d.SUBJECTS) * len(bp4d.TASKS) * 2, "a picture before and one after the coded ones"
    for record in records.values():
        subject, _, frame = record.id.removeprefix("bp4d/").split("/")
        assert record.subject == subject
        assert record.labels.action_units == {au: bp4d.code(subject, au, int(frame)) == 1 for au in bp4d.AUS}


def test_codes_and_pictures_meet_by_number_whatever_the_padding(whole):
    records, _ = read(whole)
    assert records["bp4d/M003/T1/2441"].image == "BP4D-training/2D/M003/T1/2441.JPG"
    assert records["bp4d/M003/T8/10"].image == "BP4D-training/2D/M003/T8/0010.jpg"


def test_the_task_is_an_attribute_and_no_expression(whole):
    record = read(whole)[0]["bp4d/F002/T8/9"]
    assert record.attributes["task"] == "T8"
    assert record.labels.expression is None


def test_intensities_are_kept_where_they_were_scored(whole, tmp_path):
    records, _ = read(whole)
    assert "intensity" not in records["bp4d/F001/T1/2440"].attributes, "9 is not codable"
    assert records["bp4d/F001/T1/2442"].attributes["intensity"] == {"6": 2448 % 6, "12": 2454 % 6}
    assert records["bp4d/F001/T1/2442"].labels.au_intensity == {6: 2448 % 6, 12: 2454 % 6}
    bp4d.make(tmp_path, layout="fera", subjects=ONE)
    assert read(tmp_path)[0]["bp4d/F001/T1/2442"].attributes == {"task": "T1"}


def test_pictures_without_a_code_and_codes_without_a_picture_are_listed(one):
    images = one / "BP4D-training" / "2D" / "F001" / "T1"
    (images / "2441.JPG").unlink()
    save(images / "face.jpg")
    records, rejected = read(one)
    assert "bp4d/F001/T1/2441" not in records
    assert rejected["bp4d/F001/T1/2441"].reason == "no image"
    assert (
        "F001_T1.csv, frame 2441: BP4D-training/2D/F001/T1 has no picture 2441" in rejected["bp4d/F001/T1/2441"].detail
    )
    unlabelled = {id_ for id_, row in rejected.items() if row.reason == "no label" and "/T1/" in id_}
    assert unlabelled == {"bp4d/F001/T1/2439", "bp4d/F001/T1/2444", "bp4d/F001/T1/face.jpg"}


def test_whole_sequences_without_codes_or_pictures_are_one_row_each(one):
    (one / "AUCoding" / "AU_OCC" / "F001_T1.csv").unlink()
    shutil.rmtree(one / "BP4D-training" / "2D" / "F001" / "T8")
    records, rejected = read(one)
    assert not records
    assert {id_: row.reason for id_, row in rejected.items()} == {
        "bp4d/F001/T1": "no label",
        "bp4d/F001/T8": "no image",
    }
    assert rejected["bp4d/F001/T1"].detail == "6 pictures in BP4D-training/2D/F001/T1, but no F001_T1.csv"
    assert rejected["bp4d/F001/T8"].detail == "4 frames in AUCoding/AU_OCC/F001_T8.csv, but no folder of pictures"


def test_pictures_that_are_counted_from_0_need_the_offset(one):
    images = one / "BP4D-training" / "2D" / "F001" / "T1"
    records, rejected = read(one, offset=-1)
    assert records["bp4d/F001/T1/2440"].image == (images / "2439.JPG").relative_to(one).as_posix()
    assert {id_ for id_ in rejected if "/T1/" in id_} == {"bp4d/F001/T1/2444", "bp4d/F001/T1/2445"}


def test_nine_is_unknown_and_neither_present_nor_absent(one):
    rewrite(one, HEADER, ["2440", "9", "1", *ZEROS[2:]], ["2441", *["9"] * 12])
    records, rejected = read(one)
    units = records["bp4d/F001/T1/2440"].labels.action_units
    assert 1 not in units and units[2] is True and units[4] is False
    assert rejected["bp4d/F001/T1/2441"].detail == "no AU is coded 0 or 1"


@given(
    st.lists(st.sampled_from(["0", "1", "1.0", "9", "9.0", "-1", "2", "", "x", "nan", "10"]), min_size=12, max_size=12)
)
def test_no_missing_code_gets_into_labels(tmp_path_factory, codes):
    file = tmp_path_factory.getbasetemp() / "F001_T1.csv"
    file.write_text("\n".join([",".join(HEADER), ",".join(["5", *codes])]))
    units = read_codes(file)[5].units or {}
    known = {au: code.startswith("1") for au, code in zip(bp4d.AUS, codes, strict=True) if code in ("0", "1", "1.0")}
    assert units == known


@pytest.mark.parametrize(
    ("title", "setting", "occluded"),
    [
        ("99", "auto", True),
        ("", "auto", True),
        ("Occlusion", "auto", True),
        ("24", "auto", True),
        ("28", "auto", False),
        ("28", "last", True),
        ("99", "none", False),
        ("", "none", False),
    ],
)
def test_a_frame_marked_occluded_keeps_no_au(one, title, setting, occluded):
    rewrite(one, [*HEADER, title], ["2440", *ZEROS, "1"], ["2441", *ZEROS, "0"])
    records, rejected = read(one, occlusion=setting)
    assert ("bp4d/F001/T1/2440" in records) is not occluded
    assert "bp4d/F001/T1/2441" in records
    if occluded:
        row = rejected["bp4d/F001/T1/2440"]
        assert (row.reason, row.detail) == ("no label", "occluded")


def test_columns_are_found_by_their_titles_in_any_order(one):
    rewrite(one, ["0", "50", *reversed(HEADER[1:])], ["2440", "1", "1", *ZEROS[1:]])
    units = read(one)[0]["bp4d/F001/T1/2440"].labels.action_units
    assert [au for au, active in units.items() if active] == [24]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([["1", *HEADER[1:]]], r"line 1: the header begins with '1' and not with 0"),
        ([["", *HEADER]], "line 1: the header begins with '' and not with 0"),
        ([["2440", *ZEROS]], "line 1: the header begins with '2440'"),
        ([], "line 1: the header begins with nothing"),
        ([HEADER[:-1]], "line 1: no column for AU 24"),
        ([[*HEADER, "6", "50"]], "line 1: two columns are called 6"),
        ([HEADER, ["1", *ZEROS], ["2", *ZEROS[1:]]], "line 3: 12 columns under 13 titles"),
        ([HEADER, ["1", *ZEROS, "0"]], "line 2: 14 columns under 13 titles"),
        ([HEADER, ["x", *ZEROS]], "line 2: 'x' is no frame number"),
        ([HEADER, ["1", *ZEROS], ["1", *ZEROS]], "line 3: frame 1 stands in an earlier line already"),
    ],
)
def test_a_broken_occurrence_file_is_named_with_its_line(one, rows, complaint):
    rewrite(one, *rows)
    with pytest.raises(UserError, match=rf"F001_T1\.csv, {complaint}"):
        read(one)


def test_one_bad_row_among_many_is_rejected_and_counted(one):
    rows = [[str(2440 + k), *ZEROS] for k in range(4)]
    rewrite(one, HEADER, *rows[:2], ["9" * 5000, *ZEROS], ["2440", *ZEROS[1:], "9" * 200_000], *rows[2:])
    records, rejected = read(one)
    assert {id_ for id_ in records if "/T1/" in id_} == {f"bp4d/F001/T1/{2440 + k}" for k in range(4)}
    bad = {row.id: row.detail for row in rejected.values() if row.reason == "bad row"}
    assert list(bad) == [f"bp4d/AUCoding/AU_OCC/F001_T1.csv, line {line}" for line in (4, 5)]
    assert max(map(len, bad.values())) < 250


def test_intensities_where_occurrences_should_be_are_refused(one):
    rewrite(one, HEADER, ["2440", "3", *ZEROS[1:]], ["2441", "5", *ZEROS[1:]])
    with pytest.raises(UserError, match=r"F001_T1\.csv: its codes go up to intensities \(3, 5\)"):
        read(one)


def test_frames_may_be_called_by_their_sequence_too(one):
    images = one / "BP4D-training" / "2D" / "F001" / "T1"
    for file in images.iterdir():
        file.rename(file.with_name(f"F001_T1_{file.name}"))
    assert read(one)[0]["bp4d/F001/T1/2440"].image == "BP4D-training/2D/F001/T1/F001_T1_2440.JPG"


def test_text_that_is_not_utf8_is_named(one):
    (one / "AUCoding" / "AU_OCC" / "F001_T1.csv").write_bytes(b"0,\xff\n")
    with pytest.raises(UserError, match=r"F001_T1\.csv: not UTF-8 text"):
        read(one)


def test_a_wrong_root_says_what_was_looked_for_and_what_is_there(tmp_path, one):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"no AUCoding or AU_OCC/ in it, found nothing"):
        BP4D(str(empty)).inputs  # noqa: B018
    shutil.rmtree(one / "BP4D-training")
    with pytest.raises(UserError, match=r"no F001/T1/<frame>\.jpg in it, found 3D/, AUCoding/, Videos/"):
        BP4D(str(one)).inputs  # noqa: B018


def test_codes_without_a_file_of_theirs_are_missing(one):
    for file in (one / "AUCoding" / "AU_OCC").glob("*.csv"):
        file.unlink()
    with pytest.raises(UserError, match=r"no F001_T1\.csv in it"):
        BP4D(str(one)).inputs  # noqa: B018


def test_label_files_are_the_inputs(whole):
    inputs = BP4D(str(whole)).inputs
    assert len(inputs["occurrence"]) == len(bp4d.SUBJECTS) * len(bp4d.TASKS)
    assert len(inputs["intensity"]) == 2 * len(inputs["occurrence"])
    assert all(isinstance(file, Path) for files in inputs.values() for file in files)


def test_pictures_are_found_below_what_unpacking_puts_around_them(one):
    inner = one / "BP4D-training" / "2D" / "F001"
    inner.rename(one / "away")
    (inner / "F001").parent.mkdir()
    (one / "away").rename(inner / "F001")
    assert read(one)[0]["bp4d/F001/T1/2440"].image == "BP4D-training/2D/F001/F001/T1/2440.JPG"


def test_two_sets_of_pictures_are_refused_until_one_is_chosen(one):
    shutil.copytree(one / "BP4D-training" / "2D", one / "crops")
    with pytest.raises(UserError, match=r"crops/F001/T1: .*2D/F001/T1 is F001_T1 as well; set source\.images"):
        BP4D(str(one)).inputs  # noqa: B018
    assert read(one, images="crops")[0]["bp4d/F001/T1/2440"].image == "crops/F001/T1/2440.JPG"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("occlusion", "first"), ("offset", 0.5), ("offset", True), ("images", ".."), ("images", "no")],
)
def test_a_bad_setting_is_refused(one, setting, value):
    with pytest.raises(UserError, match=rf"source\.{setting}="):
        BP4D(str(one), **{setting: value})


def test_subjects_keep_to_one_split_over_all_their_tasks(whole):
    records, _ = read(whole, test_share=0.4, validation_share=0.4)
    sides = {}
    for record in records.values():
        sides.setdefault(record.subject, set()).add(record.split)
    assert all(len(splits) == 1 for splits in sides.values())
    assert set().union(*sides.values()) == {"train", "validation", "test"}


def test_the_tree_can_be_prepared(whole, tmp_path):
    source = BP4D(str(whole))
    pool, _ = prepare.listed(source, tmp_path)
    chosen = prepare.choose(source, pool, ImageChecks(source.root, tmp_path / "looks"), None, 0, None)
    assert len(chosen.records) == len(pool) and not chosen.rejected and not chosen.leaks


def test_the_command_reads_the_tree_by_its_configuration(cli, tmp_path):
    bp4d.make(tmp_path / "BP4D")
    done = cli("prepare", "source=bp4d", f"paths.data={tmp_path}", f"paths.outputs={tmp_path}", "name=mini")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "prepare" / "mini"
    rows = [line for split in ("train", "validation", "test") for line in (run / f"{split}.jsonl").open()]
    assert len(rows) == 96
