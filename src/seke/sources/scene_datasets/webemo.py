"""WEBEmo (Panda et al., ECCV 2018): stock photographs of 25 emotions, published as addresses to download them from.

    train25.txt, test25.txt      https://as2.ftcdn.net/jpg/00/42/93/78/220_F_42937802_2rowA8.jpg 0
    category.txt                 the 25 classes in the order of their numbers, with a family and a sign

Known: these lists (213,952 and 53,489 rows), from the README of the release. The pictures are everybody's own download:
one counts as there if a file anywhere below the root is called like the end of its address, alone or behind its class
number (`0_220_F_...jpg`), as public download scripts name them. Sniffed: without lists, folders called like a class or
its number, and a folder around them that names a split. The order of classes is fixed here and category.txt is not
read. Numbers of the same set in its 2 or 6 classes, or from 1 on, are refused. The misspelt names are the owners'.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Rejection, Split
from seke.sources.base import label_text
from seke.sources.base.split import Draw, Listed
from seke.sources.base.tables import Bad, RowError, numbered, parsed_rows
from seke.sources.scene_datasets.base import SceneDataset

FAMILIES: Final = {
    "affection": "love", "cheerfullness": "joy", "confusion": "confusion", "contentment": "joy",
    "disappointment": "sadness", "disgust": "anger", "enthrallment": "joy", "envy": "anger", "exasperation": "anger",
    "gratitude": "love", "horror": "fear", "irritabilty": "anger", "lust": "love", "neglect": "sadness",
    "nervousness": "fear", "optimism": "joy", "pride": "joy", "rage": "anger", "relief": "joy", "sadness": "sadness",
    "shame": "sadness", "suffering": "sadness", "surprise": "surprise", "sympathy": "sadness", "zest": "joy",
}  # fmt: skip
"""Each class's family, in the order of the classes' numbers."""
NAMES: Final = tuple(FAMILIES)
POSITIVE: Final = ("love", "joy", "surprise")
"""Families that category.txt marks with a plus."""
NUMBER: Final = re.compile(r"[0-9]{1,4}")
SMALLER: Final = {2: "positive and negative", 6: "love, joy, surprise, anger, sadness and fear"}
"""The classes of the set's other two releases, by their number."""
LISTS: Final = ("train25.txt", "test25.txt")


class WEBEmo(SceneDataset):
    """The downloaded pictures of WEBEmo, split as its owners did, or, without lists, as folders say.

    Raises:
        UserError: see `SceneDataset`.
    """

    name = "webemo"
    own = NAMES

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The owners' lists, where they are."""
        return self._lists

    @cached_property
    def _lists(self) -> dict[str, Path]:
        found = {name: file_tree.find(self.root, name, folder=False) for name in LISTS}
        return {name.removesuffix(".txt"): path for name, path in found.items() if path is not None}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every listed picture, with a rejection for those not downloaded; or, without lists, those in folders.

        Raises:
            UserError: if a list has a line of another form, or if there are neither lists nor class folders.
        """
        if not self._lists:
            yield from self._filed()
            return
        there: dict[str, list[Path]] = {}
        for path in file_tree.walk(self.root, *file_tree.IMAGES):
            there.setdefault(path.name, []).append(path)
        bad: list[Bad] = []
        rows = {name: list(_rows(file, bad)) for name, file in self._lists.items()}
        _check_numbers(self.root, {number for found in rows.values() for _, number, _ in found}, "lists")
        listed: dict[str, str] = {}
        for name, found in rows.items():
            for key, number, line in found:
                where, stem = f"{self._lists[name].name}, line {line}", key.rpartition(".")[0] or key
                paths = [*there.get(key, ()), *there.get(f"{number}_{key}", ())]
                if key in listed:
                    detail = f"{where}: {key} stands in {listed[key]} already"
                    yield self.rejection(stem, "duplicate row", detail)
                elif len(paths) != 1:
                    yield self.no_image(stem, f"{where}: {key} {_why(paths, self.root)}")
                else:
                    yield self._of(stem, paths[0], NAMES[number], self.official(stem, test=name == "test25"))
                listed.setdefault(key, where)
        yield from self.bad_rows(bad)
        for name, paths in there.items():
            if name not in listed and name.partition("_")[2] not in listed:
                yield from (self.no_label(self.relative(path), "no list names it") for path in paths)

    def _filed(self) -> Iterator[Listed]:
        numbers = {
            folder.name for folder in file_tree.below(self.root, file_tree.STRAY) if NUMBER.fullmatch(folder.name)
        }
        _check_numbers(self.root, set(map(int, numbers)), "folders")
        for picture in self.in_class_folders((*NAMES, *sorted(numbers))):
            if isinstance(picture, Rejection):
                yield picture
                continue
            name = picture.folder if picture.folder in NAMES else NAMES[int(picture.folder)]
            yield self._of(picture.key, picture.path, name, picture.split or self.split(picture.key))

    def _of(self, key: str, path: Path, name: str, split: Split | Draw) -> Listed:
        family = FAMILIES[name]
        attributes = {"family": family, "positive": family in POSITIVE}
        return self.scene(key, path, name, split, attributes)


def _rows(file: Path, bad: list[Bad]) -> Iterator[tuple[str, int, int]]:
    """Yield (file name, class number, line number) of a list; the address is never opened."""

    def parse(text: str) -> tuple[str, int]:
        address, _, label = text.rpartition(" ")
        number = label_text.whole(label)
        if not address or number is None or not 0 <= number < len(NAMES):
            raise RowError(f"not an address and a class from 0 to {len(NAMES) - 1}")
        return address.strip().rpartition("/")[2], number

    for line, (key, number) in parsed_rows(file, numbered(file), parse, bad):
        yield key, number, line


def _check_numbers(root: Path, numbers: Collection[int], where: str) -> None:
    """Refuse class numbers of another convention than 0 to 24.

    Raises:
        UserError: if there are some, and they end where the two or six classes of the set's other releases do, or lie
            outside, or all of 1 to 24 are there and no 0.
    """
    if not numbers:
        return
    few = next((classes for classes in SMALLER if max(numbers) < classes), None)
    if few:
        problem = f"{where} have numbers from {min(numbers)} to {max(numbers)}: WEBEmo's {few} classes ({SMALLER[few]})"
    elif max(numbers) >= len(NAMES) or (0 not in numbers and len(numbers) == len(NAMES) - 1):
        problem = f"{where} have numbers from {min(numbers)} to {max(numbers)}, where the 25 classes go from 0 to 24"
    else:
        return
    remedy = "use the lists of 25 classes (train25.txt, test25.txt), or call the folders by the names of their classes"
    raise UserError("source.root", root, problem, remedy)


def _why(paths: Sequence[Path], root: Path) -> str:
    if not paths:
        return "was not downloaded"
    return f"is there more than once: {', '.join(path.relative_to(root).as_posix() for path in paths[:3])}"
