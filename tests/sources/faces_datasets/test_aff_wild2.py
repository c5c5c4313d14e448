import os
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seke.core.affect import ACTION_UNITS, AUS_OF_SOURCE
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.faces_datasets.aff_wild2 import AUS, AUS_2020, CLASSES, AffWild2, Columns, columns, labels, parse

from ...trees import aff_wild2
from ...trees.pictures import save
from ..rows import by_id

LAYOUTS = ("abaw2", "abaw3", "mtl")
AU = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
AU_LABELS = "AU_Detection_Challenge/Train_Set"
VA_LABELS = "VA_Estimation_Challenge/Train_Set"
EXPR_LABELS = "EXPR_Classification_Challenge/Train_Set"


def read(root, **settings):
    return by_id(AffWild2(str(root), **settings).read(root))


def written(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def small(root, **sets):
    """Write one video `v` of one picture, with the lines of the label files given."""
    save(root / "cropped_aligned" / "v" / "00001.jpg")
    folders = {"va": VA_LABELS, "expr": EXPR_LABELS, "au": AU_LABELS}
    for task, lines in sets.items():
        written(root / folders[task] / "v.txt", *lines)
    return root


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    aff_wild2.make(root, request.param)
    return request.param, root


def test_every_layout_is_recognised_and_reads_the_same_frames(layout):
    name, root = layout
    records, _ = read(root)
    assert records == read(root, layout=name)[0]
    frames = {id_.removeprefix("aff_wild2/") for id_ in records}
    labelled = [video for video in aff_wild2.VIDEOS if video != "video90"]
    everywhere = {f"{video}/{frame:05d}" for video in labelled for frame in (1, 2, 3, 4, 6)}
    assert everywhere - frames == {"video16/00002", "video16/00006"}
    assert frames <= everywhere


def test_one_record_carries_what_all_label_sets_say(layout):
    name, root = layout
    record = read(root)[0]["aff_wild2/105/00004"]
    row = aff_wild2.rows("105")[3]
    valence, arousal = map(float, row["va"].split(","))
    names = AUS_2020 if name == "abaw2" else AUS
    codes = dict(zip(names, row["au"].split(","), strict=False))
    assert record.labels == Labels(
        expression=CLASSES[int(row["expr"])],
        valence=valence,
        arousal=arousal,
        action_units={int(au[2:]): code == "1" for au, code in codes.items()},
    )
    assert (record.source, record.sha256) == ("aff_wild2", None)
    assert (root / record.image).is_file()


def test_a_frame_of_fewer_label_sets_keeps_what_it_has(tmp_path):
    aff_wild2.make(tmp_path)
    found = read(tmp_path)[0]["aff_wild2/2-30-1280x720/00001"].labels
    assert found.action_units is None
    assert found.expression is not None and found.valence is not None


def test_missing_codes_are_unknown(layout):
    name, root = layout
    records, rejected = read(root)
    first, other, beyond = (records[f"aff_wild2/video16/0000{frame}"] for frame in (1, 3, 4))
    assert (first.labels.valence, first.labels.arousal) == (None, None)
    assert first.labels.expression is not None
    assert other.labels.expression is None
    if name != "abaw2":
        assert other.attributes == {"expression": "other"}
        assert set(AUS_OF_SOURCE["aff_wild2"]) - set(other.labels.action_units) == {4, 15}
    assert (beyond.labels.valence, beyond.labels.arousal) == (None, None), "1.5 is out of range, 0.2 alone is nothing"
    assert rejected["aff_wild2/video16/00002"].reason == "no label", "-5 beside 0.3, -1, -1"
    assert rejected["aff_wild2/video16/00006"].reason == "no label"


def test_the_class_other_alone_is_no_label_and_says_so(tmp_path):
    small(tmp_path, expr=[aff_wild2.HEADERS["abaw3"]["expr"], "7"])
    records, rejected = read(tmp_path)
    assert not records
    assert rejected["aff_wild2/v/00001"].detail == "the class is 'other', all else is missing"


def test_au20_is_known_in_the_first_layout_only(layout):
    name, root = layout
    records, _ = read(root)
    units = {au for record in records.values() for au in record.labels.action_units or {}}
    assert (20 in units) == (name == "abaw2")
    assert units <= set(ACTION_UNITS)


def test_rows_belong_to_pictures_by_number_not_by_order(layout):
    _, root = layout
    records, rejected = read(root)
    assert rejected["aff_wild2/105/00005"].reason == "no image", "no face was found"
    valence = float(aff_wild2.rows("105")[5]["va"].split(",")[0])
    assert records["aff_wild2/105/00006"].labels.valence == valence
    assert records["aff_wild2/105/00006"].image.endswith("/105/00006.jpg")


def test_label_rows_without_a_picture_are_each_listed_with_file_and_line(layout):
    name, root = layout
    _, rejected = read(root)
    missing = {id_ for id_, row in rejected.items() if row.reason == "no image"}
    assert {f"aff_wild2/105/{frame:05d}" for frame in (5, 7, 8)} <= missing
    assert {f"aff_wild2/unseen/{frame:05d}" for frame in range(1, 9)} <= missing
    detail = rejected["aff_wild2/105/00005"].detail
    assert detail.endswith("no 105/00005.jpg")
    if name == "abaw3":
        assert detail.startswith(f"{AU_LABELS}/105.txt, line 6 and EXPR_")


def test_pictures_without_a_label_are_listed_and_whole_videos_counted(layout):
    _, root = layout
    _, rejected = read(root)
    assert rejected["aff_wild2/video20/00009"].reason == "no label", "beyond the last row"
    assert "5 pictures" in rejected["aff_wild2/video90"].detail
    assert not any(id_.startswith("aff_wild2/video90/") for id_ in rejected)


def test_two_people_of_one_video_are_on_one_side(layout):
    _, root = layout
    for seed in range(20):
        records, _ = read(root, seed=seed, test_share=0.4)
        left, right = (records[f"aff_wild2/video74_{side}/00001"] for side in ("left", "right"))
        assert left.subject == right.subject == "video74"
        assert left.split == right.split
    assert "/video74_left/" in left.image, "the folder keeps its suffix"
    assert records["aff_wild2/video5_left_hand/00001"].subject == "video5_left_hand"


def test_a_video_for_training_here_and_validation_there_is_one_video(tmp_path):
    aff_wild2.make(tmp_path)
    assert (tmp_path / VA_LABELS / "video20.txt").is_file()
    assert (tmp_path / "EXPR_Classification_Challenge" / "Validation_Set" / "video20.txt").is_file()
    records, _ = read(tmp_path)
    found = [record for record in records.values() if record.subject == "video20"]
    assert len({record.split for record in found}) == 1
    assert all(record.labels.expression and record.labels.valence is not None for record in found)


def test_the_most_recent_layout_is_read_unless_told_otherwise(tmp_path):
    aff_wild2.make(tmp_path, "abaw2")
    aff_wild2.multi_task(tmp_path)
    assert set(AffWild2(str(tmp_path)).inputs) == {"mtl"}
    aff_wild2.label_sets(tmp_path, "abaw3")
    assert {path.parts[-3] for path in AffWild2(str(tmp_path)).inputs["va"]} == {"VA_Estimation_Challenge"}
    assert {path.parts[-3] for path in AffWild2(str(tmp_path), "abaw2").inputs["va"]} == {"VA_Set"}


def test_the_list_of_the_test_set_is_no_label_file(tmp_path):
    aff_wild2.make(tmp_path, "mtl")
    names = [path.name for path in AffWild2(str(tmp_path)).inputs["mtl"]]
    assert names == ["training_set.txt", "validation_set.txt"]


@pytest.mark.parametrize(
    ("task", "header", "row", "expected"),
    [
        ("va", "arousal,valence", "0.25,-0.5", Labels(valence=-0.5, arousal=0.25)),
        ("au", AU.replace("AU1,", "", 1) + ",AU1", "0," * 11 + "1", {1}),
        ("expr", "Other,Surprise,Neutral,Anger,Disgust,Fear,Happiness,Sadness", "1", Labels(expression="surprise")),
        ("expr", "NEUTRAL, Anger,Disgust,Fear,Happiness,Sadness,Surprise", "6.0", Labels(expression="surprise")),
    ],
)
def test_columns_and_classes_go_by_their_names(tmp_path, task, header, row, expected):
    found = read(small(tmp_path, **{task: [header, row]}))[0]["aff_wild2/v/00001"].labels
    assert (set(found.active) if task == "au" else found) == expected


@pytest.mark.parametrize(
    ("task", "header"),
    [
        ("va", "0.1,0.2"),
        ("va", "frame,valence,arousal"),
        ("va", "valence"),
        ("va", "valence,valence"),
        ("expr", "0"),
        ("expr", "Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"),
        ("expr", "image,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"),
        ("au", "image," + AU),
        ("au", AU.replace("AU1,", "", 1)),
        ("au", "0,1,0,0,0,0,0,0,0,0,0,1"),
    ],
)
def test_a_missing_or_shifted_header_is_refused_with_what_was_expected(tmp_path, task, header):
    small(tmp_path, **{task: [header, "1,0"]})
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert "v.txt, line 1: the header is " in str(caught.value)
    assert {"va": "expected valence,arousal", "expr": "neutral,anger,disgust", "au": "expected au1,au2"}[task] in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("task", "row"), [("va", "0.1"), ("va", "1,0.1,0.2"), ("expr", "1,2"), ("expr", ""), ("au", "1,0")]
)
def test_a_row_with_another_number_of_fields_is_refused_with_file_and_line(tmp_path, task, row):
    header = aff_wild2.HEADERS["abaw3"][task]
    good = ",".join("0" * len(header.split(","))) if task != "expr" else "0"
    small(tmp_path, **{task: [header, good, row, good]})
    with pytest.raises(UserError, match=r"v\.txt, line 3: \d+ fields where \d+ are expected"):
        read(tmp_path)


