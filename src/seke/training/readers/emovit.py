"""EmoVIT: instructions about EmoSet's pictures, as its `all.py` writes them (facts 2.1).

    <path>/emo/train.json      [{"id": "03317", "image": "amusement_03317.jpg", "conversations": [...]}, ...]
    <root>/image/amusement/amusement_03317.jpg      EmoSet's pictures; image/ and the class's folder may be missing

Rows have no `<image>`: the picture comes first. `id` repeats from class to class, so rows are called by picture and
place. EmoSet's eight classes (awe, contentment, ...) are not ours: rows carry no labels.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from seke.core import images
from seke.core.records import RecordError, Rejection
from seke.training.readers.find import label_file
from seke.training.readers.llava import conversation
from seke.training.readers.objects import objects
from seke.training.readers.row import Keep, Row, Turn, UnusableError, as_object, row_or_rejection

RESIDUE: Final = re.compile(r"\s*\bComplex\s*$")
"""What `all.py` leaves of the heading "Complex Question" that followed an answer."""


class Emovit:
    """Reads EmoVIT's instruction data."""

    def files(self, path: Path) -> list[Path]:
        """Return the file of instructions."""
        return [label_file(path, "train.json")]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per question and answer."""
        [file] = self.files(path)
        for where, raw in objects(file):
            if isinstance(raw, list) and where == "row 1":
                raise RecordError(file, "EmoSet's list of pictures, not the instructions that EmoVIT's all.py writes")
            image = raw.get("image") if isinstance(raw, dict) else None
            name = f"{Path(image).stem if isinstance(image, str) else ''}/{where.split()[-1]}"
            yield row_or_rejection(file, where, name, partial(_row, raw, name, root, keep))


def _row(raw: Any, name: str, root: Path, keep: Keep) -> Row:
    row = conversation(as_object(raw), name, partial(_picture, root), keep)
    if not row.images:
        raise UnusableError("image", "no image named")
    return replace(row, turns=tuple(_without_residue(turn) for turn in row.turns))


def _without_residue(turn: Turn) -> Turn:
    return turn._replace(text=RESIDUE.sub("", turn.text)) if turn.role == "assistant" else turn


def _picture(root: Path, image: str) -> Path:
    emotion = image.rpartition("_")[0]
    places = (f"image/{emotion}/{image}", f"{emotion}/{image}", image)
    return images.resolve(root, next((place for place in places if (root / place).is_file()), places[0]))
