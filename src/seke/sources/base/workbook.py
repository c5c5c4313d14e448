"""Sheets of an Excel workbook (.xlsx) as rows of text, read bit by bit: nothing in it is calculated, run or trusted.

A cell is what Excel shows of it, a date in ISO form. What a spreadsheet hides from a reader is an error and no empty
cell: a formula whose value was not saved, and merged cells, of which only the first has a value.
"""

import datetime
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from seke.core.errors import UserError
from seke.sources.base.tables import TableError

ZIP: Final = b"PK\x03\x04"
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How workbooks of Excel 97 begin, and those that a password protects."""
MOST_BYTES: Final = 2**30
"""Of all parts of a workbook, unpacked; a million rows of ten columns have about 400 MB."""
MOST_STRINGS: Final = 2**28
"""Bytes of the table of strings, which is kept in memory."""
MOST_SHEETS: Final = 200
STRINGS: Final = "xl/sharedstrings.xml"
HIDDEN: Final = re.compile(rb'<f[ />]|<mergeCell ref="([A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}([0-9]{1,7}))"')
BLOCK: Final = 2**20
OVERLAP: Final = 64
"""Bytes of a block that are searched again with the next one."""
REMEDY: Final = "save the sheet as CSV in UTF-8"
FORMULA: Final = "#FORMULA!"
"""What stands for a formula whose value is not saved; no cell of Excel shows it."""


def is_workbook(start: bytes) -> bool:
    """Whether a file that begins so is an Excel workbook, whatever it is called."""
    return start.startswith((ZIP, OLE))


def sheet_rows(
    path: Path, sheet: str | None, named: Callable[[Sequence[str]], int], looked_at: int = 1
) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Return the name of the sheet that is read, and its rows that hold anything, titles first: number and cells.

    Args:
        path: the workbook.
        sheet: the name of the sheet; None: the only one that is visible and holds anything, or of several the only one
            with a header.
        named: how many columns of the table that is wanted a row names. The header is the first row that names two or
            more; without one it is the first row, if that names one.
        looked_at: rows among which the header is looked for.

    Raises:
        TableError: if it is no workbook, damaged, too large, or if cells are merged; the rows raise it as well.
        UserError: if there is no such sheet, or nobody said which one it is.
    """
    _check(path)
    book = _opened(path, values=True)
    visible = [name for name in book.sheetnames if book[name].sheet_state == "visible"]
    if sheet is not None:
        chosen = next((name for name in book.sheetnames if name.strip().lower() == sheet.strip().lower()), None)
        if chosen is None:
            raise UserError("source.sheet", sheet, f"no such sheet in {path.name}", f"use {_listed(book.sheetnames)}")
    else:
        headers = {name: _header(book[name], named, looked_at)[1] for name in visible}
        filled = [name for name, header in headers.items() if header]
        fitting = filled if len(filled) < 2 else [name for name in filled if named(headers[name])]
        if len(fitting) != 1 and filled:
            which = "several sheets" if fitting else "several sheets, and none whose titles name a column image"
            raise UserError("source.sheet", None, f"{path.name} has {which}", f"set it to {_listed(fitting or filled)}")
        chosen = fitting[0] if fitting else book.sheetnames[0]
    header, _ = _header(book[chosen], named, looked_at)
    formulas, merged = _hidden(path, str(book[chosen]._worksheet_path), header)
    if merged:
        problem = f"merged cells ({_listed(merged)}): only the first of them has a value"
        raise TableError(f"{problem}; unmerge them and fill in each, or {REMEDY}")
    rows = _rows(book, _opened(path, values=False) if formulas else None, chosen)
    return chosen, (row for row in rows if row[0] >= header)


