"""Corrections merged into the table they are about: read again, the new table says what the reviewer said."""

import random
from pathlib import Path

import openpyxl
import pytest
from PIL import Image

from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.faces_datasets.folder import Folder
from seke.sources.faces_datasets.merged_labels import default_out, merge

SAID = {
    "anna/1.png": Labels(expression="sadness", valence=-0.5, action_units={4: True, 12: False}),
    "bert/1.png": Labels(arousal=0.25),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("anna/1.png", "anna/2.png", "bert/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.frombytes("RGB", (9, 9), random.Random(name).randbytes(243)).save(tmp_path / name)
    return tmp_path


def workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Ratings"
    sheet.append(["A study of faces"])
    sheet.append([])
    sheet.append(["Bild", "Gefühl", "valence", "AU4", "Notiz"])
    sheet.append(["/mnt/anna/1.png", "happy", 0.5, 0, "=1+1"])
    sheet.append(["ANNA/2", "fear", 0, 1, "glasses"])
    sheet.merge_cells("A1:E1")
    book.create_sheet("Other").append(["kept", 7])
    book.save(path)


def known(folder: Folder, run: Path) -> dict[str, Labels]:
    return {record.id: record.labels for record in folder.read(run) if record.labels}


COLUMNS = {"image": "Bild", "expression": "Gefühl"}


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_workbook_with_corrections_is_read_as_they_say(root: Path, tmp_path: Path, ending: str) -> None:
    workbook(root / "labels.xlsx")
    old = (root / "labels.xlsx").read_bytes()
    settings = {"root": str(root), "columns": COLUMNS}
    folder = Folder(**settings)
    assert default_out(folder) == root / "labels.reviewed.xlsx"
    out = root / f"labels.reviewed.{ending}"
    assert merge(folder, settings, SAID, out) == (1, 1)
    after = known(Folder(**settings, labels=out.name), tmp_path / "run")
    assert after == {
        "anna/1.png": SAID["anna/1.png"],
        "anna/2.png": Labels(expression="fear", valence=0, action_units={4: True}),
        "bert/1.png": SAID["bert/1.png"],
    }
    assert (root / "labels.xlsx").read_bytes() == old
    if ending == "xlsx":
        book = openpyxl.load_workbook(out)
        assert [cell.value for cell in book["Other"][1]] == ["kept", 7]
        assert book["Ratings"]["A1"].value == "A study of faces"
        assert book["Ratings"]["E5"].value == "glasses" and book["Ratings"]["C4"].value == -0.5


def test_what_is_merged_is_on_the_scales_of_the_table(root: Path, tmp_path: Path) -> None:
    (root / "labels.csv").write_text("image,valence,arousal,AU4\nanna/1.png,9,1,0.5\nanna/2.png,1,9,4\n")
    ranges = {"valence": [1, 9], "arousal": [1, 9]}
    settings = {"root": str(root), "ranges": ranges, "au_threshold": 2}
    merge(Folder(**settings), settings, SAID, root / "new.csv")
    after = known(Folder(**settings, labels="new.csv"), tmp_path / "run")
    assert after["anna/1.png"] == Labels(
        expression="sadness", valence=-0.5, arousal=-1, action_units={4: True, 12: False}
    )
    assert after["anna/2.png"] == Labels(valence=-1, arousal=1, action_units={4: True})
    assert after["bert/1.png"] == Labels(arousal=0.25)


@pytest.mark.parametrize("name", ["labels.csv", "new.txt", "new.xlsx"])
def test_a_file_that_is_there_or_of_another_kind_is_refused(root: Path, name: str) -> None:
    (root / "labels.csv").write_text("image,valence\nanna/1.png,0.5\n")
    folder = Folder(str(root))
    with pytest.raises(UserError, match=r"^out="):
        merge(folder, {}, SAID, root / name)
    assert (root / "labels.csv").read_text() == "image,valence\nanna/1.png,0.5\n"
