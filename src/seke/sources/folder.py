"""Anybody's own pictures: a folder, read with its subfolders, and a labels.csv of what is known about them.

    image,subject,expression,valence,arousal,AU1,AU12
    a/01.jpg,anna,happiness,0.7,0.4,0,1
    a/02.jpg,anna,,,,,

An empty cell is unknown, and so is a picture without a row. Columns are found by name, in any order and case; those
called `attributes.<name>` are kept as they are. Split: by subject, or picture by picture (copies together) where none
is named; a group that nobody labelled is for training, because there is nothing in it to test against.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from tqdm import tqdm

from seke.affect import ACTION_UNITS, EXPRESSIONS
from seke.errors import UserError
from seke.images import SUFFIXES, ImageError, resolve, sha256
from seke.records import ImageRecord, Labels, Rejection
from seke.sources.source import Source
from seke.sources.split import VALIDATION_SHARE, checked_share, split_of

EXTENSIONS: Final = SUFFIXES
DEFAULT_LABELS: Final = "labels.csv"
TRUTH_WORDS: Final = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
ATTRIBUTE: Final = "attributes."


class Known(NamedTuple):
    """One row of labels.csv."""

    line: int
    subject: str | None
    labels: Labels
    attributes: dict[str, str]


class Folder(Source):
    """All pictures below `root`, sorted by path, with what `labels` (a file in it, or a path) says of them.

    Raises:
        UserError: if there is no such folder or table, if a share is none, or if the table has a bad cell.
    """

    def __init__(
        self,
        root: str | None,
        labels: str = DEFAULT_LABELS,
        seed: int = 0,
        test_share: float = 0.1,
        validation_share: float = VALIDATION_SHARE,
    ) -> None:
        if not root or not Path(root).is_dir():
            problem = "no folder is given" if not root else "no such folder"
            raise UserError("source.root", root, problem, "set source.root=<folder with pictures>")
        self.root = Path(root).resolve()
        self.table = self.root / labels
        if not self.table.is_file() and labels != DEFAULT_LABELS:
            raise UserError("source.labels", labels, f"no such file in {self.root}", "give the path of a .csv file")
        self.known = read_labels(self.table) if self.table.is_file() else {}
        self.seed = seed
        self.test_share = checked_share("source.test_share", test_share)
        self.validation_share = checked_share("source.validation_share", validation_share)

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The table, where there is one."""
        return {"labels": self.table} if self.table.is_file() else {}

    def image_root(self, run_path: Path) -> str:
        """Return the folder itself: pictures are never copied."""
        return str(self.root)

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every picture inside the folder, and a rejection for all else, rows without one included.

        Raises:
            UserError: if there is no picture at all.
        """
        found = list(pictures(self.root))
        if not found:
            raise UserError("source.root", self.root, "no picture in it", f"give a folder with {', '.join(EXTENSIONS)}")
        seen: list[tuple[str, str, Known | None]] = []
        for image in tqdm(found, desc="reading pictures", unit="image", disable=None):
            if isinstance(image, Rejection):
                yield image
                continue
            try:
                data = resolve(self.root, image).read_bytes()
            except (ImageError, OSError) as error:
                yield Rejection(id=image, reason="bad image", detail=str(error))
                continue
            seen.append((image, sha256(data), self.known.get(image)))
        listed = {image for image in found if isinstance(image, str)}
        for image, unseen in self.known.items():
            if image not in listed:
                where = f"{self.table.name}, line {unseen.line}"
                yield Rejection(id=image, reason="no image", detail=f"{where}: no such picture in the folder")
        person = {digest: row.subject for _, digest, row in seen if row and row.subject}
        labelled = {_group(digest, person) for _, digest, row in seen if row and not row.labels.empty}
        for image, digest, row in seen:
            group = _group(digest, person)
            held_out = split_of(group, self.seed, self.test_share, self.validation_share)
            yield ImageRecord(
                id=image,
                image=image,
                sha256=digest,
                source="folder",
                subject=row.subject if row else None,
                split=held_out if group in labelled else "train",
                labels=row.labels if row else Labels(),
                attributes=dict(row.attributes) if row else {},
            )


def _group(digest: str, person: Mapping[str, str]) -> str:
    """Return what must stay in one split: a person's pictures, or the copies of one picture of nobody named."""
    return f"subject/{person[digest]}" if digest in person else f"picture/{digest}"


