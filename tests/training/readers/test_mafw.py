"""MAFW's rows: captions from the sheet or from GB18030 text, header or none; the middle frame; labels by number."""

import numpy as np
import pytest
from openpyxl import Workbook, load_workbook
from PIL import Image

from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.data.mixture import Data, stream
from seke.training.readers import mafw as room
from seke.training.readers.clips import fetch
from seke.training.readers.mafw import EMOTIONS, Mafw
from seke.training.readers.row import Row

from ...trees import mafw
from ...trees.pictures import picture as drawn
from ...trees.pictures import save

MAFW = Mafw(question="What is seen?", naming="The expression is {emotion}.")
CLIPS = [f"{k:05d}" for k in range(1, 7)]


def read(root, reader=MAFW, keep="all", path=None):
    return {found.id: found for found in reader.read(path or root, root, keep)}


def usable(found):
    return {name: row for name, row in found.items() if isinstance(row, Row)}


@pytest.mark.parametrize("header", [False, True])
def test_the_sheet_is_read_with_and_without_a_header(tmp_path, header):
    mafw.make(tmp_path, header=header)
    rows = usable(read(tmp_path))
    assert list(rows) == CLIPS
    assert rows["00001"].turns[0] == ("user", "What is seen?", 1)


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_text_files_of_another_encoding_say_the_same(tmp_path, header, first):
    mafw.make(tmp_path / "a")
    mafw.make(tmp_path / "b", layout="txt", header=header, first=first)
    for captions in ("english", "chinese"):
        settings = {"question": "?", "naming": "It is {emotion}.", "captions": captions}
        sheet = {name: row.turns for name, row in usable(read(tmp_path / "a", Mafw(**settings))).items()}
        text = usable(read(tmp_path / "b", Mafw(**settings, first_label=first)))
        assert {name: row.turns for name, row in text.items()} == {k: sheet[k] for k in CLIPS if k != "00004"}


def test_a_class_outside_the_eight_keeps_its_word_and_has_no_label(tmp_path):
    mafw.make(tmp_path)
    answers = {name: row.turns[1].text for name, row in usable(read(tmp_path)).items()}
    said = [answer.removeprefix(mafw.caption(k)[1]).strip() for k, answer in enumerate(answers.values(), start=1)]
    named = [EMOTIONS[label - 1] if label else None for label in mafw.LABELS]
    assert said == [f"The expression is {name}." if name else "" for name in named]
    kept = usable(read(tmp_path, keep="expression"))
    assert [kept[name].turns[1].text for name in kept] == [
        f"The expression is {name}." for name in ("happiness", "sadness", "anger")
    ]


def test_chinese_captions(tmp_path):
    mafw.make(tmp_path)
    found = read(tmp_path, Mafw(question="?", naming="{emotion}", captions="chinese"))
    assert found["00004"].turns[1].text == mafw.caption(4)[0]


def test_the_middle_frame_is_taken(tmp_path):
    mafw.make(tmp_path)
    rows = read(tmp_path)
    assert rows["00003"].images[0].name == "000003.jpg"
    assert rows["00002"].images[0] == tmp_path / "frames" / "00002_middle.jpg"
    fetch(rows["00002"].frame)
    with Image.open(rows["00002"].images[0]) as picture:
        shown = np.asarray(picture, float)
    away = [np.abs(shown - np.asarray(drawn(f"00002 {frame}"), float)).mean() for frame in range(5)]
    assert away.index(min(away)) == 2


def test_test_sides_are_not_trained_on(tmp_path):
    mafw.make(tmp_path, layout="txt")
    only = tmp_path / "Train & Test Set" / "single" / "with_caption" / "set_1"
    found = {row.id: row for row in MAFW.read(only, tmp_path)}
    assert set(usable(found)) == {"00001", "00002", "00003"}
    assert found["left out: test.txt"].reason == "held out"


def write(root, layout, labels):
    """Captions of so many clips, numbered from 1, with these labels; every caption says how many of them it is."""
    names = [f"{k:05d}.mp4" for k in range(1, len(labels) + 1)]
    for name in names:
        save(root / name.removesuffix(".mp4") / "0.jpg")
    if layout == "txt":
        lines = [f"{name}\t{label}\tzh\tCaption." for name, label in zip(names, labels, strict=True)]
        (root / "train.txt").write_text("\n".join(lines))
        return
    for file, rows in {
        "descriptive_text.xlsx": [(name, "zh", "Caption.") for name in names],
        "single-set.xlsx": [("clip", "single_label"), *zip(names, labels, strict=True)],
    }.items():
        book = Workbook()
        for row in rows:
            book.active.append(row)
        book.save(root / file)


