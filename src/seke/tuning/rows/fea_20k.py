"""FEA-20K: a question, the active action units, an emotion and a description of a face (facts 2.6).

    <path>/train.json    [{"id", "image", "question", "AUs": ["AU1"], "labels": ["sadness"], "description", ...}, ...]

The description is the answer. `AUs` lists what is active; what is absent and what was never annotated look the same in
it, so its other units are unknown, and `keep=au` rejects the rows for that reason.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from seke import images
from seke.records import Labels, Rejection
from seke.tuning.rows.find import label_file
from seke.tuning.rows.llava import PLACEHOLDER, called
from seke.tuning.rows.objects import objects
from seke.tuning.rows.row import Keep, Row, active, exchange, expression, kept, made


class Fea20k:
    """Reads FEA-20K's annotations."""

    def files(self, path: Path) -> list[Path]:
        """Return the file itself, or the training file in the folder."""
        return [label_file(path, "train.json", "train.jsonl", "FEA-20K_train.json")]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per face."""
        [file] = self.files(path)
        for where, raw in objects(file):
            name = called(raw, where)
            yield made(file, where, name, partial(_row, raw, name, root, keep))


def _row(raw: dict[str, Any], name: str, root: Path, keep: Keep) -> Row:
    named = {expression(word) for word in raw.get("labels") or []}
    labels = Labels(
        # Two emotions of one face are no label of one.
        expression=named.pop() if len(named) == 1 else None,
        action_units=active(raw.get("AUs") or []),
    )
    turns = exchange(raw["question"].replace(PLACEHOLDER, ""), raw["description"])
    return Row(name, kept(turns, labels, keep), (images.resolve(root, raw["image"]),))
