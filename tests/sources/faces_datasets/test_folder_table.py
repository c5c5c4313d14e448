"""Tables as labs write them: the same thirteen rows saved by many programs, and the columns of OpenFace and others."""

import csv
import datetime
import io
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pytest

from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.core.table_columns import checked_columns
from seke.sources.faces_datasets.folder_table import TableSettings, checked_ranges, read_tables

WORDS = ["happy", "Joy", "sad", "ANGRY", "Neutral", "fear", None]
SHEET = pd.DataFrame(
    {
        "image": [f"IMG_{k:04}.jpg" for k in range(13)],
        "subject": [f"Jürgen {k // 4}" for k in range(13)],
        "expression": [WORDS[k % 7] for k in range(13)],
        "valence": [None if k == 5 else round(-0.6 + k / 10, 2) for k in range(13)],
        "arousal": [0.25] * 13,
        "AU1": [float(k % 2) if k != 3 else None for k in range(13)],
        "AU12": [1.0] * 6 + [0.0] * 7,
        "AU12_r": [None if k == 2 else k / 4 for k in range(13)],
    }
)
EXPRESSION = {"happy": "happiness", "Joy": "happiness", "sad": "sadness", "ANGRY": "anger", "Neutral": "neutral"}
TRUTH = {
    f"IMG_{k:04}.jpg": Labels(
        expression=EXPRESSION.get(WORDS[k % 7], WORDS[k % 7]),
        valence=None if k == 5 else round(-0.6 + k / 10, 2),
        arousal=0.25,
        action_units={**({} if k == 3 else {1: k % 2 == 1}), 12: k < 6},
        au_intensity=None if k == 2 else {12: k / 4},
    )
    for k in range(13)
}


def read(path, **settings):
    return read_tables([path], TableSettings(**settings))


def labels(path, **settings):
    return {image: row.labels for image, row in read(path, **settings).rows.items()}


def text(frame=SHEET, sep=",", **how):
    return frame.to_csv(index=False, sep=sep, **how)


def excel_text(frame, encoding="utf-16"):
    return text(frame, "\t", lineterminator="\r\n").encode(encoding)


def german(frame):
    return text(frame, ";", decimal=",", lineterminator="\r\n")


OTHER_TITLES = {
    "image": " Filename", "subject": "Participant_ID", "expression": "EMOTION", "AU1": "au_01", "AU12": "AU12_c",
    "AU12_r": "au_12_intensity",
}  # fmt: skip
SAVED = {
    "pandas": lambda: text().encode(),
    "pandas with an index": lambda: SHEET.to_csv().encode(),
    "pandas, everything in quotes": lambda: text(quoting=csv.QUOTE_ALL).encode(),
    "pandas, n/a": lambda: text(na_rep="n/a").encode(),
    "R": lambda: text(na_rep="NA", quoting=csv.QUOTE_NONNUMERIC).encode(),
    "Excel, CSV UTF-8": lambda: text(lineterminator="\r\n").encode("utf-8-sig"),
    "Excel, Unicode text": lambda: excel_text(SHEET),
    "big-endian": lambda: b"\xfe\xff" + text().encode("utf-16-be"),
    "without a mark": lambda: excel_text(SHEET, "utf-16-le"),
    "German Excel, CSV": lambda: german(SHEET).encode("cp1252"),
    "German Excel, with a line sep=": lambda: ("sep=;\r\n" + german(SHEET)).encode("cp1252"),
    "Mac": lambda: text(lineterminator="\r").encode(),
    "bars": lambda: text(sep="|").encode(),
    "tabs": lambda: text(sep="\t").encode(),
    "empty lines and columns": lambda: ("\n" + text() + "\n,,,,,,,\n\n").encode(),
    "decimal commas in quotes": lambda: text(decimal=",").encode(),
    "percent": lambda: text(SHEET.assign(arousal="25 %", AU12=["100%"] * 6 + ["0 %"] * 7)).encode(),
    "yes and no": lambda: text(SHEET.assign(AU12=["WAHR"] * 6 + ["falsch"] * 7)).encode(),
    "marks": lambda: text(SHEET.assign(AU12=["x"] * 6 + ["no"] * 7)).encode(),
    "minus signs of a word processor": lambda: text().replace("-0.", "\N{MINUS SIGN}0.").encode(),
    "full width": lambda: text().replace(",0.25,", ",０．２５,").encode(),
    "headers in other cases": lambda: text(SHEET.rename(columns=OTHER_TITLES)).encode(),
    "a heading above": lambda: ("Study of faces; 2024\n\n" + text()).encode(),
    "a comment above": lambda: ("# exported 2024, by me\n" + german(SHEET)).encode(),
    "spaces that nobody sees": lambda: (
        text(SHEET.assign(subject=SHEET["subject"] + "\u00a0", AU12=["\u200b1"] * 6 + ["0\u202f"] * 7)).encode()
    ),
    "words with full stops": lambda: text(SHEET.assign(expression=SHEET["expression"] + ".")).encode(),
    "titles in full": lambda: text(
        SHEET.rename(columns={"AU1": "Action Unit 1", "AU12": "AU12 (Lip Corner Puller)", "AU12_r": "AU 12 intensity"})
    ).encode(),
    "rows twice": lambda: text(pd.concat([SHEET, SHEET.iloc[[3, 7, 7]]])).encode(),
}  # fmt: skip


