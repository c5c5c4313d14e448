"""An example of the table of a folder of pictures: with made-up rows, or with a row for each picture there is."""

import csv
import io
from pathlib import Path
from typing import Final

from seke.core import files
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.escape import csv_cell
from seke.sources.faces_datasets.folder import pictures
from seke.sources.faces_datasets.folder_table import TableSettings, read_tables

UNITS: Final = tuple(f"AU{au}" for au in ACTION_UNITS)
COLUMNS: Final = ("image", "subject", "expression", "valence", "arousal", *UNITS, "attributes.note")
SUFFIXES: Final = (".csv", ".xlsx")


def write(path: Path, root: str | None) -> str:
    """Write the example, CSV or a workbook by its ending, and return a line about it.

    Args:
        path: the new file.
        root: a folder of pictures, each of which gets a row; None: made-up rows.

    Raises:
        UserError: if there is a file of that name, if its ending is another, or if there is no such folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError("source.template", path, "neither .csv nor .xlsx", "end it with one of them")
    if not path.parent.is_dir():
        raise UserError(
            "source.template", path, "no such folder to write it to", "make the folder, or choose another one"
        )
    if path.exists():
        raise UserError("source.template", path, "there is a file of that name", "choose another one, or move it away")
    if root is not None and not Path(root).is_dir():
        raise UserError("source.root", root, "no such folder", "give the folder with your pictures, or leave it out")
    rows = _of_pictures(Path(root)) if root is not None else _examples()
    if path.suffix.lower() == ".csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n").writerows([csv_cell(cell) for cell in row] for row in (COLUMNS, *rows))
        data = out.getvalue().encode("utf-8-sig")  # without the mark Excel takes it for cp1252
    else:
        data = _workbook([list(COLUMNS), *rows])
    with files.whole(path, "wb") as file:
        file.write(data)
    read_tables([path], TableSettings())  # it is itself what it shows
    return f"{path}: {len(rows)} rows; an empty cell is unknown, and columns that you do not need can go"


def _of_pictures(root: Path) -> list[list[str]]:
    found = [image for image in pictures(root) if isinstance(image, str)]
    if not found:
        raise UserError("source.root", root, "no picture in it", "give the folder with your pictures, or leave it out")
    return [[image, *[""] * (len(COLUMNS) - 1)] for image in found]


def _examples() -> list[list[str]]:
    """Return rows that show what cells may hold: everything, an expression alone, one action unit absent, nothing."""
    smiling = {"AU6": "1", "AU12": "1", "AU4": "0"}
    full = ["anna/01.jpg", "anna", "happiness", "0.7", "0.4", *(smiling.get(unit, "0") for unit in UNITS), "posed"]
    alone = ["anna/02.jpg", "anna", "surprise", *[""] * (len(COLUMNS) - 3)]
    units = ["bert/01.jpg", "bert", "", "-0.25", "", *({"AU4": "1", "AU12": "0"}.get(unit, "") for unit in UNITS), ""]
    nothing = ["bert/02.jpg", "bert", *[""] * (len(COLUMNS) - 2)]
    return [full, alone, units, nothing]


def _workbook(rows: list[list[str]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "labels"
    for row in rows:
        sheet.append([float(cell) if _is_number(cell) else cell or None for cell in row])
        for cell in sheet[sheet.max_row]:
            cell.data_type = "n" if isinstance(cell.value, float) else "s" if cell.value else cell.data_type
    sheet.freeze_panes = "B2"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _is_number(cell: str) -> bool:
    return cell.lstrip("-").replace(".", "", 1).isdecimal()
