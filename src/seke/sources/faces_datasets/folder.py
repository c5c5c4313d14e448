"""Anybody's own pictures: a folder, read with its subfolders, and a labels.csv of what is known about them.

    image,subject,expression,valence,arousal,AU1,AU12
    a/01.jpg,anna,happiness,0.7,0.4,0,1
    a/02.jpg,anna,,,,,

An empty cell is unknown, and so is a picture without a row. The table may be Excel's, OpenFace's, py-feat's or
LibreFace's, or a folder of such tables (`folder_table`). Columns called `attributes.<name>` are kept as they are, but
for the box of `attributes.face`. Split: as folders called train, val or test say; else by subject, or picture by
picture (copies together) where none is named, and then a group that nobody labelled is for training, because there is
nothing in it to test against. Who a picture shows may be said by a folder (`source.subject`), and what is shown of it
by a detector of faces (`source.faces`).
"""

import difflib
import os
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tqdm import tqdm

from seke.core import file_tree
from seke.core.affect import STRONGEST
from seke.core.class_words import Vocabulary, word
from seke.core.errors import UserError
from seke.core.escape import one_line
from seke.core.images import SUFFIXES, ImageError, resolve
from seke.core.records import ImageRecord, Labels, Rejection, Split
from seke.core.runs import file_sha256
from seke.core.setting_checks import check_between
from seke.core.table_columns import checked_columns
from seke.sources.base.encodings import checked_encoding
from seke.sources.base.source import Source, results
from seke.sources.base.split import VALIDATION_SHARE, assign, checked_share, staying
from seke.sources.base.split_words import check_lists, checked_splits, split_folders
from seke.sources.faces_datasets.face_boxes import FaceBoxes, checked_mode
from seke.sources.faces_datasets.folder_table import (
    Known,
    Table,
    TableSettings,
    checked_ranges,
    difference,
    read_tables,
)
from seke.sources.faces_datasets.row_matching import are_shifted, matched, repeated

EXTENSIONS: Final = SUFFIXES
OTHER_PICTURES: Final = (
    ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".psd", ".svg", ".eps", ".jxl", ".jp2", ".tga",
    ".ico", ".pcx", ".exr", ".hdr",
)  # fmt: skip
"""Pictures that nothing here reads: they are counted, so that nobody misses them in silence."""
DEFAULT_LABELS: Final = "labels.csv"
DEFAULT_NAMES: Final = re.compile(r"labels\.(csv|tsv|xlsx)", re.IGNORECASE)
"""What is read where `source.labels` is left as it is, if there is one such file."""
TABLES: Final = (".csv", ".tsv", ".xlsx")
"""Endings of the files that are read where `source.labels` is a folder."""
MEANT: Final = re.compile(r"(labels?|annotations?)([\W_].*)?\.(csv|tsv|txt|xlsx?|ods|json|jsonl)", re.IGNORECASE)
"""What people call a table that they take to be read."""
LARGEST: Final = 2**29
"""Bytes of a picture."""