@pytest.mark.parametrize("how", SAVED)
def test_thirteen_rows_mean_the_same_however_they_were_saved(tmp_path, how):
    path = tmp_path / "labels.csv"
    path.write_bytes(SAVED[how]())
    table = read(path)
    assert {image: row.labels for image, row in table.rows.items()} == TRUTH
    assert {row.subject for row in table.rows.values()} == {f"Jürgen {k}" for k in range(4)}
    assert not table.bad and not table.contradicted
    assert "13 rows" in table.summary[0] or how == "rows twice"


def test_what_was_understood_is_said(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(german(SHEET.assign(Notiz="x")).encode("cp1252"))
    said = read(path).summary
    assert said[0] == (
        "labels.csv: cp1252 (guessed: set source.encoding if names look wrong), semicolons; 13 rows, 0 of them not used"
    )
    assert "  columns: image, subject, expression, valence, arousal, AU1, AU12, AU12_r" in said
    assert "  columns that are not read: Notiz; 'source.columns={<ours>: <title>}' reads one" in said
    assert "  subjects: 4" in said
    assert any(line.startswith("  words: happy -> happiness, Joy -> happiness, sad -> sadness") for line in said)


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        (["André", "Zoë", "Søren", "José", "Jürgen"], "cp1252"),
        (["张三", "李四", "王五", "陈静"], "gb18030"),
        (["張三，學生，右側的臉", "陳靜，老師，左側的臉", "林志玲，演員"], "big5"),
        (["田中さくら", "鈴木ゆうき", "ヨーコ"], "cp932"),
        (["김민수", "이영희", "박지성"], "cp949"),
        (["Łukasz", "Małgorzata", "Świętosław", "Grażyna"], "cp1250"),
        (["Иван", "Мария", "Ольга", "Сергей"], "cp1251"),
    ],
)
def test_encodings_are_found_by_the_names_of_people(tmp_path, language, encoding):
    frame = SHEET.assign(subject=[language[k % len(language)] for k in range(13)])
    path = tmp_path / "labels.csv"
    path.write_bytes(text(frame).encode(encoding))
    assert [row.subject for row in read(path).rows.values()] == list(frame["subject"])
    assert [row.subject for row in read(path, encoding=encoding).rows.values()] == list(frame["subject"])