FROM_0, FROM_1 = list(range(11)), list(range(1, 12))


@pytest.mark.parametrize(
    ("layout", "labels", "first", "said"),
    [
        ("xlsx", FROM_0, None, "first_label=None: single-set.xlsx: 00001: label 0 and no label 11"),
        ("txt", FROM_0, None, "first_label=None: train.txt: line 1: label 0 and no label 11"),
        ("txt", FROM_0, 1, "first_label=1: train.txt: line 1: label 0"),
        ("xlsx", FROM_1, 0, "first_label=0: single-set.xlsx: 00011: label 11, so labels begin at 1"),
        ("txt", FROM_1, 0, "first_label=0: train.txt: line 11: label 11, so labels begin at 1"),
        ("txt", [0, *FROM_1], None, "first_label=None: train.txt: line 1: label 0 beside label 11"),
        ("xlsx", [3, 12], None, "label '12', none of 0 to 11"),
        ("txt", [3, -1], None, "label '-1', none of 0 to 11"),
        ("txt", ["joy", 1], None, "label 'joy', none of 0 to 11"),
    ],
)
def test_labels_of_another_convention_are_refused_by_the_whole_file(tmp_path, layout, labels, first, said):
    write(tmp_path, layout, labels)
    with pytest.raises(UserError) as refused:
        read(tmp_path, Mafw(question="?", naming="{emotion}", first_label=first))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("layout", "labels", "first", "named"),
    [
        ("xlsx", FROM_0, 0, list(EMOTIONS)),
        ("txt", FROM_0, 0, list(EMOTIONS)),
        ("xlsx", FROM_1, None, list(EMOTIONS)),
        ("xlsx", [0, *FROM_1], None, ["", *EMOTIONS]),
        ("xlsx", [0, 4], 1, ["", "happiness"]),
        ("txt", [4, 2.0, "fear", "Anger"], None, ["happiness", "disgust", "fear", "anger"]),
    ],
)
def test_labels_that_fit_one_convention_are_read_by_it(tmp_path, layout, labels, first, named):
    write(tmp_path, layout, labels)
    rows = read(tmp_path, Mafw(question="?", naming="{emotion}", first_label=first))
    assert [row.turns[1].text.removeprefix("Caption.").strip() for row in rows.values()] == named


def test_a_workbook_of_absurd_size_is_refused(tmp_path, monkeypatch):
    write(tmp_path, "xlsx", FROM_1)
    far = Workbook()
    far.active["A1"], far.active["B1"], far.active["A900000"] = "clip", "single_label", "00001.mp4"
    far.save(tmp_path / "single-set.xlsx")
    monkeypatch.setattr(room, "MOST_ROWS", 1000)
    with pytest.raises(UserError, match=r"single-set\.xlsx: more than 1,000 rows"):
        read(tmp_path)
    monkeypatch.setattr(room, "LARGEST_BOOK", 1000)
    with pytest.raises(UserError, match="bytes unpacked, more than 1,000"):
        read(tmp_path)


def test_clips_and_captions_that_are_missing_are_rejected(tmp_path):
    mafw.make(tmp_path)
    found = read(tmp_path)
    assert {name: row.reason for name, row in found.items() if isinstance(row, Rejection)} == {
        "09999": "no image", "00007": "answer"
    }  # fmt: skip


def test_labels_that_begin_at_0_are_not_read_as_if_they_began_at_1(tmp_path):
    mafw.make(tmp_path, layout="txt", first=0)
    path = tmp_path / "Train & Test Set" / "single" / "with_caption" / "set_1" / "test.txt"
    with pytest.raises(UserError, match=r"test\.txt: line 1: label 0.*first_label=0"):
        read(tmp_path, path=path)


@pytest.mark.parametrize("line", [b"00002.mp4 1", b"00002.mp4\t1\t\xff\xff\ten", b"no clip\t1\tzh\ten"])
def test_a_bad_line_is_rejected_and_the_others_are_read(tmp_path, line):
    (tmp_path / "train.txt").write_bytes(b"00001.mp4\t1\t\xc3\xe6\ten\n" + line + b"\n00003.mp4\t2\t\xc3\xe6\ten\n")
    found = {row.id: row for row in MAFW.read(tmp_path, tmp_path)}
    assert set(found) == {"train line 2", "00001", "00003"} and found["train line 2"].reason == "form"