def test_one_bad_row_among_many_is_rejected_and_moves_no_other(tmp_path):
    rows = ["valence,arousal", *(f"0.{k},0.1" for k in range(1, 6))]
    small(tmp_path, va=[*rows[:3], "0.9,0.9," + "9" * 5000, *rows[3:]])
    for k in range(2, 7):
        save(tmp_path / "cropped_aligned" / "v" / f"{k:05d}.jpg")
    records, rejected = read(tmp_path)
    assert {int(id_[-5:]): row.labels.valence for id_, row in records.items()} == {
        1: 0.1, 2: 0.2, 4: 0.3, 5: 0.4, 6: 0.5,
    }  # fmt: skip
    assert [row.reason for row in rejected.values()] == ["no label", "bad row"]


@pytest.mark.parametrize("codes", [range(1, 9), (8, 3)])
def test_classes_that_are_counted_from_1_are_refused(tmp_path, codes):
    small(tmp_path, expr=[aff_wild2.HEADERS["abaw3"]["expr"], *map(str, codes)])
    with pytest.raises(UserError, match="it has a class 8 and none 0, and classes go from 0 to 7"):
        read(tmp_path)


def test_a_frame_number_of_five_thousand_digits_is_a_bad_row(tmp_path):
    save(tmp_path / "v" / "00001.jpg")
    rows = [f"v/{name}.jpg,0.5,0.5,4" + ",0" * 12 for name in ("00001", "00002", "9" * 5000)]
    written(tmp_path / "MTL_Challenge" / "training_set.txt", "image,valence,arousal,expression,aus", *rows)
    records, rejected = read(tmp_path)
    assert list(records) == ["aff_wild2/v/00001"]
    assert sorted(row.reason for row in rejected.values()) == ["bad row", "no image"]