def test_titles_and_words_of_another_language_are_named(tmp_path):
    path = tmp_path / "labels.csv"
    frame = pd.DataFrame(
        {"图片": ["照片1.jpg", "照片2.jpg"], "被试": ["张三", "李四"], "表情": ["高兴", "happy"], "12号": [1, 0]}
    )
    path.write_bytes(text(frame).encode("gb18030"))
    columns = checked_columns({"image": "图片", "subject": "被试", "expression": "表情", "AU12": "12号"})
    rows = read(path, columns=columns, classes={"高兴": "happiness"}).rows
    assert {image: (row.subject, row.labels.expression, row.labels.active) for image, row in rows.items()} == {
        "照片1.jpg": ("张三", "happiness", (12,)),
        "照片2.jpg": ("李四", "happiness", ()),
    }


def test_the_only_column_of_names_of_pictures_is_the_image(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("Nr;Bild;Valence\n1;a.JPG;0,5\n2;b.png;n/a\n")
    assert labels(path) == {"a.JPG": Labels(valence=0.5), "b.png": Labels()}


def test_a_column_is_left_out_or_another_one_taken(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,valence,mean_valence,arousal\na.png,9,0.5,7\nb.png,8,0.1,7\n")
    assert labels(path, columns={"valence": "mean_valence", "arousal": None})["a.png"] == Labels(valence=0.5)


# Excel


def workbook(path, rows, **sheets):
    book = openpyxl.Workbook()
    for name, content in {"labels": rows, **sheets}.items():
        sheet = book.create_sheet(name)
        for row in content:
            sheet.append(row)
    del book["Sheet"]
    book.save(path)
    return book


def test_a_workbook_of_pandas(tmp_path):
    path = tmp_path / "labels.xlsx"
    SHEET.to_excel(path, index=False, sheet_name="Ratings")
    table = read(path)
    assert {image: row.labels for image, row in table.rows.items()} == TRUTH
    assert table.summary[0] == "labels.xlsx: sheet Ratings; 13 rows, 0 of them not used"


def test_a_workbook_is_known_by_what_is_in_it(tmp_path):
    SHEET.to_excel(tmp_path / "labels.xlsx", index=False)
    (tmp_path / "labels.xlsx").rename(tmp_path / "labels.csv")
    assert labels(tmp_path / "labels.csv") == TRUTH


def test_a_workbook_with_what_people_leave_in_one(tmp_path):
    path = tmp_path / "labels.xlsx"
    head = ["Image", "Subject", "Valence", "AU12", "attributes.taken", None]
    day = datetime.datetime(2024, 5, 1)
    rows = [head, ["a.png", 7, 0.5, True, day], [None] * 5, ["b.png", 8.0, "0,25", False, None], *[[None, "  "]] * 20]
    book = workbook(path, rows, notes=[["who", "what"], ["me", "this"]])
    book["labels"]["C2"].number_format = "0%"
    book["labels"].column_dimensions["Z"].width = 40
    book.create_sheet("old").append(head)
    book["old"].append(["x.png", 1, 9])
    book["old"].sheet_state = "hidden"
    book.save(path)
    rows = read(path).rows
    assert rows["a.png"].labels == Labels(valence=0.5, action_units={12: True})
    assert rows["b.png"].labels == Labels(valence=0.25, action_units={12: False})
    assert (rows["a.png"].subject, rows["b.png"].subject) == ("7", "8")
    assert rows["a.png"].attributes == {"taken": "2024-05-01"}
    assert [row.line for row in rows.values()] == [2, 4]


def test_of_several_sheets_one_is_named(tmp_path):
    path = tmp_path / "labels.xlsx"
    workbook(path, [["image", "valence"], ["a.png", 0.1]], second=[["image", "valence"], ["a.png", 0.2]])
    with pytest.raises(
        UserError, match=r"source\.sheet=None: labels\.xlsx has several sheets; set it to labels, second"
    ):
        read(path)
    assert labels(path, sheet="Second") == {"a.png": Labels(valence=0.2)}
    with pytest.raises(UserError, match=r"source\.sheet=third: no such sheet in labels\.xlsx; use labels, second"):
        read(path, sheet="third")


@pytest.mark.parametrize(
    ("cell", "shown"), [(datetime.datetime(2024, 5, 1), "2024-05-01"), (datetime.time(1, 30), "01:30:00")]
)
def test_a_date_that_excel_made_of_a_number_is_told(tmp_path, cell, shown):
    path = tmp_path / "labels.xlsx"
    workbook(path, [["image", "valence"], ["a.png", cell], ["b.png", 0.1], ["c.png", 0.1]])
    [bad] = read(path).bad
    assert bad.line == 2 and f"'{shown}' is no number from -1 to 1 (a date?" in bad.problem


def test_titles_below_a_merged_heading_are_found_on_the_sheet_that_has_them(tmp_path):
    path = tmp_path / "labels.xlsx"
    rows = [["Faces of 2024"], [None], ["image", "valence"], ["a.png", 0.5]]
    book = workbook(path, rows, notes=[["who", "what"], ["me", "this"]])
    book["labels"].merge_cells("A1:B1")
    book.save(path)
    table = read(path)
    assert {image: row.labels for image, row in table.rows.items()} == {"a.png": Labels(valence=0.5)}
    assert table.rows["a.png"].line == 4


def test_a_formula_without_its_value_and_merged_cells_are_told(tmp_path):
    path = tmp_path / "labels.xlsx"
    rows = [["image", "subject", "valence"], ["a.png", "anna", "=1/2"], ["b.png", None, 0.1], ["c.png", "bert", 0.1]]
    book = workbook(path, rows)
    [bad] = read(path).bad
    assert bad.line == 2 and "a formula whose value is not saved" in bad.problem
    book["labels"].merge_cells("B2:B3")
    book.save(path)
    with pytest.raises(UserError, match=r"merged cells \(B2:B3\): only the first of them has a value; unmerge"):
        read(path)


def bomb(path, name, size):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as part:
        for _ in range(size // 2**20):
            part.write(b" " * 2**20)


def replaced(path, part, data):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, part: data}.items():
            archive.writestr(name, content)


LAUGHS = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">' + b"".join(
    b'<!ENTITY a%d "%s">' % (k, b"&a%d;" % (k - 1) * 10) for k in range(1, 12)
) + b"]><worksheet><sheetData><row><c><is><t>&a11;</t></is></c></row></sheetData></worksheet>"  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-300]), "a damaged workbook"),
        (
            lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
            "an old workbook (.xls), or one",
        ),
        (lambda path: bomb(path, "xl/sharedStrings.xml", 2**28 + 2**20), "too large a workbook"),
        (
            lambda path: bomb(path, "mimetype", 2**20),
            "a zip file and no Excel workbook; save the sheet as CSV in UTF-8",
        ),
        (lambda path: replaced(path, "xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row>"), "a damaged workbook"),
        (lambda path: replaced(path, "xl/worksheets/sheet1.xml", LAUGHS), "a damaged workbook"),
    ],
    ids=["cut", "old", "bomb", "other zip", "broken part", "entities"],
)
def test_a_workbook_that_is_none_or_may_do_harm_is_one_line(tmp_path, spoil, complaint):
    path = tmp_path / "labels.xlsx"
    SHEET.to_excel(path, index=False)
    spoil(path)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"source.labels={path}: ") and complaint in str(caught.value)