class Folder(Source):
    """All pictures below `root`, sorted by path, with what a table says of them.

    Args:
        root: the folder.
        labels: the table, or a folder of tables: in `root`, or a path; None: no table.
        seed: of the split.
        test_share: share of the subjects (or pictures) that are tested on.
        validation_share: share of the others to choose settings on.
        splits: folders that are called like a split (train, val, test, ...) are it; here what others are, as in
            {unseen: test}, and null where a name misleads.
        columns: our names of columns and the table's, as in {image: Bild}; see `table_columns`.
        classes: what words for expressions mean, as in {joie: happiness}, or the convention of numbers: affectnet, ...
        au_threshold: intensity or probability from which an action unit occurs; None: only 0 and 1 say so.
        ranges: from where to where valence and arousal go in the table, as in {valence: [1, 9]}; None: from -1 to 1.
        encoding: that of the table; None: found.
        sheet: which sheet of a workbook; None: the only one with a column of pictures.
        faces: what is shown of a photograph: see `face_boxes`.
        subject: whose pictures these are where no table says so: "parent", the folder around a picture, or how many
            folders below `root` that of a person lies, 1 for the first; None: nobody is named.
        template: nothing here: where it is set, `prepare` writes that example and reads no folder.

    Raises:
        UserError: if there is no such folder or table, if a setting is none, or with all that is wrong with the table.
    """

    def __init__(
        self,
        root: str | None,
        labels: str | None = DEFAULT_LABELS,
        seed: int = 0,
        test_share: float = 0.1,
        validation_share: float = VALIDATION_SHARE,
        splits: object = None,
        columns: object = None,
        classes: object = None,
        au_threshold: float | None = None,
        ranges: object = None,
        encoding: str | None = None,
        sheet: str | None = None,
        faces: str | None = None,
        subject: str | int | None = None,
        template: str | None = None,
    ) -> None:
        if not root or not Path(root).is_dir():
            problem = "no folder is given" if not root else "no such folder"
            raise UserError("source.root", root, problem, "set source.root=<folder with pictures>")
        self.root = Path(root).resolve()
        Vocabulary(classes)
        settings = TableSettings(
            checked_columns(columns), classes, _threshold(au_threshold), checked_encoding("source.encoding", encoding),
            None if sheet is None else str(sheet), checked_ranges(ranges),
        )  # fmt: skip
        self.files = _tables(self.root, labels) if labels else []
        self.table = read_tables(self.files, settings) if self.files else Table()
        self.known = self.table.rows
        self.boxes, self.level = FaceBoxes(checked_mode(faces)), _level(subject)
        self._run_path = self.root
        self._guess = labels == DEFAULT_LABELS and not self.files
        self._matches: list[str] = []
        self.seed, self.splits = seed, checked_splits(splits)
        self.test_share = checked_share("source.test_share", test_share)
        self.validation_share = checked_share("source.validation_share", validation_share)

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The table, or the tables, where there is one."""
        if len(self.files) > 1:
            return {"labels": self.files}
        return {"labels": self.files[0]} if self.files else {}

    def understood(self) -> Sequence[str]:
        """Return how the table was read, and how many pictures it is about."""
        told = [*self.table.summary, *self._matches] or [
            f"no table: nothing is known about the pictures{self._others()}"
        ]
        return [*told, *self.boxes.summary()]

    def _others(self) -> str:
        """Return a word about tables in the folder that are not read because they have another name."""
        others = [entry.name for entry in file_tree.files(self.root, *TABLES)] if self._guess else []
        return f"; {_quoted(others[0])} is not read unless source.labels={_quoted(others[0])} says so" if others else ""

    def roots(self, run_path: Path) -> Sequence[Path]:
        """Return the folder."""
        return (self.root,)

    def image_root(self, run_path: Path) -> str:
        """Return the folder itself: pictures are never copied."""
        return str(self.root)

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every picture inside the folder, and a rejection for all else, rows without one included.

        Raises:
            UserError: if there is no picture, if most rows of the table mean none, if a folder beside one that names a
                split names none, or if folders are called like expressions and there is no table.
        """
        self._run_path = run_path
        found = list(pictures(self.root, results(run_path)))
        if not found:
            raise UserError("source.root", self.root, "no picture in it", f"give a folder with {', '.join(EXTENSIONS)}")
        listed = [image for image in found if isinstance(image, str)]
        rows, missing = matched(self.known, listed, self.table.frames)
        repeating = self._repeating(rows, missing)
        self._check(listed, missing)
        self._matches = [*_matches(len(rows), len(listed), missing), *repeating] if self.files else []
        places = {image: tuple(image.split("/")[:-1]) for image in listed}
        sides = split_folders(self.root, places.values(), self.splits, exact=True, others=True)
        check_lists(self.root, sides, self.splits)
        seen: list[tuple[str, str, Known | None]] = []
        for image in tqdm(found, desc="reading pictures", unit="image", disable=None):
            if isinstance(image, Rejection):
                yield image
                continue
            if detail := self.table.contradicted.get(rows.get(image, "")):
                yield Rejection(id=image, reason="two labels", detail=detail)
                continue
            try:
                seen.append((image, self._digest(image), self.known.get(rows.get(image, ""))))
            except (ImageError, OSError) as error:
                yield Rejection(id=image, reason="bad image", detail=str(error))
        yield from self._without_picture(missing)
        subjects = {image: (row.subject if row else None) or self._person(image) for image, _, row in seen}
        person = {digest: subject for image, digest, _ in seen if (subject := subjects[image])}
        labelled = {_group(digest, person) for _, digest, row in seen if row and not row.labels.empty}
        groups = {image: _group(digest, person) for image, digest, _ in seen}
        kept = staying((groups[image], self.earlier.get(image, self.earlier.get(digest))) for image, digest, _ in seen)
        labelled |= set(kept)
        splits = self._splits({image: sides[places[image]] for image in groups}, groups, labelled, kept)
        for image, digest, row in seen:
            yield ImageRecord(
                id=image,
                image=image,
                sha256=digest,
                source="folder",
                subject=subjects[image],
                split=splits[image],
                labels=row.labels if row else Labels(),
                attributes=dict(row.attributes) if row else {},
            )

    def _repeating(self, rows: Mapping[str, str], missing: dict[str, str]) -> list[str]:
        """Return what to say of rows that repeat one of the same picture in another spelling; `missing` loses them.

        Where two of them disagree nobody can tell which is right, so the picture is rejected.
        """
        again = {} if self.table.frames else repeated(missing, list(rows))
        lines = [f"rows about a picture that another row spells in another way: {len(again)}"] if again else []
        for row, picture in again.items():
            del missing[row]
            first, second = sorted((self.known[rows[picture]], self.known[row]), key=lambda known: known.line)
            if differing := difference(first, second):
                told = f"lines {first.line} and {second.line} disagree ({differing})"
                self.table.contradicted[rows[picture]] = told
                lines.append(f"  not used: {picture[:80]}: {told}")
        return lines

    def fetch(self, records: Sequence[ImageRecord]) -> Iterator[Rejection]:
        """Find the faces that `source.faces` wants to be found; yield pictures without."""
        yield from self.boxes.look(records, self.root, self._run_path)

    def shown(self, record: ImageRecord) -> ImageRecord:
        """Return a record with the box of its face, as `source.faces` wants it."""
        return self.boxes.shown(record)

    def _person(self, image: str) -> str | None:
        """Return the folder that names a picture's person; None where no folder does."""
        around = image.split("/")[:-1]
        if self.level is None or len(around) < max(self.level, 1):
            return None
        return around[self.level - 1] if self.level else around[-1]

    @property
    def _where(self) -> Path:
        return self.files[0] if len(self.files) == 1 else self.files[0].parent

    def _splits(
        self,
        sides: Mapping[str, Split | None],
        groups: Mapping[str, str],
        labelled: Collection[str],
        kept: Mapping[str, Split],
    ) -> dict[str, Split]:
        """Return each image's split: what its folder names, or what is drawn, of groups that somebody labelled.

        `kept`: where groups were in an earlier version of the set, and stay.
        """
        silent = {groups[image] for image, side in sides.items() if side is None} & set(labelled)
        train = {groups[image] for image, side in sides.items() if side == "train"} & set(labelled)
        held_back = {group: side for group, side in kept.items() if side != "test"}
        drawn: dict[Split | None, dict[str, Split]] = {
            None: assign(silent, self.seed, self.test_share, self.validation_share, kept),
            "train": {}
            if "validation" in sides.values()
            else assign(train, self.seed, 0.0, self.validation_share, held_back),
        }
        return {image: drawn.get(side, {}).get(groups[image], side or "train") for image, side in sides.items()}

    def _digest(self, image: str) -> str:
        path = resolve(self.root, image)
        if path.stat().st_size > LARGEST:
            raise ImageError(f"{image}: larger than a picture ({path.stat().st_size:,} bytes)")
        return file_sha256(path)

    def _without_picture(self, missing: Mapping[str, str]) -> Iterator[Rejection]:
        for image, problem in missing.items():
            where = f"{self.files[0].name if len(self.files) == 1 else 'its table'}, line {self.known[image].line}"
            yield Rejection(id=image, reason="no image", detail=f"{where}: {problem}")
        for file, line, problem in self.table.bad:
            yield Rejection(id=f"{file.name}, line {line}", reason="bad row", detail=problem)

    def _check(self, listed: Sequence[str], missing: Mapping[str, str]) -> None:
        inside = [image for image in self.known if not image.startswith("../")]
        lost = [image for image in inside if image in missing]
        if self.table.frames and are_shifted(inside, listed):
            problem = "its frames and the pictures count from different numbers, so no row is sure of its picture"
            raise UserError(
                "source.labels", self._where, problem, "give the table a column image, or rename the pictures"
            )
        if self.files and len(lost) * 2 > len(inside):
            problem = f"{len(lost)} of {len(inside)} rows mean no picture in {self.root}, such as {lost[0][:80]}"
            remedy = "set source.root to the folder that the column image is relative to, or correct the names"
            raise UserError("source.labels", self._where, problem, remedy)
        named = sorted(entry.name for entry in file_tree.listed(self.root) if MEANT.fullmatch(entry.name))
        if self._guess and named:
            problem = f"no {DEFAULT_LABELS} in it, and a file {named[0][:80]}, which is not read"
            remedy = (
                f"set source.labels='{named[0][:80]}' if it is the table (.csv, .tsv or .xlsx), or source.labels=null"
            )
            raise UserError("source.root", self.root, problem, remedy)
        folders = Counter(image.split("/")[-2] for image in listed if "/" in image)
        classes = [name for name in folders if word(name)]
        if self._guess and len(classes) > 1:
            problem = f"no {DEFAULT_LABELS} in it, and folders called {', '.join(classes[:4])}: labels are not read"
            remedy = "set source=class_folders to read them, or source.labels=null for pictures without labels"
            raise UserError("source.root", self.root, problem, remedy)


