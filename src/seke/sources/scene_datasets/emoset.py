"""EmoSet (Yang et al., ICCV 2023): pictures that evoke an emotion, with attributes of what is in them.

    image/amusement/amusement_03317.jpg
    annotation/amusement/amusement_03317.json    {"emotion": "amusement", "brightness": 0.4, "object": ["Toy"], ...}
    train.json, val.json, test.json              [["amusement", "image/amusement/...jpg", "annotation/...json"], ...]

Its eight classes are Mikels', what a viewer feels and not what a face shows: they go to `attributes.emotion`, beside
all other keys of the annotation, and no label is ever known (facts, sections 2.1 and 2.2).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.core.rules import EMOTIONS
from seke.sources.base import label_text
from seke.sources.base.licensed import Licensed
from seke.sources.base.split import Draw, Listed
from seke.sources.base.split_words import split_word
from seke.sources.base.tables import Bad

SPLITS: Final[Mapping[str, Split]] = {"train": "train", "val": "validation", "test": "test"}
"""Our splits by the owners' lists."""

LARGEST: Final = 2**20
"""Bytes of an annotation; they have some hundreds."""

LISTS: Final[Mapping[Split, str]] = {split: name for name, split in SPLITS.items()}

Place = tuple[str, str]
"""The folder and the stem of a picture and of its annotation: ("amusement", "amusement_03317")."""


class EmoSet(Licensed):
    """The annotated pictures of EmoSet, split as its owners did, or, without their lists, each hashed by itself.

    With the lists, a picture that none of them names is for training: train.json is known to be incomplete in copies.

    Raises:
        UserError: see `Licensed`.
    """

    name = "emoset"

    @property
    def inputs(self) -> Mapping[str, Path | Sequence[Path]]:
        """The annotations, and the split lists where there are some.

        Raises:
            UserError: if one of the two folders is missing, or only train.json is left of the lists.
        """
        annotations = [path for paths in self._annotations.values() for path in paths]
        return {"annotations": sorted(annotations), **self._lists}

    def rows(self, run_path: Path) -> Iterator[Listed]:
        """Yield every annotated picture, and a rejection for pictures or annotations alone and for bad annotations.

        Raises:
            UserError: if a folder is missing, or a list is not what it should be.
        """
        bad: list[Bad] = []
        listed = self._listed(bad)
        for place in sorted({*self._images, *self._annotations, *listed}):
            emotion, key = place
            images, annotations = self._images.get(place, []), self._annotations.get(place, [])
            if len(images) > 1:
                names = [image.name for image in images]
                yield from self.twins(self.relative(images[0].parent), names)
            elif not images:
                where = self.relative(annotations[0]) if annotations else f"{listed[place]}.json"
                yield self.no_image(key, f"{where}: no picture image/{emotion}/{key}")
            elif not annotations:
                yield self.no_label(key, f"no annotation/{emotion}/{key}.json")
            else:
                split = SPLITS[listed.get(place, "train")] if self._lists else self.split(key)
                yield self._row(key, emotion, images[0], annotations[0], split)
        yield from self.bad_rows(bad)

    def _there(self, place: Place, stems: Mapping[str, Sequence[Place]]) -> Place:
        """Return the place of a picture that a list means: as it says, or else the only one of that name."""
        named = stems.get(place[1].lower(), ())
        return named[0] if place not in self._images and len(named) == 1 else place

    @cached_property
    def _images(self) -> dict[Place, list[Path]]:
        return _placed(file_tree.required(self.root, "image"), *file_tree.IMAGES)

    @cached_property
    def _annotations(self) -> dict[Place, list[Path]]:
        return _placed(file_tree.required(self.root, "annotation"), ".json")

    @cached_property
    def _lists(self) -> dict[str, Path]:
        """The owners' lists by name; they lie beside the folders, which may lie deeper than the root."""
        beside = (
            self.root,
            file_tree.required(self.root, "image").parent,
            file_tree.required(self.root, "annotation").parent,
        )
        there = [Path(entry.path) for folder in dict.fromkeys(beside) for entry in file_tree.files(folder, ".json")]
        named = ((split_word(path.stem, exact=True), path) for path in there)
        found = file_tree.unique(((LISTS[split], path) for split, path in named if split), "keep one of the two lists")
        found = {name: found[name] for name in SPLITS if name in found}
        # Without one of the held-out lists its pictures would be trained on.
        for name in ("val", "test"):
            if found and name not in found:
                problem = f"no {name}.json beside {', '.join(path.name for path in found.values())}"
                raise UserError("source.root", self.root, problem, "unpack all lists, or remove them to split by image")
        return found

    def _listed(self, bad: list[Bad]) -> dict[Place, str]:
        """Return which of the owners' lists names what.

        Raises:
            UserError: if one is no list, names a picture of another list, or names nothing that is there.
        """
        found: dict[Place, str] = {}
        stems: dict[str, list[Place]] = {}
        for place in self._images:
            stems.setdefault(place[1].lower(), []).append(place)
        for name, file in self._lists.items():
            # Of a held-out list every row must be read: the picture of one that is not would be trained on.
            places = [self._there(place, stems) for place in read_list(file, bad if name == "train" else None)]
            for place in places:
                earlier = found.setdefault(place, name)
                if earlier != name:
                    raise label_text.damaged(file, None, f"{place[1]} stands in {earlier}.json as well")
            if places and not any(place in self._images or place in self._annotations for place in places):
                named = "/".join(places[0])
                problem = f"none of its {len(places)} pictures is there, such as image/{named}"
                raise UserError("source.root", file, problem, "give the list that belongs to these pictures")
        return found

    def _row(self, key: str, folder: str, image: Path, annotation: Path, split: Split | Draw) -> Listed:
        where = self.relative(annotation)
        try:
            attributes = read_annotation(annotation)
        except (OSError, ValueError, RecursionError) as error:
            return self.bad_label(key, f"{where}: {error}")
        emotion = attributes["emotion"]
        if emotion not in EMOTIONS:
            return self.bad_label(key, f"{where}: {emotion!r} is none of {', '.join(EMOTIONS)}")
        if emotion != folder:
            return self.bad_label(key, f"{where}: {emotion} in the folder of {folder}")
        return self.row(key, self.relative(image), Labels(), split, attributes=attributes)


