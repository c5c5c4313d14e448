"""What the machine said and what people made of it, written beside a reviewed run's rows.

audit.jsonl, audit.json    every look, and which of them are a random sample (`seke.core.audit`)
looks.json                 what the looks gained (`gained`)
"""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from seke.core import audit, manifests, runs
from seke.core.files import write_text
from seke.core.records import InstructionRecord, Rejection, read_jsonl, write_jsonl
from seke.generation.people import risk

QUEUE: Final = "queue.json"
"""Beside the rows of a run: what was asked of people, and the plan of its audit."""

LOOKS: Final = "looks.json"
POINTS: Final = 200
"""Of a curve."""
FILES: Final = (QUEUE, audit.ROWS, audit.PLAN)
"""What a run that grows takes along: a random sample goes on where its set does."""


def plan_of(folder: Path) -> audit.Plan | None:
    """Return the plan of the audit of a run: that of its queue, or the one under which the run itself was reviewed."""
    return audit.read_plan(folder / QUEUE) or audit.read_plan(folder / audit.PLAN)


def earlier(folder: Path) -> dict[str, audit.Audited]:
    """Return by id what was looked at already when a run was written."""
    file = folder / audit.ROWS
    return {row.id: row for row in read_jsonl(file, audit.Audited)} if file.is_file() else {}


def made_of(outputs: Path, folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the finished runs that reviews made of a run, and of these again, the oldest first.

    Each comes with whether it is of the run as it stands.
    """
    made: dict[str, list[tuple[int, Path, str]]] = {}
    for file in (outputs / "generate").glob(f"*/{runs.MANIFEST}"):
        of = (manifests.read(file) or {}).get("reviewed")
        if isinstance(of, dict):
            made.setdefault(str(of.get("name")), []).append(
                (file.stat().st_mtime_ns, file.parent, str(of.get("manifest")))
            )
    waiting, seen = [folder], {folder.name}
    while waiting:
        parent = waiting.pop(0)
        now = runs.file_sha256(parent / runs.MANIFEST)
        for _, child, manifest in sorted(made.get(parent.name, ())):
            if child.name not in seen:
                seen.add(child.name)
                yield child, manifest == now
                if manifest == now:
                    waiting.append(child)


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
    plan = plan_of(reviewed)
    known = plan or audit.Plan(seed=0)
    # what was looked at before an audit began has the numbers of its seed from now on
    looked = {
        id_: row.model_copy(update={"u": audit.number(known.seed, id_)}) for id_, row in earlier(reviewed).items()
    }
    population = {row.id for row in before if audit.labelled_by_machine(row)} | set(looked)
    if not population:
        return
    for row, outcome in zip(before, after, strict=True):
        if row.id in decided and row.id in population:
            looked[row.id] = _row(looked.get(row.id), row, outcome, known.seed)
    rows, found = audit.with_probabilities([*looked.values()], population, known)
    write_jsonl(folder / audit.ROWS, rows)
    write_text(folder / LOOKS, json.dumps(gained(rows), indent=2) + "\n")
    if plan is not None:
        said = audit.summary(plan, len(population), found, len(rows))
        write_text(folder / audit.PLAN, json.dumps(said, indent=2, ensure_ascii=False) + "\n")


def renew(folder: Path) -> None:
    """Write audit.jsonl and audit.json again, of a run that has grown: the same plan, by the records of today.

    What was looked at of a picture that is gone, or is another one by now, is left out. A new record may belong to the
    sample: then its probabilities wait until somebody has looked at it, as `review=next` asks for.
    """
    if not (folder / audit.ROWS).is_file():
        return
    found, before = audit.read(folder), earlier(folder)
    if any(row.probability is not None and before[row.id].probability is None for row in found.rows):
        return  # probabilities are lost, which stays to be said
    write_jsonl(folder / audit.ROWS, found.rows)
    write_text(folder / LOOKS, json.dumps(gained(found.rows), indent=2) + "\n")
    if (plan := audit.read_plan(folder / audit.PLAN)) is not None:
        known = {row.id for row in found.rows}
        records = known | {row.id for row in read_jsonl(folder / "instructions.jsonl", InstructionRecord)
                           if audit.labelled_by_machine(row)}  # fmt: skip
        said = audit.summary(plan, found.population, audit.drawn(records, known, plan), len(found.rows))
        write_text(folder / audit.PLAN, json.dumps(said, indent=2, ensure_ascii=False) + "\n")


def gained(rows: Sequence[audit.Audited]) -> dict[str, Any]:
    """Return what looks have corrected, by their number, beside what they were expected to correct.

    Looks that were chosen for their doubt stand by falling expectation, as they were asked for. The audit tells what
    as many looks at random buy. Rejected rows are looks that corrected no label.

    Returns:
        "looks", "expected" and "observed" of the curve, at most `POINTS` of each, beginning at 0 looks; "stated":
        whether expectations are sums of stated confidences and not of spreads; "unknown": looks without an expectation,
        which count 0; "at_random": the audit's "looks" and "observed".
    """
    chosen = [row for row in rows if row.probability is None]
    risks = {row.id: risk.risks(row) for row in chosen}
    values = {row.id: risk.expected(risks[row.id]) for row in chosen}
    chosen.sort(key=lambda row: (-(values[row.id] or 0.0), row.id))
    expected, observed = [0.0], [0]
    for row in chosen:
        expected.append(round(expected[-1] + (values[row.id] or 0.0), 4))
        observed.append(observed[-1] + _corrected(row))
    places = sorted({len(chosen) * point // POINTS for point in range(POINTS + 1)})
    drawn = [row for row in rows if row.probability is not None]
    return {
        "looks": places,
        "expected": [expected[place] for place in places],
        "observed": [observed[place] for place in places],
        "stated": all(found.stated for each in risks.values() for found in each.values()),
        "unknown": sum(value is None for value in values.values()),
        "at_random": {"looks": len(drawn), "observed": sum(map(_corrected, drawn))},
    }


def _corrected(row: audit.Audited) -> int:
    if row.rejected:
        return 0
    return sum(wrong for wrong, _ in risk.corrections(row.machine, row.human, row.origin).values())


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
