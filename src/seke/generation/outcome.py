"""The protocol of generators: faces in, outcomes out, and the checks of what a generator hands back."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from pydantic import ValidationError

from seke.core import plugins
from seke.core.budget import Spent
from seke.core.prompts import Prompts
from seke.core.records import ImageRecord, InstructionRecord, Rejection, Trace
from seke.core.vlm import Image


class Face(NamedTuple):
    """A record and its image file, known to be readable."""

    record: ImageRecord
    image: Image


class Outcome(NamedTuple):
    """What one record came to."""

    row: InstructionRecord | Rejection
    trace: Trace
    cost: Spent
    """What its replies cost, whenever that was paid."""

    @property
    def usd(self) -> float | None:
        """Known dollars; None where a price is not known."""
        return self.cost.usd

    def after(self, declined: "Outcome") -> "Outcome":
        """Return this outcome with the bill of an earlier attempt at the same record added to it."""
        before, now = declined.trace, self.trace
        bill = {
            name: getattr(before, name) + getattr(now, name) for name in ("requests", "input_tokens", "output_tokens")
        }
        cost = Spent()
        cost.plus(declined.cost)
        cost.plus(self.cost)
        return Outcome(self.row, now.model_copy(update=bill), cost)


class Generator(Protocol):
    """Anything that turns faces into outcomes."""

    prompts: Prompts
    spare: ClassVar[Mapping[str, Any]]
    """The settings that differ where it is the fallback of its like, which learns nothing of its own annotator."""

    def learn(self, records: Sequence[ImageRecord], opened: Callable[[ImageRecord], Face | None], folder: Path) -> None:
        """Learn what the settings need before the first record is annotated; `folder` keeps it for a resume.

        `opened` gives a record's face, None where its image cannot be read.
        """
        ...

    def generate(self, faces: Sequence[Face]) -> Iterator[Outcome]:
        """Yield one outcome per face, in order: an instruction of the face's own id, or a rejection."""
        ...


@runtime_checkable
class Planner(Protocol):
    """A generator that says itself which records it works on, and how often."""

    def plan(self, records: Sequence[ImageRecord]) -> list[ImageRecord]:
        """Return one entry per instruction that is wanted, each with an id of its own."""
        ...


@runtime_checkable
class OfVideos(Protocol):
    """A generator that may have to see all frames of a video together."""

    whole_videos: bool


@runtime_checkable
class Adaptive(Protocol):
    """A generator that finds out by a pilot how, and whether, its annotator is asked about the records."""

    def suppose_asked(self, worst: bool) -> None:
        """Suppose after learning, for an estimate, that the annotator is worth asking, at worst in the dearest way."""
        ...


def completed(generator: Generator, faces: Sequence[Face]) -> list[Outcome]:
    """Return what a generator makes of faces: one outcome each, in their order.

    Raises:
        UserError: if it makes anything else of one, or a row that breaks its format.
    """
    try:
        made: Any = generator.generate(faces)
        outcomes = list(made) if isinstance(made, Iterable) else None
    except ValidationError as error:
        raise plugins.invalid("generator", generator, error) from error
    if outcomes is None:
        problem = f"generate() returned {plugins.shown(made)}"
        raise plugins.broken("generator", generator, problem, "yield one Outcome per face")
    if len(outcomes) != len(faces):
        problem = f"made {len(outcomes)} outcomes of {len(faces)} faces"
        raise plugins.broken("generator", generator, problem, "yield one Outcome per face, in their order")
    for face, outcome in zip(faces, outcomes, strict=True):
        row = outcome.row if isinstance(outcome, Outcome) else None
        if not isinstance(row, InstructionRecord | Rejection) or row.id != face.record.id:
            problem = f"made {plugins.shown(outcome)} of {face.record.id}"
            remedy = "yield an Outcome with an InstructionRecord or a Rejection of that id"
            raise plugins.broken("generator", generator, problem, remedy)
    return outcomes


def planned(generator: Generator, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return what `generator` works on: what it plans, or every record once.

    Raises:
        UserError: if it plans nothing, anything but records, or two of one id.
    """
    if not isinstance(generator, Planner):
        return list(records)
    try:
        plan: Any = generator.plan(records)
        entries = list(plan) if isinstance(plan, Iterable) else []
    except ValidationError as error:
        raise plugins.invalid("generator", generator, error) from error
    remedy = "return one ImageRecord per instruction, each with an id of its own"
    if not entries or not all(isinstance(entry, ImageRecord) for entry in entries):
        raise plugins.broken("generator", generator, f"plan() returned {plugins.shown(plan)}", remedy)
    twice, count = Counter(entry.id for entry in entries).most_common(1)[0]
    if count > 1:
        raise plugins.broken("generator", generator, f"planned {twice} {count} times", remedy)
    return entries
