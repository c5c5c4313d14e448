"""Advice about a small prepared set of a person's own: what it cannot show, and what would help."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from seke.core.affect import EXPRESSIONS
from seke.core.records import ImageRecord, read_jsonl
from seke.core.small_data import FEWEST_IMAGES
from seke.sources.prepare.statistics import SPLITS

LARGE: Final = 1000
"""Records of a set that needs no advice about its size."""
FEWEST_SUBJECTS: Final = 3
"""Of fewer there is no interval (`core.intervals`)."""
FEW_OF_A_CLASS: Final = 5
"""Training images of an expression; a choice of ours."""


def of(run_path: Path) -> list[str]:
    """Return advice about the set that `prepare` has written, in lines; nothing about a large one."""
    records = [row for split in SPLITS for row in read_jsonl(run_path / f"{split}.jsonl", ImageRecord)]
    return [] if len(records) >= LARGE else [f"advice: {line}" for line in _advice(records)]


def _advice(records: Sequence[ImageRecord]) -> Iterator[str]:
    labelled = [record for record in records if not record.labels.empty]
    if not labelled:
        yield "nothing is labelled: generate.py or evaluate.py can label it, and there is nothing to score"
        return
    test = [record for record in labelled if record.split == "test"]
    people = {record.subject for record in labelled if record.subject is not None}
    if not people:
        yield "no person is named (a column subject): pictures of one person may be trained on and tested on"
    tested = {record.subject or record.id for record in test}
    groups = f"{len(people)} subjects" if people else f"{len(labelled)} labelled pictures"
    if not test:
        yield f"nothing is tested on, {groups} are too few to hold any back: evaluate.py has nothing to score"
    elif len(test) < FEWEST_IMAGES:
        yield f"{len(test)} pictures are tested on: {FEWEST_IMAGES} are the least to be set beside the paper"
    if 0 < len(tested) < FEWEST_SUBJECTS:
        enough = len(people) >= 2 * FEWEST_SUBJECTS
        more = f"; source.test_share={FEWEST_SUBJECTS / len(people):.2f} holds {FEWEST_SUBJECTS} back" if enough else ""
        yield f"{len(tested)} of {groups} are tested on: fewer than {FEWEST_SUBJECTS} have no interval{more}"
    yield from _about_classes(labelled)


def _about_classes(labelled: Sequence[ImageRecord]) -> Iterator[str]:
    named = [record for record in labelled if record.labels.expression is not None]
    trained = Counter(record.labels.expression for record in named if record.split == "train")
    present = {record.labels.expression for record in named}
    if not present:
        return
    unseen = {record.labels.expression for record in named if record.split == "test"} - set(trained)
    if unseen:
        yield f"tested on and never trained on: {', '.join(name for name in EXPRESSIONS if name in unseen)}"
    few = [f"{name} {trained[name]}" for name in EXPRESSIONS if name in present and trained[name] < FEW_OF_A_CLASS]
    if few:
        yield f"fewer than {FEW_OF_A_CLASS} pictures to train on of: {', '.join(few)}"
    if missing := [name for name in EXPRESSIONS if name not in present]:
        yield f"no picture shows: {', '.join(missing)}"