def _threshold(value: float | None) -> float | None:
    check_between("source.au_threshold", value, 0, STRONGEST, optional=True)
    if value == 0:
        raise UserError(
            "source.au_threshold", value, "every action unit would occur", f"use more than 0, to {STRONGEST}"
        )
    return value


def _level(subject: str | int | None) -> int | None:
    """Return how many folders below the root that of a person lies, 0 for the one around a picture.

    Raises:
        UserError: if the setting says neither.
    """
    if subject is None or subject == "parent":
        return None if subject is None else 0
    if isinstance(subject, bool) or not str(subject).isdecimal() or int(subject) < 1:
        remedy = "set parent (the folder around a picture), 1, 2, ... (folders below source.root) or null"
        raise UserError("source.subject", subject, "no level of folders", remedy)
    return int(subject)


def _tables(root: Path, labels: str) -> list[Path]:
    """Return the file that `labels` names, or the tables in the folder that it names; none by its default name alone.

    Raises:
        UserError: if there is no such file or folder, if there is no table in it, or if several files may be meant.
    """
    path = root / labels
    if path.is_file():
        return [path]
    if path.is_dir():
        if files := [Path(entry.path) for entry in file_tree.files(path, *TABLES)]:
            return files
        raise UserError("source.labels", labels, f"no {', '.join(TABLES)} in it", "give a table, or a folder of tables")
    if labels != DEFAULT_LABELS:
        there = [entry.name for entry in file_tree.files(root, *TABLES)]
        near = difflib.get_close_matches(Path(labels).name, there, 1) or there[:1]
        meant = f", such as {_quoted(near[0])}" if near else ""
        remedy = f"give the path of a .csv or .xlsx file{meant}"
        raise UserError("source.labels", labels, f"no such file in {root}", remedy)
    alike = [entry.name for entry in file_tree.files(root, *TABLES) if DEFAULT_NAMES.fullmatch(entry.name)]
    if len(alike) > 1:
        raise UserError(
            "source.labels", labels, f"{' and '.join(alike)} lie in {root}", "set it to the one that counts"
        )
    return [root / name for name in alike]


