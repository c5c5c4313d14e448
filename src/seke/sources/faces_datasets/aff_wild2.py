"""Aff-Wild2 as its workshops (ABAW) ship it: videos as cropped and aligned faces, label sets joined frame by frame.

    cropped_aligned/<video>/00001.jpg                a missing number: no face was found in that frame
    AU_Detection_Challenge/Train_Set/<video>.txt     abaw3; also EXPR_Classification_, EXPR_Recognition_, VA_Estimation_
    AU_Set/Training_Set/<video>.txt                  abaw2; also EXPR_Set and VA_Set
    MTL_Challenge/training_set.txt                   mtl; <video>/00001.jpg,valence,arousal,expression,au1, ...

A header names the columns, in any order; in EXPR files it names the classes, and rows are an index into them. The
header of an MTL file has five names for sixteen fields, so there the order is fixed. In files of one video the first
row belongs to picture 1. Unknown: -5 for valence or arousal, -1 for a class or an AU (facts, section 1.6).

One record carries what all label sets say about a frame. A video may be for training in one label set and for
validation in another, so the official split cannot be kept: ours is by video, and `<video>_left` and `<video>_right`,
two people in one video, are one group. It stands as the subject; who is seen in several videos is not known.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.affect import AUS_OF_SOURCE
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.base import label_text
from seke.sources.base.filmed import Filmed, FilmSettings
from seke.sources.base.split import Listed
from seke.sources.base.tables import THIRD, Bad, RowError, check_ids, parsed_rows

AUTO: Final = "auto"
SIDE: Final = re.compile(r"_(left|right)\Z")
NUMBERED: Final = re.compile(
    r"\d+\.(" + "|".join(extension[1:] for extension in file_tree.IMAGES) + r")\Z", re.I | re.A
)
FOLDERS: Final[Mapping[str, Mapping[str, str]]] = {
    "abaw3": {
        "AU_Detection_Challenge": "au",
        "EXPR_Classification_Challenge": "expr",
        "EXPR_Recognition_Challenge": "expr",
        "VA_Estimation_Challenge": "va",
    },
    "mtl": {"MTL_Challenge": "mtl"},
    "abaw2": {"AU_Set": "au", "EXPR_Set": "expr", "VA_Set": "va"},
}
"""The label sets of each layout by their folder; the most recent layout that agrees with the frames on disk first."""

PARTS: Final = ("train_set", "training_set", "validation_set")
"""The folders within a label set; the official split they make differs between label sets and is not used."""

MTL_PARTS: Final[tuple[str, ...]] = ("train", "val")
"""How the lists of an MTL folder begin; that of its test set has no labels."""

FRAME: Final = re.compile(r"[0-9]{1,12}")

OTHER: Final = "other"
"""The class that is none of the eight expressions."""

CLASSES: Final = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", OTHER)
AUS: Final = tuple(f"au{au}" for au in AUS_OF_SOURCE["aff_wild2"])
AUS_2020: Final = tuple(f"au{au}" for au in (1, 2, 4, 6, 12, 15, 20, 25))
HEADERS: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "va": [("valence", "arousal")],
    "expr": [CLASSES, CLASSES[:-1]],
    "au": [AUS, AUS_2020],
    "mtl": [("image", "valence", "arousal", "expression", "aus")],
}
"""The names that the header of each label set may have."""


class Columns(NamedTuple):
    """What the fields of a row are, in their order."""

    names: tuple[str, ...]
    """valence, arousal, expression, au1, au2, ..."""
    classes: tuple[str, ...] = ()
    """What the expression is an index into."""


class Known(NamedTuple):
    """What label rows say about one frame; None = unknown."""

    valence: float | None = None
    arousal: float | None = None
    expression: str | None = None
    """An expression or `OTHER`."""
    action_units: tuple[tuple[int, bool], ...] | None = None


class Row(NamedTuple):
    """One label row, and where it stands."""

    file: Path
    line: int
    known: Known


Frames = dict[int, Row]
"""The rows of one video in one label set, by the number of the frame."""


class Survey(NamedTuple):
    """The folders below a root, sorted."""

    videos: list[Path]
    """Those that hold numbered pictures; what lies below them is not looked at."""
    others: list[Path]


class AffWild2(Filmed):
    """The frames of Aff-Wild2 with expression, valence and arousal, and action units, as far as each is annotated.

    `layout` is abaw2, abaw3 or mtl, or auto for the first found of abaw3, mtl and abaw2. `images` is the folder below
    `root` in which the faces lie, at any depth; it needs to be named only where `cropped` lies beside
    `cropped_aligned`, with the same videos in it.

    Raises:
        UserError: see `Licensed`; if there is no such layout or no folder `images`.
    """

    name = "aff_wild2"

    def __init__(self, root: str | None, layout: str = AUTO, images: str = ".", **film: Unpack[FilmSettings]) -> None:
        super().__init__(root, **film)
        if layout not in (AUTO, *FOLDERS):
            raise UserError("source.layout", layout, "no such layout", f"use {', '.join((AUTO, *FOLDERS))}")
        self.layout = layout
        self.pictured = (self.root / images).resolve()
        if not self.pictured.is_dir() or not self.pictured.is_relative_to(self.root):
            raise UserError("source.images", images, f"no such folder in {self.root}", "name the one with the faces")

    @property
    def inputs(self) -> Mapping[str, Sequence[Path]]:
        """The label files of each label set: va, expr and au, or mtl.

        Raises:
            UserError: if the root has no label file of the layout.
        """
        return self._label_files

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every frame that has a picture and a label, and a rejection for all others.

        A row left with nothing but the class `other` has no label; beside other labels, `attributes.expression` tells.
        Pictures of a video that no label file is about are one rejection, with their number.

        Raises:
            UserError: if a label file is not what its layout promises, or a video is there twice.
        """
        videos = self._videos
        without_labels = set(videos)
        bad: list[Bad] = []
        ids: set[int] = set()
        for video, sets in labelled(self._label_files, bad, ids):
            without_labels.discard(video)
            yield from self._frames(video, videos.get(video), sets)
        yield from self.bad_rows(bad)
        if len(CLASSES) in ids:
            check_ids(self.root, ids, 0, len(CLASSES) - 1)
        for video in sorted(without_labels):
            number = len(file_tree.images(videos[video]))
            yield self.no_label(video, f"no label file for the {number} pictures in {self.relative(videos[video])}")

    @cached_property
    def _survey(self) -> Survey:
        return survey(self.root)

    @cached_property
    def _label_files(self) -> dict[str, list[Path]]:
        layouts = FOLDERS if self.layout == AUTO else (self.layout,)
        for layout in layouts:
            if found := label_files(self._survey.others, layout):
                return found
        names = [name for layout in layouts for name in FOLDERS[layout]]
        raise file_tree.missing(self.root, f"label file in {', '.join(names)}")

    @cached_property
    def _videos(self) -> dict[str, Path]:
        """The folders of pictures by the name of the video."""
        found: dict[str, Path] = {}
        for folder in self._survey.videos:
            if folder.is_relative_to(self.pictured):
                earlier = found.setdefault(folder.name, folder)
                if earlier is not folder:
                    raise twice(folder.name, earlier, folder, "set source.images=<folder> to choose or keep one")
        if not found:
            raise file_tree.missing(self.pictured, "cropped_aligned/<video>/00001.jpg")
        return found

    def _frames(self, video: str, folder: Path | None, sets: Sequence[Frames]) -> Iterator[Listed]:
        pictures, unnumbered = file_tree.by_number(file_tree.images(folder)) if folder else ({}, [])
        where = self.relative(folder) if folder else ""
        subject = SIDE.sub("", video)
        split = self.split(subject)
        for frame in sorted(set(pictures).union(*sets)):
            key = f"{video}/{frame:05d}"
            rows = [frames[frame] for frames in sets if frame in frames]
            if not rows:
                yield self.no_label(key, "no label row has its number")
            elif frame not in pictures:
                places = [f"{self.relative(row.file)}, line {row.line}" for row in rows]
                yield self.no_image(key, f"{' and '.join(places)}: no {key}.jpg")
            else:
                known = union(rows)
                other = {"expression": OTHER} if known.expression == OTHER else None
                row = self.record(
                    key, f"{where}/{pictures[frame]}", labels(known), split, subject, other,
                    "the class is 'other', all else is missing" if other else "every label is missing",
                )  # fmt: skip
                yield self.in_film(row, video, max(frame - 1, 0))
        for name in unnumbered:
            yield self.no_label(f"{video}/{name}", "its name is not the number of a frame, or not the only one with it")


