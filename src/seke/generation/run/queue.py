"""Whom people look at next, and what their looks guarantee: `review=next`. Nobody is asked, nothing is paid.

    python generate.py review=next name=mine n=100                  a hundred faces: most by doubt, some at random
    python generate.py review=next name=mine guarantee=0.05         what it takes that 5 % of labels are wrong at most

    queue.jsonl      beside the rows of the run: a line a face, in the order in which the page shows them
    queue.json       how it came about: the plan of the audit, the numbers, the run's manifest
    guarantee.json   of each description: how many faces keep the machine's labels, how many still need a look

A part of the looks, `audit=`, is drawn at random (`seke.core.audit`); the rest goes to the faces with the most labels
that are probably wrong (`people.risk`). Nobody is asked for what a person has looked at already, in this run or in
one that a review has made of it. The order on the page is mixed, so that it does not tell who was drawn for which
reason: whoever knows that a face is doubtful looks otherwise at it.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from seke.core import audit, files, runs
from seke.core.errors import UserError
from seke.core.records import Description, InstructionRecord, read_jsonl
from seke.generation.people import guarantee as pac
from seke.generation.people import risk
from seke.generation.run import audited, review

NEXT: Final = "next"
ROWS: Final = "queue.jsonl"
GUARANTEE: Final = "guarantee.json"
LOOKS: Final = 100
"""How many, where nobody says."""
AUDIT: Final = 0.05
"""The share of looks that is drawn at random."""
AUDITED: Final = 20
"""With a guarantee: so many wrong labels the audit is to find where just as many are wrong as may be. Fewer leave less
to the machine, more are looked at for little."""
WORDS: Final[Mapping[Description, str]] = {
    "expression": "expressions", "action_units": "action units", "valence": "valence", "arousal": "arousal",
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What is asked of `review=next`.

    Raises:
        UserError: for a number out of range.
    """

    n: int | None = None
    """Looks; None: `LOOKS`, or with a guarantee all that it takes."""
    audit: float | None = None
    """Share of them at random, in (0, 1]; None: `AUDIT`, or with a guarantee as many as that takes."""
    guarantee: float | Mapping[str, float] | None = None
    """Share of wrong labels that is allowed among the finished ones of each description, in (0, 1), or by description;
    None: none is given."""
    confidence: float = 0.95
    """Of the guarantee, in (0, 1)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n is not None and (isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1):
            raise UserError("n", self.n, "not a number of looks", "set 1 or more")
        if isinstance(self.guarantee, Mapping) and (other := set(self.guarantee) - set(risk.DESCRIPTIONS)):
            remedy = f"name some of {', '.join(risk.DESCRIPTIONS)}"
            raise UserError("guarantee", self.guarantee, f"no description {min(map(str, other))!r}", remedy)
        for value in () if self.guarantee is None else self.allowed.values() or ("{}",):
            if not _within(value, 0, 1):
                raise UserError("guarantee", self.guarantee, "not between 0 and 1", "say 0.05 for 5 %")
        if not _within(self.confidence, 0, 1):
            raise UserError("confidence", self.confidence, "not between 0 and 1", "say 0.95 for 95 %")
        if self.audit is not None and self.audit != 1 and not _within(self.audit, 0, 1):
            remedy = "set 0.05 for 5 % of the looks; without any nothing is guaranteed"
            raise UserError("audit", self.audit, "no share of the looks above 0 and up to 1", remedy)

    @property
    def allowed(self) -> Mapping[Description, float]:
        """Share of wrong labels that is allowed, of each description that is guaranteed."""
        given = self.guarantee
        if isinstance(given, Mapping):
            return {name: given[name] for name in risk.DESCRIPTIONS if name in given}
        return {} if given is None else dict.fromkeys(risk.DESCRIPTIONS, given)


class Known(NamedTuple):
    """What is known about the records of a run that the machine labelled."""

    risks: Mapping[str, Mapping[Description, risk.Risk]]
    """Of each, as it was before anybody looked: all that is kept of it, for there may be a hundred thousand."""
    looked: Mapping[str, audit.Audited]
    """What people have looked at."""
    stale: tuple[str, ...]
    """Runs that a review made of this one as it was before: they do not count."""
    lost: tuple[str, ...]
    """Runs whose looks count, but whose audit has lost its probabilities."""


def ask(outputs: Path, name: str, wanted: Wanted) -> list[str]:
    """Write the queue of a run, and with `wanted.guarantee` what is guaranteed; return what to tell a person.

    The same command again writes the same, until somebody has looked at more.

    Args:
        outputs: the folder of all runs.
        name: of a finished run of generate.py.
        wanted: how many, and what for.

    Raises:
        UserError: if there is no such run, if it has no label of a machine, or if its audit began with another seed.
    """
    folder = runs.locate("name", name, outputs, "generate", "instructions.jsonl").parent
    if not runs.is_finished(folder):
        raise UserError("name", name, f"{folder} is not finished", "finish it: the command that began it goes on")
    known = _known(outputs, folder)
    if not known.risks:
        remedy = "give a run of generate.py that completed labels; there is nothing to look at here"
        raise UserError("name", name, "no label of this run is a machine's", remedy)
    plan = audited.plan_of(folder) or audit.Plan(seed=wanted.seed)
    if plan.seed != wanted.seed:
        problem = f"the audit of {name} began with seed={plan.seed}, and another one would be no random sample with it"
        raise UserError("seed", wanted.seed, problem, f"say seed={plan.seed}")
    values = {record: risk.expected(found) for record, found in known.risks.items()}

    needed: list[str] | None = None
    facts: dict[str, Any] = {}
    if wanted.guarantee is not None:
        facts, plan = _guarantee(known, plan, values, wanted)
        needed = facts.pop("needed")
    certified = bool(facts) and not facts["problem"]
    plan, drawn, chosen = _chosen(known, plan, values, needed, wanted, certified)
    _write(folder, plan, drawn, chosen, values, wanted, known, facts)
    return list(_lines(folder, known, values, drawn, chosen, facts, wanted))


def _known(outputs: Path, folder: Path) -> Known:
    pictures: dict[str, str | None] = {}
    machine: dict[str, Mapping[Description, risk.Risk]] = {}
    reviewed = set[str]()
    for row in read_jsonl(folder / "instructions.jsonl", InstructionRecord):
        pictures[row.id] = row.sha256
        if audit.labelled_by_machine(row):
            machine[row.id] = risk.risks(row)
        if review.is_reviewed(row):
            reviewed.add(row.id)
    looked = {
        id_: row
        for id_, row in audited.earlier(folder).items()
        if row.rejected or (id_ in pictures and pictures[id_] == row.sha256)
    }
    stale, counted = list[str](), [folder]
    for run, current in audited.made_of(outputs, folder):
        if current:
            counted.append(run)
            looked |= {id_: row for id_, row in audited.earlier(run).items() if id_ in pictures or id_ in looked}
        else:
            stale.append(run.name)
    unseen = {id_: found for id_, found in machine.items() if id_ in looked or id_ not in reviewed}
    lost = tuple(run.name for run in counted if audit.probabilities_lost(run))
    return Known({**unseen, **{id_: risk.risks(row) for id_, row in looked.items()}}, looked, tuple(stale), lost)


def _chosen(
    known: Known,
    plan: audit.Plan,
    values: Mapping[str, float | None],
    needed: Sequence[str] | None,
    wanted: Wanted,
    certified: bool,
) -> tuple[audit.Plan, list[str], list[str]]:
    """Return the plan as it goes on, the records that the audit needs, and those that are chosen by their risk."""
    planned = audit.drawn(known.risks, known.looked, plan)
    size = sum(audit.number(plan.seed, record) <= (plan.bounds or (-1.0,))[-1] for record in known.risks)
    n = wanted.n or (LOOKS if wanted.guarantee is None else len(known.risks))
    if wanted.audit is not None or wanted.guarantee is None:
        share = max(1, round(min(n, len(known.risks)) * (AUDIT if wanted.audit is None else wanted.audit)))
        more = share - len(planned.missing)
    else:
        more = 0 if certified or known.lost else min(n - len(planned.missing), _enough(known, wanted, plan) - size)
    if more > 0 and (bound := audit.next_bound(known.risks, plan, more)) is not None:
        plan = plan.model_copy(update={"bounds": (*plan.bounds, bound)})
    drawn = [*audit.drawn(known.risks, known.looked, plan).missing][:n]
    left = [record for record in (values if needed is None else needed) if record not in known.looked]
    left = _by_value(set(left) - set(drawn), values)
    if wanted.guarantee is not None and not certified:
        left = []  # who needs a look is known once the audit was looked at
    return plan, drawn, left[: n - len(drawn)]


def _by_value(records: Collection[str], values: Mapping[str, float | None]) -> list[str]:
    """Return records by falling risk, those of which nothing tells first."""

    def key(record: str) -> tuple[float, str]:
        value = values[record]
        return (-math.inf if value is None else -value), record

    return sorted(records, key=key)


def _enough(known: Known, wanted: Wanted, plan: audit.Plan) -> int:
    """Return how many records an audit is to have: by `AUDITED`, of few records a quarter, but what it takes at all."""
    eps = min(wanted.allowed.values())
    alpha = pac.share_of_alpha(1 - wanted.confidence, len(plan.tested) + 1)
    least = pac.fewest_audited(eps, alpha) + sum(row.rejected for row in known.looked.values())
    population = len(known.risks)
    return min(population, max(least, min(math.ceil(AUDITED / eps), population // 4)))


def _guarantee(
    known: Known,
    plan: audit.Plan,
    values: Mapping[str, float | None],
    wanted: Wanted,
) -> tuple[dict[str, Any], audit.Plan]:
    """Return what guarantee.json says, with the ids still to look at under "needed", and the plan with this test."""
    found = audit.drawn(known.risks, known.looked, plan)
    sample = [known.looked[record] for record in found.sample if not known.looked[record].rejected]
    sizes = plan.tested if len(sample) in plan.tested or not sample else (*plan.tested, len(sample))
    round_ = sizes.index(len(sample)) + 1 if sample else 1
    alpha = pac.share_of_alpha(1 - wanted.confidence, round_)
    finished = [record for record in known.risks if not (record in known.looked and known.looked[record].rejected)]
    needed: set[str] = set()
    descriptions: dict[str, Any] = {}
    for name, eps in wanted.allowed.items():
        records = [record for record in finished if known.risks[record][name].labels]
        if not records:
            continue
        place = dict(zip(records, _places(records, known.risks, values, name).tolist(), strict=True))
        certified = _certified(sample, name, place, eps, alpha)
        unseen = [record for record in records if place[record] >= certified.left and record not in known.looked]
        needed |= set(unseen)
        descriptions[name] = {
            "guarantee": eps,
            "records": len(records),
            "left_to_machine": certified.left,
            "upper_bound": certified.bound if certified.left else None,
            "upper_bound_if_all_were_left": certified.all_machine,
            "wrong_in_audit": certified.wrong,
            "labels_in_audit": certified.labels,
            "still_to_look_at": len(unseen),
        }
    problem = audit.problem_of(plan, found) if plan.bounds else "the audit comes first"
    if known.lost:
        problem = f"the probabilities of the audit in {audit.named(known.lost)} are lost: apply its review again"
    fewest = pac.fewest_audited(min(wanted.allowed.values()), alpha)
    if not problem and len(sample) < fewest:
        problem = f"an audit of {len(sample)} faces is too small: it takes {fewest} that are all right, and more if not"
    return {
        "confidence": wanted.confidence,
        "alpha": alpha,
        "audited": len(sample),
        "tests": round_,
        "seed": plan.seed,
        "problem": problem or None,
        "descriptions": descriptions,
        "still_to_look_at": len(needed),
        "reached": not needed and not problem,
        "needed": _by_value(needed, values),
    }, plan.model_copy(update={"tested": sizes})


def _places(
    records: Sequence[str],
    risks: Mapping[str, Mapping[Description, risk.Risk]],
    values: Mapping[str, float | None],
    name: Description,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    wrong = [risks[record][name].wrong for record in records]
    return risk.ranks(wrong, [values[record] for record in records], [_hash("ties", record) for record in records])


def _certified(
    sample: Sequence[audit.Audited], name: Description, place: Mapping[str, int], eps: float, alpha: float
) -> pac.Certified:
    judged = [
        (
            place[row.id],
            *risk.corrections(row.machine, row.human, row.origin)[name],
            f"{row.source}\0{row.subject}" if row.subject is not None else f"\0{row.id}",
        )
        for row in sample
        if row.id in place
    ]
    numbers = np.array([row[:3] for row in judged], dtype=np.int64).reshape(-1, 3)
    _, cluster = np.unique(np.array([row[3] for row in judged], dtype=str), return_inverse=True)
    return pac.certify(numbers[:, 0], numbers[:, 1], numbers[:, 2], cluster, len(place), eps, alpha)


def _write(
    folder: Path,
    plan: audit.Plan,
    drawn: Sequence[str],
    chosen: Sequence[str],
    values: Mapping[str, float | None],
    wanted: Wanted,
    known: Known,
    facts: Mapping[str, Any],
) -> None:
    why = {
        **dict.fromkeys(chosen, "doubt" if wanted.guarantee is None else "guarantee"),
        **dict.fromkeys(drawn, "audit"),
    }
    said = {
        "manifest": runs.file_sha256(folder / runs.MANIFEST),
        "plan": plan.model_dump(mode="json"),
        "population": len(known.risks),
        "looked": len(known.looked),
        "audit": len(drawn),
        "by_risk": len(chosen),
    }
    rows = [
        {"id": record, "why": why[record], "expected": values[record]}
        for record in sorted(why, key=lambda record: (_hash(f"{plan.seed}\0queue", record), record))
    ]
    files.write_text(folder / ROWS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    if facts:
        files.write_text(folder / GUARANTEE, json.dumps({"manifest": said["manifest"], **facts}, indent=2) + "\n")
    files.write_text(folder / audited.QUEUE, json.dumps(said, indent=2) + "\n")


def _lines(
    folder: Path,
    known: Known,
    values: Mapping[str, float | None],
    drawn: Sequence[str],
    chosen: Sequence[str],
    facts: Mapping[str, Any],
    wanted: Wanted,
) -> Iterator[str]:
    for name in known.stale:
        again = f"review={name} name={name} update=true carries its looks over"
        yield f"{name} is of {folder.name} as it was before: {again}"
    if facts:
        yield from guaranteed(facts)
    unstated = sum(not all(found.stated for found in known.risks[record].values()) for record in chosen)
    unknown = sum(values[record] is None for record in chosen)
    if not drawn and not chosen:
        if known.lost:
            return  # looks that count again may be enough
        yield f"{folder / ROWS}: nothing is left to look at ({len(known.looked):,} of {len(known.risks):,} were)"
        return
    reason = (
        "that still need a look" if wanted.guarantee is not None else "with the most labels that are probably wrong"
    )
    corrected = sum(values[record] or 0.0 for record in chosen)
    about = f" (about {corrected:.0f} wrong labels)" if chosen and not unstated else ""
    parts = [f"{len(drawn):,} drawn at random"] if drawn else []
    parts += [f"{len(chosen):,} {reason}{about}"] if chosen else []
    yield (
        f"{folder / ROWS}: {len(drawn) + len(chosen):,} faces to look at next: {', '.join(parts)}; "
        f"{len(known.looked):,} of {len(known.risks):,} were looked at"
    )
    if unstated:
        yield (
            f"note: of {unstated:,} of them the annotator states no confidence for every label, and the spread of its "
            "draws stands in: generator.aggregate=calibrated states one"
        )
    if unknown:
        yield f"note: of {unknown:,} of them nothing tells how doubtful they are: they come first"


def guaranteed(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what guarantee.json says, a line a description."""
    sure = f"{100 * facts['confidence']:g} %"
    if facts["problem"]:
        yield f"no guarantee yet: {facts['problem']}"
        return
    for name, found in facts["descriptions"].items():
        kept, unseen = found["left_to_machine"], found["still_to_look_at"]
        todo = f"once {unseen:,} more faces were looked at" if unseen else "as they are"
        yield (
            f"{WORDS[name]}: at most {100 * found['guarantee']:g} % of the finished labels are wrong, "
            f"with {sure} confidence, {todo}; "
            f"the machine's labels stay on {kept:,} of {found['records']:,} faces"
        )
    if facts["reached"]:
        yield "the guarantee is reached: nobody needs to look at more"
    else:
        yield f"{facts['still_to_look_at']:,} faces still need a look, all descriptions together"


def _hash(what: str, record: str) -> int:
    digest = hashlib.sha256(f"{what}\0{record}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big")


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low < value < high
