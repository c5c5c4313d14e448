"""FEID's and FEAB's released annotations, whose format is not described anywhere (facts 0).

LLaVA conversations are read as they are. Of a folder, files whose names, or whose folders' names, speak of a test or
validation side are left out, and told. Anything else is refused with one line that shows the keys of the row, so that
`fields` can say which of them is what: fields={image: path, answer: caption}; `labels.text` reaches inside an object.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from seke.core import images
from seke.core.errors import UserError
from seke.core.records import Labels, Rejection
from seke.training.readers.find import below, missing, told, trainable
from seke.training.readers.llava import conversation
from seke.training.readers.objects import Broken, objects
from seke.training.readers.row import (
    Keep,
    Row,
    as_object,
    row_id,
    row_or_rejection,
)
from seke.training.readers.turns import question_and_answer

FIELDS: Final = ("id", "image", "question", "answer")
LOOKED_AT: Final = 20
"""Rows at a file's beginning of which one must be of a known form."""


@dataclass(frozen=True)
class FeidRelease:
    """Reads the released annotations: one file, or all .json and .jsonl files of a folder."""

    question: str
    """Asked where the rows have no question."""
    fields: Mapping[str, str | None] = field(default_factory=dict)
    """Which key of a row is its id, image, question and answer; image and answer are needed, if any is given."""

    def __post_init__(self) -> None:
        given = {name for name, key in self.fields.items() if key}
        if not given <= set(FIELDS) or (given and not {"image", "answer"} <= given):
            problem = f"not a mapping of {', '.join(FIELDS)} with image and answer"
            raise UserError("data.reader.fields", dict(self.fields), problem, "map at least image and answer")

    def files(self, path: Path) -> list[Path]:
        """Return the annotation files to train on, whose first rows are looked at: an unknown format claims no run."""
        found, _ = self._found(path)
        for file in found:
            self._check(file)
        return found

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield the rows of all files, in the order of `files`, and what files are left out."""
        found, held_out = self._found(path)
        yield from told(path, held_out)
        for file in found:
            self._check(file)
            for where, raw in objects(file):
                mapped = self._keys and isinstance(raw, dict)
                row = {name: _inside(raw, key) for name, key in self._keys.items()} if mapped else raw
                name = row_id(row, f"{file.stem} {where}")
                yield row_or_rejection(file, where, name, partial(self._row, row, name, root, keep))

    @property
    def _keys(self) -> dict[str, str]:
        return {name: key for name, key in self.fields.items() if key}

    def _found(self, path: Path) -> tuple[list[Path], list[Path]]:
        if path.is_file():
            return [path], []
        found = below(path, "*.json", "*.jsonl")
        if not found:
            raise missing(path, "*.json", "*.jsonl")
        train, held_out = trainable(path, found)
        twice = next((file for file in train if file.suffix == ".json" and file.with_suffix(".jsonl") in train), None)
        if twice:
            problem = f"{twice.relative_to(path)} stands beside a .jsonl of its name, rows would count twice"
            raise UserError("data.path", path, problem, "move one of the two away, or give the file")
        return train, held_out

    def _check(self, file: Path) -> None:
        """Refuse a file of which the first rows are neither conversations nor have the keys that are mapped."""
        needed = [self._keys[name] for name in ("image", "answer")] if self._keys else ["conversations"]
        first: tuple[str, Any] | None = None
        for where, raw in islice(objects(file), LOOKED_AT):
            if all(_inside(raw, key) is not None for key in needed) or (not self._keys and _inside(raw, "messages")):
                return
            if first is None or isinstance(first[1], Broken):
                first = where, raw
        if first is None:
            return
        where, raw = first
        shown = f"the keys {', '.join(map(str, raw))}"[:200] if isinstance(raw, dict) else "none, being no object"
        problem = f"{file}, {where} lacks {' or '.join(needed)}, it has {shown}"
        remedy = "map them: 'data.reader.fields={image: <key>, question: <key>, answer: <key>}'"
        raise UserError("data.reader.fields", self._keys or None, problem, remedy)

    def _row(self, raw: Any, name: str, root: Path, keep: Keep) -> Row:
        picture = partial(images.resolve, root)
        if not self._keys:
            return conversation(raw, name, picture, keep)
        row = as_object(raw)
        asked = row.get("question")
        question = self.question if asked is None or asked == "" else asked
        return question_and_answer(row, name, picture, question, row.get("answer"), Labels(), keep)


def _inside(raw: Any, key: str) -> Any:
    for part in [key] if isinstance(raw, dict) and key in raw else key.split("."):
        raw = raw.get(part) if isinstance(raw, dict) else None
    return raw