def survey(root: Path) -> Survey:
    """Return the folders below `root`, itself included; each is listed once, one with pictures only until the first.

    Links to folders are not followed.
    """
    found = Survey([], [])
    ahead = [root]
    while ahead:
        folder = ahead.pop()
        try:
            with os.scandir(folder) as entries:
                inner = _folders(entries)
        except OSError as error:
            raise file_tree.unreadable(folder, error) from error
        if inner is None:
            found.videos.append(folder)
        else:
            found.others.append(folder)
            ahead += inner
    return Survey(sorted(found.videos), sorted(found.others))


def _folders(entries: Iterable[os.DirEntry[str]]) -> list[Path] | None:
    """Return the folders among the entries, None as soon as there is a numbered picture."""
    inner = []
    for entry in entries:
        if NUMBERED.match(entry.name):
            return None
        if file_tree.is_folder(entry) and file_tree.is_utf8(entry.name) and not file_tree.STRAY.search(entry.name):
            inner.append(Path(entry.path))
    return inner


def label_files(folders: Iterable[Path], layout: str) -> dict[str, list[Path]]:
    """Return the label files of one layout that lie in `folders`, by label set (va, expr, au or mtl), sorted."""
    tasks = {name.lower(): task for name, task in FOLDERS[layout].items()}
    found: dict[str, list[Path]] = {}
    for folder in folders:
        if layout == "mtl":
            task, prefixes = tasks.get(folder.name.lower()), MTL_PARTS
        else:
            task, prefixes = tasks.get(folder.parent.name.lower()) if folder.name.lower() in PARTS else None, ("",)
        if task:
            entries = [entry for entry in file_tree.files(folder, ".txt") if entry.name.lower().startswith(prefixes)]
            found.setdefault(task, []).extend(Path(entry.path) for entry in entries)
    return {task: sorted(files) for task, files in sorted(found.items()) if files}


