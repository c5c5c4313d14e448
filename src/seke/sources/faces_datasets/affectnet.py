"""AffectNet (Mollahosseini et al., IEEE TAC 2019): faces from the web with expression, valence and arousal.

Two releases are about, and which one lies below the root is found out. The lists:

    Manually_Annotated_file_lists/{training,validation}.csv             Manually_Annotated_Images/<dir>/<hash>.jpg
    Automatically_annotated_file_list/automatically_annotated.csv       Automatically_Annotated_Images/<dir>/<hash>.jpg
    subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal

and the arrays, one value in each file, as a number or as text:

    {train_set,val_set}/images/<id>.jpg
    {train_set,val_set}/annotations/<id>_{exp,val,aro,lnd}.npy

Some copies of the lists lack the header line, or the folder level on one side ([K]); both are read, but nothing that a
shifted column could turn into a label. Neither release names subjects, so no split can keep people apart. The owners'
validation part is what the field tests on.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Unpack

import numpy as np

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.sources.base import label_text
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.split import Draw, Listed
from seke.sources.base.tables import LONGEST_LINE, Bad, RowError, check_ids, parsed_rows, read_csv

CODES: Final = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""Expressions by id (facts 1.3)."""
NO_EXPRESSION: Final[Mapping[int, str]] = {8: "None", 9: "Uncertain", 10: "No-Face"}
MISSING: Final = -2.0
"""Valence and arousal of a face that was not rated."""
LARGEST_ARRAY: Final = 2**16
"""Bytes; one value needs some 130."""
NEUTRAL_RADIUS: Final = 0.5
"""How far from the origin of valence and arousal a neutral face may lie (the rule of arXiv 2002.03399)."""

SETS: Final[Mapping[str, str]] = {"train_set": "train", "val_set": "validation"}
"""The owners' split, by the folder of the arrays."""
SIGNS: Final[Mapping[str, str]] = {"csv": "training.csv (the CSV release)", "npy": "train_set/ (the npy release)"}
"""What gives each release away."""
PICTURES: Final = ("images", "annotations", "manually_annotated_images", "automatically_annotated_images")
"""Folders of up to a million files, which are not searched for either."""
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


class Gallery(NamedTuple):
    """A folder of images in the CSV release, and the lists that annotate them."""

    images: str
    lists: Mapping[str, str | None]
    """The owners' split by file name: train, validation, or None where they made none."""
    annotation: str
    """manual or automatic."""
    prefix: str = ""
    """Of the keys: both galleries number their folders from 1."""


MANUAL: Final = Gallery(
    "Manually_Annotated_Images", {"training.csv": "train", "validation.csv": "validation"}, "manual"
)
AUTOMATIC: Final = Gallery(
    "Automatically_Annotated_Images", {"automatically_annotated.csv": None}, "automatic", "automatic/"
)


class Lists(NamedTuple):
    """A gallery as it lies on the disk."""

    folder: Path
    """Of the images."""
    tables: dict[Path, str | None]
    """The owners' split by list."""


class Part(NamedTuple):
    """The folders of train_set or val_set in the npy release, called like these fields."""

    images: Path
    annotations: Path


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


class ArrayError(ValueError):
    """An array that is broken, or not one value: its image is rejected."""


