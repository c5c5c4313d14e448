"""BP4D-Spontaneous (Zhang et al., Image Vis. Comput. 2014): frames of eight tasks with the occurrence of AUs.

    AUCoding/AU_OCC/F001_T1.csv             header "0,1,2,...", first column the frame number, column k AU k; 0, 1, 9
    AUCoding/AU_INT/AU06/F001_T1_AU06.csv   lines "frame,intensity", 0 to 5 or 9; five AUs only, and optional
    2D/F001/T1/2440.jpg                     a picture for every frame, wherever below root, padded with zeros or not

FERA 2015's copies lack the level AU_OCC. About 500 frames of a task are coded, from any number on: codes and pictures
meet by number alone. A 9 is unknown. The task is what the person was given to feel, never an expression they showed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.affect import AUS_OF_SOURCE
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.base import label_text
from seke.sources.base.filmed import Filmed, FilmSettings
from seke.sources.base.split import Listed
from seke.sources.base.tables import Bad, RowError, intensities, parsed_rows, read_csv

AUS: Final = AUS_OF_SOURCE["bp4d"]
SUBJECT: Final = re.compile(r"[FM]\d{3}", re.IGNORECASE)
TASK: Final = re.compile(r"^T\d{1,2}$", re.IGNORECASE)
OCCURRENCE: Final = re.compile(r"([FM]\d{3}_T\d{1,2})\.csv", re.IGNORECASE)
INTENSITY: Final = re.compile(r"([FM]\d{3}_T\d{1,2})_AU0*(\d+)\.csv", re.IGNORECASE)
OCCLUSION: Final = ("auto", "last", "none")
INTENSITIES: Final = frozenset((2, 3, 4, 5))
"""No codes of occurrence; two of them tell that a file is one of intensities."""
UNSCORABLE: Final = 99
"""No AU of FACS: the column of this number marks frames that could not be coded."""
DEPTH: Final = file_tree.DEPTH + 2
"""Folders of tasks lie two levels below the folder that unpacking tools have wrapped."""


class Coded(NamedTuple):
    """One row of an occurrence file."""

    units: dict[int, bool] | None
    occluded: bool


class Columns(NamedTuple):
    """Which cell of a row is what."""

    aus: dict[int, int]
    """The column of each of the twelve AUs."""
    occlusion: int | None


class BP4D(Filmed):
    """One record for each coded frame, subject `F001`, `attributes.task` and the intensities that five AUs may have.

    `occlusion` says whether the last column of an occurrence file marks occluded frames, which keep no AU: yes (last),
    no (none), or that a column 99 does, or else a last one whose title is empty, a word or a repeated number (auto).
    Public loaders agree that the last column of the original files is such a mark; copies cut down to AUs lack it.
    Frame n is picture n + `offset`: 0 as public lists have it, but the pictures of its successor BP4D+ begin at 0.

    Raises:
        UserError: if a setting is none, if there are no codes or no pictures below `root`, or two of one sequence.
    """

    name = "bp4d"
    filmed_at = 25.0

    def __init__(
        self,
        root: str | None,
        images: str | None = None,
        occlusion: str = "auto",
        offset: int = 0,
        **film: Unpack[FilmSettings],
    ) -> None:
        super().__init__(root, **film)
        if occlusion not in OCCLUSION:
            raise UserError("source.occlusion", occlusion, "unknown", f"use {', '.join(OCCLUSION)}")
        if isinstance(offset, bool) or not isinstance(offset, int):
            raise UserError("source.offset", offset, "not a whole number", "set 0, or -1 where pictures begin at 0")
        self.occlusion, self.offset = occlusion, offset
        self.pictured = file_tree.folder_inside(self.root, "source.images", images or "")

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """All occurrence files, and all intensity files where there are any."""
        occurrence = list(self._codes.values())
        if not self._pictures:
            raise file_tree.missing(self.pictured, "F001/T1/<frame>.jpg")
        intensity = [file for files in self._intensities.values() for file in files.values()]
        return {"occurrence": occurrence, **({"intensity": intensity} if intensity else {})}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every coded frame, the coded ones without a picture, and the pictures without a code.

        Raises:
            UserError: if a header or a row of a label file is not what it should be.
        """
        for sequence in sorted({*self._codes, *self._pictures}):
            folder = self._pictures.get(sequence)
            if folder and sequence in self._codes:
                yield from self._sequence(sequence, folder)
            elif folder:
                detail = f"{len(file_tree.images(folder))} pictures in {self.relative(folder)}, but no {sequence}.csv"
                yield self.no_label(sequence.replace("_", "/"), detail)
            else:
                coded = read_codes(self._codes[sequence], self.occlusion)
                detail = f"{len(coded)} frames in {self.relative(self._codes[sequence])}, but no folder of pictures"
                yield self.no_image(sequence.replace("_", "/"), detail)

    def _sequence(self, sequence: str, folder: Path) -> Iterator[Listed]:
        subject, task = sequence.split("_")
        names, nameless = file_tree.by_number(file_tree.images(folder))
        where, codes = self.relative(folder), self.relative(self._codes[sequence])
        bad: list[Bad] = []
        scored = {au: intensities(file, bad) for au, file in self._intensities.get(sequence, {}).items()}
        coded = read_codes(self._codes[sequence], self.occlusion, bad)
        yield from self.bad_rows(bad)
        for frame, code in coded.items():
            key = f"{subject}/{task}/{frame}"
            name = names.get(frame + self.offset)
            if name is None:
                yield self.no_image(key, f"{codes}, frame {frame}: {where} has no picture {frame + self.offset}")
                continue
            known = {str(au): i for au, column in scored.items() if (i := column.get(frame)) is not None}
            attributes = {"task": task, "intensity": known} if known else {"task": task}
            empty = "occluded" if code.occluded else "no AU is coded 0 or 1"
            units = None if code.occluded else code.units
            intensity = {int(au): float(i) for au, i in known.items()} if units else None
            labels = Labels(action_units=units, au_intensity=intensity)
            row = self.record(key, f"{where}/{name}", labels, self.split(subject), subject, attributes, empty)
            yield self.in_film(row, f"{subject}/{task}", max(frame, 0))
        for number in sorted(names.keys() - {frame + self.offset for frame in coded}):
            detail = f"{where}/{names[number]}: {codes} has no row for it"
            yield self.no_label(f"{subject}/{task}/{number - self.offset}", detail)
        for name in nameless:
            detail = f"{where}/{name}: not called by a frame number of its own"
            yield self.no_label(f"{subject}/{task}/{name}", detail)

    @cached_property
    def _codes(self) -> dict[str, Path]:
        """The occurrence file of each sequence, such as F001_T1."""
        folder = file_tree.find(self.root, "AU_OCC") or file_tree.required(self.root, "AUCoding", "AU_OCC")
        named = ((OCCURRENCE.fullmatch(file.name), file) for file in file_tree.walk(folder, ".csv"))
        found = file_tree.unique(((name[1].upper(), file) for name, file in named if name), "keep one of the two files")
        if not found:
            raise file_tree.missing(folder, "F001_T1.csv")
        return found

    @cached_property
    def _intensities(self) -> dict[str, dict[int, Path]]:
        """The intensity file of each AU that was scored in a sequence."""
        folder = file_tree.find(self.root, "AU_INT")
        named = ((INTENSITY.fullmatch(file.name), file) for file in (file_tree.walk(folder, ".csv") if folder else ()))
        found: dict[str, dict[int, Path]] = {}
        for name, file in named:
            if name and int(name[2]) in AUS:
                found.setdefault(name[1].upper(), {})[int(name[2])] = file
        return found

    @cached_property
    def _pictures(self) -> dict[str, Path]:
        """The folder of each sequence's pictures; one of point clouds or videos only has none."""
        found = (
            (f"{folder.parent.name}_{folder.name}".upper(), folder)
            for folder in file_tree.below(self.pictured, TASK, DEPTH)
            if TASK.search(folder.name) and SUBJECT.fullmatch(folder.parent.name) and file_tree.images(folder)
        )
        return file_tree.unique(found, "set source.images to the folder that holds the pictures you mean")


