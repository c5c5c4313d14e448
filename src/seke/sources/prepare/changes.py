"""What differs between a prepared set and the earlier one that it updates: said to a person, and kept as counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seke.core.records import ImageRecord, Split, read_jsonl
from seke.sources.base.split import SPLITS

NAMED = 3
"""Records that a line names of each kind."""


class Changes(NamedTuple):
    """Ids of records, by what has become of them; one whose picture changed may have other labels as well."""

    new: list[str]
    labels: list[str]
    pictures: list[str]
    renamed: list[str]
    """New ids of pictures that are there under another one no more."""
    moved: list[str]
    """Those in another split than before: their folders or subjects say so."""
    gone: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {kind: len(ids) for kind, ids in self._asdict().items()}

    @property
    def line(self) -> str:
        """What the command prints."""
        words = {
            "new": "new", "labels": "with changed labels", "pictures": "with a changed picture", "renamed": "renamed",
            "moved": "in another split", "gone": "gone",
        }  # fmt: skip
        told = [f"{len(ids)} {words[kind]} ({_some(ids)})" for kind, ids in self._asdict().items() if ids]
        stay = "" if self.moved else "; whoever was there is in the same split as before"
        return f"since the earlier set: {', '.join(told) or 'nothing has changed'}{stay}"


def records_of(before: Path) -> list[ImageRecord]:
    """Return the records of the prepared set in the folder `before`."""
    files = [before / f"{split}.jsonl" for split in SPLITS]
    return [record for file in files if file.is_file() for record in read_jsonl(file, ImageRecord)]


def splits_of(records: Sequence[ImageRecord]) -> Mapping[str, Split]:
    """Return where labelled records are, by id and by sha256 of the picture: others were never drawn into a split."""
    labelled = [record for record in records if not record.labels.empty]
    by_picture = {record.sha256: record.split for record in labelled if record.sha256 is not None}
    return by_picture | {record.id: record.split for record in labelled}


def changes(earlier: Sequence[ImageRecord], now: Sequence[ImageRecord]) -> Changes:
    """Return what has become of the records of an earlier set, in the order of the new one."""
    before = {record.id: record for record in earlier}
    ids = {record.id for record in now}
    lost = {record.sha256: record for record in earlier if record.id not in ids and record.sha256 is not None}
    found = Changes([], [], [], [], [], [])
    for record in now:
        was = before.get(record.id)
        if was is None:
            was = lost.pop(record.sha256, None) if record.sha256 is not None else None
            (found.new if was is None else found.renamed).append(record.id)
        if was is None:
            continue
        if was.sha256 != record.sha256:
            found.pictures.append(record.id)
        if (was.labels, was.subject, was.attributes) != (record.labels, record.subject, record.attributes):
            found.labels.append(record.id)
        if was.split != record.split:
            found.moved.append(record.id)
    renamed = {record.sha256 for record in now if record.id in set(found.renamed)}
    found.gone.extend(record.id for record in earlier if record.id not in ids and record.sha256 not in renamed)
    return found


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