def _matches(rows: int, pictures: int, missing: Mapping[str, str]) -> list[str]:
    """Say how many pictures have a row, and which rows have no picture."""
    lines = [f"{rows} of {pictures} pictures have a row"]
    if missing:
        named = ", ".join(f"{image[:60]} ({problem})" for image, problem in list(missing.items())[:3])
        lines.append(f"{len(missing)} rows are about no picture: {named}" + (", ..." if len(missing) > 3 else ""))
    return lines


def _quoted(name: str) -> str:
    """Return a file's name as a shell takes it for one word."""
    return shlex.quote(one_line(name[:80]))


def _group(digest: str, person: Mapping[str, str]) -> str:
    """Return what must stay in one split: a person's pictures, or the copies of one picture of nobody named."""
    return f"subject/{person[digest]}" if digest in person else f"picture/{digest}"


def pictures(root: Path, leave: Path | None = None) -> Iterator[str | Rejection]:
    """Yield the pictures below `root` as paths relative to it, sorted; hidden files are none, nor those in `leave`.

    A link to a folder is not followed but rejected: it may lead anywhere, and round in circles.
    """
    found: list[str | Rejection] = []
    unread: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=unread.append):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and Path(folder, name) != leave)
        here = Path(folder).relative_to(root)
        if len(here.parts) >= file_tree.DEEPEST:
            folders.clear()  # the inventory lists what lies deeper
        for name in folders:
            if (Path(folder) / name).is_symlink():
                found.append(
                    Rejection(id=_text(here / name), reason="link", detail="a link to a folder is not followed")
                )
        for name in files:
            if name.startswith(".") or Path(name).suffix.lower() not in (*EXTENSIONS, *OTHER_PICTURES):
                continue
            image = _text(here / name)
            if Path(name).suffix.lower() in OTHER_PICTURES:
                found.append(Rejection(id=image, reason="format", detail="this format of pictures is not read"))
                continue
            if image != (here / name).as_posix():
                found.append(Rejection(id=image, reason="bad name", detail="its name is not UTF-8"))
            else:
                found.append(image)
    for error in unread:
        place = _text(Path(error.filename).relative_to(root))
        found.append(Rejection(id=place, reason="unreadable folder", detail=str(error.strerror)))
    yield from sorted(found, key=lambda item: item if isinstance(item, str) else item.id)


def _text(path: Path) -> str:
    """Return the path as text that UTF-8 can hold."""
    return path.as_posix().encode(errors="surrogateescape").decode(errors="backslashreplace")
