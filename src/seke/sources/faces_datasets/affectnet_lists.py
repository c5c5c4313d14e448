"""The CSV release of AffectNet: its lists, row by row, and the images that their paths mean.

    subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
    12/0f3a...c7.jpg,40,52,310,310,61.5;170.2;...,1,0.61,0.08

Some copies lack the header line, or the folder level on one side ([K]). Nothing is read that a shifted column could
turn into a label.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Final, NamedTuple

from seke.core import file_tree
from seke.sources.base import label_text
from seke.sources.base.tables import LONGEST_LINE, Bad, RowError, read_csv, sifted

COLUMNS: Final = (
    "subdirectory_filepath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip
"""The columns of a list, in lower case; one without a header has them in this order."""
BOX: Final = COLUMNS[1:5]
FARTHEST: Final = 10**6
"""Pixels; no picture is as wide."""


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
        nested = [
            f"{sub.name}/{entry.name}"
            for sub in file_tree.folders(folder)
            for entry in file_tree.images(Path(sub.path))
        ]
        named: dict[str, list[str]] = {}
        for image in [*nested, *(entry.name for entry in file_tree.images(folder))]:
            named.setdefault(image.lower(), []).append(image)
        self._images = {name: images[0] for name, images in named.items() if len(images) == 1}
        self.twins = [image for images in named.values() if len(images) > 1 for image in images]
        """Those whose names differ in case only: a list may mean either."""
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


def read_list(table: Path, bad: list[Bad] | None = None) -> Iterator[Row]:
    """Yield the rows of a list, with or without a header line; columns under a header may have any order.

    A line with another number of cells, without the path of an image where that should be, or with a fraction for an
    expression, as when columns are shifted, goes to `bad`.

    Raises:
        UserError: if there is no row, if it is not UTF-8; at bad lines as `sifted` does.
    """
    try:
        if not table.is_file():
            raise label_text.mistake(table, None, "no such file")
        with table.open(encoding="utf-8-sig", newline="") as text:
            rows = (row for row in read_csv(table, iter(partial(text.readline, LONGEST_LINE), "")) if row[1] != [])
            first = next(rows, None)
            if first is None:
                raise label_text.mistake(table, None, "no row in it")
            header = None if isinstance(first[1], RowError) else _header(table, first[1])
            columns = header or COLUMNS
            parse = partial(_row, len(columns), {name: columns.index(name) for name in COLUMNS})
            for line, row in sifted(table, rows if header else itertools.chain([first], rows), parse, bad):
                yield row._replace(line=line)
    except UnicodeDecodeError as error:
        raise label_text.mistake(table, None, f"not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise label_text.mistake(table, None, f"cannot be read ({error.strerror})") from error


def _header(table: Path, first: Sequence[str]) -> Sequence[str] | None:
    """Return the columns that a header line names, None where the first line is a row already."""
    names = [cell.strip().lower() for cell in first]
    if not set(names) & set(COLUMNS):
        return None
    for column in COLUMNS:
        if names.count(column) != 1:
            raise label_text.mistake(table, 1, f"{'no' if column not in names else 'more than one'} column {column}")
    return names


def _row(width: int, where: Mapping[str, int], cells: list[str] | RowError) -> Row:
    if isinstance(cells, RowError):
        raise cells
    if len(cells) != width:
        raise RowError(f"{len(cells)} cells under {width} columns")
    cell = {name: cells[at].strip() for name, at in where.items()}
    path = cell["subdirectory_filepath"].replace("\\", "/")
    if not path.lower().endswith(file_tree.IMAGES):
        raise RowError(f"{path[:80]!r} where an image should be named: are the columns shifted?")
    reading = Reading(cell["expression"], cell["valence"], cell["arousal"])
    if label_text.whole(reading.exp) is None and label_text.number(reading.exp) is not None:
        raise RowError(f"{reading.exp[:20]!r} is no expression: are the columns shifted?")
    return Row(0, path, face_box([cell[name] for name in BOX]), reading)


def face_box(cells: Sequence[str]) -> list[int] | None:
    """Return x, y, width and height; None unless all are whole numbers of pixels and the box has an area.

    >>> face_box(["134", "134", "899", "899"]), face_box(["0", "0", "0", "-1"])
    ([134, 134, 899, 899], None)
    """
    box = [number for cell in cells if (number := label_text.whole(cell)) is not None]
    return box if len(box) == len(BOX) and min(box[2:]) > 0 and max(map(abs, box)) <= FARTHEST else None
