"""The base of scene sets other than EmoSet: classes of their own, mapped to Mikels' eight by their YAML.

A picture's own class stays in `attributes.class`; the one it is mapped to is `attributes.emotion`, as in EmoSet, and
what has none there is rejected and counted. No facial label is ever known.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Labels, Rejection, Split
from seke.core.rules import EMOTIONS
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.split import Draw, Listed
from seke.sources.base.split_words import check_lists, checked_splits, split_folders


class ClassPicture(NamedTuple):
    """A picture in a folder of its class."""

    path: Path
    key: str
    """The path below the root, without its extension where no other file has that name."""
    folder: str
    """The class folder's name, in lower case."""
    split: Split | None
    """What a folder around it says; None where none says anything."""


class SceneDataset(Licensed):
    """A scene set below `root`; `classes` maps its own classes to Mikels', or to None.

    `splits` names folders whose names do not tell a split, and the split of each; None hashes their pictures.

    Raises:
        UserError: see `Licensed`; or if `classes` names a class that the set or Mikels does not have.
    """

    own: ClassVar[Sequence[str]]
    """The set's own classes."""

    def __init__(
        self, root: str | None, classes: Mapping[str, str | None], splits: object = None, **split: Unpack[SplitSettings]
    ) -> None:
        super().__init__(root, **split)
        self.splits = checked_splits(splits)
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

    def scene(
        self, key: str, path: Path, name: str, split: Split | Draw, attributes: Mapping[str, Any] | None = None
    ) -> Listed:
        """Return the record of a picture of the class `name`, or a rejection if that is mapped to no emotion."""
        emotion = self.classes.get(name)
        if emotion is None:
            return self.rejection(key, "no class", f"{name} is none of the eight emotions")
        about = {"emotion": emotion, "class": name, **(attributes or {})}
        return self.row(key, self.relative(path), Labels(), split, attributes=about)

    def in_class_folders(self, folders: Collection[str]) -> Iterator[ClassPicture | Rejection]:
        """Yield every picture in a folder called one of `folders` (lower case), and a rejection for all others.

        Raises:
            UserError: if there is none, or if one folder around names a split and another one does not.
        """
        inside: list[tuple[Path, list[os.DirEntry[str]]]] = []
        outside: list[tuple[Path, list[os.DirEntry[str]]]] = []
        for folder in file_tree.below(self.root, file_tree.STRAY):
            named = folder != self.root and folder.name.lower() in folders
            (inside if named else outside).append((folder, file_tree.images(folder)))
        if not any(entries for _, entries in inside):
            raise file_tree.missing(self.root, f"pictures in folders {', '.join([*folders][:3])}, ...")
        places = {folder: folder.relative_to(self.root).parts[:-1] for folder, entries in inside if entries}
        sides = split_folders(self.root, places.values(), self.splits)
        check_lists(self.root, sides, self.splits)
        for folder, entries in inside:
            _, twins = file_tree.by_stem(entries)
            for entry in entries:
                path = Path(entry.path)
                # One name may stand in two classes: the folder belongs to the id.
                key = path.relative_to(self.root)
                plain = key if entry.name in twins else key.with_suffix("")
                yield ClassPicture(path, plain.as_posix(), folder.name.lower(), sides[places[folder]])
        for _, entries in outside:
            for entry in entries:
                key = Path(entry.path).relative_to(self.root)
                yield self.no_label(key.as_posix(), "in no folder of a class")
