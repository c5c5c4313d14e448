"""The pilot: images whose human labels are masked, asked about like any other, so that the annotator can be judged.

It repeats what production asks: images are masked down to the patterns of known labels that the records to annotate
have, about as often as they have them (`patterns`). Where something stays known, an image is asked about twice, with
the known labels in the prompt and without, as nobody can tell beforehand whether they help an annotator or mislead it.

Whole subjects are taken, and what is annotated of them later is flagged `pilot`: it must not be scored.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, read_jsonl, write_jsonl
from seke.generation.asked import Asked, fields, missing
from seke.generation.calibration.annotator_model import Masked
from seke.generation.calibration.patterns import (
    IN_WORDS,
    Demand,
    Lesson,
    Masking,
    Pattern,
    demands,
    kind_of,
    lessons,
    mask,
)
from seke.generation.outcome import Face

FILE: Final = "pilot.jsonl"
COST: Final = "pilot_cost.json"
"""What the pilot took, beside pilot.jsonl."""
SECOND_FILE: Final = "second_pilot.jsonl"
SECOND_COST: Final = "second_pilot_cost.json"
"""The same of a second annotator."""
FEWEST: Final = 40
"""With fewer images a fitted annotator is worth less than none; so many a pattern needs of each description."""
LARGEST_SHARE: Final = 0.5
"""Of the records that carry the same descriptions, no more than this serve as pilot."""


WINDOW: Final = 64
"""Frames of a video that serve as pilot together."""

Cell = tuple[Pattern, str]
"""A pattern and a description that is asked there."""


class Task(NamedTuple):
    """One pilot image, masked as an example of a pattern. An image can serve several patterns."""

    record: ImageRecord
    lesson: Lesson
    masking: Masking


class Question(NamedTuple):
    """What is asked about one pilot image."""

    face: Face
    shown: Labels
    """The labels in the prompt."""
    asked: Asked


def pick(
    records: Sequence[ImageRecord], size: int, seed: int, hidden: Sequence[str] = (), together: bool = False
) -> list[Task]:
    """Return about `size` tasks: subjects in hashed order, their images masked to the patterns of all `records`.

    Each description that a pattern asks gets tasks in proportion to the records (`Demand.asked`), and `FEWEST` at least
    as far as there are human labels. An image serves one pattern; where labels are scarce, it serves others, too.

    Args:
        records: those to annotate.
        size: how many tasks; more where a pattern would have too few.
        seed: of the order of subjects.
        hidden: descriptions that are hidden of the records when they are annotated (the reliability protocol).
        together: whether frames of a video serve together: no more than `WINDOW` of them, one after the other, all as
            examples of one pattern as long as it lacks any.

    Raises:
        UserError: if too few images carry a label that could be masked.
    """
    unseen = fields(hidden)
    wanted = demands(record.labels.model_copy(update=dict.fromkeys(unseen)) for record in records)
    need = _Need(wanted, size)
    kinds = {record.id: kind_of(record.labels) for record in records}
    offers = {kind: [lesson for pattern in wanted for lesson in lessons(kind, pattern)] for kind in set(kinds.values())}
    by_group: dict[str, list[ImageRecord]] = {}
    for record in records:
        by_group.setdefault(group(record), []).append(record)
    left = {kind: int(LARGEST_SHARE * count) for kind, count in Counter(kinds.values()).items()}
    chosen: list[tuple[ImageRecord, Lesson]] = []
    taken: list[ImageRecord] = []
    begun: dict[str, Lesson] = {}
    apart = _apart(records, seed) if together else set()
    for name in sorted(by_group, key=lambda name: _hash(seed, name)):
        these = Counter(kinds[record.id] for record in by_group[name])
        useful = any(need.lacks(lesson) for kind in these for lesson in offers[kind])
        if not useful or any(left[kind] < count for kind, count in these.items()):
            continue
        taken += [record for record in by_group[name] if record.id not in apart]
        for kind, count in these.items():
            left[kind] -= count
        for record in by_group[name]:
            if record.id in apart:
                continue
            if lacking := [lesson for lesson in offers[kinds[record.id]] if need.lacks(lesson)]:
                best = max(lacking, key=need.urgency)
                if together and record.clip is not None:
                    best = next((lesson for lesson in lacking if lesson == begun.get(record.clip.video)), best)
                    begun[record.clip.video] = best
                need.met(best)
                chosen.append((record, best))
    # Labels are scarce where something is still lacking: the same images are examples of other patterns, too.
    used = {(record.id, lesson) for record, lesson in chosen}
    for record in taken:
        for lesson in offers[kinds[record.id]]:
            if (record.id, lesson) not in used and need.lacks(lesson):
                need.met(lesson)
                chosen.append((record, lesson))
    if (images := len({record.id for record, _ in chosen})) < FEWEST:
        larger = f"set {FEWEST} or more and " if size < FEWEST else ""
        raise UserError(
            "generator.pilot",
            size,
            f"only {images} images with human labels could serve as pilot{_untaught(wanted, offers.values())}",
            f"{larger}give at least {2 * FEWEST} labelled records, or use stopping=uamc generator.aggregate=summary",
        )
    return [
        Task(record, lesson, mask(record.labels, lesson, _key(record, seed, together))) for record, lesson in chosen
    ]


def _key(record: ImageRecord, seed: int, together: bool) -> str:
    """Return what chooses the AUs that are masked: where frames serve together, the same ones in a whole video, since
    a source annotates the same AUs in all of its frames.
    """
    return f"{seed}/{record.source}/{record.clip.video}" if together and record.clip else f"{seed}/{record.id}"


def _apart(records: Sequence[ImageRecord], seed: int) -> set[str]:
    """Return the ids of the frames of long videos that lie outside of a window of each."""
    videos: dict[tuple[str, str], list[ImageRecord]] = {}
    for record in records:
        if record.clip is not None:
            videos.setdefault((record.source, record.clip.video), []).append(record)
    apart: set[str] = set()
    for (source, video), rows in videos.items():
        ordered = sorted(rows, key=lambda row: (row.clip and row.clip.time) or 0.0)
        begin = _hash(seed, f"{source}/{video}") % max(len(rows) - WINDOW + 1, 1)
        apart.update(row.id for row in (*ordered[:begin], *ordered[begin + WINDOW :]))
    return apart


def _untaught(wanted: Mapping[Pattern, Demand], offers: Iterable[Sequence[Lesson]]) -> str:
    """Return what is asked of the records of a pattern and no labelled image can teach, as a message goes on."""
    taught = {(lesson.pattern, name) for kind in offers for lesson in kind for name in lesson.masks}
    parts = []
    for pattern, demand in wanted.items():
        if names := [IN_WORDS[name] for name in demand.asked if (pattern, name) not in taught]:
            beside = " beside them" if any(pattern) else ""
            parts.append(
                f"{demand.records} records of which {pattern.in_words} ask for {' and '.join(names)}, which no record "
                f"carries{beside}"
            )
    if not wanted:
        return ": all that there is to ask is known of every record"
    return f": {'; '.join(parts)}" if parts else ""


class _Need:
    """How many tasks each cell still needs."""

    def __init__(self, wanted: Mapping[Pattern, Demand], size: int) -> None:
        total = sum(demand.records for demand in wanted.values())
        self._wanted, self._size, self._chosen = wanted, size, 0
        self._quota: dict[Cell, int] = {
            (pattern, name): max(min(FEWEST, size), round(size * asked / total))
            for pattern, demand in wanted.items()
            for name, asked in demand.asked.items()
        }
        self._have = Counter[Cell]()

    def _cells(self, lesson: Lesson) -> list[Cell]:
        return [cell for name in lesson.masks if (cell := (lesson.pattern, name)) in self._quota]

    def lacks(self, lesson: Lesson) -> bool:
        """Return whether a lesson is about anything of which there is not enough."""
        cells = self._cells(lesson)
        if self._chosen < self._size:
            return any(self._have[cell] < self._quota[cell] for cell in cells)
        return any(self._have[cell] < min(FEWEST, self._quota[cell]) for cell in cells)

    def urgency(self, lesson: Lesson) -> float:
        """Return the largest share that is lacking of what a lesson is about."""
        return max(1 - self._have[cell] / self._quota[cell] for cell in self._cells(lesson))

    def met(self, lesson: Lesson) -> None:
        """Take note that a task was chosen."""
        self._chosen += 1
        self._have.update(self._cells(lesson))


def group(record: ImageRecord) -> str:
    """Return what a record's labels must not be learnt from: its subject, or itself where none is known."""
    return f"{record.source}/{record.subject}" if record.subject is not None else record.id


