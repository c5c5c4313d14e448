"""The table of a folder of pictures: what its cells say, and which picture each row means.

    image,subject,expression,valence,arousal,AU1,AU12,AU12_r,attributes.face
    a/01.jpg,anna,happiness,0.7,0.4,0,1,3.5,12 30 80 80

Columns are found by name, in any order and case. Action units may be called as OpenFace does: `AU12_c` is AU12, whether
it occurs, and `AU12_r` its intensity, 0 to 5; neither is made of the other. A cell is read whole or its row is
rejected; nothing is guessed.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from seke.core import file_tree
from seke.core.affect import ACTION_UNITS, EXPRESSIONS, STRONGEST
from seke.core.errors import UserError
from seke.core.images import ImageError, face_box
from seke.core.records import Labels
from seke.sources.base import label_text
from seke.sources.base.tables import LONGEST_LINE, Bad, RowError, parsed_rows, read_csv
from seke.sources.faces_datasets.class_words import word

TRUTH_WORDS: Final = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
ATTRIBUTE: Final = "attributes."
FACE: Final = "face"
"""The attribute that other commands crop to."""
REMEDY: Final = "correct the table; an empty cell means unknown"
MOST_ROWS: Final = 2_000_000
TWENTIETH: Final = 20
INTENSITY: Final = "_r"
"""What the name of an action unit's column ends with if it holds intensities."""
RANGES: Final = {
    "AU": "0 (absent) and 1 (active)",
    f"AU{INTENSITY}": f"0 to {STRONGEST}",
    "valence": "-1 to 1",
    "arousal": "-1 to 1",
}
"""What the numbers of a scale may be."""
OPENFACE_ONLY: Final = (28, 45)
"""Action units that OpenFace (Baltrusaitis et al. 2018) has columns of and that are none of the 17."""
NAMES: Final = ("image", "subject", "expression", "valence", "arousal")


class Known(NamedTuple):
    """One row of labels.csv."""

    line: int
    subject: str | None
    labels: Labels
    attributes: dict[str, Any]


def read_labels(path: Path, bad: list[Bad] | None = None) -> dict[str, Known]:
    """Return the rows of a labels.csv by image; commas, semicolons or tabs, with or without a byte order mark.

    Rows that cannot be right go to `bad`.

    Raises:
        UserError: naming file, line and column, if a column is unknown or stands twice, if a quote is never closed, or
            if half of the rows are bad (without `bad`, if one is).
    """
    known: dict[str, Known] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            lines = iter(partial(text.readline, LONGEST_LINE), "")
            first = next(lines, "")
            delimiter = max(",;\t", key=first.count)
            rows = read_csv(path, chain([first] if first else [], lines), delimiter)
            line, header = next(rows, (1, []))
            if isinstance(header, RowError):
                raise _mistake(path, line, str(header))
            columns = _columns(path, header)

            scales = _Scales()

            def parse(cells: list[str] | RowError) -> tuple[str, Known]:
                scales.add(columns, cells, decimal_comma=delimiter != ",")
                image, found = _row(columns, cells, decimal_comma=delimiter != ",")
                if image in known:
                    raise RowError(f"column image: {image[:80]} stands in line {known[image].line} already")
                return image, found

            filled = (row for row in rows if isinstance(row[1], RowError) or any(cell.strip() for cell in row[1]))
            for at, (image, found) in parsed_rows(path, filled, parse, bad):
                known[image] = found._replace(line=at)
                if len(known) > MOST_ROWS:
                    raise _mistake(path, at, f"more than {MOST_ROWS:,} rows")
            if problem := scales.problem():
                raise _mistake(path, None, problem)
    except UnicodeDecodeError as error:
        raise _mistake(path, None, f"not UTF-8 text ({error.reason}); save it as CSV in UTF-8") from error
    except OSError as error:
        raise _mistake(path, None, f"cannot be read ({error.strerror})") from error
    except UserError as error:
        where = str(error.value).removeprefix(str(path)).removeprefix(", ")
        problem = f"{where}, {error.problem}" if where else error.problem
        raise UserError("source.labels", path, problem, REMEDY) from None
    return known


