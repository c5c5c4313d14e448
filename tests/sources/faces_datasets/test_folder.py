import contextlib
import os
import shutil
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.faces_datasets import table_template
from seke.sources.faces_datasets.folder import Folder
from seke.sources.faces_datasets.folder_table import TableSettings, read_tables
from seke.sources.prepare import prepare
from seke.sources.prepare.image_check import ImageChecks

from ..rows import by_id


def photograph():
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def picture(path, colour="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), colour).save(path)


def read(root, **settings):
    return by_id(Folder(str(root), **settings).read(root))


def test_one_real_photograph_without_labels_is_for_training(tmp_path):
    shutil.copy(photograph(), tmp_path / "grace_hopper.jpg")
    for seed in range(30):
        records, rejected = read(tmp_path, seed=seed)
        record = records["grace_hopper.jpg"]
        assert (record.split, record.subject, record.labels) == ("train", None, Labels())
        assert not rejected
    assert Folder(str(tmp_path)).image_root(tmp_path) == str(tmp_path)


def test_pictures_are_found_in_subfolders_in_any_case_and_sorted(tmp_path):
    for name in ("b/z.PNG", "a.JPeG", "b/a.jpg", "c.webp", ".hidden/x.jpg", "._a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name, "PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    records, rejected = read(tmp_path)
    assert list(records) == ["a.JPeG", "b/a.jpg", "b/z.PNG", "c.webp"]
    assert not rejected


def test_labels_in_an_untidy_table(tmp_path):
    for name in ("a.png", "d/b.png", "c.png"):
        picture(tmp_path / name)
    (tmp_path / "labels.csv").write_bytes(
        b"\xef\xbb\xbf Image ;SUBJECT; Expression;valence;Arousal;au 1;AU_02;AU04;attributes.age\r\n"
        b"./a.png; anna ;Happiness;0.5; -1 ;1;0;;31\r\n\r\n"
        b"d\\b.png;;;;;;TRUE\r\n"
    )
    records, rejected = read(tmp_path)
    assert not rejected
    assert records["a.png"].labels == Labels(
        expression="happiness", valence=0.5, arousal=-1.0, action_units={1: True, 2: False}
    )
    assert records["a.png"].subject == "anna"
    assert records["a.png"].attributes == {"age": "31"}
    assert records["d/b.png"].labels == Labels(action_units={2: True})
    assert records["d/b.png"].subject is None
    assert records["c.png"].labels.empty


def test_bad_pictures_and_rows_without_one_are_rejected_and_counted(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    picture(root / "good.png")
    shutil.copy(photograph(), root / "cut.jpg")
    (root / "cut.jpg").write_bytes((root / "cut.jpg").read_bytes()[:20_000])
    (root / "empty.jpg").touch()
    (root / "text.png").write_text("I am no picture")
    picture(outside / "secret.png")
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "dangling.png").symlink_to(outside / "nowhere.png")
    (root / "linked_folder").symlink_to(outside)
    (root / "labels.csv").write_text("image,expression\ngood.png,fear\n../outside/secret.png,fear\ngone.png,anger\n")
    rows, listed = prepare.listed(Folder(str(root)), tmp_path)
    chosen = prepare.choose(Folder(str(root)), rows, ImageChecks(root, tmp_path / "looks"), None, 0, None)
    rejected = {row.id: row for row in [*listed, *chosen.rejected]}
    assert [record.id for record in chosen.records] == ["good.png"]
    assert {id_: row.reason for id_, row in rejected.items()} == {
        "cut.jpg": "bad image",
        "empty.jpg": "bad image",
        "text.png": "bad image",
        "link.png": "bad image",
        "dangling.png": "bad image",
        "linked_folder": "link",
        "../outside/secret.png": "no image",
        "gone.png": "no image",
    }
    assert "line 4" in rejected["gone.png"].detail


def test_a_name_that_is_not_utf8_is_rejected_not_fatal(tmp_path):
    picture(tmp_path / "good.png")
    try:
        shutil.copy(tmp_path / "good.png", os.fsencode(tmp_path) + b"/b\xff.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    records, rejected = read(tmp_path)
    assert set(records) == {"good.png"}
    assert rejected["b\\xff.png"].reason == "bad name"
    rejected["b\\xff.png"].model_dump_json().encode()


def test_a_subject_is_on_one_side_and_so_are_copies_of_a_picture(tmp_path):
    lines = ["image,subject,expression"]
    for k in range(60):
        picture(tmp_path / f"{k}.png", (k, k, 2 * k))
        lines.append(f"{k}.png,s{k % 12},{'fear' if k < 30 else ''}")
    for k in range(60, 80):
        picture(tmp_path / f"{k}.png", (k // 2, 200, 3))
        lines.append(f"{k}.png,,anger")
    shutil.copy(tmp_path / "0.png", tmp_path / "copy.png")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    records, _ = read(tmp_path, test_share=0.3, validation_share=0.4)
    sides = {}
    for record in records.values():
        sides.setdefault(record.subject or record.sha256, set()).add(record.split)
    assert all(len(split) == 1 for split in sides.values())
    assert {side for split in sides.values() for side in split} == {"train", "validation", "test"}
    assert records["copy.png"].split == records["0.png"].split


def test_test_share_is_a_setting(tmp_path):
    for k in range(20):
        picture(tmp_path / f"{k}.png", (k, 0, 0))
    (tmp_path / "labels.csv").write_text("image,expression\n" + "\n".join(f"{k}.png,fear" for k in range(19)))
    records, _ = read(tmp_path, test_share=1.0)
    assert [r.id for r in records.values() if r.split != "test"] == ["19.png"], "nothing to test against"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("image,expression\na.png,bored\n", "line 2, column expression: 'bored' is none of neutral, "),
        ("image,valence\na.png,\nb.png,1.5\n", "line 3, column valence: '1.5'"),
        ("image,arousal\na.png,inf\n", "line 2, column arousal: 'inf'"),
        ("image,arousal\na.png,high\n", "line 2, column arousal: 'high'"),
        ("image,AU1\na.png,2\n", "line 2, column AU1: '2' is neither 0 nor 1"),
        ("image,AU3\na.png,1\n", "line 1, column AU3: none of the 17 AUs"),
        ("image,valance\na.png,1\n", "line 1, column valance: no column of this table"),
        ("image,AU1,au 01\na.png,1,1\n", "line 1, column au 01: this column stands twice"),
        (
            "what,AU1\n1,1\n",
            "line 1, column image: no such column; say which one of what it is: 'source.columns={image",
        ),
        ("expression\nfear\n", "column image: no such column"),
        ("", "column image: no such column"),
        ("image,AU1\na.png,1,1\n", "line 2, 3 cells under 2 columns"),
        ("image,AU1\n,1\n", "line 2, column image: empty"),
        ("image,AU1\na.png,1\n./a.png,0\n", "lines 2 and 3 disagree (AU1 1 and 0), both about a.png"),
        ('image,AU1\n"a.png,1\n', "unexpected end of data"),
    ],
)
def test_a_bad_table_names_file_line_and_column(tmp_path, table, complaint):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert str(tmp_path / "labels.csv") in str(caught.value)
    assert complaint in str(caught.value)


def rows(*lines):
    return "image,expression,valence,AU1,attributes.face\n" + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (unicodedata.normalize("NFD", "Zoë/é.png"), unicodedata.normalize("NFC", "Zoë/é.png")),
        (unicodedata.normalize("NFC", "Zoë/é.png"), unicodedata.normalize("NFD", "ZOË/É.PNG")),
        ("Faces/A.PNG", "faces/a.png"),
        ("a.png", "/home/someone/pictures/a.png"),
        ("a.png", "C:\\Users\\someone\\A.PNG"),
        ("deep/er/a.png", "a.png"),
        ("b/007.png", "007"),
        ("straße.png", "STRASSE.png"),
    ],
)
def test_a_row_means_the_one_picture_that_its_name_can_mean(tmp_path, name, row):
    picture(tmp_path / name)
    picture(tmp_path / "other.png", "blue")
    (tmp_path / "labels.csv").write_text(rows(f"{row},fear,,,"), encoding="utf-8")
    records, rejected = read(tmp_path)
    assert records[name].labels.expression == "fear" and not rejected
    assert records["other.png"].labels.empty


def test_a_name_that_may_mean_two_pictures_or_stands_in_two_rows_means_none(tmp_path):
    for name in ("x/a.png", "y/a.png", "b.png", "c.png", "d.png"):
        picture(tmp_path / name, (len(name), ord(name[0]), 3))
    (tmp_path / "labels.csv").write_text(
        rows("a.png,fear,,,", "B.PNG,fear,,,", "z/b.PNG,sad,,,", "c.png,sad,,,", "d.png,sad,,,")
    )
    records, rejected = read(tmp_path)
    assert {id_: row.labels.expression for id_, row in records.items()} == {
        "b.png": "fear", "c.png": "sadness", "d.png": "sadness", "x/a.png": None, "y/a.png": None,
    }  # fmt: skip
    assert rejected["a.png"].detail == "labels.csv, line 2: 2 pictures are called so: x/a.png, y/a.png"
    assert "no such picture" in rejected["z/b.PNG"].detail


@pytest.mark.parametrize("before", ["", "/home/me/study/", "C:\\Users\\me\\study\\", "../"])
def test_folders_tell_pictures_of_one_name_apart_wherever_they_lay_before(tmp_path, before):
    for name in ("anna/1.png", "bert/1.png"):
        picture(tmp_path / name)
    (tmp_path / "labels.csv").write_text(f"image,AU1\n{before}anna/1.png,0\n{before}bert/1,1\n")
    records, rejected = read(tmp_path)
    assert not rejected
    assert {name: record.labels.action_units for name, record in records.items()} == {
        "anna/1.png": {1: False}, "bert/1.png": {1: True},
    }  # fmt: skip


def test_a_row_of_a_person_who_left_falls_to_nobody_else(tmp_path):
    for name in ("anna/1.png", "anna/9.png"):
        picture(tmp_path / name)
    (tmp_path / "labels.csv").write_text("image,subject,AU1\nanna/1.png,anna,0\ncarl/9.png,carl,1\n")
    records, rejected = read(tmp_path)
    assert records["anna/9.png"].labels.empty and records["anna/9.png"].subject is None
    assert {name: rejection.reason for name, rejection in rejected.items()} == {"carl/9.png": "no image"}


@pytest.mark.parametrize(("other", "rejected"), [("fear", {}), ("sad", {"a/1.png": "two labels"})])
def test_rows_of_one_picture_in_two_spellings_count_once_or_disagree(tmp_path, other, rejected):
    for name in ("a/1.png", "a/2.png"):
        picture(tmp_path / name)
    (tmp_path / "labels.csv").write_text(f"image,expression\na/1.png,fear\nA\\1.PNG,{other}\na/2,anger\n")
    folder = Folder(str(tmp_path))
    records, found = by_id(folder.read(tmp_path))
    assert {name: rejection.reason for name, rejection in found.items()} == rejected
    assert records["a/2.png"].labels.expression == "anger"
    assert rejected or records["a/1.png"].labels.expression == "fear"
    said = "\n".join(folder.understood())
    assert "rows about a picture that another row spells in another way: 1" in said
    assert ("a/1.png: lines 2 and 3 disagree (expression fear and sadness)" in said) == bool(rejected)


def test_a_table_of_a_name_that_is_not_looked_for_is_named(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "my ratings.csv").write_text("image,AU1\na.png,0\n")
    folder = Folder(str(tmp_path))
    by_id(folder.read(tmp_path))
    assert "'my ratings.csv' is not read unless source.labels='my ratings.csv' says so" in folder.understood()[0]
    with pytest.raises(UserError, match=r"give the path of a \.csv or \.xlsx file, such as 'my ratings\.csv'"):
        Folder(str(tmp_path), labels="my_ratings.csv")


def test_a_table_of_other_pictures_is_an_error(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(rows("a.png,fear,,,", "q/1.png,sad,,,", "q/2.png,sad,,,"))
    with pytest.raises(
        UserError, match=r"labels\.csv: 2 of 3 rows mean no picture in .*, such as q/1\.png; set source\.root"
    ):
        read(tmp_path)


@pytest.mark.parametrize("face", ["4 5 10 12", "[4, 5, 10, 12]", "4.0;5.0;10;12.2", "(4,5,10,12)"])
def test_a_face_box_is_read(tmp_path, face):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(rows(f'a.png,Angry,,,"{face}"'))
    record = read(tmp_path)[0]["a.png"]
    assert record.attributes == {"face": [4, 5, 10, 12]} and record.labels.expression == "anger"


@pytest.mark.parametrize(
    "spoilt",
    [
        "b.png,bored,,,", "b.png,,2,,", "b.png,,,maybe,", "b.png,,,,1 2 3", "b.png,,,,1 2 0 4", "b.png,,,,left",
        f"b.png,,{'9' * 5000},,", f"b.png,{'x' * 200_000},,,", "b.png,,,,1 2 3 1e400", "b.png,,,,,,,4", ",fear,,,",
        'b.png,"x"y,,,',
    ],
)  # fmt: skip
def test_one_bad_row_among_others_is_rejected_and_counted(tmp_path, spoilt):
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / name, (ord(name[0]), 0, 0))
    (tmp_path / "labels.csv").write_text(rows("a.png,fear,,,", spoilt, "c.png,fear,,,"))
    records, rejected = read(tmp_path)
    assert [records[name].labels.expression for name in ("a.png", "b.png", "c.png")] == ["fear", None, "fear"]
    assert {id_: row.reason for id_, row in rejected.items()} == {"labels.csv, line 3": "bad row"}
    assert len(rejected["labels.csv, line 3"].detail) < 250


def test_a_quote_that_is_never_closed_swallows_no_rows_in_silence(tmp_path):
    picture(tmp_path / "a.png")
    lines = [f"a{k}.png,fear,,," for k in range(9)]
    (tmp_path / "labels.csv").write_text(rows(*lines, '"b.png,fear,,,', *lines))
    with pytest.raises(UserError, match="line 11, a quote is never closed"):
        read(tmp_path)


def test_a_decimal_comma_is_read_where_semicolons_part_the_cells(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("image;valence;arousal\na.png;0,5;-1,0\n")
    assert read(tmp_path)[0]["a.png"].labels == Labels(valence=0.5, arousal=-1.0)


def test_folders_called_like_expressions_are_not_read_without_a_word(tmp_path):
    for name in ("train/angry/a.png", "train/happy/b.png"):
        picture(tmp_path / name, (len(name), 0, 0))
    with pytest.raises(
        UserError, match=r"no labels\.csv in it, and folders called angry, happy: .*; set source=class_folders"
    ):
        read(tmp_path)
    assert len(read(tmp_path, labels=None)[0]) == 2


def test_folders_called_like_a_split_are_the_split(tmp_path):
    for k in range(40):
        picture(tmp_path / ("train", "Test")[k % 2] / f"{k}.png", (k, 0, 0))
    (tmp_path / "labels.csv").write_text(rows(*(f"{('train', 'Test')[k % 2]}/{k}.png,fear,,," for k in range(40))))
    records, _ = read(tmp_path, validation_share=0.5)
    sides = {(name.partition("/")[0], row.split) for name, row in records.items()}
    assert sides == {("train", "train"), ("train", "validation"), ("Test", "test")}
    assert {
        row.split
        for row in read(tmp_path, test_share=0, validation_share=0, splits={"test": None, "train": None})[0].values()
    } == {"train"}
    picture(tmp_path / "new" / "x.png")
    with pytest.raises(UserError, match=r"the folder new \(beside Test, train\) is not known"):
        read(tmp_path)


def test_loops_of_links_pipes_and_formats_that_are_not_read_are_counted(tmp_path):
    picture(tmp_path / "good.png")
    (tmp_path / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "round").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "raw.CR2").touch()
    records, rejected = read(tmp_path)
    assert list(records) == ["good.png"]
    assert {id_: row.reason for id_, row in rejected.items()} == {
        "a.jpg": "bad image", "b.jpg": "bad image", "pipe.png": "bad image", "round": "link", "raw.CR2": "format",
    }  # fmt: skip


@given(st.binary(max_size=200))
def test_any_bytes_as_a_table_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"image,AU1\n" + data)
    # Any other exception than the user's mistake fails the test.
    with contextlib.suppress(UserError):
        assert all(isinstance(row.labels, Labels) for row in read_tables([path], TableSettings()).rows.values())