# Programs


def openface(rows, extra=()):
    """Return a table as OpenFace 2 writes it: a space behind every comma, gaze, pose, intensities, occurrences."""
    units = [au for au in (*sorted(ACTION_UNITS), 45) if au not in (24,)]
    head = ["frame", "face_id", "timestamp", "confidence", "success", "gaze_0_x", "pose_Tx", "x_0", "p_scale", *extra]
    head += [f"AU{au:02}_r" for au in units] + [f"AU{au:02}_c" for au in (*units, 28)]
    lines = [", ".join(head)]
    for frame, success, r, c in rows:
        cells = [frame, 0, frame / 25, 0.98 * success, success, 0.1, 2.5, 300.2, 1.1, *[""] * len(extra)]
        lines.append(", ".join(map(str, [*cells, *[r] * len(units), *[c] * (len(units) + 1)])))
    return "\n".join(lines) + "\n"


def test_openface_2_of_a_video(tmp_path):
    path = tmp_path / "clip.csv"
    path.write_text(openface([(1, 1, 0.25, 0), (2, 1, "3.00", 1), (3, 0, 0, 0)]))
    table = read(path)
    assert table.frames
    units = [au for au in ACTION_UNITS if au != 24]
    assert table.rows["1"].labels == Labels(
        action_units=dict.fromkeys(units, False), au_intensity=dict.fromkeys(units, 0.25)
    )
    assert table.rows["2"].labels == Labels(
        action_units=dict.fromkeys(units, True), au_intensity=dict.fromkeys(units, 3.0)
    )
    assert table.rows["3"].labels.empty, "where no face was found, zeros say nothing"
    assert "  no face found (success 0), so nothing is known: 1 rows" in table.summary