def test_a_linked_folder_of_pictures_is_named_with_what_to_do(tmp_path):
    small(tmp_path / "root", va=["valence,arousal", "0.1,0.2"])
    (tmp_path / "root" / "cropped_aligned").rename(tmp_path / "elsewhere")
    (tmp_path / "root" / "cropped_aligned").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="cropped_aligned is a link, and links are not followed; move"):
        read(tmp_path / "root")


def test_empty_lines_at_the_end_are_nothing(tmp_path):
    records, rejected = read(small(tmp_path, va=["valence,arousal", "0.1,0.2", "", ""]))
    assert list(records) == ["aff_wild2/v/00001"] and not rejected


def test_the_multi_task_header_has_fewer_names_than_fields_and_nothing_shifts(tmp_path):
    save(tmp_path / "v" / "00007.jpg")
    row = "v/00007.jpg,0.5,-0.25,4,1,0,0,0,0,0,1,0,0,0,0,0"
    written(tmp_path / "MTL_Challenge" / "training_set.txt", "image,valence,arousal,expression,aus", row)
    found = read(tmp_path)[0]["aff_wild2/v/00007"].labels
    assert (found.valence, found.arousal, found.expression, found.active) == (0.5, -0.25, "happiness", (1, 12))


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["v/00001.jpg,0.5,0.5,4" + ",0" * 12], "line 1: the header is 'v/00001.jpg"),
        (["image,valence,arousal,expression," + AU], "line 1: the header is "),
        (["image,valence,arousal,expression,aus", "v/00001.jpg,0.5,0.5,4" + ",0" * 11], "line 2: 15 fields where 16"),
        (["image,valence,arousal,expression,aus", "0,v/00001.jpg,0.5,4" + ",0" * 12], "'0' is not <video>/<number>"),
        (["image,valence,arousal,expression,aus", *["v/00001.jpg,0.5,0.5,4" + ",0" * 12] * 2], "line 3: v/00001.jpg "),
    ],
)
def test_a_bad_multi_task_list_is_refused(tmp_path, lines, complaint):
    save(tmp_path / "v" / "00001.jpg")
    written(tmp_path / "MTL_Challenge" / "training_set.txt", *lines)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert "training_set.txt, line" in str(caught.value)
    assert complaint in str(caught.value)


