"""FEA-20K: a question, the active action units, an emotion and a description of a face (facts 2.6).

    <path>/train.json    [{"id", "image", "question", "AUs": ["AU1"], "labels": ["sadness"], "description", ...}, ...]

The description is the answer. `AUs` lists what is active; what is absent and what was never annotated look the same in
it, so its other units are unknown, and `keep=au` rejects the rows for that reason.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from seke.core import images
from seke.core.records import Labels, Rejection
from seke.training.readers.find import label_file
from seke.training.readers.objects import objects
from seke.training.readers.row import (
    Keep,
    Row,
    active_units,
    as_object,
    expression,
    row_id,
    row_or_rejection,
)
from seke.training.readers.turns import question_and_answer


class Fea20k:
    """Reads FEA-20K's annotations."""

    def files(self, path: Path) -> list[Path]:
        """Return the file itself, or the training file in the folder."""
        return [label_file(path, "train.json", "train.jsonl", "FEA-20K_train.json")]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per face."""
        [file] = self.files(path)
        for where, raw in objects(file):
            name = row_id(raw, where)
            yield row_or_rejection(file, where, name, partial(_row, raw, name, root, keep))


def _row(raw: Any, name: str, root: Path, keep: Keep) -> Row:
    row = as_object(raw)
    named = _emotions(row.get("labels"))
    labels = Labels(
        # Two emotions of one face are no label of one.
        expression=named.pop() if len(named) == 1 else None,
        action_units=active_units(row.get("AUs")),
    )
    picture = partial(images.resolve, root)
    return question_and_answer(row, name, picture, row.get("question"), row.get("description"), labels, keep)


def _emotions(names: Any) -> set[str | None]:
    return {expression(name) for name in (names if isinstance(names, list) else [names])}