def test_a_corrected_table_is_read_by_the_same_command(tmp_path):
    picture(tmp_path / "a.png")
    table = tmp_path / "labels.csv"
    table.write_text("image,AU1\na.png,often\n")
    with pytest.raises(UserError):
        Folder(str(tmp_path))  # before anything is claimed or written
    table.write_text("image,AU1\na.png,1\n")
    assert Folder(str(tmp_path)).inputs == {"labels": table}


def test_missing_folders_and_files_are_the_users_mistakes(tmp_path):
    with pytest.raises(UserError, match=r"source.root=None: no folder is given"):
        Folder(None)
    with pytest.raises(UserError, match=r"source.root=.*nowhere: no such folder"):
        Folder(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"source.labels=mine.csv: no such file"):
        Folder(str(tmp_path), labels="mine.csv")
    with pytest.raises(UserError, match="no picture in it"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("column", "cells"),
    [("valence", [1, 5, 1, 9, 1, 1]), ("AU12", [0, 3, 1, 0, 2, 1]), ("AU4", [0.0, 0.7, 1.0, 0.0, 0.2, 1.0])],
)
def test_a_column_on_another_scale_is_refused_whole(tmp_path, column, cells):
    picture(tmp_path / "a.png")
    text = f"image,{column}\n" + "".join(f"{k}.png,{cell}\n" for k, cell in enumerate(cells))
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=f"{column.rstrip('0123456789')} on another scale .*2 of 6 rows"):
        Folder(str(tmp_path))


