"""LLaVA conversations, ours or anybody's: a .jsonl file, or a .json file that is one list.

    {"id": "7", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image> Who?"}, {"from": "gpt", ...}]}

The other forms in which the field writes conversations are read as well (turns.py). Our instructions also carry
`labels`, which serve `keep`, and the `sha256` of the picture that they are about. Other keys are let be.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seke.core import images
from seke.core.records import Labels, Rejection
from seke.training.readers.find import missing
from seke.training.readers.objects import objects
from seke.training.readers.row import (
    Keep,
    Row,
    UnusableError,
    as_object,
    json_type,
    keep_only,
    row_id,
    row_or_rejection,
)
from seke.training.readers.turns import parse_conversation


class Llava:
    """Reads instructions of a generate run, or any file in LLaVA's format.

    Args:
        without: sources whose rows are left out, as if the file did not hold them (leave one dataset out).
        kinds: kinds of instruction (`attributes.kind`) that are kept; None: all.
    """

    def __init__(self, without: Sequence[str] = (), kinds: Sequence[str] | None = None) -> None:
        self.without, self.kinds = frozenset(without), None if kinds is None else frozenset(kinds)

    def files(self, path: Path) -> list[Path]:
        """Return the file itself."""
        if not path.is_file():
            raise missing(path, "instructions.jsonl")
        return [path]

    def read(self, path: Path, root: Path, keep: Keep = "all") -> Iterator[Row | Rejection]:
        """Yield the file's conversations."""
        for where, raw in objects(path):
            if not self._wanted(raw):
                continue
            name = row_id(raw, where)
            yield row_or_rejection(
                path, where, name, partial(conversation, raw, name, partial(images.resolve, root), keep)
            )

    def _wanted(self, raw: Any) -> bool:
        if not isinstance(raw, dict):
            return True  # no row, for `made` to tell
        attributes, source = raw.get("attributes"), raw.get("source")
        kind = attributes.get("kind") if isinstance(attributes, dict) else None
        out = isinstance(source, str) and source in self.without
        return not out and (self.kinds is None or (isinstance(kind, str) and kind in self.kinds))


def conversation(
    raw: Any, name: str, picture: Callable[[str], Path], keep: Keep = "all", labels: Labels | None = None
) -> Row:
    """Return the row of one object.

    Args:
        raw: the object.
        name: the row's id.
        picture: finds the file of an `image`.
        keep: which description the last answer is rewritten to.
        labels: what the rewriting draws on; None: the object's own `labels`.

    Raises:
        ImageError, UnusableError: if the row cannot be used.
    """
    said = parse_conversation(as_object(raw))
    turns = said.turns if keep == "all" else keep_only(said.turns, _own(raw) if labels is None else labels, keep)
    files = tuple(picture(image) for image in said.pictures)
    digest = raw.get("sha256") if len(files) == 1 else None
    if digest is not None and not isinstance(digest, str):
        raise UnusableError("form", f"sha256 is {json_type(digest)}, not text")
    source, split = (str(raw.get(key) or "") for key in ("source", "split"))
    return Row(name, turns, files, None, digest, source, split, _face(raw, name) if len(files) == 1 else None)


def _face(raw: dict[str, Any], name: str) -> tuple[int, int, int, int] | None:
    """Return where the face is that a row is about, which those who annotated it were shown."""
    attributes = raw.get("attributes")
    return images.face_box(attributes.get("face"), name) if isinstance(attributes, dict) else None


def _own(raw: dict[str, Any]) -> Labels:
    try:
        return Labels.model_validate(raw.get("labels") or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("labels", *first["loc"])))
        raise UnusableError("keep", f"{where}: {first['msg']}") from None