def pictures(root: Path) -> Iterator[str | Rejection]:
    """Yield the pictures below `root` as paths relative to it, sorted; hidden files are none.

    A link to a folder is not followed but rejected: it may lead anywhere, and round in circles.
    """
    found: list[str | Rejection] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder).relative_to(root)
        for name in folders:
            if (Path(folder) / name).is_symlink():
                found.append(
                    Rejection(id=_text(here / name), reason="link", detail="a link to a folder is not followed")
                )
        for name in files:
            if name.startswith(".") or Path(name).suffix.lower() not in EXTENSIONS:
                continue
            image = _text(here / name)
            if image != (here / name).as_posix():
                found.append(Rejection(id=image, reason="bad name", detail="its name is not UTF-8"))
            else:
                found.append(image)
    yield from sorted(found, key=lambda item: item if isinstance(item, str) else item.id)


def _text(path: Path) -> str:
    """Return the path as text that UTF-8 can hold."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")


def read_labels(path: Path) -> dict[str, Known]:
    """Return the rows of a labels.csv by image; commas, semicolons or tabs, with or without a byte order mark.

    Raises:
        UserError: naming file, line and column of the first cell that cannot be right.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _mistake(path, None, None, f"not UTF-8 text ({error.reason})") from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    known: dict[str, Known] = {}
    try:
        columns = _columns(path, next(lines, []))
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            line = lines.line_num
            if len(cells) > len(columns):
                raise _mistake(path, line, None, f"{len(cells)} cells under {len(columns)} columns")
            row = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
            image = _relative(row["image"])
            if not image:
                raise _mistake(path, line, "image", "empty")
            if image in known:
                raise _mistake(path, line, "image", f"{image} stands in line {known[image].line} already")
            known[image] = _known(path, line, row)
    except csv.Error as error:
        raise _mistake(path, lines.line_num, None, str(error)) from error
    return known


def _columns(path: Path, header: list[str]) -> list[str]:
    """Return the columns' own names: `AU_01` and ` au1 ` are both AU1."""
    columns = []
    for title in header:
        name = re.sub(r"\s", "", title).lower()
        if unit := re.fullmatch(r"au[_-]?0*(\d+)", name):
            name = f"AU{unit[1]}"
            if int(unit[1]) not in ACTION_UNITS:
                raise _mistake(path, 1, title.strip(), f"none of the 17 AUs ({', '.join(map(str, ACTION_UNITS))})")
        elif name not in ("image", "subject", "expression", "valence", "arousal") and not name.startswith(ATTRIBUTE):
            raise _mistake(path, 1, title.strip(), f"no column of this table; call it {ATTRIBUTE}{name} to keep it")
        if name in columns:
            raise _mistake(path, 1, title.strip(), "this column stands twice")
        columns.append(name)
    if "image" not in columns:
        raise _mistake(path, 1, "image", "no such column")
    return columns


def _known(path: Path, line: int, row: Mapping[str, str]) -> Known:
    expression = row.get("expression", "").lower() or None
    if expression is not None and expression not in EXPRESSIONS:
        raise _mistake(path, line, "expression", f"{expression!r} is none of {', '.join(EXPRESSIONS)}")
    units: dict[int, bool] = {}
    for column, cell in row.items():
        if column.startswith("AU") and cell:
            if cell.lower() not in TRUTH_WORDS:
                raise _mistake(path, line, column, f"{cell!r} is neither 0 nor 1")
            units[int(column[2:])] = TRUTH_WORDS[cell.lower()]
    labels = Labels(
        expression=expression,
        valence=_unit(path, line, row, "valence"),
        arousal=_unit(path, line, row, "arousal"),
        action_units=units or None,
    )
    attributes = {c.removeprefix(ATTRIBUTE): cell for c, cell in row.items() if c.startswith(ATTRIBUTE) and cell}
    return Known(line, row.get("subject") or None, labels, attributes)


def _unit(path: Path, line: int, row: Mapping[str, str], column: str) -> float | None:
    cell = row.get(column, "")
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not -1 <= value <= 1:
        raise _mistake(path, line, column, f"{cell!r} is no number from -1 to 1")
    return value


def _relative(image: str) -> str:
    """Return the path as `pictures` gives it: ./a/b.jpg is a/b.jpg, whichever way its slashes lean."""
    return PurePosixPath(image.replace("\\", "/")).as_posix() if image else ""


def _mistake(path: Path, line: int | None, column: str | None, problem: str) -> UserError:
    where = "".join([f"line {line}, " if line else "", f"column {column}: " if column else ""])
    return UserError("source.labels", path, where + problem, "mend the table; an empty cell means unknown")
