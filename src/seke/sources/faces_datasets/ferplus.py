"""FERPlus (Barsoum et al., ICMI 2016): FER2013's pictures, each with the votes of ten people.

    fer2013new.csv                  Usage, Image name, neutral, happiness, surprise, sadness, anger, disgust, fear,
                                    contempt, unknown, NF: how many of ten said so
    .../fer0032220.png              the pictures, anywhere below

The label is what more than half of the votes say (the paper's majority); the votes stay in `attributes.votes`. Where
most say unknown or that there is no face (NF), or nobody has a majority, the picture is rejected.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Unpack

from seke.core import file_tree
from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.source import results
from seke.sources.base.split import Listed

TABLE: Final = "fer2013new.csv"
SPLITS: Final[dict[str, Split]] = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
OTHER: Final = ("unknown", "NF")


class FERPlus(Licensed):
    """One record for each picture that most people see the same expression in.

    Raises:
        UserError: if there is no table, or it lacks a column or holds something else than numbers of votes.
    """

    name = "ferplus"

    def __init__(self, root: str | None, **split: Unpack[SplitSettings]) -> None:
        super().__init__(root, **split)
        self.table = next(iter(sorted(self.root.rglob(TABLE))), None)
        if self.table is None:
            problem = f"no {TABLE} in it or below"
            raise UserError("source.root", self.root, problem, "put FERPlus's table beside FER2013's pictures")

    @property
    def inputs(self) -> dict[str, Path]:
        """The table of votes."""
        assert self.table is not None
        return {"votes": self.table}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield each row's picture with the majority's label, or why it has none."""
        images = {path.name: path for path in file_tree.walk(self.root, *file_tree.IMAGES, leave=results(run_path))}
        for number, row in enumerate(self._votes(), 2):
            name, split = row["Image name"].strip(), SPLITS.get(row["Usage"].strip())
            if not name:  # FERPlus took a few of FER2013's pictures out
                continue
            where = f"{TABLE} row {number}"
            if split is None:
                yield self.rejection(name, "bad row", f"{where}: Usage is {row['Usage'][:40]}")
                continue
            votes = {column: self._count(row[column], column, number) for column in (*EXPRESSIONS, *OTHER)}
            if name not in images:
                yield self.rejection(name, "no picture", f"{where}: looked for {name} below {self.root}")
                continue
            first = max(votes, key=lambda column: votes[column])
            image = self.relative(images[name])
            if 2 * votes[first] <= sum(votes.values()):
                yield self.rejection(image, "no label", f"{where}: no expression has a majority")
            elif first in OTHER:
                yield self.rejection(image, "no label", f"{where}: most say {first}")
            else:
                told = {"votes": {column: count for column, count in votes.items() if count}}
                yield self.record(image, image, Labels(expression=first), split, None, told)

    def _votes(self) -> Iterator[dict[str, str]]:
        assert self.table is not None
        with self.table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = {"Usage", "Image name", *EXPRESSIONS, *OTHER} - set(reader.fieldnames or ())
            if lacking:
                problem = f"{TABLE} lacks the columns {', '.join(sorted(lacking))}"
                raise UserError("source.root", self.root, problem, "take the table as its owners ship it")
            yield from reader

    def _count(self, text: str | None, column: str, number: int) -> int:
        if not text or not text.strip().isdecimal():
            problem = f"{TABLE} row {number}, {column}: {text!r} is no number of votes"
            raise UserError("source.root", self.root, problem, "take the table as its owners ship it")
        return int(text)