def read_codes(file: Path, occlusion: str = "auto", bad: list[Bad] | None = None) -> dict[int, Coded]:
    """Return the rows of an occurrence file by frame number, in the order of the file.

    A row with another number of columns, or whose frame number is none or stands there already, goes to `bad`.

    Raises:
        UserError: naming file and line, if the header does not begin with 0 or lacks one of the twelve AUs, or if codes
            are intensities; at bad rows as `parsed_rows` does.
    """
    found: dict[int, Coded] = {}
    rows = (row for row in read_csv(file, label_text.lines(file)) if row[1] != [])
    line, header = next(rows, (1, []))
    if isinstance(header, RowError):
        raise label_text.damaged(file, line, str(header))
    columns = read_header(file, header, occlusion)
    beyond: set[int] = set()

    def parse(cells: list[str] | RowError) -> tuple[int, Coded]:
        if isinstance(cells, RowError):
            raise cells
        if len(cells) != len(header):
            raise RowError(f"{len(cells)} columns under {len(header)} titles")
        frame = label_text.whole(cells[0])
        if frame is None:
            raise RowError(f"{cells[0][:40]!r} is no frame number")
        if frame in found:
            raise RowError(f"frame {frame} stands in an earlier line already")
        occluded = columns.occlusion is not None and label_text.whole(cells[columns.occlusion]) == 1
        beyond.update(INTENSITIES.intersection(label_text.whole(cells[k]) for k in columns.aus.values()))
        return frame, Coded(label_text.coded_units({au: cells[k] for au, k in columns.aus.items()}), occluded)

    for _, (frame, code) in parsed_rows(file, rows, parse, bad):
        found[frame] = code
    if len(beyond) > 1:
        spelt = ", ".join(map(str, sorted(beyond)))
        raise label_text.damaged(file, None, f"its codes go up to intensities ({spelt}), where 0, 1 and 9 are expected")
    return found


def read_header(file: Path, header: Sequence[str], occlusion: str = "auto") -> Columns:
    """Return the columns by the titles of an occurrence file.

    >>> read_header(Path("F001_T1.csv"), ["0", *map(str, AUS), "99"]).occlusion
    13

    Raises:
        UserError: if the first is not 0 (the whole header is shifted), or if one of the twelve AUs is missing or twice.
    """
    titles = [label_text.whole(title) for title in header]
    if not titles or titles[0] != 0:
        there = repr(header[0][:40]) if header else "nothing"
        problem = f"the header begins with {there} and not with 0, the column of frame numbers"
        raise label_text.damaged(file, 1, problem)
    mark = _occlusion_column(titles, occlusion)
    aus: dict[int, int] = {}
    for column, au in enumerate(titles):
        if au in AUS and column != mark:
            if au in aus:
                raise label_text.damaged(file, 1, f"two columns are called {au}")
            aus[au] = column
    if missing := [au for au in AUS if au not in aus]:
        raise label_text.damaged(file, 1, f"no column for AU {', '.join(map(str, missing))}")
    return Columns(aus, mark)


def _occlusion_column(titles: Sequence[int | None], occlusion: str) -> int | None:
    last = len(titles) - 1
    if occlusion != "auto":
        return last if occlusion == "last" else None
    if UNSCORABLE in titles:
        return titles.index(UNSCORABLE)
    return last if titles[last] is None or titles[last] in titles[:last] else None
