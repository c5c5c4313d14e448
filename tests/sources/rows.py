"""What a source read, by id."""

from collections.abc import Iterable

from seke.core.records import ImageRecord, Rejection


def by_id(rows: Iterable[ImageRecord | Rejection]) -> tuple[dict[str, ImageRecord], dict[str, Rejection]]:
    """Part the records from what was rejected."""
    rows = list(rows)
    assert len({row.id for row in rows}) == len(rows)
    records = {row.id: row for row in rows if isinstance(row, ImageRecord)}
    return records, {row.id: row for row in rows if isinstance(row, Rejection)}