class _Scales:
    """How many rows have a number beyond the range of their column: two and a twentieth show that it has another scale.

    Then the cells that lie within the range do not mean what they seem to: of valences from 1 to 9 only the 1s do. All
    action units have one scale.
    """

    def __init__(self) -> None:
        self.filled: Counter[str] = Counter()
        self.beyond: Counter[str] = Counter()
        self.example: dict[str, str] = {}

    def add(self, columns: list[str], cells: list[str] | RowError, decimal_comma: bool) -> None:
        """Take in the cells of a row."""
        filled: set[str] = set()
        beyond: set[str] = set()
        for column, cell in zip(columns, cells, strict=False) if isinstance(cells, list) else ():
            scale = re.sub(r"^AU\d+", "AU", column)
            if not cell.strip() or scale not in RANGES:
                continue
            value = label_text.number(cell.replace(",", ".") if decimal_comma else cell)
            filled.add(scale)
            if value is not None and _beyond(scale, value):
                beyond.add(scale)
                self.example.setdefault(scale, f"column {column}, {cell.strip()[:20]}")
        self.filled.update(filled)
        self.beyond.update(beyond)

    def problem(self) -> str:
        """Return what is wrong with a scale; empty if nothing is."""
        for scale, beyond in self.beyond.items():
            if beyond > 1 and beyond * TWENTIETH >= self.filled[scale]:
                shown = f"{beyond} of {self.filled[scale]} rows are beyond, such as {self.example[scale]}"
                return f"{scale} on another scale than {RANGES[scale]}: {shown}"
        return ""


def _beyond(scale: str, value: float) -> bool:
    if scale == "AU":
        return 0 < value <= STRONGEST and value != 1
    return not 0 <= value <= STRONGEST if scale == f"AU{INTENSITY}" else abs(value) > 1


