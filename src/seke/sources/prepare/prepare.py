"""A source's records, written as one prepared directory: three splits, what was rejected, and the statistics."""

import gc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from tqdm import tqdm

from seke.core import plugins
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.limit import limited
from seke.core.records import ImageRecord, Rejection, lost_beside, read_jsonl, write_jsonl
from seke.sources.base.source import Source
from seke.sources.prepare import inventory
from seke.sources.prepare.distributions import distributions
from seke.sources.prepare.image_check import ImageCheck, ImageChecks
from seke.sources.prepare.leakage import Leak, leaks
from seke.sources.prepare.statistics import SPLITS, statistics

LISTED_EVERY = 1000
"""Rows between two updates of the progress bar."""


class Chosen(NamedTuple):
    """What of a source is used, and what is not and why."""

    records: list[ImageRecord]
    rejected: list[Rejection]
    leaks: list[Leak]


def write(
    source: Source, run_path: Path, limit: int | None = None, seed: int = 0, near_duplicate: int | None = None
) -> dict[str, int]:
    """Write train, validation, test and rejected .jsonl and the statistics; return the number of rows of each.

    `limit` keeps that many records, as everywhere (`seke.core.limit`). `near_duplicate` is the
    leakage guard's distance in bits (see `leakage.leaks`).

    Raises:
        UserError: if two records have one id, or if nothing is left.
    """
    try:
        pictures = inventory.take(source, run_path)
        pool, unusable = listed(source, run_path)
    except UserError:
        _free(run_path)
        raise
    known = {row.id for row in unusable}
    unusable += [row for row in pictures.left_out if row.id not in known]
    checks = ImageChecks(run_path / source.image_root(run_path), run_path / "looks.jsonl")
    chosen = choose(source, pool, checks, limit, seed, near_duplicate)
    rejected = [*unusable, *chosen.rejected, *(leak.rejection for leak in chosen.leaks)]
    counts = {"rejected": write_jsonl(run_path / "rejected.jsonl", rejected), "leaks": len(chosen.leaks)}
    if not chosen.records:
        reasons = ", ".join(sorted({row.reason for row in rejected})) or "no row"
        raise UserError("source", run_path.name, f"no image left ({reasons})", f"see {run_path / 'rejected.jsonl'}")
    truth = run_path / "truth.jsonl"
    if len(chosen.records) < len(pool) and truth.is_file():
        ids = {record.id for record in chosen.records}
        write_jsonl(truth, [row for row in read_jsonl(truth, ImageRecord) if row.id in ids])
    splits = {split: [record for record in chosen.records if record.split == split] for split in SPLITS}
    counts = {**{split: write_jsonl(run_path / f"{split}.jsonl", rows) for split, rows in splits.items()}, **counts}
    counts["not_drawn"] = len(pool) - len(chosen.records) - len(chosen.rejected) - len(chosen.leaks)
    if source.asked_by is not None:
        counts["without_picture"] = _write_lost(source, run_path, pool, chosen, limit, seed)
    title = f"Prepared images: {run_path.name}"
    write_text(run_path / "statistics.md", statistics(chosen.records, title, rejected, counts["not_drawn"]))
    distributions(chosen.records, title, run_path / "statistics.png")
    if pictures.marks:
        inventory.write(run_path / inventory.FILE, pictures, checks.digests())
    checks.cache.unlink(missing_ok=True)
    return counts