def test_py_feat(tmp_path):
    path = tmp_path / "fex.csv"
    rng = np.random.default_rng(0)
    fex = pd.DataFrame({"frame": [0, 1, 2], "FaceRectX": [1.5] * 3, "FaceScore": [0.99] * 3, "x_0": [1.0] * 3})
    fex = fex.assign(**{f"AU{au:02}": rng.random(3) for au in (1, 2, 11, 12, 28, 43)}, Pitch=0.1)
    shares = {"anger": [0.1, 0.3, None], "happiness": [0.8, 0.3, None], "neutral": [0.1, 0.2, None]}
    fex = fex.assign(**shares, input=["/home/x/a.png", "/home/x/b.png", "/home/x/c.png"])
    fex.loc[2, ["AU01", "AU02", "AU12"]] = None  # where no face was found
    fex.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"AU on another scale than 0 .*set source\.au_threshold= to"):
        read(path)
    found = labels(path, au_threshold=0.5)
    assert {image: row.expression for image, row in found.items()} == {
        "/home/x/a.png": "happiness", "/home/x/b.png": None, "/home/x/c.png": None,
    }  # fmt: skip
    for image, row in fex[:2].set_index("input").iterrows():
        assert found[image].action_units == {au: row[f"AU{au:02}"] >= 0.5 for au in (1, 2, 12)}
    assert found["/home/x/c.png"].empty


def test_py_feat_of_videos_is_about_their_frames(tmp_path):
    path = tmp_path / "fex.csv"
    path.write_text("AU12,input,frame\n1,/x/clip.mp4,0\n0,/x/clip.mp4,1\n1,/x/other.mp4,1\n")
    table = read(path)
    assert table.frames
    assert {image: row.labels.active for image, row in table.rows.items()} == {
        "clip/0": (12,), "clip/1": (), "other/1": (12,),
    }  # fmt: skip


def test_libreface(tmp_path):
    path = tmp_path / "results.csv"
    detected, intensities = (
        {"au_1": [0, 1], "au_7": [1, 0]},
        {"au_1_intensity": [0.2, 3.1], "au_9_intensity": [0.0, 4.4]},
    )
    frame = {"frame_idx": [0, 1], "frame_time_in_ms": [0.0, 33.3], "yaw": [0.1, 0.2], "lm_mp_0_x": [0.4, 0.5]}
    pd.DataFrame({**frame, **detected, **intensities, "facial_expression": ["Happiness", "Neutral"]}).to_csv(
        path, index=False
    )
    table = read(path)
    assert table.frames and table.rows["1"].labels == Labels(
        expression="neutral", action_units={1: True, 7: False}, au_intensity={1: 3.1, 9: 4.4}
    )