def test_one_number_beyond_the_range_is_a_bad_row_and_no_scale(tmp_path):
    (tmp_path / "labels.csv").write_text("image,valence\na.png,1\nb.png,-5\nc.png,0.5\nd.png,1_0\ne.png,0\n")
    found = read_tables([tmp_path / "labels.csv"], TableSettings())
    assert {image: row.labels.valence for image, row in found.rows.items()} == {
        "a.png": 1.0, "c.png": 0.5, "e.png": 0.0,
    }  # fmt: skip
    assert [row.line for row in found.bad] == [3, 5]


def test_a_row_of_a_folder_that_is_there_means_no_picture_of_another(tmp_path):
    for name in ("anna/02.png", "bert/01.png", "clara/03.png"):
        picture(tmp_path / name, (9, 9, ord(name[0])))
    (tmp_path / "labels.csv").write_text(rows("anna/01.png,fear,,,", "anna/02.png,sad,,,", "old/03.png,anger,,,"))
    records, rejected = read(tmp_path)
    assert {id_: row.labels.expression for id_, row in records.items()} == {
        "anna/02.png": "sadness", "bert/01.png": None, "clara/03.png": "anger",
    }  # fmt: skip
    assert rejected["anna/01.png"].reason == "no image"


@pytest.mark.parametrize("name", ["label.csv", "annotations.xlsx", "annotations_v2.json", "labels (1).csv"])
def test_a_table_of_another_name_is_not_passed_over_without_a_word(tmp_path, name):
    picture(tmp_path / "a.png")
    (tmp_path / name).write_text("image,expression\na.png,fear\n")
    with pytest.raises(UserError, match=r"no labels\.csv in it, and a file .* which is not read"):
        read(tmp_path)
    assert read(tmp_path, labels=None)[0]["a.png"].labels == Labels()
    if name.lower().endswith(".csv"):
        assert read(tmp_path, labels=name)[0]["a.png"].labels.expression == "fear"