def labelled(files: Mapping[str, Sequence[Path]], bad: list[Bad], ids: set[int]) -> Iterator[tuple[str, list[Frames]]]:
    """Yield every video that has labels, sorted by name, with its frames in each label set that knows it.

    Rows that are none go to `bad`, and all class numbers to `ids`.

    Raises:
        UserError: if one label set has two files for one video, or a file is not what its layout promises.
    """
    if "mtl" in files:
        for video, frames in sorted(read_mtl(files["mtl"], bad, ids).items()):
            yield video, [frames]
        return
    videos: dict[str, dict[str, Path]] = {}
    for task, paths in files.items():
        for path in paths:
            earlier = videos.setdefault(path.stem, {}).setdefault(task, path)
            if earlier is not path:
                raise twice(path.stem, earlier, path, "keep one of them")
    for video, sets in sorted(videos.items()):
        yield video, [read_task(task, path, bad, ids) for task, path in sets.items()]


def twice(video: str, one: Path, other: Path, remedy: str) -> UserError:
    """Return the error of a video that is there twice."""
    return UserError("source.root", video, f"this video is there twice, as {one} and as {other}", remedy)


def read_task(task: str, file: Path, bad: list[Bad] | None = None, ids: set[int] | None = None) -> Frames:
    """Return the rows of one video: line 2 is frame 1, and so on. One with other fields goes to `bad`.

    Raises:
        UserError: if the header is not what the layout has; at bad rows as `parsed_rows` does, from a third of them on,
            since a row that is cut in two shifts all rows behind it.
    """
    header, rows = _split(file)
    found = _columns(task, file, header)
    if task == "expr" and ids is not None:
        ids.update(number for text in set(rows) if (number := label_text.whole(text)) is not None)
    parsed = parsed_rows(file, enumerate(rows, start=2), partial(_checked, found), bad, THIRD)
    return {line - 1: Row(file, line, known) for line, known in parsed}


