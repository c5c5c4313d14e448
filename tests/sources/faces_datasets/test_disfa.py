"""DISFA by its twelve label files a subject and frames that somebody extracted, whichever number the first one has."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.sources.faces_datasets.disfa import DISFA
from seke.sources.prepare import prepare
from seke.sources.prepare.image_check import ImageChecks

from ...trees import disfa
from ...trees.pictures import save
from ..rows import by_id

ONE = ("SN001",)


def read(root, **settings):
    return by_id(DISFA(str(root), **settings).read(root))


def label_file(root, subject, au):
    return root / "ActionUnit_Labels" / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt"


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    root = tmp_path_factory.mktemp("frames")
    disfa.make(root)
    return root


@pytest.fixture
def one(tmp_path):
    disfa.make(tmp_path, subjects=ONE)
    return tmp_path


def test_every_labelled_frame_is_a_record_and_subjects_are_those_that_are_there(frames):
    records, rejected = read(frames)
    assert {record.subject for record in records.values()} == set(disfa.SUBJECTS)
    assert len(records) == len(disfa.SUBJECTS) * disfa.FRAMES - 1
    assert list(rejected) == ["disfa/SN010/0006"], "SN010 has one line less than it has frames"
    assert "images/SN010/5.JPG" in rejected["disfa/SN010/0006"].detail


def test_a_record_carries_the_twelve_aus_and_their_intensities(frames):
    record = read(frames)[0]["disfa/SN021/0003"]
    expected = {au: disfa.intensity("SN021", au, 3) for au in disfa.AUS}
    assert record.attributes == {"intensity": {str(au): value for au, value in expected.items()}}
    assert record.labels.action_units == {au: value >= 2 for au, value in expected.items()}
    assert record.labels.au_intensity == expected
    assert (record.labels.expression, record.labels.valence, record.sha256) == (None, None, None)


@pytest.mark.parametrize(("inclusive", "threshold", "least"), [(True, 2, 2), (False, 2, 3), (True, 4, 4)])
def test_from_which_intensity_an_au_occurs_is_a_setting(frames, inclusive, threshold, least):
    records, _ = read(frames, inclusive=inclusive, threshold=threshold)
    assert records
    for record in records.values():
        occurs = {int(au): value >= least for au, value in record.attributes["intensity"].items()}
        assert record.labels.action_units == occurs


@pytest.mark.parametrize("first", [0, 1])
def test_label_one_is_the_first_picture_whether_that_is_called_0_or_1(tmp_path, first):
    disfa.make(tmp_path, subjects=ONE, first_frame=first)
    records, rejected = read(tmp_path)
    assert records["disfa/SN001/0001"].image == f"images/SN001/{first}.png"
    assert records["disfa/SN001/0006"].image == f"images/SN001/{5 + first}.JPG"
    assert not rejected
    assert read(tmp_path, first_frame=first) == (records, rejected)


def test_the_first_labels_number_is_a_setting_and_a_frame_before_it_is_refused(one):
    for au in disfa.AUS:
        label_file(one, "SN001", au).write_text("".join(f"{k},{k}\n" for k in range(6)))
    with pytest.raises(UserError, match=r"source\.first_label=1: ActionUnit_Labels/SN001 has a frame 0; "):
        read(one)
    records, _ = read(one, first_label=0)
    assert records["disfa/SN001/0000"].image == "images/SN001/0.png"


def test_subjects_whose_pictures_are_counted_differently_are_both_named(tmp_path):
    disfa.make(tmp_path, subjects=("SN001", "SN002"))
    (tmp_path / "images" / "SN002" / "0.png").unlink()
    with pytest.raises(UserError, match=r"source\.first_frame=None: SN001's pictures begin at 0 and SN002's at 1; set"):
        read(tmp_path)
    records, rejected = read(tmp_path, first_frame=0)
    assert records["disfa/SN002/0002"].image == "images/SN002/1.png"
    assert list(rejected) == ["disfa/SN002/0001"]


def test_pictures_that_begin_anywhere_else_need_the_setting(tmp_path):
    disfa.make(tmp_path, subjects=ONE, first_frame=7)
    with pytest.raises(UserError, match="no subject's pictures begin at 0 or 1"):
        read(tmp_path)
    assert len(read(tmp_path, first_frame=7)[0]) == 6


def test_a_labelled_frame_without_a_picture_is_counted_never_replaced(one):
    (one / "images" / "SN001" / "3.png").unlink()
    records, rejected = read(one)
    assert "disfa/SN001/0004" not in records and len(records) == 5
    row = rejected["disfa/SN001/0004"]
    assert (row.reason, row.detail) == (
        "no image",
        "ActionUnit_Labels/SN001, frame 4: images/SN001 has no picture 3",
    )


def test_pictures_that_no_label_names_are_listed(one):
    save(one / "images" / "SN001" / "0006.png")
    save(one / "images" / "SN001" / "02.png")
    save(one / "images" / "SN001" / "mean.jpg")
    records, rejected = read(one)
    assert {id_: row.reason for id_, row in rejected.items()} == {
        "disfa/SN001/0007": "no label",
        "disfa/SN001/0003": "no image",  # 2.JPG and 02.png: which one is meant nobody can tell
        "disfa/SN001/2.JPG": "no label",
        "disfa/SN001/02.png": "no label",
        "disfa/SN001/mean.jpg": "no label",
    }
    assert len(records) == 5


def test_whole_subjects_without_pictures_or_labels_are_one_row_each(tmp_path):
    disfa.make(tmp_path, subjects=("SN001", "SN002", "SN003"))
    shutil.rmtree(tmp_path / "images" / "SN002")
    shutil.rmtree(tmp_path / "ActionUnit_Labels" / "ActionUnit_Labels" / "SN003")
    records, rejected = read(tmp_path)
    assert {record.subject for record in records.values()} == {"SN001"}
    assert rejected["disfa/SN002"].detail == "6 labelled frames, but no folder of pictures"
    assert rejected["disfa/SN003"].detail == "images/SN003: there is no ActionUnit_Labels/SN003"
    assert (rejected["disfa/SN002"].reason, rejected["disfa/SN003"].reason) == ("no image", "no label")


@pytest.mark.parametrize(
    "name", ["SN001_{:05d}.png", "frame{}.jpg", "frame_det_00_{:06d}.bmp", "LeftVideoSN001_{}.JPG"]
)
@pytest.mark.parametrize("first", [0, 1])
def test_frames_are_known_by_the_number_that_ends_their_name(one, name, first):
    before, _ = read(one)
    for file in sorted((one / "images" / "SN001").iterdir()):
        file.rename(file.with_name("x" + name.format(int(file.stem) + first)))
    after, rejected = read(one)
    assert list(after) == list(before) and not rejected
    assert after["disfa/SN001/0001"].image == f"images/SN001/x{name.format(first)}"
    assert [row.labels for row in after.values()] == [row.labels for row in before.values()]


def test_names_without_a_number_are_told_so(one):
    for letter, file in zip("abcdef", sorted((one / "images" / "SN001").iterdir()), strict=True):
        file.rename(file.with_name(f"{letter}.png"))
    with pytest.raises(
        UserError, match=r"such as images/SN001/a\.png are not called by a frame number; call them 0\.png"
    ):
        read(one)


def test_two_ways_of_naming_in_one_folder_are_not_mixed(one):
    save(one / "images" / "SN001" / "SN001_00002.png")
    records, rejected = read(one)
    assert len(records) == 6
    assert rejected["disfa/SN001/SN001_00002.png"].reason == "no label"


def test_occurrences_where_intensities_should_be_are_refused_unless_a_1_counts(one):
    for au in disfa.AUS:
        label_file(one, "SN001", au).write_text("".join(f"{k},{k % 2}\n" for k in range(1, 7)))
    with pytest.raises(UserError, match=r"source\.threshold=2: no intensity above 1 in any label file \(36 ones\)"):
        read(one)
    assert read(one, threshold=1)[0]["disfa/SN001/0001"].labels.active == disfa.AUS


def test_one_bad_line_among_many_leaves_its_au_unknown_and_is_counted(one):
    lines = [f"{k},3" for k in range(1, 7)]
    label_file(one, "SN001", 12).write_text("\n".join([*lines[:3], f"4,{'9' * 5000},", "4,", *lines[4:]]))
    records, rejected = read(one)
    assert 12 not in records["disfa/SN001/0004"].labels.action_units
    assert records["disfa/SN001/0005"].labels.action_units[12] is True
    (bad,) = rejected.values()
    assert bad.reason == "bad row" and bad.id.endswith("SN001_au12.txt, line 4") and len(bad.detail) < 250


@pytest.mark.parametrize("cell", ["6", "-1", "9", "x", "", "nan", "2.5", "inf"])
def test_an_intensity_that_is_none_leaves_its_au_unknown(one, cell):
    label_file(one, "SN001", 12).write_text(f"1,{cell}\n2,3\n")
    records, _ = read(one)
    assert records["disfa/SN001/0001"].labels.action_units.keys() == set(disfa.AUS) - {12}
    assert "12" not in records["disfa/SN001/0001"].attributes["intensity"]
    assert 12 not in records["disfa/SN001/0001"].labels.au_intensity
    assert records["disfa/SN001/0002"].labels.action_units[12] is True
    assert 12 not in records["disfa/SN001/0003"].labels.action_units, "its file ends earlier than the others"


def test_a_frame_without_any_known_au_is_rejected(one):
    for au in disfa.AUS:
        label_file(one, "SN001", au).write_text("1,9\n2,0\n")
    assert read(one)[1]["disfa/SN001/0001"].reason == "no label"


KNOWN = ("0", "1", "2", "5", "5.0")

CODES = st.sampled_from([*KNOWN, "6", "9", "-1", "-2", "-5", "99", "", "a", "1e9"])


@given(st.lists(CODES, min_size=12, max_size=12))
def test_no_missing_code_gets_into_labels(tmp_path_factory, codes):
    root = tmp_path_factory.getbasetemp() / "codes"
    if not root.exists():
        disfa.make(root, subjects=ONE, frames=1)
    for au, code in zip(disfa.AUS, codes, strict=True):
        label_file(root, "SN001", au).write_text(f"1,{code}\n")
    records, rejected = read(root)
    known = {au: float(code) >= 2 for au, code in zip(disfa.AUS, codes, strict=True) if code in KNOWN}
    assert {au: active for row in records.values() for au, active in row.labels.action_units.items()} == known
    assert len(records) + len(rejected) == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"1,0\n2\n", r"SN001_au6\.txt, line 2: '2' is not a frame number and an intensity"),
        (b"1,0\n2,0,1\n", "line 2: '2,0,1' is not"),
        (b"frame,intensity\n1,0\n", "line 1: 'frame,intensity' is not"),
        (b"1,0\n1,3\n", "line 2: frame 1 stands in an earlier line already"),
        (b"", "there is no line in it"),
        (b"1,0\n\xe9", "not UTF-8 text"),
    ],
)
def test_a_broken_label_file_is_named_with_its_line(one, content, complaint):
    label_file(one, "SN001", 6).write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        read(one)


def test_a_half_unpacked_subject_is_named(one):
    label_file(one, "SN001", 20).unlink()
    with pytest.raises(UserError, match=r"SN001_au20\.txt: no such file; a subject has twelve"):
        DISFA(str(one)).inputs  # noqa: B018


def test_a_wrong_root_says_what_was_looked_for_and_what_is_there(tmp_path, one):
    (tmp_path / "Emotion").mkdir()
    with pytest.raises(UserError, match=r"no ActionUnit_Labels/ in it, found nothing"):
        DISFA(str(tmp_path / "Emotion")).inputs  # noqa: B018
    shutil.rmtree(one / "images")
    with pytest.raises(UserError, match=r"no SN001/0\.png and no RightVideoSN001_comp\.avi in it, found ActionUnit"):
        DISFA(str(one), camera="right").inputs  # noqa: B018


def test_the_label_files_are_the_inputs(frames):
    files = DISFA(str(frames)).inputs["labels"]
    assert len(files) == len(disfa.SUBJECTS) * 12
    assert label_file(frames, "SN033", 26) in files


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("camera", "front"),
        ("threshold", 6),
        ("threshold", "2"),
        ("first_frame", -1),
        ("first_label", True),
        ("frames", "../frames"),
        ("images", "/"),
        ("images", "nowhere"),
    ],
)
def test_a_bad_setting_is_refused(one, setting, value):
    with pytest.raises(UserError, match=rf"source\.{setting}="):
        DISFA(str(one), **{setting: value})


def test_of_pictures_of_both_cameras_the_chosen_one_counts(tmp_path):
    disfa.make(tmp_path, subjects=ONE)
    shutil.copytree(tmp_path / "images" / "SN001", tmp_path / "Video_RightCamera" / "right_SN001")
    (tmp_path / "images").rename(tmp_path / "Videos_LeftCamera_frames")
    assert read(tmp_path)[0]["disfa/SN001/0001"].image == "Videos_LeftCamera_frames/SN001/0.png"
    right, _ = read(tmp_path, camera="right")
    assert right["disfa/SN001/0001"].image == "Video_RightCamera/right_SN001/0.png"


def test_two_sets_of_pictures_are_refused_until_one_is_chosen(one):
    shutil.copytree(one / "images", one / "aligned")
    with pytest.raises(UserError, match=r"aligned/SN001: .*images/SN001 is SN001 as well; set source\.images"):
        DISFA(str(one)).inputs  # noqa: B018
    assert read(one, images="aligned")[0]["disfa/SN001/0001"].image == "aligned/SN001/0.png"


def test_links_to_folders_are_not_followed(one, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    shutil.move(one / "images" / "SN001", outside / "SN001")
    (one / "images" / "SN001").symlink_to(outside / "SN001")
    with pytest.raises(UserError, match=r"no SN001/0\.png"):
        DISFA(str(one)).inputs  # noqa: B018


def test_subjects_keep_to_one_split(frames):
    records, _ = read(frames, test_share=0.4, validation_share=0.4)
    sides = {}
    for record in records.values():
        sides.setdefault(record.subject, set()).add(record.split)
    assert all(len(splits) == 1 for splits in sides.values())
    assert set().union(*sides.values()) == {"train", "validation", "test"}


def test_frames_that_somebody_extracted_into_a_folder_of_that_name_are_read(one):
    (one / "images").rename(one / "frames")
    assert read(one)[0]["disfa/SN001/0001"].image == "frames/SN001/0.png"


@pytest.mark.parametrize("layout", ["frames", "videos"])
def test_the_tree_can_be_prepared(tmp_path, layout):
    if layout == "videos":
        pytest.importorskip("av")
    disfa.make(tmp_path / "data", layout=layout, subjects=disfa.SUBJECTS[:4])
    run = tmp_path / "run"
    run.mkdir()
    source = DISFA(str(tmp_path / "data"))
    pool, _ = prepare.listed(source, run)
    chosen = prepare.choose(source, pool, ImageChecks(source.root, run / "looks"), None, 0, None)
    assert len(chosen.records) == 24 and not chosen.rejected and not chosen.leaks
    assert all(record.sha256 for record in chosen.records)


def test_the_command_reads_the_tree_by_its_configuration(cli, tmp_path):
    pytest.importorskip("av")
    disfa.make(tmp_path / "DISFA", layout="videos")
    done = cli("prepare", "source=disfa", f"paths.data={tmp_path}", f"paths.outputs={tmp_path}", "name=mini")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "prepare" / "mini"
    rows = [line for split in ("train", "validation", "test") for line in (run / f"{split}.jsonl").open()]
    assert len(rows) == 71
