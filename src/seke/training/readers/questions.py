"""Records with questions of their own, as `source=synthetic_questions` makes them: general data to replay in a mixture.

    <path>/train.jsonl    {"id", "image", "attributes": {"question": "Does this ...?", "answer": "No glasses."}, ...}

Pictures lie where the manifest beside the records says. The rows carry no labels, so `keep` leaves none of them.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from seke.core import images, runs
from seke.core.records import Labels, Rejection
from seke.training.readers.find import missing
from seke.training.readers.objects import objects
from seke.training.readers.row import (
    Keep,
    Row,
    UnusableError,
    as_object,
    exchange,
    keep_only,
    row_id,
    row_or_rejection,
    text_of,
)

FILE: Final = "train.jsonl"


class Questions:
    """Reads a prepared set whose records have `attributes.question` and `attributes.answer`."""

    def files(self, path: Path) -> list[Path]:
        """Return the file of records: `path`, or the training side in it."""
        file = path if path.is_file() else path / FILE
        if not file.is_file():
            raise missing(path, FILE)
        return [file]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield one row per question and answer; `root` that is the set itself stands for what its manifest says."""
        [file] = self.files(path)
        if root == path:
            root = runs.root_by(runs.manifest_beside(file), file)
        for where, raw in objects(file):
            name = row_id(raw, where)
            yield row_or_rejection(file, where, name, partial(_row, raw, name, root, keep))


def _row(raw: Any, name: str, root: Path, keep: Keep) -> Row:
    told = as_object(raw).get("attributes")
    if not isinstance(told, dict) or told.get("question") is None:
        raise UnusableError("question", "no attributes.question")
    if told.get("answer") is None:
        raise UnusableError("answer", "no attributes.answer to learn")
    turns = keep_only(exchange(told["question"], told["answer"]), Labels(), keep)
    picture = images.resolve(root, text_of(raw.get("image"), "image", "image"))
    digest = raw.get("sha256")
    if digest is not None:
        digest = text_of(digest, "sha256")
    return Row(name, turns, (picture,), None, digest, str(raw.get("source") or ""), str(raw.get("split") or ""))
