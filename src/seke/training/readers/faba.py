"""FABA-Instruct: what a face shows, as emotion and as action units (facts 2.5).

    <path>/{train,eval}/{train,eval}_{emotion,au}_anno.json        LLaVA conversations, `<image>` after the question
    image  "FABAInstruct/train/images/AffectNet/.../<hash>.jpg"    with or without its first folders on disk

Only the eval files have `label` ("1, 4, 15", or an emotion), which serves `keep`; `landmark` and `gpt4` are let be.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from seke.core import images
from seke.core.records import Labels, Rejection
from seke.training.readers.find import missing, optional
from seke.training.readers.llava import conversation
from seke.training.readers.objects import objects
from seke.training.readers.row import Keep, Row, active_units, as_object, expression, row_id, row_or_rejection

PREFIXES: Final = ("", "FABAInstruct/", "FABAInstruct/train/", "FABAInstruct/eval/")
"""First folders of `image` that may be missing on disk, because the root lies deeper."""


@dataclass(frozen=True)
class Faba:
    """Reads FABA-Instruct's annotation files."""

    annotations: Sequence[str] = ("train_emotion_anno.json", "train_au_anno.json")
    """The files that are read, where `path` is a folder."""

    def files(self, path: Path) -> list[Path]:
        """Return those of the annotation files that are there."""
        if path.is_file():
            return [path]
        found = [file for name in self.annotations if (file := optional(path, name)) is not None]
        if not found:
            raise missing(path, *self.annotations)
        return found

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield the conversations, file after file."""
        for file in self.files(path):
            for where, raw in objects(file):
                name = row_id(raw, f"{file.stem} {where}")
                yield row_or_rejection(file, where, name, partial(_row, raw, name, root, keep))


def _row(raw: Any, name: str, root: Path, keep: Keep) -> Row:
    return conversation(raw, name, partial(_picture, root), keep, _labels(as_object(raw).get("label")))


def _labels(text: Any) -> Labels:
    if isinstance(text, str) and re.search(r"\d", text):
        return Labels(action_units=active_units(text.split(",")))
    return Labels(expression=expression(text))


def _picture(root: Path, image: str) -> Path:
    places = [image.removeprefix(prefix) for prefix in PREFIXES if image.startswith(prefix)]
    return images.resolve(root, next((place for place in places if (root / place).is_file()), image))