def _write_lost(
    source: Source, run_path: Path, pool: Sequence[ImageRecord], chosen: Chosen, limit: int | None, seed: int
) -> int:
    """Write the questions whose picture is missing or broken beside the records of their split; return their number.

    Under a limit they are drawn in proportion, as the records are.
    """
    broken = {row.id for row in chosen.rejected}
    lost = [*source.unshown(), *(record for record in pool if record.id in broken)]
    every = len(pool) + len(source.unshown())
    kept = limited(lost, None if limit is None or limit >= every else -(-limit * len(lost) // every), seed)
    for split in SPLITS:
        rows, file = [record for record in kept if record.split == split], lost_beside(run_path / f"{split}.jsonl")
        if rows:
            write_jsonl(file, rows)
    return len(kept)


def counted_reasons(run_path: Path) -> str:
    """Return how many images were rejected for which reason, the commonest first; empty where none was."""
    path = run_path / "rejected.jsonl"
    reasons = Counter(row.reason for row in read_jsonl(path, Rejection))
    told = ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common())
    return f"rejected: {told}; each with its reason in {path}" if told else ""


def _free(run_path: Path) -> None:
    """Leave the name to a command with other settings: nothing has been written under it but these settings."""
    if [path.name for path in run_path.iterdir()] == ["config.yaml"]:
        (run_path / "config.yaml").unlink()
        run_path.rmdir()


def listed(source: Source, run_path: Path) -> tuple[list[ImageRecord], list[Rejection]]:
    """Read all rows of a source, records and rejections apart.

    Raises:
        UserError: if two records have one id.
    """
    records: dict[str, ImageRecord] = {}
    rejected: list[Rejection] = []
    # Rows hold no cycles, and all of them stay: the collector would walk through millions over and over in vain.
    collecting = gc.isenabled()
    gc.disable()
    try:
        _sort(source, run_path, records, rejected)
    finally:
        if collecting:
            gc.enable()
    return list(records.values()), rejected


def _sort(source: Source, run_path: Path, records: dict[str, ImageRecord], rejected: list[Rejection]) -> None:
    for row in tqdm(_read(source, run_path), desc="reading labels", unit="row", disable=None, miniters=LISTED_EVERY):
        if isinstance(row, Rejection):
            rejected.append(row)
        elif row.id in records:
            both = f"{records[row.id].image} and {row.image}"
            raise UserError("source", row.id, f"two images have this id: {both}", "give each source a name of its own")
        else:
            records[row.id] = row


def _read(source: Source, run_path: Path) -> Iterator[ImageRecord | Rejection]:
    """Yield a source's rows.

    Raises:
        UserError: at the first that is no row, or that breaks its format: such as a word that is no expression.
    """
    try:
        for row in source.read(run_path):
            if not isinstance(row, ImageRecord | Rejection):
                remedy = "yield an ImageRecord for each image, or a Rejection that says why it cannot be used"
                raise plugins.broken("source", source, f"read() yielded {plugins.shown(row)}", remedy)
            yield row
    except ValidationError as error:
        raise plugins.invalid("source", source, error) from error


def choose(
    source: Source, pool: Sequence[ImageRecord], checks: ImageChecks, limit: int | None, seed: int, distance: int | None
) -> Chosen:
    """Draw from `pool`, open what was drawn, and drop what is broken or leaks; draw again until nothing is.

    So an image that cannot be used counts as if the dataset did not have it, and counts are met where they can be.
    """
    rejected: dict[str, Rejection] = {}
    leaking: dict[str, Leak] = {}
    fetched: set[str] = set()
    while True:
        left = [record for record in pool if record.id not in rejected and record.id not in leaking]
        drawn = limited(source.draw(left), limit, seed)
        new = [record for record in drawn if record.id not in fetched]
        fetched.update(record.id for record in new)
        rejected.update((row.id, row) for row in source.fetch(new))
        marked = [source.shown(record) for record in drawn if record.id not in rejected]
        seen = checks.at(image for record in marked for image in _shown_by(record))
        for record in marked:
            if problem := next((said for image in _shown_by(record) if (said := seen[image].problem)), ""):
                rejected[record.id] = Rejection(id=record.id, reason="bad image", detail=problem)
        if any(record.id in rejected for record in drawn):
            continue
        whole = [_hashed(record, seen) for record in marked]
        found = leaks(whole, seen, distance)
        if not found:
            return Chosen(whole, list(rejected.values()), list(leaking.values()))
        leaking.update((leak.dropped.id, leak) for leak in found)


def _shown_by(record: ImageRecord) -> tuple[str, ...]:
    """Return a record's picture and the frames of its clip: one that is broken is shown as nothing less."""
    return (record.image, *(record.clip.frames if record.clip is not None else ()))


def _hashed(record: ImageRecord, seen: Mapping[str, ImageCheck]) -> ImageRecord:
    """Return a record with the sha256 of its picture, and of each frame of its clip."""
    update: dict[str, object] = {"sha256": seen[record.image].sha256}
    if record.clip is not None and record.clip.frames:
        digests = tuple(seen[frame].sha256 for frame in record.clip.frames)
        update["clip"] = record.clip.model_copy(update={"sha256": digests})
    return record.model_copy(update=update)