class AffectNet(Licensed):
    """One record for each annotated image; subjects are unknown.

    With `official_split` the owners' validation part is the test side; without it `test_share` of the manually
    annotated images is, hashed one by one. `automatic` adds the list that a network annotated: for training only, since
    nothing should be tested against a machine's labels. `clean` rejects what contradicts itself (see `contradiction`),
    on both sides. Where both releases lie below the root, `release` says which is meant: auto, csv or npy.

    `attributes.annotation` is manual or automatic, `attributes.official_split` train or validation, and
    `attributes.face` the face box where the list has one with an area; the npy release holds crops.

    Raises:
        UserError: if `release` is none; later if neither release or half of one is below `root`, if a list has other
            columns than it should, or if automatic labels are wanted of the npy release, which has none.
    """

    name = "affectnet"

    def __init__(
        self,
        root: str | None,
        release: str = "auto",
        automatic: bool = False,
        official_split: bool = True,
        clean: bool = False,
        **split: Unpack[SplitSettings],
    ) -> None:
        super().__init__(root, **split)
        if release not in ("auto", *SIGNS):
            raise UserError("source.release", release, "no such release", f"use auto, {' or '.join(SIGNS)}")
        self.release = release
        self.galleries = (MANUAL, AUTOMATIC) if automatic else (MANUAL,)
        self.official_split = official_split
        self.clean = clean
        self._ids: set[int] = set()

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The lists, or the arrays of each part, without the landmarks."""
        if self._release == "csv":
            return {table.stem: table for gallery in self.galleries for table in self._lists(gallery).tables}
        return {
            name: [array_file(part, stem, kind) for stem, kinds in annotated(part).items() for kind in kinds]
            for name, part in self._parts.items()
        }

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every annotated image, and a rejection for each label without an image or image without a label.

        Raises:
            UserError: if a list is none, or if expressions are counted from 1.
        """
        self._ids.clear()
        if self._release == "csv":
            for gallery in self.galleries:
                yield from self._read_lists(gallery)
        else:
            for name in self._parts:
                yield from self._read_arrays(name)
        # An 8 is None, a class of its own: only all of 1 to 8 without a 0 tell that somebody counts from 1.
        if self._ids >= set(range(1, len(CODES) + 1)):
            check_ids(self.root, self._ids, 0, len(CODES) - 1)

    def _read_lists(self, gallery: Gallery) -> Iterator[Listed]:
        folder, tables = self._lists(gallery)
        pictures, base = Pictures(folder), self.relative(folder)
        named: set[str] = set()
        for table, official in tables.items():
            bad: list[Bad] = []
            for row in read_list(table, bad):
                key, where = gallery.prefix + _stem(row.path), f"{table.name}, line {row.line}"
                image = pictures.find(row.path)
                if image is None:
                    yield self.no_image(key, f"{where}: no {row.path} in {gallery.images}/")
                elif image in named:
                    yield self.rejection(key, "duplicate row", f"{where}: an earlier row is about {row.path}")
                else:
                    named.add(image)
                    attributes = {"annotation": gallery.annotation, "official_split": official, "face": row.face}
                    yield self._record(key, f"{base}/{image}", where, row.reading, attributes)
            yield from self.bad_rows(bad)
        yield from self.twins(base, pictures.twins)
        yield from (self.no_label(gallery.prefix + _stem(image)) for image in pictures if image not in named)

    def _read_arrays(self, name: str) -> Iterator[Listed]:
        part = self._parts[name]
        base, labelled = self.relative(part.images), annotated(part)
        pictures, twins = file_tree.by_stem(file_tree.images(part.images))
        yield from self.twins(base, twins)
        for stem, kinds in labelled.items():
            key, where = f"{name}/{stem}", self.relative(array_file(part, stem, kinds[0]))
            if stem.lower() not in pictures:
                yield self.no_image(key, f"{where}: no {stem}.jpg in {base}/")
                continue
            try:
                reading = Reading(**{kind: read_array(array_file(part, stem, kind)) for kind in kinds})
            except ArrayError as error:
                yield self.bad_label(key, str(error))
                continue
            attributes = {"annotation": "manual", "official_split": SETS[name]}
            yield self._record(key, f"{base}/{pictures[stem.lower()]}", where, reading, attributes)
        named = {stem.lower() for stem in labelled}
        yield from (
            self.no_label(f"{name}/{_stem(picture)}") for stem, picture in pictures.items() if stem not in named
        )

    def _record(self, key: str, image: str, where: str, reading: Reading, attributes: Mapping[str, Any]) -> Listed:
        labels = labels_of(reading)
        if (code := label_text.whole(reading.exp)) is not None:
            self._ids.add(code)
        if labels.empty:
            return self.no_label(key, f"{where}: {_spelt(reading)}")
        if self.clean and (why := contradiction(labels)):
            return self.rejection(key, "inconsistent label", f"{where}: {why}")
        known = {name: value for name, value in attributes.items() if value is not None}
        return self.record(key, image, labels, self._split(key, known.get("official_split")), attributes=known)

    def _split(self, key: str, official: str | None) -> Split | Draw:
        if official is not None and not self.official_split:
            return self.split(key)
        return self.official(key, test=official == "validation")

    @cached_property
    def _release(self) -> str:
        found = {
            "csv": file_tree.find(self.root, *MANUAL.lists, folder=False, skip=PICTURES),
            "npy": file_tree.find(self.root, *SETS, skip=PICTURES),
        }
        wanted = list(SIGNS) if self.release == "auto" else [self.release]
        there = [release for release in wanted if found[release]]
        if not there:
            raise file_tree.missing(self.root, " or ".join(SIGNS[release] for release in wanted))
        if len(there) > 1:
            problem = f"both releases lie below {self.root}"
            raise UserError("source.release", self.release, problem, f"set {' or '.join(there)}")
        if there == ["npy"] and AUTOMATIC in self.galleries:
            raise UserError("source.automatic", True, "the npy release has no automatic labels", "set false")
        return there[0]

    def _lists(self, gallery: Gallery) -> Lists:
        tables = {
            file_tree.required(self.root, file, folder=False, skip=PICTURES): official
            for file, official in gallery.lists.items()
        }
        return Lists(file_tree.required(self.root, gallery.images, skip=PICTURES), tables)

    @cached_property
    def _parts(self) -> dict[str, Part]:
        parts = {name: file_tree.required(self.root, name, skip=PICTURES) for name in SETS}
        return {
            name: Part(*(file_tree.required(folder, inner, skip=PICTURES) for inner in Part._fields))
            for name, folder in parts.items()
        }