def read_list(file: Path, bad: list[Bad] | None = None) -> list[Place]:
    """Return the places that a split list names; the paths in it are never opened. Rows that are none go to `bad`.

    A path without the folder of a class, as in lists of bare names, belongs to the class that its row begins with.

    Raises:
        UserError: if it is no list of [class, image, annotation], above all if EmoVIT wrote over it.
    """
    try:
        rows = json.loads("\n".join(label_text.lines(file)))
    except (ValueError, RecursionError) as error:
        raise label_text.damaged(file, None, f"not JSON ({error})") from error
    if not isinstance(rows, list):
        raise label_text.damaged(file, None, "not a list of [class, image, annotation]")
    if any(isinstance(row, Mapping) and "conversations" in row for row in rows):
        problem = "holds EmoVIT's instruction rows: its all.py overwrites the split list"
        raise UserError("source.root", file, problem, "take the list from EmoSet's or EmoVIT's release again")
    spoilt = [number for number, row in enumerate(rows, start=1) if not _is_row(row)]
    problems = [Bad(file, 0, f"row {number} is not [class, image, annotation]") for number in spoilt]
    if problems and (bad is None or len(problems) * 2 >= len(rows)):
        raise label_text.damaged(file, None, problems[0].problem)
    (bad if bad is not None else []).extend(problems)
    return [_place(row[0], row[1]) for row in rows if _is_row(row)]


def _is_row(row: object) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(isinstance(cell, str) for cell in row)


def _place(emotion: str, path: str) -> Place:
    image = PurePosixPath(path.replace("\\", "/"))
    folder = image.parent.name.lower()
    return (folder if folder in EMOTIONS else emotion.strip().lower(), image.stem)


def read_annotation(file: Path) -> dict[str, Any]:
    """Return an annotation as it stands, `emotion` first and in lower case.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no JSON object with an emotion.
    """
    if not file.is_file() or file.stat().st_size > LARGEST:
        raise ValueError("not a file of an annotation")
    found = json.loads(file.read_bytes().decode("utf-8-sig"), parse_constant=_no_number)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    emotion = found.pop("emotion", None)
    if not isinstance(emotion, str):
        raise ValueError("no emotion in it")
    # What JSON allows and no file of ours can hold: half a character, a number beyond all bounds.
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    return {"emotion": emotion.strip().lower(), **found}


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _placed(folder: Path, *extensions: str) -> dict[Place, list[Path]]:
    """Return the files in the class folders of `folder` by their place."""
    found: dict[Place, list[Path]] = {}
    for emotion in file_tree.folders(folder):
        for entry in file_tree.files(Path(emotion.path), *extensions):
            path = Path(entry.path)
            found.setdefault((emotion.name.lower(), path.stem), []).append(path)
    return found