def test_openface_3(tmp_path):
    files = []
    for number, (name, emotion) in enumerate([("a", 1), ("b", 6), ("c", None)]):
        files.append(tmp_path / f"face_analysis_{name}.csv")
        row = {
            "timestamp": "2025-06-01 10:00:00",
            "image_path": f"faces/{name}.jpg",
            "face_id": 0,
            "face_detection": "[1.0]",
        }
        row |= {
            "landmarks": None,
            "emotion": emotion,
            "gaze_yaw": 0.1,
            "gaze_pitch": 0.2,
            "action_units": "[[0.1, 0.9]]",
        }
        pd.DataFrame([row]).to_csv(files[number], index=False)
    table = read_tables(files, TableSettings())
    assert {image: row.labels for image, row in table.rows.items()} == {
        "faces/a.jpg": Labels(expression="happiness"),
        "faces/b.jpg": Labels(expression="anger"),
        "faces/c.jpg": Labels(),
    }  # fmt: skip
    assert any("action_units" in line and "not read" in line for line in table.summary)


def test_tables_that_are_called_like_their_pictures(tmp_path):
    files = [tmp_path / f"{name}.csv" for name in ("a", "b")]
    for file, value in zip(files, (0, 1), strict=True):
        file.write_text(f"face, confidence, AU12_r, AU12_c\n0, 0.9, {value * 4.5}, {value}\n")
    table = read_tables(files, TableSettings())
    assert {image: row.labels.active for image, row in table.rows.items()} == {"a": (), "b": (12,)}
    assert table.summary[0] == "2 tables: 2 pictures, 0 rows not used; of the first one:"


