"""What the machine said and what people made of it, written beside a reviewed run's rows: audit.jsonl, audit.json."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from seke.core import audit
from seke.core.files import write_text
from seke.core.records import InstructionRecord, Rejection, read_jsonl, write_jsonl

QUEUE: Final = "queue.json"
"""Beside the rows of a run: what was asked of people, and the plan of its audit."""


def plan_of(folder: Path) -> audit.Plan | None:
    """Return the plan of the audit of a run: that of its queue, or the one under which the run itself was reviewed."""
    return audit.read_plan(folder / QUEUE) or audit.read_plan(folder / audit.PLAN)


def earlier(folder: Path) -> dict[str, audit.Audited]:
    """Return by id what was looked at already when a run was written."""
    file = folder / audit.ROWS
    return {row.id: row for row in read_jsonl(file, audit.Audited)} if file.is_file() else {}


def write(
    folder: Path,
    reviewed: Path,
    before: Sequence[InstructionRecord],
    after: Sequence[InstructionRecord | Rejection],
    decided: Collection[str],
) -> None:
    """Write audit.jsonl, and, where an audit was planned, audit.json, into a reviewed run; nothing for rows of scenes.

    Args:
        folder: of the new run.
        reviewed: of the run that was reviewed. Where that was itself reviewed, what was looked at then stays.
        before: its rows.
        after: what has become of each.
        decided: ids of those that a person has decided about.
    """
    looked, plan = earlier(reviewed), plan_of(reviewed)
    known = plan or audit.Plan(seed=0)
    population = {row.id for row in before if audit.labelled_by_machine(row)} | set(looked)
    if not population:
        return
    for row, outcome in zip(before, after, strict=True):
        if row.id in decided and row.id in population:
            looked[row.id] = _row(looked.get(row.id), row, outcome, known.seed)
    rows, found = audit.with_probabilities([*looked.values()], population, known)
    write_jsonl(folder / audit.ROWS, rows)
    if plan is not None:
        said = audit.summary(plan, len(population), found, len(rows))
        write_text(folder / audit.PLAN, json.dumps(said, indent=2, ensure_ascii=False) + "\n")


def _row(
    known: audit.Audited | None, row: InstructionRecord, outcome: InstructionRecord | Rejection, seed: int
) -> audit.Audited:
    """Return what is kept of one look. Of a record looked at for the second time the machine's labels are the first."""
    first = known or audit.Audited(
        id=row.id,
        source=row.source,
        subject=row.subject,
        sha256=row.sha256,
        u=audit.number(seed, row.id),
        probability=None,
        machine=row.labels,
        origin=row.origin,
        human=row.labels,
        confidence=row.confidence,
        uncertainty=row.uncertainty,
        attributes=row.attributes,
    )
    if isinstance(outcome, Rejection):
        return first.model_copy(update={"human": first.machine, "rejected": True})
    return first.model_copy(update={"human": outcome.labels, "rejected": False})
