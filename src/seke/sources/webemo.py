"""WEBEmo (Panda et al., ECCV 2018): stock photographs of 25 emotions, published as addresses to download them from.

    train25.txt, test25.txt      https://as2.ftcdn.net/jpg/00/42/93/78/220_F_42937802_2rowA8.jpg 0
    category.txt                 the 25 classes in the order of their numbers, with a family and a sign

Known: these lists (213,952 and 53,489 rows), from the README of the release. The pictures are everybody's own download:
one counts as there if a file anywhere below the root is called like the end of its address, alone or behind its class
number (`0_220_F_...jpg`), as public download scripts name them. Sniffed: without lists, folders called like a class or
its number, and a folder train, validation or test around them. The order of classes is fixed here and category.txt is
not read. The misspelt names are the owners'.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

from seke.records import ImageRecord, Rejection, Split
from seke.sources import tree
from seke.sources.evoked import Evoked, filed

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
LISTS: Final = ("train25.txt", "test25.txt")


class WEBEmo(Evoked):
    """The downloaded pictures of WEBEmo, split as its owners did, or, without lists, as folders say.

    Raises:
        UserError: see `Evoked`.
    """

    name: ClassVar[str] = "webemo"
    own = NAMES

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The owners' lists, where they are."""
        return self._lists

    @cached_property
    def _lists(self) -> dict[str, Path]:
        found = {name: tree.find(self.root, name, folder=False) for name in LISTS}
        return {name.removesuffix(".txt"): path for name, path in found.items() if path is not None}

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every listed picture, with a rejection for those not downloaded; or, without lists, those in folders.

        Raises:
            UserError: if a list has a line of another form, or if there are neither lists nor class folders.
        """
        if not self._lists:
            yield from self._filed()
            return
        there = {path.name: path for path in tree.walk(self.root, *tree.IMAGES)}
        for name, file in self._lists.items():
            for key, number, line in _rows(file):
                path = there.get(key) or there.get(f"{number}_{key}")
                stem = key.rpartition(".")[0] or key
                if path is None:
                    yield self.no_image(stem, f"{file.name}, line {line}: {key} was not downloaded")
                else:
                    yield self._of(stem, path, NAMES[number], self.official(stem, test=name == "test25"))

    def _filed(self) -> Iterator[ImageRecord | Rejection]:
        for picture in filed(self.root, (*NAMES, *map(str, range(len(NAMES))))):
            key = picture.path.relative_to(self.root).with_suffix("").as_posix()
            name = picture.folder if picture.folder in NAMES else NAMES[int(picture.folder)]
            yield self._of(key, picture.path, name, picture.split or self.split(key))

    def _of(self, key: str, path: Path, name: str, split: Split) -> ImageRecord | Rejection:
        family = FAMILIES[name]
        told = {"family": family, "positive": family in POSITIVE}
        return self.evoked(key, path, name, split, told)


def _rows(file: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (file name, class number, line number) of a list; the address is never opened."""
    for line, text in enumerate(tree.lines(file), start=1):
        if not text:
            continue
        address, _, label = text.rpartition(" ")
        number = tree.whole(label)
        if not address or number is None or not 0 <= number < len(NAMES):
            raise tree.mistake(file, line, f"not an address and a class from 0 to {len(NAMES) - 1}")
        yield address.strip().rpartition("/")[2], number, line