def test_a_threshold_decides_where_nothing_else_says_so(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,AU1_r,AU2_r,AU2,AU4\na.png,1.9,4,0,2.5\nb.png,2,0,1,1\n")
    found = labels(path, au_threshold=2)
    assert found["a.png"] == Labels(action_units={1: False, 2: False, 4: True}, au_intensity={1: 1.9, 2: 4.0})
    assert found["b.png"] == Labels(action_units={1: True, 2: True, 4: False}, au_intensity={1: 2.0, 2: 0.0})


# Mistakes


def refusal(path, **settings):
    with pytest.raises(UserError) as caught:
        read(path, **settings)
    return str(caught.value)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(
        "Image,Subject,Valance,expression,arousal,AU12,AU3,au_12\n"
        "a.jpg,x,1,hapy,0.5,1,0,1\nb.jpg,x,1,joyish,hoch,2,0,1\nc.jpg,x,1,3,9,often,0,1\n"
    )
    told = refusal(path)
    for part in (
        "line 1, column Valance: no column of this table; did you mean valence?",
        "line 1, column AU3: none of the 17 AUs (1, 2, 4, ",
        "line 1, column au_12: this column stands twice",
        "line 2, column expression: 'hapy' is none of neutral, happiness, ",
        "did you mean happy? (so line 3 'joyish')",
        "line 3, column arousal: 'hoch' is no number from -1 to 1 (so line 4 '9')",
        "line 3, column AU12: '2' is neither 0 nor 1 (a column of intensities is called AU12_r",
        "line 4, column expression: '3' is none of",
        "set source.classes=raf_db or affectnet or fer2013 or ck_plus",
        "line 4, column AU12: 'often' is neither 0 nor 1",
    ):
        assert part in told, part
    assert "\n" not in told and told.endswith("; correct the table; an empty cell means unknown")


def test_probabilities_are_told_once_for_all_action_units(tmp_path):
    path = tmp_path / "labels.csv"
    units = [f"AU{au:02}" for au in ACTION_UNITS]
    path.write_text(f"image,{','.join(units)},valence\n" + f"a.png,{'0.3,' * 17}x\nb.png,{'0.6,' * 17}0.1\n")
    told = refusal(path)
    assert told.count("column AU") == 1 and "AU on another scale than 0 (absent) and 1 (active): 2 of 2 rows" in told
    assert "line 2, column AU01, 0.3; a column of intensities is called AU1_r; set source.au_threshold=" in told
    assert "line 2, column valence: 'x' is no number from -1 to 1" in told
    path.write_text(f"image,{','.join(units)}\na.png,{','.join(['7'] * 17)}\n")
    assert "line 2, column AU01: '7' is neither 0 nor 1" in (told := refusal(path))
    assert "(so line 2, column AU02 '7', line 2, column AU04 '7', " in told


@pytest.mark.parametrize("least", [1, 0])
def test_valence_on_another_scale_is_told_and_read_by_its_range(tmp_path, least):
    path = tmp_path / "labels.csv"
    most = 9 if least else 1
    cells = [least, (least + most) / 2, most]
    path.write_text("image,valence\n" + "".join(f"{k}.png,{cell}\n" for k, cell in enumerate(cells)))
    if least:
        assert "valence on another scale than -1 to 1: 2 of 3 rows are beyond, such as line 3, column valence, 5" in (
            told := refusal(path)
        )
        assert "'source.ranges={valence: [1, 9]}'" in told
    else:
        assert any(
            "valence goes from 0 to 1 and is never below 0; ours goes from -1 to 1" in s for s in read(path).summary
        )
    ranges = {"valence": (float(least), float(most))}
    assert [row.labels.valence for row in read(path, ranges=ranges).rows.values()] == [-1, 0, 1]
    assert not any("never below" in line for line in read(path, ranges=ranges).summary)


@pytest.mark.parametrize(
    ("ranges", "complaint"),
    [
        ([1, 9], "source.ranges=[1, 9]: no ranges of valence and arousal"),
        ({"AU1": [0, 5]}, "source.ranges.AU1=[0, 5]: neither valence nor arousal"),
        ({"valence": [9, 1]}, "source.ranges.valence=[9, 1]: not two numbers, the lower one first"),
        ({"arousal": "1-9"}, "source.ranges.arousal=1-9: not two numbers"),
    ],
)
def test_ranges_that_cannot_be_are_one_line(ranges, complaint):
    with pytest.raises(UserError) as caught:
        checked_ranges(ranges)
    assert str(caught.value).startswith(complaint)


def test_the_list_of_mistakes_is_capped(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,valence\n" + "".join(f"{k}.jpg,x{k}\n" for k in range(5000)))
    told = refusal(path)
    others = ", ".join(f"line {k + 2} 'x{k}'" for k in range(1, 13))
    assert f"column valence: 'x0' is no number from -1 to 1 (so {others} and 4987 more)" in told
    names = ",".join(f"AU{unit}x" for unit in ACTION_UNITS)
    path.write_text(f"image,{names}\n")
    told = refusal(path)
    assert told.count("column AU") == 12 and "5 more kinds" in told and len(told) < 2000


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a.png,anna,fear", "a.png,anna,sad"], "lines 2 and 3 disagree (expression fear and sadness)"),
        (["a.png,anna,fear", "a.png,bert,fear"], "lines 2 and 3 disagree (subject anna and bert)"),
        (["a.png,anna,fear", "a.png,anna,"], "lines 2 and 3 disagree (expression fear and unknown)"),
    ],
)
def test_rows_that_disagree_are_both_left_out(tmp_path, rows, said):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["image,subject,expression", *rows, "b.png,bert,fear", "c.png,bert,fear"]))
    table = read(path)
    assert table.contradicted == {"a.png": said}
    assert f"  not used: a.png: {said}" in table.summary