def test_a_row_leading_out_of_the_root_finds_no_picture(tmp_path):
    save(tmp_path / "secret" / "00001.jpg")
    root = tmp_path / "root"
    save(root / "v" / "00001.jpg")
    row = "../secret/00001.jpg,0.5,0.5,4" + ",0" * 12
    written(root / "MTL_Challenge" / "training_set.txt", "image,valence,arousal,expression,aus", row)
    (root / "linked").symlink_to(tmp_path / "secret")
    records, rejected = read(root)
    assert not records
    assert rejected["aff_wild2/../secret/00001"].reason == "no image"
    assert "aff_wild2/linked" not in rejected, "links to folders are not followed"


def test_a_video_in_two_folders_of_pictures_is_refused_until_one_is_chosen(tmp_path):
    small(tmp_path, va=["valence,arousal", "0.1,0.2"])
    save(tmp_path / "cropped" / "v" / "00001.jpg")
    with pytest.raises(UserError, match=r"v: this video is there twice, as .*cropped/v and as .*cropped_aligned/v"):
        read(tmp_path)
    assert read(tmp_path, images="cropped_aligned")[0]["aff_wild2/v/00001"].image == "cropped_aligned/v/00001.jpg"


def test_a_video_twice_in_one_label_set_is_refused(tmp_path):
    small(tmp_path, va=["valence,arousal", "0.1,0.2"])
    twin = written(tmp_path / "VA_Estimation_Challenge" / "Validation_Set" / "v.txt", "valence,arousal", "0.1,0.2")
    with pytest.raises(UserError, match=rf"this video is there twice, as .*Train_Set/v\.txt and as {twin}"):
        read(tmp_path)


def test_two_pictures_of_one_number_are_both_listed_and_neither_is_used(tmp_path):
    small(tmp_path, va=["valence,arousal", "0.1,0.2"])
    for name in ("1.jpg", "thumbnail.jpg"):
        save(tmp_path / "cropped_aligned" / "v" / name)
    records, rejected = read(tmp_path)
    assert not records
    assert {id_: row.reason for id_, row in rejected.items()} == {
        "aff_wild2/v/00001": "no image", "aff_wild2/v/1.jpg": "no label", "aff_wild2/v/00001.jpg": "no label",
        "aff_wild2/v/thumbnail.jpg": "no label",
    }  # fmt: skip


