"""Aff-Wild2 as its workshops (ABAW) ship it: videos as cropped and aligned faces, label sets joined frame by frame.

    cropped_aligned/<video>/00001.jpg                      a missing number: no face was found in that frame
    VA_Estimation_Challenge/Train_Set/<video>.txt          and the other label sets and layouts of aff_wild2_labels.py

One record carries what all label sets say about a frame. A video may be for training in one label set and for
validation in another, so the official split cannot be kept: ours is by video, and `<video>_left` and `<video>_right`,
two people in one video, are one group. It stands as the subject; who is seen in several videos is not known.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Unpack

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection
from seke.sources.base.licensed import Licensed, SplitSettings
from seke.sources.base.tables import Bad, check_ids
from seke.sources.faces_datasets.aff_wild2_labels import (
    CLASSES,
    FOLDERS,
    OTHER,
    Frames,
    label_files,
    labelled,
    labels,
    twice,
    union,
)

AUTO: Final = "auto"
SIDE: Final = re.compile(r"_(left|right)\Z")
NUMBERED: Final = re.compile(
    r"\d+\.(" + "|".join(extension[1:] for extension in file_tree.IMAGES) + r")\Z", re.I | re.A
)


class Survey(NamedTuple):
    """The folders below a root, sorted."""

    videos: list[Path]
    """Those that hold numbered pictures; what lies below them is not looked at."""
    others: list[Path]


class AffWild2(Licensed):
    """The frames of Aff-Wild2 with expression, valence and arousal, and action units, as far as each is annotated.

    `layout` is abaw2, abaw3 or mtl, or auto for the first found of abaw3, mtl and abaw2. `images` is the folder below
    `root` in which the faces lie, at any depth; it needs to be named only where `cropped` lies beside
    `cropped_aligned`, with the same videos in it.

    Raises:
        UserError: see `Licensed`; if there is no such layout or no folder `images`.
    """

    name = "aff_wild2"

    def __init__(self, root: str | None, layout: str = AUTO, images: str = ".", **split: Unpack[SplitSettings]) -> None:
        super().__init__(root, **split)
        if layout not in (AUTO, *FOLDERS):
            raise UserError("source.layout", layout, "no such layout", f"use {', '.join((AUTO, *FOLDERS))}")
        self.layout = layout
        self.images = (self.root / images).resolve()
        if not self.images.is_dir() or not self.images.is_relative_to(self.root):
            raise UserError("source.images", images, f"no such folder in {self.root}", "name the one with the faces")

    @property
    def pictured(self) -> Path:
        """The folder `images`."""
        return self.images

    @property
    def inputs(self) -> Mapping[str, Sequence[Path]]:
        """The label files of each label set: va, expr and au, or mtl.

        Raises:
            UserError: if the root has no label file of the layout.
        """
        return self._label_files

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every frame that has a picture and a label, and a rejection for all others.

        A row left with nothing but the class `other` has no label; beside other labels, `attributes.expression` tells.
        Pictures of a video that no label file is about are one rejection, with their number.

        Raises:
            UserError: if a label file is not what its layout promises, or a video is there twice.
        """
        videos = self._videos
        without_labels = set(videos)
        bad: list[Bad] = []
        ids: set[int] = set()
        for video, sets in labelled(self._label_files, bad, ids):
            without_labels.discard(video)
            yield from self._frames(video, videos.get(video), sets)
        yield from self.bad_rows(bad)
        if len(CLASSES) in ids:
            check_ids(self.root, ids, 0, len(CLASSES) - 1)
        for video in sorted(without_labels):
            number = len(file_tree.images(videos[video]))
            yield self.no_label(video, f"no label file for the {number} pictures in {self.relative(videos[video])}")

    @cached_property
    def _survey(self) -> Survey:
        return survey(self.root)

    @cached_property
    def _label_files(self) -> dict[str, list[Path]]:
        layouts = FOLDERS if self.layout == AUTO else (self.layout,)
        for layout in layouts:
            if found := label_files(self._survey.others, layout):
                return found
        names = [name for layout in layouts for name in FOLDERS[layout]]
        raise file_tree.missing(self.root, f"label file in {', '.join(names)}")

    @cached_property
    def _videos(self) -> dict[str, Path]:
        """The folders of pictures by the name of the video."""
        found: dict[str, Path] = {}
        for folder in self._survey.videos:
            if folder.is_relative_to(self.images):
                earlier = found.setdefault(folder.name, folder)
                if earlier is not folder:
                    raise twice(folder.name, earlier, folder, "set source.images=<folder> to choose or keep one")
        if not found:
            raise file_tree.missing(self.images, "cropped_aligned/<video>/00001.jpg")
        return found

    def _frames(self, video: str, folder: Path | None, sets: Sequence[Frames]) -> Iterator[ImageRecord | Rejection]:
        pictures, unnumbered = file_tree.by_number(file_tree.images(folder)) if folder else ({}, [])
        where = self.relative(folder) if folder else ""
        subject = SIDE.sub("", video)
        split = self.split(subject)
        for frame in sorted(set(pictures).union(*sets)):
            key = f"{video}/{frame:05d}"
            rows = [frames[frame] for frames in sets if frame in frames]
            if not rows:
                yield self.no_label(key, "no label row has its number")
            elif frame not in pictures:
                places = [f"{self.relative(row.file)}, line {row.line}" for row in rows]
                yield self.no_image(key, f"{' and '.join(places)}: no {key}.jpg")
            else:
                known = union(rows)
                other = {"expression": OTHER} if known.expression == OTHER else None
                yield self.record(
                    key, f"{where}/{pictures[frame]}", labels(known), split, subject, other,
                    "the class is 'other', all else is missing" if other else "every label is missing",
                )  # fmt: skip
        for name in unnumbered:
            yield self.no_label(f"{video}/{name}", "its name is not the number of a frame, or not the only one with it")


def survey(root: Path) -> Survey:
    """Return the folders below `root`, itself included; each is listed once, one with pictures only until the first.

    Links to folders are not followed.
    """
    found = Survey([], [])
    ahead = [root]
    while ahead:
        folder = ahead.pop()
        try:
            with os.scandir(folder) as entries:
                inner = _folders(entries)
        except OSError as error:
            raise file_tree.unreadable(folder, error) from error
        if inner is None:
            found.videos.append(folder)
        else:
            found.others.append(folder)
            ahead += inner
    return Survey(sorted(found.videos), sorted(found.others))


def _folders(entries: Iterable[os.DirEntry[str]]) -> list[Path] | None:
    """Return the folders among the entries, None as soon as there is a numbered picture."""
    inner = []
    for entry in entries:
        if NUMBERED.match(entry.name):
            return None
        if file_tree.is_folder(entry) and file_tree.is_utf8(entry.name) and not file_tree.STRAY.search(entry.name):
            inner.append(Path(entry.path))
    return inner
