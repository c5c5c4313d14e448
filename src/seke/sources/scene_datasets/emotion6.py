r"""Emotion6 (Peng et al., CVPR 2015): 1,980 pictures, each with how often people chose one of seven feelings for it.

    images/disgust/1.jpg                      six folders of 330; a folder's name is the word that was searched for
    ground_truth.txt                          a header, then tab-separated, as the README beside it says:
    disgust/1.jpg  2.5  3.8  0.133333  0.7  0  0.0666667  0.1  0  0
    picture, valence, arousal (1 to 9), and the shares of anger, disgust, fear, joy, sadness, surprise and neutral

Known: this layout, from the README of the release. Sniffed: how deep it lies, and any white space between the columns.
A picture's class is what most people chose, not the word it was found by; where two are chosen equally often it has
none. There is no official split: each picture is hashed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from seke.core import file_tree
from seke.core.records import Rejection
from seke.sources.base import label_text
from seke.sources.base.split import Listed
from seke.sources.base.tables import numbered
from seke.sources.scene_datasets.base import SceneDataset

FEELINGS: Final = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
COLUMNS: Final = 3 + len(FEELINGS)
NAMES: Final = re.compile("|".join(("valence", "arousal", *FEELINGS)))
ORDER: Final = f"expected are a picture, valence, arousal, {', '.join(FEELINGS)}"
ROUNDING: Final = 0.05
"""By which rounded shares may miss 1."""


class Emotion6(SceneDataset):
    """The pictures that ground_truth.txt lists; those it does not list are rejected by name.

    Raises:
        UserError: see `SceneDataset`.
    """

    name = "emotion6"
    own = FEELINGS

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The one label file.

        Raises:
            UserError: if there is none.
        """
        return {"ground_truth": self._table}

    @cached_property
    def _table(self) -> Path:
        return file_tree.required(self.root, "ground_truth.txt", folder=False)

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every listed picture, and a rejection for pictures or rows alone and for bad rows.

        Raises:
            UserError: if the folder or the list is missing.
        """
        images = file_tree.required(self.root, "images")
        there = {path.relative_to(images).as_posix(): path for path in file_tree.walk(images, *file_tree.IMAGES)}
        listed: set[str] = set()
        rows = list(numbered(self._table))
        _check_header(self._table, rows)
        wrong = total = 0
        for number, line in rows[1:]:
            picture, *cells = line.split()
            total += 1
            if picture in listed:
                detail = f"{self._table.name}, line {number}: an earlier row is about {picture}"
                yield self.rejection(_key(picture), "duplicate row", detail)
                continue
            listed.add(picture)
            row = self._row(f"{self._table.name}, line {number}", picture, cells, there.get(picture))
            wrong += isinstance(row, Rejection) and "out of range" in row.detail
            yield row
        if wrong > 1 and wrong * 2 >= total:
            problem = f"{wrong} of {total} rows have numbers out of range: are its columns in another order?"
            raise label_text.damaged(self._table, None, f"{problem} {ORDER}")
        for picture in sorted(there.keys() - listed):
            yield self.no_label(_key(picture), f"{self._table.name} has no row {picture}")

    def _row(self, where: str, picture: str, cells: Sequence[str], path: Path | None) -> Listed:
        key = _key(picture)
        if path is None:
            return self.no_image(key, f"{where}: no picture images/{picture}")
        numbers = [value for cell in cells if (value := label_text.number(cell)) is not None]
        if not len(numbers) == len(cells) == COLUMNS - 1:
            return self.bad_label(key, f"{where}: not {COLUMNS} columns, a name and numbers")
        valence, arousal, *shares = numbers
        if not (min(valence, arousal) >= 1 and max(valence, arousal) <= 9):
            return self.bad_label(key, f"{where}: valence {valence} or arousal {arousal} is out of range, 1 to 9")
        if min(shares) < 0 or abs(sum(shares) - 1) > ROUNDING:
            return self.bad_label(key, f"{where}: its shares are out of range, their sum is {sum(shares):g} and not 1")
        chosen = [feeling for feeling, share in zip(FEELINGS, shares, strict=True) if share == max(shares)]
        if len(chosen) > 1:
            return self.bad_label(key, f"{where}: {' and '.join(chosen)} were chosen equally often")
        attributes = {
            "valence_1_to_9": valence,
            "arousal_1_to_9": arousal,
            "shares": dict(zip(FEELINGS, shares, strict=True)),
        }
        return self.scene(key, path, chosen[0], self.split(key), attributes)


def _check_header(table: Path, rows: Sequence[tuple[int, str]]) -> None:
    """Refuse a list whose header names the columns in another order, or that has none and would lose its first row.

    Raises:
        UserError: see above; where a header names nothing that we know, the ranges of the numbers tell.
    """
    header = rows[0][1] if rows else ""
    if len(header.split()) == COLUMNS and all(label_text.number(cell) is not None for cell in header.split()[1:]):
        raise label_text.damaged(table, rows[0][0], f"a row where the names of the columns should be; {ORDER}")
    named = NAMES.findall(header.lower())
    if len(named) > 1 and named != [name for name in ("valence", "arousal", *FEELINGS) if name in named]:
        raise label_text.damaged(table, rows[0][0], f"its columns are {', '.join(named)}; {ORDER}")


def _key(picture: str) -> str:
    return PurePosixPath(picture).with_suffix("").as_posix()
