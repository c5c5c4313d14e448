"""A source's records, written as one prepared directory: three splits, what was rejected, and the statistics."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from seke.errors import UserError
from seke.records import ImageRecord, Rejection, read_jsonl, write_jsonl
from seke.runs import write_text
from seke.sources.statistics import SPLITS, statistics


class Source(Protocol):
    """A face dataset on disk (or one that draws itself)."""

    inputs: Mapping[str, Path]
    """The files whose content decides the records; a changed one makes another run."""

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield every image of the dataset, with its split, or why it cannot be used."""

    def image_root(self, run_path: Path) -> str:
        """Return the folder that `image` is relative to; a relative one lies in `run_path`."""


def write(source: Source, run_path: Path, limit: int | None = None, seed: int = 0) -> dict[str, int]:
    """Write train, validation, test and rejected .jsonl and statistics.md; return the number of rows of each.

    `limit` keeps that many records, the same ones for the same seed, whatever their order.
    """
    records: list[ImageRecord] = []
    rejected: list[Rejection] = []
    for row in source.read(run_path):
        if isinstance(row, ImageRecord):
            records.append(row)
        else:
            rejected.append(row)
    kept = subset(records, limit, seed)
    truth = run_path / "truth.jsonl"
    if len(kept) < len(records) and truth.is_file():
        ids = {record.id for record in kept}
        write_jsonl(truth, [row for row in read_jsonl(truth, ImageRecord) if row.id in ids])
    counts = {
        split: write_jsonl(run_path / f"{split}.jsonl", [record for record in kept if record.split == split])
        for split in SPLITS
    }
    counts["rejected"] = write_jsonl(run_path / "rejected.jsonl", rejected)
    counts["beyond_limit"] = len(records) - len(kept)
    write_text(run_path / "statistics.md", statistics(kept, f"Prepared images: {run_path.name}"))
    return counts


def checked_limit(limit: object) -> int | None:
    """Return `limit` if it is a positive whole number or None.

    Raises:
        UserError: if it is neither.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UserError("limit", limit, "not a number of images", "set 1 or more, or leave it out for all")
    return limit


def subset(records: Sequence[ImageRecord], limit: int | None, seed: int) -> list[ImageRecord]:
    """Return the `limit` records whose hashed ids come first, in their old order; all where there is no limit."""
    if limit is None or limit >= len(records):
        return list(records)
    ranked = sorted(records, key=lambda record: hashlib.sha256(f"{seed}\0{record.id}".encode()).digest())
    chosen = {record.id for record in ranked[:limit]}
    return [record for record in records if record.id in chosen]