def asked(
    tasks: Sequence[Task],
    opened: Callable[[ImageRecord], Face | None],
    ask: Callable[[Sequence[Question]], Sequence[tuple[Labels, ...]]],
    folder: Path,
    show: bool = True,
    twice: bool = True,
    name: str = FILE,
) -> list[Masked]:
    """Return the pilot's answers, from `folder` if it has them, and keep them there otherwise.

    Args:
        tasks: the pilot.
        opened: gives a record's face, None where its image cannot be read.
        ask: the annotator.
        folder: the run's.
        show: whether prompts show what is known.
        twice: whether images of which something is known are also asked about without it.
        name: of the file in `folder`.
    """
    file = folder / name
    if file.is_file():
        return list(read_jsonl(file, Masked))
    known = {task.record.id: opened(task.record) for task in tasks}
    faces = [(task, face) for task in tasks if (face := known[task.record.id]) is not None]
    shown = [
        Question(face, task.masking.known if show else Labels(), missing(task.masking.known)) for task, face in faces
    ]
    again = [place for place, (task, _) in enumerate(faces) if show and twice and not task.masking.known.empty]
    answers = ask([*shown, *(shown[place]._replace(shown=Labels()) for place in again)])
    hidden = dict(zip(again, answers[len(shown) :], strict=True))
    rows = [
        Masked(
            id=task.record.id,
            subject=group(task.record),
            truth=task.masking.truth,
            known=question.shown,
            draws=draws,
            pattern=task.lesson.pattern.name,
            hidden_draws=hidden.get(place, ()),
            source=task.record.source,
        )
        for place, ((task, _), question, draws) in enumerate(zip(faces, shown, answers[: len(shown)], strict=True))
        if draws
    ]
    write_jsonl(file, rows)
    return rows


def unasked(tasks: Sequence[Task]) -> list[Masked]:
    """Return the pilot's rows where nobody is asked: what is known of each image and what is masked."""
    return [
        Masked(
            id=task.record.id,
            subject=group(task.record),
            truth=task.masking.truth,
            known=task.masking.known,
            draws=(),
            pattern=task.lesson.pattern.name,
            source=task.record.source,
        )
        for task in tasks
    ]


def others(records: Iterable[ImageRecord], groups: Collection[str], hidden: Sequence[str]) -> Iterator[Labels]:
    """Yield the labels that couplings may be learnt from: not the pilot's own, and nothing that is to be judged."""
    unseen = fields(hidden)
    for record in records:
        if group(record) not in groups:
            yield record.labels.model_copy(update=dict.fromkeys(unseen))


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0pilot\0{text}".encode()).digest()[:7], "big")