def matched(rows: Iterable[str], pictures: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the row of each picture, and why each of the other rows has none.

    A row means the picture of its path; else the only one whose path differs in its Unicode form, case or slashes only;
    else the only one of that file name, wherever it lies; and at last the only one of that stem, whatever its
    extension. A row whose folder holds pictures is about one of these, and of no other folder.

    >>> matched(["A.JPG", "/mnt/x/b.png", "gone.jpg"], ["a.jpg", "b.png"])
    ({'a.jpg': 'A.JPG', 'b.png': '/mnt/x/b.png'}, {'gone.jpg': 'no such picture in the folder'})
    """
    left, free = list(dict.fromkeys(rows)), list(dict.fromkeys(pictures))
    found: dict[str, str] = {}
    problems: dict[str, str] = {}
    folders = {_folder(picture) for picture in free}
    for alike in (str, _folded, lambda path: _folded(PurePosixPath(path).name), _stem):
        by_row, by_picture = _grouped(left, alike), _grouped(free, alike)
        for key, named in by_row.items():
            candidates = by_picture.get(key, [])
            if len(named) == 1 and (folder := _folder(named[0])) and folder in folders:
                candidates = [picture for picture in candidates if _folder(picture) == folder]
            if len(named) == len(candidates) == 1:
                found[candidates[0]] = named[0]
            elif candidates:
                several = "rows" if len(named) > 1 else "pictures"
                others = named if len(named) > 1 else candidates
                problems.update(
                    (row, f"{len(others)} {several} are called so: {', '.join(others[:3])}") for row in named
                )
        taken = set(found.values())
        left = [row for row in left if row not in taken and row not in problems]
        free = [picture for picture in free if picture not in found]
    return found, {**problems, **dict.fromkeys(left, "no such picture in the folder")}


def _grouped(paths: Iterable[str], alike: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        if key := alike(path):
            groups.setdefault(key, []).append(path)
    return groups


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _folder(path: str) -> str:
    """Return the folder that a path names; empty where it names none."""
    return _folded(path).rpartition("/")[0]


def _stem(path: str) -> str:
    """Return what a row without an extension and a picture have in common."""
    name = _folded(PurePosixPath(path).name)
    return name.rpartition(".")[0] if name.endswith(file_tree.IMAGES) else name


def _columns(path: Path, header: list[str]) -> list[str]:
    """Return the columns' own names: `AU_01`, ` au1 ` and `AU01_c` are all AU1, `AU01_r` is AU1_r.

    Columns of OpenFace's other action units are called "" and not read.
    """
    columns = []
    for title in header:
        name = re.sub(r"\s", "", title).lower()
        if unit := re.fullmatch(r"au[_-]?0*([0-9]{1,3})(_[cr])?", name):
            name = f"AU{unit[1]}{INTENSITY if unit[2] == INTENSITY else ''}"
            if int(unit[1]) in OPENFACE_ONLY and unit[2]:
                columns.append("")
                continue
            if int(unit[1]) not in ACTION_UNITS:
                problem = f"none of the 17 AUs ({', '.join(map(str, ACTION_UNITS))})"
                raise _mistake(path, 1, f"column {title.strip()}: {problem}")
        elif name not in NAMES and not name.startswith(ATTRIBUTE):
            problem = f"no column of this table; call it {ATTRIBUTE}{name[:80]} to keep it"
            raise _mistake(path, 1, f"column {title.strip()[:80]}: {problem}")
        if name in columns:
            raise _mistake(path, 1, f"column {title.strip()[:80]}: this column stands twice")
        columns.append(name)
    if "image" not in columns:
        raise _mistake(path, 1, "column image: no such column")
    return columns


def _row(columns: list[str], cells: list[str] | RowError, decimal_comma: bool) -> tuple[str, Known]:
    if isinstance(cells, RowError):
        raise cells
    if len(cells) > len(columns):
        raise RowError(f"{len(cells)} cells under {len(columns)} columns")
    row = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
    image = _relative(row.get("image", ""))
    if not image:
        raise RowError("column image: empty")
    return image, _known(row, decimal_comma)


def _known(row: Mapping[str, str], decimal_comma: bool) -> Known:
    name = row.get("expression", "").lower()
    expression = name if name in EXPRESSIONS else word(name)
    if name and expression is None:
        raise RowError(f"column expression: {name[:40]!r} is none of {', '.join(EXPRESSIONS)}")
    units: dict[int, bool] = {}
    intensity: dict[int, float] = {}
    for column, cell in row.items():
        if column.startswith("AU") and column.endswith(INTENSITY):
            if (value := _number(row, column, decimal_comma, 0, STRONGEST)) is not None:
                intensity[int(column[2:].removesuffix(INTENSITY))] = value
        elif column.startswith("AU") and cell:
            if cell.lower() not in TRUTH_WORDS:
                problem = f"is neither 0 nor 1 (a column of intensities is called {column}{INTENSITY})"
                raise RowError(f"column {column}: {cell[:40]!r} {problem}")
            units[int(column[2:])] = TRUTH_WORDS[cell.lower()]
    labels = Labels(
        expression=expression,
        valence=_number(row, "valence", decimal_comma, -1, 1),
        arousal=_number(row, "arousal", decimal_comma, -1, 1),
        action_units=units or None,
        au_intensity=intensity or None,
    )
    attributes: dict[str, Any] = {
        column.removeprefix(ATTRIBUTE): cell for column, cell in row.items() if column.startswith(ATTRIBUTE) and cell
    }
    if FACE in attributes:
        attributes[FACE] = _face(attributes[FACE])
    return Known(0, row.get("subject") or None, labels, attributes)


def _number(row: Mapping[str, str], column: str, decimal_comma: bool, least: int, most: int) -> float | None:
    cell = row.get(column, "")
    if not cell:
        return None
    value = label_text.number(cell.replace(",", ".") if decimal_comma else cell)
    if value is None or not least <= value <= most:
        raise RowError(f"column {column}: {cell[:40]!r} is no number from {least} to {most}")
    return value


def _face(cell: str) -> list[int]:
    """Return the box that a cell spells: left, top, width, height, with or without brackets.

    >>> _face("[12, 30, 80, 80]"), _face("12.0 30 80.4 80")
    ([12, 30, 80, 80], [12, 30, 80, 80])
    """
    numbers = [label_text.number(part) for part in re.split(r"[\s,;]+", cell.strip("[]() "))]
    try:
        box = face_box(numbers, "")
    except ImageError:
        box = None
    if box is None:
        what = "no box of left, top, width and height in pixels"
        raise RowError(f"column {ATTRIBUTE}{FACE}: {cell[:40]!r} is {what}")
    return list(box)


def _relative(image: str) -> str:
    """Return the path as it is below the folder: ./a/b.jpg is a/b.jpg, whichever way its slashes lean."""
    return PurePosixPath(image.replace("\\", "/")).as_posix() if image else ""


def _mistake(path: Path, line: int | None, problem: str) -> UserError:
    return UserError("source.labels", path, f"line {line}, {problem}" if line else problem, REMEDY)
