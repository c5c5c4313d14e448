"""RAF-DB, basic set (Li et al., CVPR 2017): pictures from the web, each with one of seven expressions.

    basic/EmoLabel/list_patition_label.txt          "train_00001.jpg 5" (sic; "partition" is found as well)
    basic/Image/aligned/train_00001_aligned.jpg     100 x 100 pixels
    basic/Image/original/train_00001.jpg

No subjects are known, so that no split can keep people apart: the owners' split by name prefix is kept, or each picture
is hashed by itself. The compound set has files of the same names and eleven other classes; it is refused.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from seke.errors import UserError
from seke.records import ImageRecord, Labels, Rejection, Split
from seke.sources import tree
from seke.sources.licensed import Licensed
from seke.sources.split import VALIDATION_SHARE

LISTS: Final = ("list_patition_label.txt", "list_partition_label.txt")
CODES: Final[Mapping[int, str]] = {
    1: "surprise", 2: "fear", 3: "disgust", 4: "happiness", 5: "sadness", 6: "anger", 7: "neutral",
}  # fmt: skip
"""Expressions by label (facts 1.2)."""
SUFFIXES: Final[Mapping[str, str]] = {"aligned": "_aligned", "original": ""}
"""What file names have behind the listed stem, by the folder of images."""
FOR_TESTING: Final[Mapping[str, bool]] = {"train": False, "test": True}
"""The owners' split, by the prefix of the name."""


class Row(NamedTuple):
    """One line of the list."""

    line: int
    stem: str
    """The listed name without its extension; file names of aligned images say more."""
    label: int


class Layout(NamedTuple):
    """What of the basic set was found below the root."""

    table: Path
    rows: list[Row]
    folder: Path
    """Of the aligned or the original images."""


class RAFDB(Licensed):
    """One record for each listed picture, `images` of which are the `aligned` or the `original` ones.

    `official_split` keeps the owners' test part (3068 of 15339); without it `test_share` of the pictures is
    held out. Subjects are unknown.

    Raises:
        UserError: if `images` is neither folder; later if the list or the images are not below `root`, or if the list
            is that of the compound set or has a line that is not a name and a label.
    """

    name = "raf_db"

    def __init__(
        self,
        root: str | None,
        images: str = "aligned",
        official_split: bool = True,
        seed: int = 0,
        test_share: float = 0.1,
        validation_share: float = VALIDATION_SHARE,
    ) -> None:
        super().__init__(root, seed, test_share, validation_share)
        if images not in SUFFIXES:
            raise UserError("source.images", images, "no such images", f"use {' or '.join(SUFFIXES)}")
        self.images = images
        self.official_split = official_split

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The list of labels."""
        return {"labels": self._layout.table}

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every listed picture, and a rejection for those without a file or without a line."""
        table, suffix = self._layout.table.relative_to(self.root).as_posix(), SUFFIXES[self.images]
        folder = self._layout.folder.relative_to(self.root).as_posix()
        pictures = {entry.name.rpartition(".")[0].lower(): entry.name for entry in tree.images(self._layout.folder)}
        listed: set[str] = set()
        for row in self._layout.rows:
            where, name = f"{table}, line {row.line}", row.stem + suffix
            listed.add(name.lower())
            if name.lower() not in pictures:
                yield self.no_image(row.stem, f"{where}: no {name} in {folder}/")
                continue
            image = f"{folder}/{pictures[name.lower()]}"
            labels = Labels(expression=CODES.get(row.label))
            empty = f"{where}: {row.label} is no label from 1 to {len(CODES)}"
            yield self.record(row.stem, image, labels, self._split(row), why_empty=empty)
        for stem, name in pictures.items():
            if stem not in listed:
                yield self.no_label(name, f"{table} does not name it")

    @cached_property
    def _layout(self) -> Layout:
        # Where both sets are unpacked side by side, the basic one is meant.
        base = tree.find(self.root, "basic") or self.root
        table = tree.located(base, *LISTS, folder=False)
        rows = read_list(table)
        if self.official_split:
            for row in rows:
                if _prefix(row) not in FOR_TESTING:
                    raise tree.mistake(table, row.line, f"{row.stem} begins with neither train_ nor test_")
        return Layout(table, rows, tree.located(base, self.images))

    def _split(self, row: Row) -> Split:
        return self.official(row.stem, FOR_TESTING[_prefix(row)]) if self.official_split else self.split(row.stem)


def read_list(table: Path) -> list[Row]:
    """Return the rows of a list of labels; a whole number that is no label is kept, for its picture to be rejected.

    Raises:
        UserError: if it is no UTF-8 text, if it is empty, if a line is not a name and a whole number, if a name stands
            twice, or if a label is over 7, as in the compound set.
    """
    rows: dict[str, Row] = {}
    for line, text in enumerate(tree.lines(table), start=1):
        cells = text.split()
        if not cells:
            continue
        label = tree.whole(cells[-1])
        if len(cells) != 2 or label is None:
            raise tree.mistake(table, line, f"{text!r} is not the name of an image and its label")
        if label > len(CODES):
            problem = f"label {label} in line {line}: this is the compound set, with eleven classes"
            raise UserError("source.root", table, problem, "give the folder basic/ (or the one that holds it)")
        stem = cells[0].rpartition(".")[0] or cells[0]
        if stem in rows:
            raise tree.mistake(table, line, f"{cells[0]} stands in line {rows[stem].line} already")
        rows[stem] = Row(line, stem, label)
    if not rows:
        raise tree.mistake(table, None, "no label in it")
    return list(rows.values())


def _prefix(row: Row) -> str:
    return row.stem.partition("_")[0].lower()