def table(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    return {image: row.labels for image, row in read_tables([tmp_path / "labels.csv"], TableSettings()).rows.items()}


def test_openface_columns_are_intensity_and_occurrence_each_by_its_ending(tmp_path):
    head = "image, AU01_r, AU12_r, AU45_r, AU12_c, AU28_c\n"  # OpenFace writes a space after each comma
    found = table(tmp_path, head + "a.png, 0.00, 3.41, 1.2, 0, 1\nb.png,,5,,1,\n")
    assert found == {
        "a.png": Labels(action_units={12: False}, au_intensity={1: 0.0, 12: 3.41}),
        "b.png": Labels(action_units={12: True}, au_intensity={12: 5.0}),
    }


def test_a_table_of_intensities_alone_says_nothing_of_occurrence(tmp_path):
    found = table(tmp_path, "image;AU6_r\na.png;4,5\n")
    assert found == {"a.png": Labels(au_intensity={6: 4.5})}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,AU1,AU01_c\na.png,1,1\n", "this column stands twice"),
        ("image,AU01_x\na.png,1\n", "no column of this table"),
        ("image,AU01_r\na.png,5.5\nb.png,x\n", "'5.5' is no number from 0 to 5"),
        ("image,AU1_r\n" + "".join(f"{k}.png,{k % 9}\n" for k in range(40)), "AU_r on another scale than 0 to 5"),
        ("image,AU1\n" + "".join(f"{k}.png,{k % 6}\n" for k in range(40)), "a column of intensities is called AU1_r"),
    ],
)
def test_intensities_on_another_scale_or_by_another_name_are_refused(tmp_path, text, problem):
    with pytest.raises(UserError, match=problem):
        table(tmp_path, text)


