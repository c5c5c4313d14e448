"""A prepared set whose pictures are to be corrupted: the records of twelve test pictures, one with a face in it."""

from pathlib import Path

from seke.core.images import sha256
from seke.core.records import ImageRecord, Labels, write_jsonl

from .pictures import save


def make(root: Path) -> None:
    """Write test.jsonl and its pictures; without a manifest these lie beside it."""
    rows = []
    for number in range(12):
        image = f"images/{number}.jpg"
        rows.append(
            ImageRecord(
                id=f"toy/{number}",
                image=image,
                sha256=sha256(save(root / image, size=(96, 80)).read_bytes()),
                source="toy",
                subject=f"s{number // 2}",
                split="test",
                labels=Labels(expression="fear"),
                attributes={"face": [20, 10, 40, 50]} if number == 3 else {},
            )
        )
    write_jsonl(root / "test.jsonl", rows)
