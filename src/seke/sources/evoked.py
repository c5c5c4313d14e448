"""What scene sets other than EmoSet have in common: classes of their own, mapped to Mikels' eight by their YAML.

A picture's own class stays in `attributes.class`; the one it is mapped to is `attributes.emotion`, as in EmoSet, and
what has none there is rejected and counted. No facial label is ever known.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from seke.errors import UserError
from seke.records import ImageRecord, Labels, Rejection, Split
from seke.sources import tree
from seke.sources.emoset import EMOTIONS
from seke.sources.licensed import Licensed
from seke.sources.split import VALIDATION_SHARE

SPLIT_FOLDERS: Final[Mapping[str, Split]] = {
    "train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test",
}  # fmt: skip


class Filed(NamedTuple):
    """A picture in a folder of its class."""

    path: Path
    folder: str
    """The class folder's name, in lower case."""
    split: Split | None
    """What a folder around it says; None where none says anything."""


class Evoked(Licensed):
    """A scene set below `root`; `classes` maps its own classes to Mikels', or to None.

    Raises:
        UserError: see `Licensed`; or if `classes` names a class that the set or Mikels does not have.
    """

    own: ClassVar[Sequence[str]]
    """The set's own classes."""

    def __init__(
        self,
        root: str | None,
        classes: Mapping[str, str | None],
        seed: int = 0,
        test_share: float = 0.1,
        validation_share: float = VALIDATION_SHARE,
    ) -> None:
        super().__init__(root, seed, test_share, validation_share)
        for name, emotion in classes.items():
            if name not in self.own:
                problem = f"no class of {self.name}"
                raise UserError("source.classes", name, problem, f"use {', '.join(self.own)}")
            if emotion is not None and emotion not in EMOTIONS:
                problem = "none of the eight emotions"
                raise UserError(f"source.classes.{name}", emotion, problem, f"use null or {', '.join(EMOTIONS)}")
        self.classes = dict(classes)

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """None, where folders are all there is."""
        return {}

    def evoked(
        self, key: str, path: Path, name: str, split: Split, attributes: Mapping[str, Any] | None = None
    ) -> ImageRecord | Rejection:
        """Return the record of a picture of the class `name`, or a rejection if that is mapped to no emotion."""
        emotion = self.classes.get(name)
        if emotion is None:
            return Rejection(id=f"{self.name}/{key}", reason="no class", detail=f"{name} is none of the eight emotions")
        return ImageRecord(
            id=f"{self.name}/{key}", image=path.relative_to(self.root).as_posix(), sha256=None, source=self.name,
            subject=None, split=split, labels=Labels(),
            attributes={"emotion": emotion, "class": name, **(attributes or {})},
        )  # fmt: skip


def filed(root: Path, folders: Sequence[str]) -> Iterator[Filed]:
    """Yield every picture in a folder called one of `folders` (lower case), whatever lies around that folder.

    Raises:
        UserError: if there is none.
    """
    found = False
    for folder in tree.below(root, tree.STRAY):
        if folder == root or folder.name.lower() not in folders:
            continue
        around = [part.lower() for part in folder.relative_to(root).parts[:-1]]
        split = next((SPLIT_FOLDERS[part] for part in reversed(around) if part in SPLIT_FOLDERS), None)
        for entry in tree.images(folder):
            found = True
            yield Filed(Path(entry.path), folder.name.lower(), split)
    if not found:
        raise tree.missing(root, f"pictures in folders {', '.join(folders[:3])}, ...")