@pytest.mark.parametrize("name", ["labels.csv", "Labels.CSV", "labels.tsv", "LABELS.xlsx"])
def test_the_table_is_found_by_its_usual_names(tmp_path, name):
    picture(tmp_path / "a.png")
    pd.DataFrame({"image": ["a.png"], "expression": ["fear"]}).pipe(
        lambda frame: (
            frame.to_excel(tmp_path / "t.xlsx", index=False)
            if name.endswith("xlsx")
            else frame.to_csv(tmp_path / "t.csv", index=False)
        )
    )
    next(tmp_path.glob("t.*")).rename(tmp_path / name)
    assert read(tmp_path)[0]["a.png"].labels.expression == "fear"


def test_of_two_tables_one_is_named(tmp_path):
    picture(tmp_path / "a.png")
    for name in ("labels.tsv", "labels.xlsx"):
        (tmp_path / name).write_text("image\tvalence\na.png\t0\n")
    with pytest.raises(UserError, match=r"labels\.tsv and labels\.xlsx lie in .*; set it to the one that counts"):
        read(tmp_path)
    assert read(tmp_path, labels="labels.tsv")[0]["a.png"].labels == Labels(valence=0.0)


def test_a_folder_of_tables_is_read_table_by_table(tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name, (ord(name[0]), 0, 0))
        file = tmp_path / "processed" / name.replace("png", "csv")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"face, confidence, AU12_r, AU12_c\n0, 0.9, 1.5, {int(name == 'a.png')}\n")
    source = Folder(str(tmp_path), labels="processed")
    records, rejected = by_id(source.read(tmp_path))
    assert {image: record.labels.active for image, record in records.items()} == {"a.png": (12,), "b.png": ()}
    assert not rejected and len(source.inputs["labels"]) == 2
    assert source.understood()[-1] == "2 of 2 pictures have a row"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"source\.labels=empty: no \.csv, \.tsv, \.xlsx in it"):
        Folder(str(tmp_path), labels="empty")