def test_numbers_of_people_are_the_same_with_and_without_a_fraction(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,subject\na.png,1.0\nb.png,1\nc.png,01\nd.png,anna\ne.png,Anna\nf.png,NA\n")
    table = read(path)
    assert [row.subject for row in table.rows.values()] == ["1", "1", "01", "anna", "Anna", None]
    assert "  subjects: 4; Anna and anna count as different people" in table.summary


def test_marks_without_a_zero_are_told_of(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,AU1,AU2,AU12\na.png,x,,1\nb.png,,,0\nc.png,x,x,1\n")
    assert any("AU1, AU2 never 0: an empty cell is unknown, not absent" in line for line in read(path).summary)


@pytest.mark.parametrize(
    ("table", "settings", "complaint"),
    [
        ("Bild;Gefühl\n1;froh\n", {}, "column image: no such column; say which one of Bild, Gefühl it is"),
        ("image,Gefühl\na.png,froh\n", {}, "no label among the columns (Gefühl); say which one is what: 'source."),
        ("image,x\na.png,1\n", {"columns": {"valence": "y"}}, "column y: source.columns calls it valence, and there"),
        ("image,Person,AU1\na.png,x,1\n", {"columns": {"subject": "Persona"}}, "did you mean Person?"),
        ("image,v,v\na.png,1,1\n", {"columns": {"valence": "v"}}, "column v: source.columns gives it two names, or"),
        ("image,AU12_mean\na.png,1\n", {}, "no column of this table; call it AU12 (occurrence) or AU12_r (intensity)"),
        ("image,valence,arousal\na.png,0,5,0,3\n", {}, "5 cells under 3 columns (text with commas, decimal ones too"),
        ("image,AU12_r\na.png,60%\n", {}, "'60%' is no number from 0 to 5"),
        ("frame,AU12\nx,1\n", {}, "line 2, column frame: 'x' is no number of a frame"),
        ("image,expression\na.png,9\n", {"classes": "affectnet"}, ""),
        ("image,expression\na.png,11\n", {"classes": "affectnet"}, "set source.classes=raf_db or fer2013 or ck_plus"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_is_accepted(tmp_path, table, settings, complaint):
    path = tmp_path / "labels.csv"
    path.write_text(table, encoding="utf-8")
    if complaint:
        assert complaint in refusal(path, **settings)
    else:
        assert not read(path, **settings).bad


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ("Bild", "source.columns=Bild: not names of columns; set for example {image: Bild}"),
        ({"bild": "x"}, "source.columns.bild=x: no column of ours; use image, subject, "),
        ({"AU3": "x"}, "source.columns.AU3=x: no column of ours"),
        ({"image": ""}, "source.columns.image=: no title of a column"),
    ],
)
def test_a_mapping_of_columns_that_cannot_be_is_one_line(columns, complaint):
    with pytest.raises(UserError) as caught:
        checked_columns(columns)
    assert str(caught.value).startswith(complaint)


def test_names_of_our_columns_may_be_spelt_as_in_the_table():
    assert checked_columns({"au_01": "x", "AU12_intensity": "y", "attributes.age": "Alter"}) == {
        "AU1": "x", "AU12_r": "y", "attributes.age": "Alter",
    }  # fmt: skip


def test_an_encoding_that_does_not_fit_is_told(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(german(SHEET).encode("cp1252"))
    assert "not utf-8 text" in refusal(path, encoding="utf-8") and "set source.encoding" in refusal(
        path, encoding="utf-8"
    )


def test_nothing_in_a_table_moves_the_cursor(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('image,valence,"two\nlines \x1b[31m"\na.png,0.5,x\n')
    assert "  columns that are not read: two lines \\x1b[31m" in read(path).summary[2]
    path.write_text('image,valence\na.png,"\x1b[31m"\n')
    assert "\x1b" not in refusal(path)


def test_a_large_table_is_read_row_by_row(tmp_path):
    path = tmp_path / "labels.csv"
    out = io.StringIO()
    out.write("image,valence\n")
    out.writelines(f"{k}.png,0.5\n" for k in range(20_000))
    path.write_text(out.getvalue())
    assert len(read(path).rows) == 20_000
