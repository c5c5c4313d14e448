"""RAF-DB, basic set (Li et al., CVPR 2017): pictures from the web, each with one of seven expressions.

    basic/EmoLabel/list_patition_label.txt          "train_00001.jpg 5" (sic; "partition" is found as well)
    basic/Image/aligned/train_00001_aligned.jpg     100 x 100 pixels
    basic/Image/original/train_00001.jpg

No subjects are known, so that no split can keep people apart: the owners' split by name prefix is kept, or each picture
is hashed by itself. The compound set has files of the same names and eleven other classes; it is refused, and so are
lists of other programs that count the classes from 0.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.sources.base import label_text
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.split import Draw, Listed
from seke.sources.base.tables import Bad, RowError, numbered, parsed_rows

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
    bad: list[Bad]
    """Lines that are no row."""
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
        self, root: str | None, images: str = "aligned", official_split: bool = True, **split: Unpack[SplitSettings]
    ) -> None:
        super().__init__(root, **split)
        if images not in SUFFIXES:
            raise UserError("source.images", images, "no such images", f"use {' or '.join(SUFFIXES)}")
        self.images = images
        self.official_split = official_split

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The list of labels."""
        return {"labels": self._layout.table}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every listed picture, and a rejection for those without a file or without a line."""
        table, suffix = self.relative(self._layout.table), SUFFIXES[self.images]
        folder = self.relative(self._layout.folder)
        pictures, twins = file_tree.by_stem(file_tree.images(self._layout.folder))
        yield from self.bad_rows(self._layout.bad)
        yield from self.twins(folder, twins)
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
        base = file_tree.find(self.root, "basic") or self.root
        table = file_tree.required(base, *LISTS, folder=False)
        bad: list[Bad] = []
        rows = read_list(table, bad, self.official_split)
        _check_labels(table, {row.label for row in rows})
        return Layout(table, rows, bad, file_tree.required(base, self.images))

    def _split(self, row: Row) -> Split | Draw:
        return self.official(row.stem, FOR_TESTING[_prefix(row.stem)]) if self.official_split else self.split(row.stem)


def read_list(table: Path, bad: list[Bad] | None = None, official: bool = False) -> list[Row]:
    """Return the rows of a list of labels; a whole number that is no label is kept, for its picture to be rejected.

    A line that is not a name and a whole number, or whose name stands already, goes to `bad`; so does one whose name
    says no split, where the `official` one is wanted.

    Raises:
        UserError: if it is no UTF-8 text, if it is empty, if a label is over 7, as in the compound set; at bad lines as
            `parsed_rows` does.
    """
    rows: dict[str, Row] = {}

    def parse(text: str) -> tuple[str, int]:
        cells = text.split()
        label = label_text.whole(cells[-1])
        if len(cells) != 2 or label is None:
            raise RowError(f"{text[:80]!r} is not the name of an image and its label")
        stem = cells[0].rpartition(".")[0] or cells[0]
        if stem in rows:
            raise RowError(f"{cells[0]} stands in line {rows[stem].line} already")
        if official and _prefix(stem) not in FOR_TESTING:
            raise RowError(f"{stem[:80]} begins with neither train_ nor test_")
        return stem, label

    for line, (stem, label) in parsed_rows(table, numbered(table), parse, bad):
        if label > len(CODES):
            problem = f"label {label} in line {line}: this is the compound set, with eleven classes"
            raise UserError("source.root", table, problem, "give the folder basic/ (or the one that holds it)")
        rows[stem] = Row(line, stem, label)
    if not rows:
        raise label_text.damaged(table, None, "no label in it")
    return list(rows.values())


def _check_labels(table: Path, labels: Collection[int]) -> None:
    """Refuse a list whose labels go from 0 to 6, as programs write them that train on it: all would be one class off.

    Raises:
        UserError: if there is a 0 and no 7.
    """
    if 0 in labels and max(labels) < len(CODES):
        problem = f"its labels go from 0 to {max(labels)} and not from 1 to {len(CODES)}: another order of classes"
        raise UserError(
            "source.root", table, problem, "use the list of the release, or add 1 to each label if that is it"
        )


def _prefix(stem: str) -> str:
    return stem.partition("_")[0].lower()
