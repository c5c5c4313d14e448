"""The CSV release of AffectNet: its lists, row by row, and the images that their paths mean.

    subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
    12/0f3a...c7.jpg,40,52,310,310,61.5;170.2;...,1,0.61,0.08

Some copies lack the header line, or the folder level on one side ([K]). Nothing is read that a shifted column could
turn into a label.
"""

import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from seke.sources import tree

COLUMNS: Final = (
    "subdirectory_filepath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip
"""The columns of a list, in lower case; one without a header has them in this order."""
BOX: Final = COLUMNS[1:5]


class Reading(NamedTuple):
    """The labels of one image as they are spelt, an empty text where there is none; called as the arrays are."""

    exp: str = ""
    val: str = ""
    aro: str = ""


class Row(NamedTuple):
    """One row of a list."""

    line: int
    path: str
    """<dir>/<hash>.jpg, or <hash>.jpg in copies without the folder level."""
    face: list[int] | None
    """The face box [x, y, width, height] in pixels."""
    reading: Reading


class Pictures:
    """The images below a folder of folders, each folder listed once; case and a missing folder level do not matter."""

    def __init__(self, folder: Path) -> None:
        nested = [f"{sub.name}/{entry.name}" for sub in tree.folders(folder) for entry in tree.images(Path(sub.path))]
        self._images = {image.lower(): image for image in [*nested, *(entry.name for entry in tree.images(folder))]}
        self._flat = not nested

    def __iter__(self) -> Iterator[str]:
        """Yield the images, relative to the folder."""
        return iter(self._images.values())

    def find(self, path: str) -> str | None:
        """Return the image that a list calls `path`, relative to the folder.

        Only where the list or the folder has no level of folders at all is the name enough, if it is the only one.
        """
        folder, _, name = path.lower().rpartition("/")
        return self._by_name.get(name) if self._flat or not folder else self._images.get(path.lower())

    @cached_property
    def _by_name(self) -> dict[str, str]:
        names = Counter(path.rpartition("/")[2] for path in self._images)
        return {name: self._images[path] for path in self._images if names[name := path.rpartition("/")[2]] == 1}


def read_list(table: Path) -> Iterator[Row]:
    """Yield the rows of a list, with or without a header line; columns under a header may have any order.

    Raises:
        UserError: at the first line with another number of cells, without the path of an image where that should be, or
            with a fraction for an expression, as when columns are shifted; if there is no row, or if it is not UTF-8.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text)
            rows = (cells for cells in reader if cells)
            first = next(rows, None)
            if first is None:
                raise tree.mistake(table, None, "no row in it")
            header = _header(table, first)
            columns = header or COLUMNS
            where = {name: columns.index(name) for name in COLUMNS}
            for cells in rows if header else itertools.chain([first], rows):
                if len(cells) != len(columns):
                    raise tree.mistake(table, reader.line_num, f"{len(cells)} cells under {len(columns)} columns")
                yield _row(table, reader.line_num, {name: cells[at].strip() for name, at in where.items()})
    except UnicodeDecodeError as error:
        raise tree.mistake(table, None, f"not UTF-8 text ({error.reason})") from error
    except csv.Error as error:
        raise tree.mistake(table, reader.line_num, str(error)) from error
    except OSError as error:
        raise tree.mistake(table, None, f"cannot be read ({error.strerror})") from error


def _header(table: Path, first: Sequence[str]) -> Sequence[str] | None:
    """Return the columns that a header line names, None where the first line is a row already."""
    names = [cell.strip().lower() for cell in first]
    if not set(names) & set(COLUMNS):
        return None
    for column in COLUMNS:
        if names.count(column) != 1:
            raise tree.mistake(table, 1, f"{'no' if column not in names else 'more than one'} column {column}")
    return names


def _row(table: Path, line: int, cells: Mapping[str, str]) -> Row:
    path = cells["subdirectory_filepath"].replace("\\", "/")
    if not path.lower().endswith(tree.IMAGES):
        raise tree.mistake(table, line, f"{path!r} where an image should be named: are the columns shifted?")
    reading = Reading(cells["expression"], cells["valence"], cells["arousal"])
    if tree.whole(reading.exp) is None and tree.number(reading.exp) is not None:
        raise tree.mistake(table, line, f"{reading.exp!r} is no expression: are the columns shifted?")
    return Row(line, path, face_box([cells[name] for name in BOX]), reading)


def face_box(cells: Sequence[str]) -> list[int] | None:
    """Return x, y, width and height; None unless all are whole numbers and the box has an area.

    >>> face_box(["134", "134", "899", "899"]), face_box(["0", "0", "0", "-1"])
    ([134, 134, 899, 899], None)
    """
    box = [number for cell in cells if (number := tree.whole(cell)) is not None]
    return box if len(box) == len(BOX) and min(box[2:]) > 0 else None
