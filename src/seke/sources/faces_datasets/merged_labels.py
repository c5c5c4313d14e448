"""What people say of pictures, merged into the table of a folder: a new table with its rows, columns and other cells.

Cells of what is said are set; columns and rows that the table lacks are added behind its own. The new table is CSV in
UTF-8, whatever the old one was, which stays as it is.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from seke.core import files
from seke.core.errors import UserError
from seke.core.escape import csv_cell
from seke.core.records import Labels
from seke.sources.base.table_file import open_table
from seke.sources.base.tables import RowError, TableError
from seke.sources.faces_datasets.folder import Folder, pictures
from seke.sources.faces_datasets.folder_table import named_image
from seke.sources.faces_datasets.row_matching import matched
from seke.sources.faces_datasets.table_columns import SHARE, Header, checked_columns, columns_named, read_header

REMEDY: Final = "write the corrections into it by hand: review.json lists them"


class Merged(NamedTuple):
    """What a merge has done."""

    changed: int
    """Pictures whose rows were changed."""
    added: int
    """Pictures that had no row."""


def merge(folder: Folder, settings: Mapping[str, object], said: Mapping[str, Labels], out: Path) -> Merged:
    """Write the table of `folder` with what is `said` of its pictures to the new file `out`.

    Args:
        folder: the source that the table belongs to.
        settings: its settings; `columns`, `encoding` and `sheet` say how the table is read.
        said: labels by record id, which is the picture's path.
        out: a .csv file that is not there yet.

    Raises:
        UserError: if `out` exists or the folder has no table, or one that cannot be written as it is read.
    """
    if out.suffix.lower() != ".csv" or out.exists():
        raise UserError("out", out, "no new .csv file", "give another name; nothing is ever overwritten")
    if len(folder.files) != 1:
        problem = f"{folder.root} has {len(folder.files) or 'no'} tables"
        raise UserError("source.labels", folder.root, problem, REMEDY)
    wanted = checked_columns(settings.get("columns"))
    titles, rows = _rows(folder.files[0], wanted, settings)
    header = read_header(titles, wanted)
    image = header.named("image")
    if image is None or any(column.name.startswith(SHARE) for column in header.columns):
        problem = "it names no pictures, or holds shares of expressions"
        raise UserError("source.labels", folder.files[0], problem, REMEDY)
    places = _places(header, titles, [_cells(labels) for labels in said.values()])
    named = [named_image(row[image.place]) if image.place < len(row) else "" for row in rows]
    row_of, _ = matched(filter(None, named), [name for name in pictures(folder.root) if isinstance(name, str)])
    changed = added = 0
    for picture, labels in said.items():
        own = [row for row, name in zip(rows, named, strict=True) if name and name == row_of.get(picture)]
        if not own:
            own = [["" for _ in titles]]
            own[0][image.place] = csv_cell(picture)
            rows += own
            added += 1
        else:
            changed += 1
        for row in own:
            row.extend("" for _ in range(len(titles) - len(row)))
            for name, cell in _cells(labels).items():
                row[places[name]] = cell
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([titles, *rows])
    with files.whole(out, "wb") as file:
        file.write(text.getvalue().encode("utf-8-sig"))  # without the mark Excel takes it for cp1252
    return Merged(changed, added)


def _rows(
    file: Path, wanted: Mapping[str, str | None], settings: Mapping[str, object]
) -> tuple[list[str], list[list[str]]]:
    encoding, sheet = settings.get("encoding"), settings.get("sheet")
    try:
        opened = open_table(
            file,
            str(encoding) if encoding else None,
            str(sheet) if sheet is not None else None,
            lambda row: columns_named(row, wanted),
        )
        titles, *rows = _whole(opened.rows)
    except TableError as error:
        raise UserError("source.labels", file, str(error), "correct the table first") from None
    return titles, rows


def _whole(rows: Iterator[tuple[int, list[str] | RowError]]) -> Iterator[list[str]]:
    for line, cells in rows:
        if isinstance(cells, RowError):
            raise TableError(f"line {line}, {cells}")
        yield list(cells)


def _places(header: Header, titles: list[str], said: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Return the place of each column that something is said for; what is missing is added to `titles`."""
    places = {column.name: column.place for column in header.columns}
    for name in dict.fromkeys(name for cells in said for name in cells):
        if name not in places:
            places[name] = len(titles)
            titles.append(name)
    return places


def _cells(labels: Labels) -> dict[str, str]:
    """Return what labels say, by our names of columns."""
    numbers = {name: getattr(labels, name) for name in ("valence", "arousal")}
    cells = {"expression": labels.expression} if labels.expression is not None else {}
    cells |= {name: f"{value:g}" for name, value in numbers.items() if value is not None}
    return cells | {f"AU{au}": str(int(on)) for au, on in (labels.action_units or {}).items()}