def read_list(table: Path, bad: list[Bad] | None = None) -> Iterator[Row]:
    """Yield the rows of a list, with or without a header line; columns under a header may have any order.

    A line with another number of cells, without the path of an image where that should be, or with a fraction for an
    expression, as when columns are shifted, goes to `bad`.

    Raises:
        UserError: if there is no row, if it is not UTF-8; at bad lines as `parsed_rows` does.
    """
    try:
        if not table.is_file():
            raise label_text.damaged(table, None, "no such file")
        with table.open(encoding="utf-8-sig", newline="") as text:
            rows = (row for row in read_csv(table, iter(partial(text.readline, LONGEST_LINE), "")) if row[1] != [])
            first = next(rows, None)
            if first is None:
                raise label_text.damaged(table, None, "no row in it")
            header = None if isinstance(first[1], RowError) else _header(table, first[1])
            columns = header or COLUMNS
            parse = partial(_row, len(columns), {name: columns.index(name) for name in COLUMNS})
            for line, row in parsed_rows(table, rows if header else itertools.chain([first], rows), parse, bad):
                yield row._replace(line=line)
    except UnicodeDecodeError as error:
        raise label_text.damaged(table, None, f"not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise label_text.damaged(table, None, f"cannot be read ({error.strerror})") from error


def _header(table: Path, first: Sequence[str]) -> Sequence[str] | None:
    """Return the columns that a header line names, None where the first line is a row already."""
    names = [cell.strip().lower() for cell in first]
    if not set(names) & set(COLUMNS):
        return None
    for column in COLUMNS:
        if names.count(column) != 1:
            raise label_text.damaged(table, 1, f"{'no' if column not in names else 'more than one'} column {column}")
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


def annotated(part: Part) -> dict[str, list[str]]:
    """Return what arrays (exp, val, aro) there are for each image, by its name without extension, sorted."""
    found: dict[str, list[str]] = {}
    for entry in file_tree.files(part.annotations, ".npy"):
        stem, _, kind = _stem(entry.name).rpartition("_")
        if kind in Reading._fields:
            found.setdefault(stem, []).append(kind)
    return found


def array_file(part: Part, stem: str, kind: str) -> Path:
    """Return the file of an image's expression, valence or arousal."""
    return part.annotations / f"{stem}_{kind}.npy"


def read_array(file: Path) -> str:
    """Return the one value of an array, be it a number or a text, as text.

    Raises:
        ArrayError: if the file is broken or holds anything else.
    """
    try:
        if not file.is_file() or file.stat().st_size > LARGEST_ARRAY:
            raise ArrayError(f"{file.name}: not a file of one number or text")
        with file.open("rb") as data:
            array = np.load(data, allow_pickle=False)
    except ArrayError:
        raise
    except Exception as error:  # numpy raises nearly anything on broken files
        raise ArrayError(f"{file.name}: {type(error).__name__}: {error}") from error
    if not isinstance(array, np.ndarray) or array.size != 1 or array.dtype.kind not in "iufSU":
        raise ArrayError(f"{file.name}: not one number or text")
    value = array.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def labels_of(reading: Reading) -> Labels:
    """Return the labels; one missing code blanks both valence and arousal, one out of range only itself."""
    code = label_text.whole(reading.exp)
    valence, arousal = label_text.number(reading.val), label_text.number(reading.aro)
    if MISSING in (valence, arousal):
        valence = arousal = None
    return Labels(
        expression=CODES[code] if code is not None and 0 <= code < len(CODES) else None,
        valence=label_text.within(valence),
        arousal=label_text.within(arousal),
    )


def contradiction(labels: Labels) -> str | None:
    """Return why expression and valence/arousal cannot both be right by arXiv 2002.03399, None where they can.

    Happiness with v < 0, sadness with v > 0, and neutral with sqrt(v² + a²) > 0.5 contradict themselves.

    >>> contradiction(Labels(expression="neutral", valence=0.6, arousal=0.0))
    'neutral with valence 0.6 and arousal 0.0'
    """
    valence, arousal = labels.valence, labels.arousal
    if valence is None:
        return None
    if (labels.expression == "happiness" and valence < 0) or (labels.expression == "sadness" and valence > 0):
        return f"{labels.expression} with valence {valence}"
    if labels.expression == "neutral" and arousal is not None and math.hypot(valence, arousal) > NEUTRAL_RADIUS:
        return f"neutral with valence {valence} and arousal {arousal}"
    return None


def _spelt(reading: Reading) -> str:
    """Return what stands where labels should, for the reason of a rejection."""
    name = NO_EXPRESSION.get(label_text.whole(reading.exp) or 0)
    expression = f"{reading.exp or 'missing'}{f' ({name})' if name else ''}"
    return f"expression {expression}, valence {reading.val or 'missing'}, arousal {reading.aro or 'missing'}"


def _stem(path: str) -> str:
    return path.rpartition(".")[0] or path