def frames(root, numbers, table_of):
    for number in numbers:
        picture(root / f"frame_det_00_{number:06}.bmp", (number, 0, 0))
    lines = "".join(f"{frame}, 1, {frame % 2}\n" for frame in table_of)
    (root / "labels.csv").write_text("frame, success, AU12_c\n" + lines)


def test_rows_of_frames_mean_the_pictures_of_their_numbers(tmp_path):
    frames(tmp_path, range(1, 6), range(1, 6))
    records, rejected = read(tmp_path)
    assert not rejected and {int(image[-8:-4]): record.labels.active for image, record in records.items()} == {
        1: (12,), 2: (), 3: (12,), 4: (), 5: (12,),
    }  # fmt: skip


def test_frames_and_pictures_that_count_from_different_numbers_are_refused(tmp_path):
    frames(tmp_path, range(5), range(1, 6))
    with pytest.raises(UserError, match="its frames and the pictures count from different numbers"):
        read(tmp_path)


def test_a_picture_whose_rows_disagree_is_rejected(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / name, (ord(name[0]), 0, 0))
    (tmp_path / "labels.csv").write_text(rows("a.png,fear,,,", "b.png,sad,,,", "a.png,sad,,,", "c.png,,,,"))
    records, rejected = read(tmp_path)
    assert list(records) == ["b.png", "c.png"]
    assert (rejected["a.png"].reason, rejected["a.png"].detail) == (
        "two labels", "lines 2 and 4 disagree (expression fear and sadness)",
    )  # fmt: skip