def changed(path: Path, sheet: str, cells: Mapping[tuple[int, int], str | float]) -> bytes:
    """Return the workbook with other values in some cells of one sheet, by row and column from 1.

    What openpyxl does not know, such as pictures and pivot tables, is lost, and formulas are the values that they had,
    since those of a formula are not kept with it.

    Raises:
        TableError: if it cannot be read.
    """
    from openpyxl import load_workbook

    _check(path)
    try:
        with path.open("rb") as file:
            book = load_workbook(file, data_only=True)
    except Exception as error:  # a damaged workbook raises whatever the part of it does that is damaged
        raise TableError(f"a damaged workbook ({error}); {REMEDY}") from error
    for (row, column), value in cells.items():
        cell = book[sheet].cell(row, column)
        cell.value = value
        if isinstance(value, str):
            cell.data_type = "s"  # no formula, whatever it begins with
        elif cell.is_date:
            cell.number_format = "General"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _check(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        with path.open("rb") as file:
            old = file.read(len(OLE)) == OLE
        problem = "an old workbook (.xls), or one with a password" if old else f"a damaged workbook ({error})"
        raise TableError(f"{problem}; save it as .xlsx without a password, or as CSV in UTF-8") from None
    unpacked = sum(part.file_size for part in parts)
    strings = sum(part.file_size for part in parts if part.filename.lower() == STRINGS)
    if unpacked > MOST_BYTES or strings > MOST_STRINGS:
        raise TableError(f"too large a workbook ({unpacked:,} bytes unpacked); {REMEDY}")
    if not any(part.filename.lower() == "xl/workbook.xml" for part in parts):
        raise TableError(f"a zip file and no Excel workbook; {REMEDY}")


def _opened(path: Path, values: bool) -> Any:
    """Return the workbook, its sheets not yet read: their values, or (if not `values`) their formulas.

    It is handed over as an open file, because openpyxl refuses other names than its own.
    """
    from openpyxl import load_workbook

    try:
        book = load_workbook(path.open("rb"), read_only=True, data_only=values, keep_links=False)
    except Exception as error:  # a damaged workbook raises whatever the part of it does that is damaged
        raise TableError(f"a damaged workbook ({error}); {REMEDY}") from error
    if not 0 < len(book.worksheets) <= MOST_SHEETS:
        raise TableError(f"{len(book.worksheets)} sheets; {REMEDY}")
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what it claims to be may be a million empty columns
    return book


def _cells(sheet: Any) -> Iterator[tuple[Any, ...]]:
    try:
        yield from sheet.iter_rows(values_only=True)
    except Exception as error:
        raise TableError(f"sheet {sheet.title}: a damaged workbook ({error}); {REMEDY}") from error


def _rows(values: Any, formulas: Any | None, name: str) -> Iterator[tuple[int, list[str]]]:
    rows = _cells(values[name])
    typed = _cells(formulas[name]) if formulas is not None else None
    for number, row in enumerate(rows, start=1):
        cells = [_text(value) for value in row]
        if typed is not None:
            for place, value in enumerate(next(typed, ())):
                if place < len(cells) and not cells[place] and isinstance(value, str) and value.startswith("="):
                    cells[place] = FORMULA
        if any(cells):
            yield number, cells


def _header(sheet: Any, named: Callable[[Sequence[str]], int], looked_at: int) -> tuple[int, list[str]]:
    """Return the number and the cells of the row that names the columns; 1 and nothing of a sheet that is empty."""
    rows = ((number, [_text(value) for value in row]) for number, row in enumerate(_cells(sheet), start=1))
    ahead = list(islice((row for row in rows if any(row[1])), looked_at))
    return next((row for row in ahead if named(row[1]) > 1), ahead[0] if ahead else (1, []))


def _text(value: object) -> str:
    """Return what a cell shows: 3 and 3.0 are "3", a day is its date.

    >>> _text(3.0), _text(0.1 + 0.2), _text(None), _text(True), _text(datetime.datetime(2024, 5, 1))
    ('3', '0.3', '', 'TRUE', '2024-05-01')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return str(value).strip()


def _hidden(path: Path, part: str, header: int) -> tuple[bool, list[str]]:
    """Return whether a sheet holds formulas, and the ranges below the row of its titles whose cells are merged."""
    formulas, merged, before = False, dict[str, None](), b""
    with zipfile.ZipFile(path) as archive, archive.open(part.lstrip("/")) as file:
        while block := file.read(BLOCK):
            for match in HIDDEN.finditer(before + block):
                if match[1] is None:
                    formulas = True
                elif int(match[2]) > header:
                    merged[match[1].decode()] = None
            before = block[-OVERLAP:]
    return formulas, list(merged)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
