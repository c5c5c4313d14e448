"""What a source read: by id, or with the pictures that it makes itself."""

from collections.abc import Iterable
from pathlib import Path

from seke.core.records import ImageRecord, Rejection
from seke.sources.base.source import Source


def by_id(rows: Iterable[ImageRecord | Rejection]) -> tuple[dict[str, ImageRecord], dict[str, Rejection]]:
    """Part the records from what was rejected."""
    rows = list(rows)
    assert len({row.id for row in rows}) == len(rows)
    records = {row.id: row for row in rows if isinstance(row, ImageRecord)}
    return records, {row.id: row for row in rows if isinstance(row, Rejection)}


def fetched(source: Source, run_path: Path) -> list[ImageRecord]:
    """Return all records of a source that makes its pictures itself, after it has made them."""
    records = [row for row in source.read(run_path) if isinstance(row, ImageRecord)]
    assert all(record.sha256 is None for record in records)
    assert list(source.fetch(records)) == []
    return [source.shown(record) for record in records]
