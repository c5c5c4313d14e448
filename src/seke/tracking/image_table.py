"""Table of a few faces of a finished run, each with its picture, text and labels, for a dashboard."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from seke.core import images
from seke.core.runs import image_root

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS: Final = ("picture", "id", "source", "text", "labels", "truth", "uncertainty")
SIDE: Final = 224
"""Pixels of a picture's longer side."""
FILES: Final = {"predictions.jsonl": "predictions", "instructions.jsonl": "instructions", "train.jsonl": "records"}
"""What a run is shown by, and the table's name."""


class Table(NamedTuple):
    """Rows of `COLUMNS`; a picture that cannot be read is None."""

    name: str
    rows: list[list[Any]]


def table(run: Path, records: Path | None, config: Mapping[str, Any], count: int) -> Table:
    """Return `count` rows of a finished run, evenly spaced over its file, so that every source is met.

    Args:
        run: the directory.
        records: the file that names the picture of an answer; the rows of other files name their own.
        config: the run's; `paths.images` is where the pictures are, if set.
        count: how many rows at most.
    """
    file = next((run / name for name in FILES if (run / name).is_file()), None)
    if file is None or count < 1:
        return Table("", [])
    answered = file.name == "predictions.jsonl"
    rows = list(_evenly(file, count))
    named_in = records if answered and records else file
    root = image_root(named_in, config["paths"]["images"])
    wanted = {row["id"] for row in rows}
    named = {row["id"]: row for row in _lines(named_in) if row.get("id") in wanted and "image" in row}
    return Table(FILES[file.name], [_row(row, _picture(root, named.get(row["id"]))) for row in rows])


def brief(labels: Any) -> str | None:
    """Return labels in a few words; None where nothing is known.

    >>> brief({"expression": "fear", "valence": -0.5, "arousal": None, "action_units": {"1": True, "2": False}})
    'fear, valence -0.50, AU1 of 2'
    """
    if not isinstance(labels, dict):
        return None if labels is None else str(labels)
    parts = [labels["expression"]] if labels.get("expression") else []
    parts += [f"{name} {labels[name]:.2f}" for name in ("valence", "arousal") if labels.get(name) is not None]
    if units := labels.get("action_units"):
        active = "+".join(au for au, present in units.items() if present)
        parts.append(f"AU{active or ' none'} of {len(units)}")
    return ", ".join(parts) or None


def _row(row: Mapping[str, Any], picture: "Image | None") -> list[Any]:
    text = row["conversations"][-1]["value"] if "conversations" in row else row.get("text")
    doubt = (row.get("uncertainty") or {}).get("max")
    return [picture, row["id"], row.get("source"), text, brief(row.get("labels")), brief(row.get("truth")), doubt]


def _picture(root: Path, row: Mapping[str, Any] | None) -> "Image | None":
    """Return the picture that a row names, if there is one and it is still the one that the row was made of."""
    if row is None:
        return None
    try:
        data, _ = images.read_unchanged(images.resolve(root, row["image"]), row["image"], row.get("sha256"))
        picture = images.decode(data, row["image"])
    except images.ImageError:
        return None
    picture.thumbnail((SIDE, SIDE))
    picture.info.clear()  # the file's other contents, such as EXIF, stay here
    return picture


def _evenly(file: Path, count: int) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        total = sum(1 for _ in lines)
    step = max(1, -(-total // count))
    return islice(_lines(file), 0, None, step)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