def read_mtl(files: Iterable[Path], bad: list[Bad] | None = None, ids: set[int] | None = None) -> dict[str, Frames]:
    """Return the rows of the multi-task lists by video.

    A row whose first field is not <video>/<number>.jpg, or that is about the frame of another row, goes to `bad`.

    Raises:
        UserError: as `read_task`.
    """
    videos: dict[str, Frames] = {}

    def parse(text: str) -> tuple[str, int, Known]:
        image, _, rest = text.partition(",")
        video, _, name = image.strip().rpartition("/")
        number = FRAME.fullmatch(name.rpartition(".")[0])
        known = _checked(found, rest, before=1)
        if not video or number is None:
            raise RowError(f"{image[:80]!r} is not <video>/<number>.jpg")
        if earlier := videos.get(video, {}).get(int(number[0])):
            raise RowError(f"{image} stands in {earlier.file}, line {earlier.line} already")
        if ids is not None and (code := label_text.whole(rest.split(",")[2])) is not None:
            ids.add(code)
        return video, int(number[0]), known

    for file in files:
        header, rows = _split(file)
        found = _columns("mtl", file, header)
        for line, (video, frame, known) in parsed_rows(file, enumerate(rows, start=2), parse, bad):
            videos.setdefault(video, {})[frame] = Row(file, line, known)
    return videos


def columns(task: str, header: str) -> Columns | None:
    """Return what a row's fields are (those after the image, in MTL lists), None where the header is not known.

    >>> columns("va", "arousal,Valence")
    Columns(names=('arousal', 'valence'), classes=())
    """
    names = tuple(name.strip().lower() for name in header.split(","))
    if task == "mtl":
        return Columns(("valence", "arousal", "expression", *AUS), CLASSES) if names in HEADERS[task] else None
    if sorted(names) not in [sorted(known) for known in HEADERS[task]]:
        return None
    return Columns(("expression",), names) if task == "expr" else Columns(names)


# Classes and AUs have few different rows; valence and arousal stay the same for some frames.
@lru_cache(maxsize=16384)
def parse(columns: Columns, text: str) -> Known | None:
    """Return what a row says, None where it has not as many fields as there are columns.

    >>> parse(Columns(("valence", "arousal")), "0.5,-5")
    Known(valence=None, arousal=None, expression=None, action_units=None)
    """
    cells = text.split(",") if text else []
    if len(cells) != len(columns.names):
        return None
    cell = dict(zip(columns.names, cells, strict=True))
    valence, arousal = (label_text.within(label_text.number(cell.get(name, ""))) for name in ("valence", "arousal"))
    if valence is None or arousal is None:
        valence = arousal = None
    index = label_text.whole(cell.get("expression", ""))
    expression = columns.classes[index] if index is not None and 0 <= index < len(columns.classes) else None
    units = label_text.coded_units({int(name[2:]): cell[name] for name in columns.names if name.startswith("au")})
    return Known(valence, arousal, expression, tuple(units.items()) if units else None)


def union(rows: Sequence[Row]) -> Known:
    """Return what several label sets say about one frame; each knows something else."""
    joined = rows[0].known
    for row in rows[1:]:
        joined = Known._make([one if other is None else other for one, other in zip(joined, row.known, strict=True)])
    return joined


@lru_cache(maxsize=16384)
def labels(known: Known) -> Labels:
    """Return the labels, which equal frames share."""
    return Labels(
        expression=None if known.expression == OTHER else known.expression,
        valence=known.valence,
        arousal=known.arousal,
        action_units=dict(known.action_units) if known.action_units else None,
    )


def _split(file: Path) -> tuple[str, list[str]]:
    """Return the header and the rows, without the empty lines at the end."""
    found = label_text.lines(file)
    while found and not found[-1]:
        found.pop()
    return (found[0], found[1:]) if found else ("", [])


def _columns(task: str, file: Path, header: str) -> Columns:
    found = columns(task, header)
    if found is None:
        raise _shifted(task, file, header)
    return found


def _checked(columns: Columns, text: str, before: int = 0) -> Known:
    """Return what a row says; `before` it, that many fields were taken off."""
    found = parse(columns, text)
    if found is None:
        fields = before + (text.count(",") + 1 if text else 0)
        raise RowError(f"{fields} fields where {before + len(columns.names)} are expected")
    return found


def _shifted(task: str, file: Path, header: str) -> UserError:
    expected = " or ".join(",".join(names) for names in HEADERS[task])
    return label_text.damaged(file, 1, f"the header is {header[:80]!r}, expected {expected} (in any case)")
