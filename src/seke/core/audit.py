"""The audit: a simple random sample of what the machine labelled, looked at by people whatever its labels say.

Where people look at doubtful faces first, what they find says little of the faces that they did not look at. So some
are drawn at random. Every record has a permanent random number u in [0, 1), a hash of a seed and its id (Ohlsson,
Coordination of samples using permanent random numbers, in Business Survey Methods, Wiley 1995). An audit is planned
as a bound, before anybody looks: the records with u up to it are the sample. If all of them were looked at, they are
a simple random sample of size m of the N records that the machine labelled, each with inclusion probability m / N,
whatever other records were looked at for other reasons. A larger bound goes on with the same sample, and so does a
set that grows.

The bound must be planned. The longest run of records that happen to have been looked at is no random sample: it goes
on where somebody looked at the next record because it was doubtful, and ends where nobody did.

A record that was rejected belongs to no class of labels. It stays in the sample, so that the others keep their
probabilities, and is left out of what is estimated: that is then about the records that can be labelled (a domain).

    audit.jsonl    beside the rows of a reviewed run: every record that a person looked at, before and after (`Audited`)
    audit.json     the seed, the bounds that were planned, and what came of them (`Plan`)
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seke.core.errors import UserError
from seke.core.records import (
    InstructionRecord,
    Labels,
    Origins,
    Probability,
    Uncertainty,
    read_jsonl,
)

ROWS: Final = "audit.jsonl"
PLAN: Final = "audit.json"
SHOWN: Final = 3
"""How many ids a line names."""
Number = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Audited(_Frozen):
    """One row of audit.jsonl: a record that a person has looked at."""

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    sha256: str | None = None
    """Of the picture."""
    u: Number
    """Its permanent random number."""
    probability: Probability | None
    """With which it came into the audit sample, m / N; None where it is not in it, but was looked at for its doubt."""
    machine: Labels
    """The row's labels before anybody looked: the machine's, and those that people had given before."""
    origin: Origins
    """Which of these are the machine's ("generated")."""
    human: Labels
    """The row's labels afterwards, all of which a person confirmed. Of a rejected record those of before: they say
    nothing."""
    rejected: bool = False
    confidence: dict[str, Any] | None = None
    """The machine's, of its own labels, as in instructions.jsonl."""
    uncertainty: Uncertainty = Uncertainty()
    attributes: dict[str, Any] = Field(default_factory=dict)


class Plan(_Frozen):
    """What was planned before anybody looked: audit.json, and within the queue's settings."""

    seed: int
    bounds: tuple[Number, ...] = ()
    """Ascending: each is the u of the last record of an audit sample."""
    tested: tuple[int, ...] = ()
    """Sizes of the samples by which a guarantee was tested so far: each test could have been the lucky one."""


class Drawn(NamedTuple):
    """The audit sample among records that were looked at."""

    sample: tuple[str, ...]
    """Ids by ascending u; empty where no planned sample is whole."""
    missing: tuple[str, ...]
    """Ids, by ascending u, that nobody has looked at and that the largest planned sample needs."""


class Audit(NamedTuple):
    """What audit.jsonl and audit.json of a reviewed run say."""

    rows: tuple[Audited, ...]
    """All that was looked at."""
    sample: tuple[Audited, ...]
    """The simple random sample, by ascending u, rejected records included; empty where there is none."""
    population: int
    """N: records that the machine labelled, looked at or not, rejected ones included."""
    plan: Plan
    problem: str
    """Why `sample` is not what was planned, in one line; empty where it is. An earlier, smaller sample may be whole."""

    @property
    def labelled(self) -> tuple[Audited, ...]:
        """The sample without rejected records: what estimates are made of."""
        return tuple(row for row in self.sample if not row.rejected)