def test_a_file_whose_first_line_has_not_four_fields_is_refused(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"00002.mp4\t1\n00001.mp4\t1\t\xc3\xe6\ten\n")
    with pytest.raises(UserError, match=r"train\.txt: line 1, 2 fields"):
        read(tmp_path)


def test_bytes_of_no_encoding_are_one_line(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"00001.mp4\t1\t\xff\xff\ten\n")
    with pytest.raises(UserError, match="neither UTF-8 nor GB18030"):
        read(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut short", b"<html>"])
def test_a_workbook_that_is_none_is_one_line(tmp_path, data):
    (tmp_path / "descriptive_text.xlsx").write_bytes(data)
    with pytest.raises(UserError, match="no readable workbook"):
        read(tmp_path)


def test_a_shifted_sheet_is_refused(tmp_path):
    book = Workbook()
    book.active.append(("index", "clip", "zh", "en"))
    book.active.append(("0", "00001.mp4", "zh", "en"))
    book.save(tmp_path / "descriptive_text.xlsx")
    with pytest.raises(UserError, match="row 2, not clip, Chinese, English"):
        read(tmp_path)


def test_a_folder_without_captions_says_what_it_holds(tmp_path):
    (tmp_path / "clips").mkdir()
    with pytest.raises(UserError, match=r"no descriptive_text\.xlsx or .*, found clips/"):
        MAFW.files(tmp_path)


def test_files_identify_captions_and_labels(tmp_path):
    mafw.make(tmp_path)
    assert [file.name for file in MAFW.files(tmp_path)] == ["descriptive_text.xlsx", "single-set.xlsx"]


@pytest.mark.parametrize("wrong", [{"captions": "french"}, {"naming": "no place"}])
def test_wrong_settings_are_users_mistakes(wrong):
    with pytest.raises(UserError, match=r"^data\.reader\."):
        Mafw(**{"question": "?", "naming": "{emotion}", **wrong})


def test_a_clip_that_is_listed_with_two_emotions_is_rejected(tmp_path):
    write(tmp_path, "xlsx", [1, 11, 4])
    book = load_workbook(tmp_path / "single-set.xlsx")
    book.active.append(["00001.mp4", 3])
    book.active.append(["00003.mp4", 4])
    book.save(tmp_path / "single-set.xlsx")
    rows = read(tmp_path)
    assert [(type(row), getattr(row, "reason", "")) for row in rows.values()] == [
        (Rejection, "two labels"), (Row, ""), (Row, ""),
    ]  # fmt: skip


def test_clips_are_shown_by_frames_spread_over_them(tmp_path):
    mafw.make(tmp_path)
    reader = Mafw(question="?", naming="It is {emotion}.", shown=3)
    [part] = Data(path=str(tmp_path), reader=reader).sources(tmp_path)
    told = list(stream(part))
    found = {row.id: row for row in told if isinstance(row, Row)}
    assert found and all(row.clips == (len(row.images),) and 2 <= len(row.images) <= 3 for row in found.values())
    assert all(file.is_file() for row in found.values() for file in row.images)
    still = {row.id: row for row in stream(part._replace(reader=MAFW)) if isinstance(row, Row)}
    refused = {one.id for one in told if not isinstance(one, Row)}
    assert still.keys() - found.keys() <= refused, "whoever is not shown is told"


@pytest.mark.parametrize("layout", ["xlsx", "txt"])
def test_a_folds_test_clips_are_left_out_by_name(tmp_path, layout):
    mafw.make(tmp_path, layout=layout)
    every = usable(read(tmp_path))
    found = read(tmp_path, Mafw(question="?", naming="{emotion}", fold=1))
    tested = {"00001", "00006"} if layout == "xlsx" else {"00005", "00006"}
    assert {name for name, row in found.items() if isinstance(row, Rejection) and row.reason == "held out"} >= tested
    assert usable(found).keys() == every.keys() - tested
    assert any(file.name == "test.txt" for file in Mafw(question="?", naming="{emotion}", fold=1).files(tmp_path))


@pytest.mark.parametrize("fold", [0, 6, True])
def test_a_fold_that_is_none_is_refused(fold):
    with pytest.raises(UserError, match=r"data\.reader\.fold"):
        Mafw(question="?", naming="{emotion}", fold=fold)