def test_each_folder_is_listed_once_and_no_picture_is_opened(tmp_path, monkeypatch):
    aff_wild2.make(tmp_path)
    listed, opened = [], []
    scandir, read_bytes = os.scandir, Path.read_bytes
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(str(folder)) or scandir(folder))
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path) or read_bytes(path))
    source = AffWild2(str(tmp_path))
    assert source.inputs
    listed.clear()
    list(source.read(tmp_path))
    pictures = [folder for folder in listed if "cropped_aligned" in folder]
    assert len(pictures) == len(set(pictures)) == len(aff_wild2.VIDEOS)
    assert {path.suffix for path in opened} == {".txt"}


@pytest.mark.parametrize("layout", ["auto", "abaw2"])
def test_a_wrong_root_says_what_was_looked_for_and_what_is_there(tmp_path, layout):
    save(tmp_path / "cropped_aligned" / "v" / "00001.jpg")
    with pytest.raises(UserError, match=r"no label file in .*VA_Set in it, found cropped_aligned/"):
        AffWild2(str(tmp_path), layout).inputs  # noqa: B018


def test_labels_without_any_pictures_are_a_half_unpacked_root(tmp_path):
    written(tmp_path / VA_LABELS / "v.txt", "valence,arousal", "0.1,0.2")
    with pytest.raises(UserError, match=r"no cropped_aligned/<video>/00001\.jpg in it, found VA_Estimation_Challenge/"):
        read(tmp_path)


def test_text_that_is_not_utf8_and_an_empty_file_are_refused(tmp_path):
    small(tmp_path, va=["valence,arousal", "0.1,0.2"])
    file = tmp_path / VA_LABELS / "v.txt"
    file.write_bytes(b"valence,arousal\n\xe90.1,0.2\n")
    with pytest.raises(UserError, match=r"v\.txt: not UTF-8 text"):
        read(tmp_path)
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"v\.txt, line 1: the header is ''"):
        read(tmp_path)


def test_settings_that_are_none(tmp_path):
    with pytest.raises(UserError, match=r"source\.layout=abaw9: no such layout; use auto, abaw3, mtl, abaw2"):
        AffWild2(str(tmp_path), "abaw9")
    for images in ("nowhere", ".."):
        with pytest.raises(UserError, match=r"source\.images=.*: no such folder"):
            AffWild2(str(tmp_path), images=images)


def test_a_video_added_later_moves_no_other(tmp_path):
    aff_wild2.make(tmp_path)
    before, _ = read(tmp_path, test_share=0.3)
    save(tmp_path / "cropped_aligned" / "new" / "00001.jpg")
    written(tmp_path / VA_LABELS / "new.txt", "valence,arousal", "0.1,0.2")
    after, _ = read(tmp_path, test_share=0.3)
    assert {id_: after[id_] for id_ in before} == before
    assert set(after) - set(before) == {"aff_wild2/new/00001"}


CODES = st.sampled_from(["-5", "-1", "9", "-2", "7", "8", "", "nan", "inf", "x", "2", "0", "1", "0.5", "-0.5", "1.0"])
FIELDS = [columns("mtl", "image,valence,arousal,expression,aus"), columns("au", AU), columns("va", "valence,arousal")]


@given(st.sampled_from([*FIELDS, Columns(("expression",), CLASSES)]), st.data())
def test_no_row_can_put_a_missing_code_into_the_labels(fields, data):
    cells = data.draw(st.lists(CODES, min_size=len(fields.names), max_size=len(fields.names)))
    cell = dict(zip(fields.names, cells, strict=True))
    assume(any(cells) or len(cells) > 1)  # an empty line has no fields
    found = labels(parse(fields, ",".join(cells)))
    assert (found.valence is None) == (found.arousal is None)
    for name, value in (("valence", found.valence), ("arousal", found.arousal)):
        assert value is None or (value == float(cell[name]) and -1 <= value <= 1)
    assert found.expression is None or CLASSES[int(float(cell["expression"]))] == found.expression
    units = {int(n[2:]): c in ("1", "1.0") for n, c in cell.items() if n[:2] == "au" and c in ("0", "1", "1.0")}
    assert (found.action_units or {}) == units