def number(seed: int, record: str) -> float:
    """Return a record's permanent random number u in [0, 1): 53 bits of a hash of the seed and its id.

    >>> 0 <= number(0, "a") < 1, number(0, "a") == number(0, "a"), number(0, "a") == number(1, "a")
    (True, True, False)
    """
    digest = hashlib.sha256(f"{seed}\0audit\0{record}".encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def order(records: Iterable[str], seed: int) -> list[str]:
    """Return ids by ascending u: the order in which an audit looks at them."""
    return sorted(records, key=lambda record: (number(seed, record), record))


def next_bound(records: Collection[str], plan: Plan, more: int) -> float | None:
    """Return the bound of the sample that has `more` records than the last planned one; None where all are in that.

    Args:
        records: ids of the population.
        plan: what was planned so far.
        more: 1 or greater.
    """
    last = plan.bounds[-1] if plan.bounds else -1.0
    left = sorted(u for record in records if (u := number(plan.seed, record)) > last)
    return left[min(more, len(left)) - 1] if left else None


def drawn(records: Iterable[str], looked: Collection[str], plan: Plan) -> Drawn:
    """Return the largest planned sample of `records` that was `looked` at without a gap.

    Args:
        records: ids of the population, looked at or not.
        looked: ids of what was looked at, for whatever reason.
        plan: the seed and the bounds.

    >>> whole = drawn(["a", "b", "c"], ["a", "b", "c"], Plan(seed=0, bounds=(0.999,)))
    >>> sorted(whole.sample), whole.missing
    (['a', 'b', 'c'], ())
    """
    seen = set(looked)
    last = plan.bounds[-1] if plan.bounds else -1.0
    planned = [(u, record) for record in records if (u := number(plan.seed, record)) <= last]
    planned.sort()
    missing = tuple(record for _, record in planned if record not in seen)
    gap = number(plan.seed, missing[0]) if missing else 1.0
    whole = max((bound for bound in plan.bounds if bound < gap), default=-1.0)
    return Drawn(tuple(record for u, record in planned if u <= whole), missing)


def labelled_by_machine(row: InstructionRecord) -> bool:
    """Whether any label of a row is generated: such rows are the population."""
    origin = row.origin
    generated = "generated" in (origin.expression, origin.valence, origin.arousal)
    return generated or "generated" in origin.action_units.values()


def with_probabilities(rows: Sequence[Audited], records: Collection[str], plan: Plan) -> tuple[list[Audited], Drawn]:
    """Return rows by ascending u, each with the probability with which it came into the sample, and the sample.

    Args:
        rows: what was looked at.
        records: ids of the population, these included.
        plan: the seed and the bounds.
    """
    found = drawn(records, {row.id for row in rows}, plan)
    share, inside = len(found.sample) / max(len(records), 1), set(found.sample)
    ordered = sorted(rows, key=lambda row: (row.u, row.id))
    return [row.model_copy(update={"probability": share if row.id in inside else None}) for row in ordered], found


def read(folder: Path) -> Audit:
    """Return the audit of a reviewed run, its sample checked against the records of the run as they are now.

    Whoever uses `sample` says `problem`, if there is one: then no number is corrected by less than was planned unseen.

    Args:
        folder: outputs/generate/<name>/.

    Raises:
        UserError: if a file does not read, or a row's random number is not that of its id and the seed.
    """
    plan = read_plan(folder / PLAN)
    rows = [*read_jsonl(folder / ROWS, Audited)] if (folder / ROWS).is_file() else []
    if plan is None:
        return Audit(tuple(rows), (), 0, Plan(seed=0), "no audit was planned before people looked: review=next does")
    for row in rows:
        if row.u != number(plan.seed, row.id):
            problem = f"{row.id!r} has a random number that is not of seed {plan.seed}: this is no random sample"
            raise UserError("audit", folder / ROWS, problem, "apply the review again")
    now: dict[str, tuple[str | None, bool]] = {}  # there may be a hundred thousand: no more is kept of each
    for record in read_jsonl(folder / "instructions.jsonl", InstructionRecord):
        now[record.id] = record.sha256, labelled_by_machine(record)
    # A record that has another picture by now, or is gone, is not the one that was looked at.
    kept = [row for row in rows if row.rejected or (row.id in now and now[row.id][0] == row.sha256)]
    population = {id_ for id_, (_, machine) in now.items() if machine} | {row.id for row in kept}
    stored = {row.id for row in kept if row.probability is not None}
    final, found = with_probabilities(kept, population, plan)
    by_id = {row.id: row for row in final}
    if lost := [record for record in found.sample if record not in stored]:
        problem = f"the probabilities of {named(lost)} are lost: this is no random sample; apply the review again"
        return Audit(tuple(final), (), len(population), plan, problem)
    sample = tuple(by_id[record] for record in found.sample)
    return Audit(tuple(final), sample, len(population), plan, problem_of(plan, found))


def read_plan(file: Path) -> Plan | None:
    """Return the plan in a file that holds one under "plan", or as a whole; None where there is no such file.

    Raises:
        UserError: if it does not read.
    """
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Plan.model_validate_json(json.dumps(content["plan"]))
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        raise UserError("audit", file, "does not read as the plan of an audit", "apply the review again") from None


def probabilities_lost(folder: Path) -> bool:
    """Return whether rows of audit.jsonl lack the probabilities that they had when audit.json was written.

    Raises:
        UserError: if a file does not read.
    """
    plan, file = read_plan(folder / PLAN), folder / ROWS
    if plan is None or not file.is_file():
        return False
    sample = int(json.loads((folder / PLAN).read_text(encoding="utf-8")).get("sample") or 0)
    return sum(row.probability is not None for row in read_jsonl(file, Audited)) < sample


def summary(plan: Plan, population: int, found: Drawn, looked: int) -> Mapping[str, Any]:
    """Return what audit.json says."""
    return {
        "plan": plan.model_dump(mode="json"),
        "population": population,
        "looked": looked,
        "sample": len(found.sample),
        "missing": list(found.missing),
        "problem": problem_of(plan, found) or None,
    }


def problem_of(plan: Plan, found: Drawn) -> str:
    """Return in one line why the sample is not what was planned; empty where it is."""
    if not plan.bounds:
        return "no audit was planned before people looked: review=next does"
    if found.missing:
        whole = f"the earlier {len(found.sample)} are whole" if found.sample else "there is no audit sample yet"
        return f"nobody has decided about {named(found.missing)}, which the audit needs; {whole}"
    return ""


def named(records: Sequence[str]) -> str:
    """Return some ids in words.

    >>> named(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    more = f" and {len(records) - SHOWN} more" if len(records) > SHOWN else ""
    return ", ".join(records[:SHOWN]) + more
