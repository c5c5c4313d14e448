"""What people say of pictures, merged into the table of a folder: a new table with its rows, columns and other cells.

Cells of what is said are set; columns and rows that the table lacks are added behind its own. The new table is a
workbook where the old one is, with its other sheets; else CSV in UTF-8, whatever the old one's encoding and separator.
The old table stays as it is.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core import files
from seke.core.errors import UserError
from seke.core.escape import csv_cell
from seke.core.records import Labels
from seke.core.table_columns import SHARE, Header, checked_columns, columns_named, read_header
from seke.sources.base import workbook
from seke.sources.base.table_file import open_table
from seke.sources.base.tables import RowError, TableError
from seke.sources.faces_datasets.folder import Folder, pictures
from seke.sources.faces_datasets.folder_table import checked_ranges, named_image
from seke.sources.faces_datasets.row_matching import matched, repeated
from seke.sources.faces_datasets.table_cells import spelt

REMEDY: Final = "write the corrections into it by hand: review.json lists them"
WORKBOOK: Final = ".xlsx"


class Merged(NamedTuple):
    """What a merge has done."""

    changed: int
    """Pictures whose rows were changed."""
    added: int
    """Pictures that had no row."""


class _Opened(NamedTuple):
    """A table that was read whole."""

    sheet: str | None
    line: int
    """Of the titles, from 1."""
    titles: list[str]
    lines: list[int]
    rows: list[list[str]]


def default_out(folder: Folder) -> Path:
    """Return the new file beside the table that `merge` writes where nobody names another one."""
    table = folder.files[0] if folder.files else folder.root / "labels.csv"
    with table.open("rb") if folder.files else io.BytesIO() as file:
        ending = WORKBOOK if workbook.is_workbook(file.read(8)) else ".csv"
    return table.with_name(f"{table.stem}.reviewed{ending}")


def merge(folder: Folder, settings: Mapping[str, object], said: Mapping[str, Labels], out: Path) -> Merged:
    """Write the table of `folder` with what is `said` of its pictures to the new file `out`.

    Args:
        folder: the source that the table belongs to.
        settings: its settings; `columns`, `encoding`, `sheet`, `ranges` and `au_threshold` say how the table is read.
        said: labels by record id, which is the picture's path.
        out: a .csv file, or a .xlsx file where the table is a workbook, that is not there yet. Formulas of a workbook
            are written as the values that they had.

    Raises:
        UserError: if `out` exists or the folder has no table, or one that cannot be written as it is read.
    """
    if out.suffix.lower() not in (".csv", WORKBOOK) or out.exists():
        raise UserError("out", out, "no new .csv or .xlsx file", "give another name; nothing is ever overwritten")
    if len(folder.files) != 1:
        problem = f"{folder.root} has {len(folder.files) or 'no'} tables"
        raise UserError("source.labels", folder.root, problem, REMEDY)
    wanted = checked_columns(settings.get("columns"))
    table = _opened(folder.files[0], wanted, settings)
    if table.sheet is None and out.suffix.lower() != ".csv":
        raise UserError("out", out, f"{folder.files[0].name} is no workbook", "end it with .csv")
    header = read_header(table.titles, wanted)
    image = header.named("image")
    if image is None or any(column.name.startswith(SHARE) for column in header.columns):
        problem = "it names no pictures, or holds shares of expressions"
        raise UserError("source.labels", folder.files[0], problem, REMEDY)
    cells = {picture: _cells(labels, header, table.rows, settings) for picture, labels in said.items()}
    known = len(table.titles)
    places = _places(header, table.titles, list(cells.values()))
    named = [named_image(row[image.place]) if image.place < len(row) else "" for row in table.rows]
    row_of, missing = matched(filter(None, named), [name for name in pictures(folder.root) if isinstance(name, str)])
    picture_of = {row: picture for picture, row in row_of.items()} | repeated(missing, list(row_of))
    rows_of: dict[str, list[int]] = {}
    for place, name in enumerate(named):
        if name in picture_of:
            rows_of.setdefault(picture_of[name], []).append(place)
    changes: dict[tuple[int, int], str | float] = {
        (table.line, place + 1): title for place, title in enumerate(table.titles) if place >= known
    }
    changed = added = 0
    for picture in said:
        if own := rows_of.get(picture, []):
            changed += 1
        else:
            own = [len(table.rows)]
            table.rows.append(["" for _ in table.titles])
            table.lines.append((table.lines or [table.line])[-1] + 1)
            changes[table.lines[-1], image.place + 1] = picture
            table.rows[-1][image.place] = csv_cell(picture)
            added += 1
        for k in own:
            row = table.rows[k]
            row.extend("" for _ in range(len(table.titles) - len(row)))
            for name, cell in cells[picture].items():
                row[places[name]] = cell if isinstance(cell, str) else f"{cell:g}"
                changes[table.lines[k], places[name] + 1] = cell
    if out.suffix.lower() == WORKBOOK:
        data = workbook.changed(folder.files[0], str(table.sheet), changes)
    else:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows([table.titles, *table.rows])
        data = text.getvalue().encode("utf-8-sig")  # without the mark Excel takes it for cp1252
    with files.whole(out, "wb") as file:
        file.write(data)
    return Merged(changed, added)


def _opened(file: Path, wanted: Mapping[str, str | None], settings: Mapping[str, object]) -> _Opened:
    encoding, sheet = settings.get("encoding"), settings.get("sheet")
    try:
        opened = open_table(
            file,
            str(encoding) if encoding else None,
            str(sheet) if sheet is not None else None,
            lambda row: columns_named(row, wanted),
        )
        (line, titles), *rows = _whole(opened.rows)
    except TableError as error:
        raise UserError("source.labels", file, str(error), "correct the table first") from None
    return _Opened(opened.sheet, line, titles, [number for number, _ in rows], [cells for _, cells in rows])


def _whole(rows: Iterator[tuple[int, list[str] | RowError]]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        if isinstance(cells, RowError):
            raise TableError(f"line {line}, {cells}")
        yield line, list(cells)


def _places(header: Header, titles: list[str], said: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the place of each column that something is said for; what is missing is added to `titles`."""
    places = {column.name: column.place for column in header.columns}
    for name in dict.fromkeys(name for cells in said for name in cells):
        if name not in places:
            places[name] = len(titles)
            titles.append(name)
    return places


def _cells(
    labels: Labels, header: Header, rows: Sequence[Sequence[str]], settings: Mapping[str, object]
) -> dict[str, str | float]:
    """Return what labels say by our names of columns, on the scales that the table has."""
    cells: dict[str, str | float] = {"expression": labels.expression} if labels.expression is not None else {}
    ranges = checked_ranges(settings.get("ranges"))
    for name in ("valence", "arousal"):
        value = getattr(labels, name)
        if value is not None:
            low, high = ranges.get(name, (-1.0, 1.0))
            cells[name] = value if name not in ranges else round(low + (value + 1) * (high - low) / 2, 6)
    threshold = settings.get("au_threshold")
    for au, active in (labels.action_units or {}).items():
        column = header.named(f"AU{au}")
        yes = 1.0
        if isinstance(threshold, int | float) and column is not None:
            grades = {spelt(row[column.place].strip(), True) for row in rows if column.place < len(row)}
            yes = max(1.0, float(threshold)) if grades - {None, 0.0, 1.0} else 1.0  # read as the others of its column
        cells[f"AU{au}"] = yes if active else 0.0
    return cells
