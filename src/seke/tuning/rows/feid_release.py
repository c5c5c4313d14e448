"""FEID's and FEAB's released annotations, whose format is not described anywhere (facts 0).

LLaVA conversations are read as they are. Anything else is refused with one line that shows the keys of the row, so that
`fields` can say which of them is what: fields={image: path, answer: caption}; `labels.text` reaches inside an object.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from seke import images
from seke.errors import UserError
from seke.records import Labels, Rejection
from seke.tuning.rows.find import below, missing
from seke.tuning.rows.llava import PLACEHOLDER, called, conversation
from seke.tuning.rows.objects import objects
from seke.tuning.rows.row import Keep, Row, UnusableError, exchange, kept, made

FIELDS: Final = ("id", "image", "question", "answer")


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
        """Return the annotation files, whose first rows are looked at, so that an unknown format claims no run."""
        found = [path] if path.is_file() else below(path, "*.json", "*.jsonl")
        if not found:
            raise missing(path, "*.json", "*.jsonl")
        for file in found:
            for where, raw in islice(objects(file), 1):
                self._check(file, where, raw)
        return found

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield the rows of all files, in the order of `files`."""
        for file in self.files(path):
            for where, raw in objects(file):
                if not self._keys:
                    self._check(file, where, raw)
                flat = {name: _inside(raw, key) for name, key in self._keys.items()} or raw
                name = called(flat, f"{file.stem} {where}")
                yield made(file, where, name, partial(self._row, flat, name, root, keep))

    @property
    def _keys(self) -> dict[str, str]:
        return {name: key for name, key in self.fields.items() if key}

    def _check(self, file: Path, where: str, raw: Any) -> None:
        """Refuse a row that is neither a LLaVA conversation nor has the keys that are mapped."""
        needed = [self._keys[name] for name in ("image", "answer")] if self._keys else ["conversations"]
        if all(_inside(raw, key) is not None for key in needed):
            return
        shown = f"the keys {', '.join(map(str, raw))}"[:200] if isinstance(raw, dict) else "none, being no object"
        raise UserError(
            "data.reader.fields", self._keys or None, f"{file}, {where} lacks {' or '.join(needed)}, it has {shown}",
            "map them: 'data.reader.fields={image: <key>, question: <key>, answer: <key>}'",
        )  # fmt: skip

    def _row(self, raw: dict[str, Any], name: str, root: Path, keep: Keep) -> Row:
        picture = partial(images.resolve, root)
        if not self._keys:
            return conversation(raw, name, picture, keep)
        if not raw["image"]:
            raise UnusableError("image", "no image named")
        question = (raw.get("question") or self.question).replace(PLACEHOLDER, "")
        turns = kept(exchange(question, raw["answer"] or ""), Labels(), keep)
        return Row(name, turns, (picture(raw["image"]),))


def _inside(raw: Any, key: str) -> Any:
    for part in [key] if isinstance(raw, dict) and key in raw else key.split("."):
        raw = raw.get(part) if isinstance(raw, dict) else None
    return raw