@pytest.mark.parametrize("threshold", [-1, 0, 6, "high", True])
def test_a_threshold_that_is_none_is_one_line(tmp_path, threshold):
    with pytest.raises(UserError, match=r"source\.au_threshold="):
        Folder(str(tmp_path), au_threshold=threshold)


@pytest.mark.parametrize("name", ["labels.csv", "labels.xlsx"])
def test_the_template_is_itself_a_table(tmp_path, cli, name):
    path = tmp_path / name
    done = cli("prepare", "source=folder", f"source.template={path}", f"paths.outputs={tmp_path}/out")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{path}: 4 rows; an empty cell is unknown, and columns that you do not need can go\n"
    assert not (tmp_path / "out").exists(), "nothing else is done"
    table = read_tables([path], TableSettings())
    assert not table.bad and [row.labels.described for row in table.rows.values()] == [True, False, False, False]
    assert table.rows["anna/01.jpg"].labels.active == (6, 12) and table.rows["bert/02.jpg"].labels.empty
    for image in table.rows:
        picture(tmp_path / image, (len(image), ord(image[5]), 0))
    done = cli("prepare", "source=folder", f"source.root={tmp_path}", f"paths.outputs={tmp_path}/out", "name=x")
    assert done.returncode == 0 and "4 of 4 pictures have a row" in done.stdout, done.stderr
    again = cli("prepare", "source=folder", f"source.template={path}")
    assert again.returncode == 2 and again.stderr.startswith(f"error: source.template={path}: there is a file of that")


@pytest.mark.parametrize("name", ["labels.csv", "labels.xlsx"])
def test_the_template_of_a_folder_has_a_row_for_each_picture(tmp_path, name):
    strange = ["=SUM(1).png", "-a.png", "a, b.png", "ä/ü.png", "@x.png"]
    for image in strange:
        picture(tmp_path / image, (len(image), ord(image[0]) % 256, 0))
    assert table_template.write(tmp_path / name, str(tmp_path)).startswith(f"{tmp_path / name}: 5 rows")
    source = Folder(str(tmp_path))
    records, rejected = by_id(source.read(tmp_path))
    assert set(records) == set(strange) and not rejected
    assert source.understood()[-1] == "5 of 5 pictures have a row"
    with pytest.raises(UserError, match=r"source\.template=.*neither \.csv nor \.xlsx"):
        table_template.write(tmp_path / "labels.ods", None)
    with pytest.raises(UserError, match=r"source\.template=.*no such folder to write it to"):
        table_template.write(tmp_path / "nowhere" / "labels.csv", None)
