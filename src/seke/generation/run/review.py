"""A person's review of a finished generation, applied: review.json -> a new run. Nobody is asked, nothing is paid.

    python generate.py review=review.json name=reviewed

The report's gallery downloads review.json. It names the generation it is about and the sha256 of its manifest, and
holds decisions about some of its records:

    accept    the record stays as it is, flagged `accepted`
    correct   `labels` holds what the reviewer says instead: these labels become manual ones, the text is written anew
              from all labels, and the record is flagged `reviewed`
    reject    the record goes to rejected.jsonl, reason `review`, with the note as its detail

Where a record has no labels, as a scene's has none, there is nothing to correct: it is accepted or rejected.
Records without a decision stay untouched. The new run keeps the settings and the records of the one it was made from,
so that a report and a training find the same pictures; review.json lies beside its rows.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seke.answers.extract import describe
from seke.core import runs
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.records import InstructionRecord, Labels, Origins, Rejection, Turn, read_jsonl, write_jsonl
from seke.generation import statistics
from seke.generation.seke import checks

COPIED = ("draws.jsonl", "unanswered.md")
"""What the reviewed generation knows and a review does not change."""
NOTHING_ASKED = "a review asks nobody and costs nothing; nothing was written"
FREE = {"requests": 0, "input_tokens": 0, "output_tokens": 0, "usd": 0.0}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Decision(_Strict):
    """What a reviewer decided about one record."""

    id: str
    decision: Literal["accept", "correct", "reject"]
    labels: Labels | None = None
    """Of a correction: only the labels that change."""
    note: str = ""

    @model_validator(mode="after")
    def _labels_belong_to_corrections(self) -> "Decision":
        given = self.labels is not None and not self.labels.empty
        if given != (self.decision == "correct"):
            raise ValueError(f"{self.decision} of {self.id} {'has' if given else 'lacks'} labels")
        return self


class Reviewed(_Strict):
    """The generation that a review is about."""

    name: str = Field(min_length=1)
    manifest: str
    """Hex sha256 of its manifest.json."""


class Review(_Strict):
    """The content of review.json."""

    run: Reviewed
    decisions: list[Decision]


def apply(path: Path, outputs: Path, name: str, overwrite: bool = False) -> runs.Run:
    """Write outputs/generate/<name>/ from the run that the review at `path` is about, and return it, finished.

    Raises:
        UserError: if the review does not read, is about a run that is gone or was made anew, decides about a record
            that the run does not have or twice about one, corrects one without labels, or if `name` is the reviewed
            run itself or another's.
    """
    review = read(path)
    instructions = runs.locate("review.run", review.run.name, outputs, "generate", "instructions.jsonl")
    reviewed = instructions.parent
    manifest = reviewed / "manifest.json"
    if not manifest.is_file() or runs.file_sha256(manifest) != review.run.manifest:
        raise UserError("review", path, f"is not about {reviewed} as it stands", "review a report on that run")
    folder = outputs / "generate" / name
    if folder.resolve() == reviewed.resolve():
        raise UserError("name", name, "this is the run that was reviewed", "choose another name=")
    rows = list(read_jsonl(instructions, InstructionRecord))
    decisions = _by_id(path, review.decisions, {row.id: row for row in rows})

    before = runs.manifest_beside(instructions)
    config = {**before.get("config", {}), "name": name, "review": str(path)}
    inputs = {"review": path, "instructions": instructions, "rejected": reviewed / "rejected.jsonl"}
    run = runs.claim(folder, config, inputs, overwrite)
    if not run.finished:
        shutil.copyfile(path, folder / "review.json")
        facts = _write(rows, decisions, reviewed, folder)
        root = os.path.relpath(runs.image_root(instructions).resolve(), folder.resolve())
        run.finish(image_root=root, **facts, prompts=before.get("prompts"), reviewed=review.run.model_dump())
    return run


def read(path: Path) -> Review:
    """Return the review in `path`.

    Raises:
        UserError: if there is none, or naming the field that is wrong.
    """
    remedy = "download it from the gallery of a report"
    try:
        return Review.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError("review", path, f"does not open ({error.strerror})", remedy) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "whole file"
        raise UserError("review", path, f"field {field}: {first['msg']}", remedy) from None


def _by_id(path: Path, decisions: Sequence[Decision], known: Mapping[str, InstructionRecord]) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for decision in decisions:
        if decision.id not in known:
            raise UserError("review", path, f"the run has no record {decision.id!r}", "download it again")
        if decision.id in found:
            raise UserError("review", path, f"decides twice about {decision.id!r}", "keep one of the decisions")
        if decision.decision == "correct" and known[decision.id].labels.empty:
            raise UserError("review", path, f"corrects {decision.id!r}, which has no labels", "accept or reject it")
        found[decision.id] = decision
    return found


def _write(
    rows: Sequence[InstructionRecord], decisions: Mapping[str, Decision], reviewed: Path, folder: Path
) -> dict[str, Any]:
    """Write the result files and return what the manifest says of them."""
    outcomes = [decided(row, decisions.get(row.id)) for row in rows]
    kept = [row for row in outcomes if isinstance(row, InstructionRecord)]
    rejected = [*read_jsonl(reviewed / "rejected.jsonl", Rejection), *_rejections(outcomes)]
    write_jsonl(folder / "instructions.jsonl", kept)
    write_jsonl(folder / "rejected.jsonl", rejected)
    for name in COPIED:
        if (reviewed / name).is_file():
            shutil.copyfile(reviewed / name, folder / name)
    gone = {row.id for row in _rejections(outcomes)}
    if page := statistics.page(rows, gone):
        write_text(folder / "statistics.md", page)
    kinds = statistics.counted(rows, gone)
    counts = {"records": len(kept) + len(rejected), "instructions": len(kept), "rejected": len(rejected)}
    cost = {"records": counts["records"], "rejected": counts["rejected"], **FREE}
    write_text(folder / "cost.json", json.dumps(cost, indent=2) + "\n")
    made = Counter(decision.decision for decision in decisions.values())
    flags = Counter(flag for row in kept for flag in row.flags)
    found = {"counts": counts, "flags": dict(sorted(flags.items())), "decisions": dict(sorted(made.items()))}
    return {**found, **({"kinds": kinds} if kinds else {})}


def _rejections(outcomes: Sequence[InstructionRecord | Rejection]) -> Iterator[Rejection]:
    return (row for row in outcomes if isinstance(row, Rejection))


def decided(row: InstructionRecord, decision: Decision | None) -> InstructionRecord | Rejection:
    """Return what becomes of one record."""
    if decision is None:
        return row
    if decision.decision == "reject":
        return Rejection(id=row.id, reason="review", detail=decision.note)
    if decision.decision == "accept":
        return row.model_copy(update={"flags": _with(row.flags, "accepted")})
    assert decision.labels is not None
    return corrected(row, decision.labels)


def corrected(row: InstructionRecord, said: Labels) -> InstructionRecord:
    """Return the record with the labels that a person `said` in place of its own, as manual ones.

    The text becomes the statement of all labels, for the reasoning was about others; what the annotator thought of the
    probability of its own label is forgotten, while the spread of its draws remains what it was. Flags that tell of
    labels at odds with each other are found anew.
    """
    final = said.completed_by(row.labels)
    odd = checks.coupling_flags(row.labels)
    flags = [*(flag for flag in row.flags if flag not in odd), *checks.coupling_flags(final)]
    return row.model_copy(
        update={
            "labels": final,
            "origin": _origin(row.origin, said),
            "confidence": _confidence(row.confidence, said),
            "conversations": (row.conversations[0], Turn(speaker="gpt", value=describe(final, digits=2))),
            "flags": _with(flags, "reviewed"),
        }
    )


def _with(flags: Sequence[str], flag: str) -> tuple[str, ...]:
    return (*(other for other in flags if other != flag), flag)


def _said(labels: Labels) -> list[str]:
    return [name for name in ("expression", "valence", "arousal") if getattr(labels, name) is not None]


def _origin(before: Origins, said: Labels) -> Origins:
    units = {str(au): "manual" for au in said.action_units or {}}
    scalars = dict.fromkeys(_said(said), "manual")
    return before.model_copy(update={**scalars, "action_units": {**before.action_units, **units}})


def _confidence(before: Mapping[str, Any] | None, said: Labels) -> dict[str, Any] | None:
    if before is None:
        return None
    left = {name: value for name, value in before.items() if name not in _said(said)}
    if isinstance(units := left.get("action_units"), Mapping):
        gone = {str(au) for au in said.action_units or {}}
        left["action_units"] = {au: value for au, value in units.items() if au not in gone}
    return left
