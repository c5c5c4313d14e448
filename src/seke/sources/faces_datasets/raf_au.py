"""RAF-AU (Yan et al., ACCV 2020): 4,601 faces from the web, coded by experts for action units.

    RAFAU_label.txt                  "0001.jpg 1+2+L12", "0003.jpg null"
    aligned/0001_aligned.jpg
    original/0001.jpg                where they were unpacked, too

What stands in front of a unit is the side that shows it (L left, R right; T top and B bottom of the lips): the unit
is active. A unit that a coded face does not list is inactive, for the whole face was coded. "null" is either a face
without any unit or one that nobody coded, which the list does not tell apart: it is rejected and counted. The layout is
that of the public programs that read it; the split of its paper was not seen, so splits are drawn picture by picture.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.records import Labels
from seke.sources.base import label_text
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.split import Listed
from seke.sources.base.tables import Bad, RowError, numbered, parsed_rows

LIST: Final = "RAFAU_label.txt"
SUFFIXES: Final[Mapping[str, str]] = {"aligned": "_aligned", "original": ""}
"""What file names have behind the listed stem, by the folder of images."""
NULL: Final = "null"
_UNIT: Final = re.compile(r"([LRTB]?)(\d{1,2})[A-E]?", re.IGNORECASE)


class Face(NamedTuple):
    """One line of the list."""

    line: int
    stem: str
    units: tuple[str, ...] | None
    """As they are listed; None: null."""


class RAFAU(Licensed):
    """One record for each coded picture, `images` of which are the `aligned` or the `original` ones.

    Raises:
        UserError: if `images` is neither folder; later if the list or the images are not below `root`.
    """

    name = "raf_au"

    def __init__(self, root: str | None, images: str = "aligned", **split: Unpack[SplitSettings]) -> None:
        super().__init__(root, **split)
        if images not in SUFFIXES:
            raise UserError("source.images", images, "no such images", f"use {' or '.join(SUFFIXES)}")
        self.images = images

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The list of units."""
        return {"labels": self._table}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every coded picture, and a rejection for null, for a line without a picture and a picture without."""
        table, folder = self.relative(self._table), file_tree.required(self.root, self.images)
        pictures, twins = file_tree.by_stem(file_tree.images(folder))
        bad: list[Bad] = []
        faces = read_list(self._table, bad)
        yield from self.bad_rows(bad)
        yield from self.twins(self.relative(folder), twins)
        listed = set[str]()
        for face in faces:
            where = f"{table}, line {face.line}"
            # Some copies of the list lack the zeros that the files have in front.
            names = [stem + SUFFIXES[self.images] for stem in (face.stem.lower(), face.stem.zfill(4).lower())]
            name = next((name for name in names if name in pictures), None)
            listed.update(names)
            if name is None:
                yield self.no_image(face.stem, f"{where}: no {names[0]} in {self.relative(folder)}/")
            elif face.units is None:
                yield self.no_label(face.stem, f"{where}: {NULL}, so no unit is active, or nobody coded it")
            else:
                image = f"{self.relative(folder)}/{pictures[name]}"
                one_sided = [unit for unit in face.units if not unit[0].isdecimal()]
                told = {"listed": list(face.units), **({"one_sided": one_sided} if one_sided else {})}
                yield self.record(face.stem, image, _labels(face.units), self.split(face.stem), attributes=told)
        for stem, name in pictures.items():
            if stem not in listed:
                yield self.no_label(name, f"{table} does not name it")

    @cached_property
    def _table(self) -> Path:
        return file_tree.required(self.root, LIST, folder=False)


def read_list(table: Path, bad: list[Bad]) -> list[Face]:
    """Return the lines of a list; one that is not a name and units, or whose name stands already, goes to `bad`.

    Raises:
        UserError: if it is no UTF-8 text, or empty; at bad lines as `parsed_rows` does.
    """
    seen: dict[str, Face] = {}

    def parse(text: str) -> tuple[str, tuple[str, ...] | None]:
        cells = text.split()
        units = None if cells[-1].lower() == NULL else tuple(cells[-1].split("+"))
        if len(cells) != 2 or not all(map(_UNIT.fullmatch, units or ())):
            raise RowError(f"{text[:80]!r} is not the name of an image and its units, such as 1+2+L12")
        stem = cells[0].rpartition(".")[0] or cells[0]
        if stem in seen:
            raise RowError(f"{cells[0]} stands in line {seen[stem].line} already")
        return stem, units

    for line, (stem, units) in parsed_rows(table, numbered(table), parse, bad):
        seen[stem] = Face(line, stem, units)
    if not seen:
        raise label_text.damaged(table, None, "no face in it")
    return list(seen.values())


def _labels(units: tuple[str, ...]) -> Labels:
    active = {int(match[2]) for unit in units if (match := _UNIT.fullmatch(unit))}
    return Labels(action_units={au: au in active for au in ACTION_UNITS})
