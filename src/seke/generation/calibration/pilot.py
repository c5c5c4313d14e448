"""The pilot: images whose human labels are masked, asked about like any other, so that the annotator can be judged.

Whole subjects are taken, and what is annotated of them later is flagged `pilot`: it must not be scored.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, read_jsonl, write_jsonl
from seke.generation.asked import FIELDS
from seke.generation.calibration.annotator_model import Masked
from seke.generation.outcome import Face

FILE: Final = "pilot.jsonl"
COST: Final = "pilot_cost.json"
"""What the pilot took, beside pilot.jsonl."""
FEWEST: Final = 40
"""With fewer images a fitted annotator is worth less than none."""
LARGEST_SHARE: Final = 0.5
"""Of the records that carry a label, no more than this serve as pilot."""


class Task(NamedTuple):
    """One pilot image and what is masked of it."""

    record: ImageRecord
    truth: Labels
    known: Labels


def pick(records: Sequence[ImageRecord], size: int, seed: int, hidden: Sequence[str] = ()) -> list[Task]:
    """Return about `size` tasks: subjects in hashed order, each image with one of its descriptions masked.

    With `hidden` descriptions (the reliability protocol) those are masked, since they are what will be judged.

    Raises:
        UserError: if too few images carry a label that could be masked.
    """
    by_group: dict[str, list[Task]] = {}
    for record in records:
        options = [fields for name, fields in FIELDS.items() if not hidden or name in hidden]
        there = [fields for fields in options if not _only(record.labels, fields).empty]
        if there:
            masked = there[_hash(seed, record.id) % len(there)]
            kept = record.labels.model_copy(update=dict.fromkeys(masked))
            by_group.setdefault(group(record), []).append(Task(record, _only(record.labels, masked), kept))
    size = min(size, int(LARGEST_SHARE * sum(map(len, by_group.values()))))
    tasks: list[Task] = []
    for name in sorted(by_group, key=lambda name: _hash(seed, name)):
        if len(tasks) >= size:
            break
        tasks += by_group[name]
    if len(tasks) < FEWEST:
        raise UserError(
            "generator.pilot",
            size,
            f"only {len(tasks)} images with human labels could serve as pilot",
            f"give at least {2 * FEWEST} labelled records, or use stopping=uamc generator.aggregate=summary",
        )
    return tasks


def group(record: ImageRecord) -> str:
    """Return what a record's labels must not be learnt from: its subject, or itself where none is known."""
    return f"{record.source}/{record.subject}" if record.subject is not None else record.id


def asked(
    tasks: Sequence[Task],
    opened: Callable[[ImageRecord], Face | None],
    ask: Callable[[Sequence[tuple[Face, Labels]]], Iterable[tuple[Labels, ...]]],
    folder: Path,
) -> list[Masked]:
    """Return the pilot's answers, from `folder` if it has them, and keep them there otherwise."""
    file = folder / FILE
    if file.is_file():
        return list(read_jsonl(file, Masked))
    faces = [(task, face) for task in tasks if (face := opened(task.record)) is not None]
    answers = ask([(face, task.known) for task, face in faces])
    rows = [
        Masked(id=task.record.id, subject=group(task.record), truth=task.truth, known=task.known, draws=draws)
        for (task, _), draws in zip(faces, answers, strict=True)
        if draws
    ]
    write_jsonl(file, rows)
    return rows


def others(records: Iterable[ImageRecord], tasks: Sequence[Task], hidden: Sequence[str]) -> Iterator[Labels]:
    """Yield the labels that couplings may be learnt from: not the pilot's own, and nothing that is to be judged."""
    pilot = {group(task.record) for task in tasks}
    unseen = [field for name in hidden for field in FIELDS[name]]
    for record in records:
        if group(record) not in pilot:
            yield record.labels.model_copy(update=dict.fromkeys(unseen))


def _only(labels: Labels, fields: Sequence[str]) -> Labels:
    return Labels(**{field: getattr(labels, field) for field in fields})


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0pilot\0{text}".encode()).digest()[:7], "big")
