"""A person's review of a finished generation, applied: review.json -> a new run. Nobody is asked, nothing is paid.

    python generate.py review=review.json name=reviewed

The report's gallery downloads review.json. It names the generation it is about and the sha256 of its manifest, and
holds decisions about some of its records:

    accept    the record stays as it is, flagged `accepted`
    correct   `labels` holds what the reviewer says instead: these labels become manual ones, the text is written anew
              from all labels, and the record is flagged `reviewed`
    reject    the record goes to rejected.jsonl, reason `review`, with the note as its detail

`review=[ann.json,bob.json]` takes the decisions of several reviewers of the same run, each called as its file is. Where
they contradict each other about a row it stays as it was, unless `prefer=` says whose word counts
(`generation.people.agreement`); contradictions.csv lists those rows, reviewers.json says how far they agree.

Where a record has no labels, as a scene's has none, there is nothing to correct: it is accepted or rejected.
Records without a decision stay untouched. The new run keeps the settings and the records of the one it was made from,
so that a report and a training find the same pictures; review.json lies beside its rows, with the hashes of the
pictures and rows that were decided about. audit.jsonl holds what the machine said and what people said of every
record that was looked at, and which of them are a random sample (`seke.core.audit`). By the hashes a review carries
over to the run of that name as it is made anew: `review=reviewed name=reviewed update=true`. A correction holds for a
record's id and picture, whatever its row says by now; that a row was accepted or rejected holds for this row alone.
"""

import csv
import hashlib
import io
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seke.answers.extract import describe
from seke.core import runs
from seke.core.errors import UserError
from seke.core.escape import visible
from seke.core.files import write_text
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Origins,
    Rejection,
    Split,
    Turn,
    read_jsonl,
    to_line,
    write_jsonl,
)
from seke.generation import statistics
from seke.generation.people import agreement
from seke.generation.run import audited
from seke.generation.seke import checks

ASKED = "asked.jsonl"
"""What each record was when it was annotated (`update`)."""
COPIED = ("draws.jsonl", "unanswered.md", ASKED)
"""What the reviewed generation knows and a review does not change."""
CONTRADICTIONS = "contradictions.csv"
FILE = "review.json"
HISTORY = "updates.jsonl"
"""A line an update: the sha256 of the manifest that it replaced, and which records were asked anew, and why."""
LABELS, OTHER = "labels", "picture"
"""Why a record is asked anew: its labels alone have changed; or more, or it is new."""
REASON = "review"
REVIEWERS = "reviewers.json"
SCALARS = ("expression", "valence", "arousal")
FLAGS = frozenset(("reviewed", "accepted"))
"""Of rows that a person has looked at."""
NOTHING_ASKED = "a review asks nobody and costs nothing; nothing was written"
log = logging.getLogger(__name__)
DECIDED = {"accept": "accepted", "correct": "corrected", "reject": "rejected"}
"""What is said of rows that were decided so."""
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
    sha256: str | None = None
    """Of the picture that was decided about; None, and no key, as the gallery writes it."""
    row: str | None = None
    """Digest of the row that was decided about; likewise."""

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


def apply(
    given: str | Sequence[str],
    outputs: Path,
    name: str,
    overwrite: bool = False,
    update: bool = False,
    prefer: str | None = None,
) -> runs.Run:
    """Write outputs/generate/<name>/ from the run that a review is about, and return it, finished.

    Args:
        given: the path of a review.json, or the name of a generate run that has one; of several reviewers, several.
        outputs: the folder of all runs.
        name: of the new run.
        overwrite: as of every run.
        update: whether the run `name` may be replaced by one of the same review of the run as it is now.
        prefer: whose word counts where reviewers contradict each other: "first", "last", or a reviewer's name; None:
            nobody's.

    Raises:
        UserError: if a review does not read, is about a run that is gone, or was made anew while nothing tells which
            pictures it is about, decides about a record that the run does not have or twice about one, corrects one
            without labels, if several are about several runs, if `prefer` is nobody of them, or if `name` is the
            reviewed run itself or another's.
    """
    paths = _paths([given] if isinstance(given, str | Path) else given, outputs)
    reviews = {reviewer: read(path) for reviewer, path in paths.items()}
    instructions, reviewed = _reviewed(paths, reviews, outputs)
    manifest = reviewed / runs.MANIFEST
    folder = outputs / "generate" / name
    if folder.resolve() == reviewed.resolve():
        raise UserError("name", name, "this is the run that was reviewed", "choose another name=")
    if not manifest.is_file():
        path = next(iter(paths.values()))
        raise UserError("review", path, f"{reviewed} is not finished", "finish it: the command that began it goes on")
    if prefer not in (None, agreement.FIRST, agreement.LAST, *paths):
        remedy = f"say first, last or one of {', '.join(paths)}"
        raise UserError("prefer", prefer, "no reviewer of this name", remedy)
    rows = {row.id: row for row in read_jsonl(instructions, InstructionRecord)}
    now = Reviewed(name=reviews[next(iter(paths))].run.name, manifest=runs.file_sha256(manifest))
    each, lost = {}, 0
    for reviewer, review in reviews.items():
        stands = review.run.manifest == now.manifest
        holding = review.decisions if stands else _holding(paths[reviewer], review, reviewed, rows)
        each[reviewer] = _by_id(paths[reviewer], holding, rows)
        lost += len(review.decisions) - len(each[reviewer])
    decisions, differing, verdicts = _agreed(each, rows, prefer)
    marked = [_marked(decision, rows[decision.id]) for decision in decisions.values()]

    before = runs.manifest_beside(instructions)
    named = [str(path) for path in paths.values()]
    preferred = {} if prefer is None else {"prefer": prefer}
    config = {**before.get("config", {}), "name": name, "review": named[0] if len(named) == 1 else named, **preferred}
    files_of = [*paths.values()]
    inputs = {"review": files_of[0] if len(files_of) == 1 else files_of, "instructions": instructions}
    run = runs.claim(folder, config, {**inputs, "rejected": reviewed / "rejected.jsonl"}, overwrite, update=update)
    if not run.finished:
        kept = Review(run=now, decisions=marked).model_dump_json(indent=1, exclude_defaults=True)
        write_text(folder / FILE, kept + "\n")
        if len(paths) > 1 and len({id_ for of in each.values() for id_ in of}) < sum(map(len, each.values())):
            _write_reviewers(folder, differing, verdicts, decisions)
        facts = _write(list(rows.values()), decisions, reviewed, folder)
        root = os.path.relpath(runs.image_root(instructions).resolve(), folder.resolve())
        run.finish(image_root=root, **facts, prompts=before.get("prompts"), reviewed=now.model_dump())
        _tell_of_others(outputs, reviewed, folder)
        if any(review.run.manifest != now.manifest for review in reviews.values()):
            log.warning("%s was made anew since: %d decisions carry over, %d do not", reviewed, len(decisions), lost)
    return run


def _tell_of_others(outputs: Path, reviewed: Path, folder: Path) -> None:
    """Say which other reviews of the same run hold looks that the new one lacks: its labels are not all there are."""
    own = audited.earlier(folder)
    for other, current in audited.made_of(outputs, reviewed):
        if not current or other == folder:
            continue
        try:
            lacking = set(audited.earlier(other)) - set(own)
        except UserError as error:  # of a run that this one does not need
            log.warning(str(error))
            continue
        if lacking:
            both = f"review=[{other.name},{folder.name}] name=<another> makes a run of both"
            log.warning("%s holds %d looks that %s lacks: %s", other.name, len(lacking), folder.name, both)


def _paths(given: Sequence[str], outputs: Path) -> dict[str, Path]:
    """Return the files of the reviewers by name: as their files are called, or, where that is not enough, in full.

    Raises:
        UserError: if one is named twice, or none.
    """
    found = [file if (file := outputs / "generate" / str(one) / FILE).is_file() else Path(str(one)) for one in given]
    names = [Path(str(one)).stem for one in given]
    names = [str(one) if names.count(name) > 1 else name for one, name in zip(given, names, strict=True)]
    if len(set(names)) < len(names) or not names:
        problem = "one file is named twice" if names else "no file is named"
        raise UserError("review", ",".join(map(str, given)), problem, "give each reviewer's review.json once")
    return dict(zip(names, found, strict=True))


def _reviewed(paths: Mapping[str, Path], reviews: Mapping[str, Review], outputs: Path) -> tuple[Path, Path]:
    """Return the rows and the folder of the one run that the reviews are about."""
    names = {reviewer: review.run.name for reviewer, review in reviews.items()}
    if len(set(names.values())) > 1:
        about = ", ".join(f"{reviewer}: {of}" for reviewer, of in names.items())
        remedy = "apply them one after the other"
        raise UserError("review", ",".join(map(str, paths.values())), f"about several runs ({about})", remedy)
    file = runs.locate("review.run", next(iter(names.values())), outputs, "generate", "instructions.jsonl")
    return file, file.parent


def _agreed(
    each: Mapping[str, Mapping[str, Decision]], rows: Mapping[str, InstructionRecord], prefer: str | None
) -> tuple[dict[str, Decision], list[agreement.Contradiction], dict[str, agreement.Verdicts]]:
    """Return the decisions that are applied, in the order of the rows, and what the reviewers say of what they saw."""
    if len(each) == 1:
        return dict(next(iter(each.values()))), [], {}
    verdicts: dict[str, agreement.Verdicts] = {
        reviewer: {id_: _labels_after(rows[id_], decision) for id_, decision in made.items()}
        for reviewer, made in each.items()
    }
    differing = agreement.contradictions(verdicts)
    contradicted = {found.id for found in differing}
    applied: dict[str, Decision] = {}
    for id_ in rows:
        looked = [reviewer for reviewer, made in each.items() if id_ in made]
        if looked and (word := agreement.whose(list(each), looked, id_ in contradicted, prefer)) is not None:
            applied[id_] = each[word][id_]
    return applied, differing, verdicts


def _labels_after(row: InstructionRecord, decision: Decision) -> Labels | None:
    if decision.decision == "reject":
        return None
    return row.labels if decision.labels is None else decision.labels.completed_by(row.labels)


def _write_reviewers(
    folder: Path,
    differing: Sequence[agreement.Contradiction],
    verdicts: Mapping[str, agreement.Verdicts],
    applied: Mapping[str, Decision],
) -> None:
    contradicted = {found.id for found in differing}
    said = {
        "looked": {reviewer: len(of) for reviewer, of in verdicts.items()},
        "contradicted": len(contradicted),
        "not_applied": len(contradicted - set(applied)),
        "pairs": agreement.agreement(verdicts),
    }
    write_text(folder / REVIEWERS, json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["id", "label", *verdicts])
    for found in differing:
        writer.writerow([found.id, found.label, *(found.said.get(reviewer, "") for reviewer in verdicts)])
    write_text(folder / CONTRADICTIONS, table.getvalue())


def line(run: runs.Run) -> str:
    """Return what was decided in a run that `apply` has written, for a person."""
    counts = Counter[str](decision.decision for decision in read(run.path / FILE).decisions)
    decided_about = ", ".join(f"{counts[kind]} {said}" for kind, said in DECIDED.items())
    done = f"{run.path}: {decided_about}; all other rows are as they were"
    return "\n".join((done, *_reviewers_line(run.path)))


def _reviewers_line(folder: Path) -> Iterator[str]:
    """Yield what several reviewers make of it."""
    if not (folder / REVIEWERS).is_file():
        return
    said = json.loads((folder / REVIEWERS).read_text(encoding="utf-8"))
    for pair in said["pairs"] if any(pair["n"] for pair in said["pairs"]) else ():
        words = (
            f"{name.replace('_', ' ')} {100 * pair[name]['agree']:.0f} %"
            + (f" (kappa {pair[name]['kappa']:.2f})" if pair[name]["kappa"] is not None else "")
            for name in ("expression", "action_units", "valence", "arousal", agreement.DECISION)
            if pair[name]["n"]
        )
        who = " and ".join(map(visible, pair["reviewers"]))
        yield f"{who} both looked at {pair['n']} rows" + (f" and agree: {', '.join(words)}" if pair["n"] else "")
    if said["contradicted"]:
        left = said["not_applied"]
        then = f"{left} of them stay as they were (prefer= says whose word counts)" if left else "decided by prefer="
        yield f"they contradict each other about {said['contradicted']} rows, {then}: {folder / CONTRADICTIONS}"


def _holding(path: Path, review: Review, reviewed: Path, rows: Mapping[str, InstructionRecord]) -> list[Decision]:
    """Return the decisions that hold for a run that was made anew since.

    Raises:
        UserError: if nothing tells what has changed.
    """
    anew = _asked_since(reviewed, review.run.manifest)
    marked = review.decisions and all(decision.sha256 for decision in review.decisions)
    if anew is None and not marked:
        problem = f"is not about {reviewed} as it stands, and does not say which pictures it is about"
        remedy = "give review=<name of the run that it was applied to>, which does, or review a report on that run"
        raise UserError("review", path, problem, remedy)
    return [decision for decision in review.decisions if _holds(decision, rows.get(decision.id), anew)]


def _holds(decision: Decision, row: InstructionRecord | None, anew: Mapping[str, str] | None) -> bool:
    """Whether a decision holds for what the row is now: a correction for its picture, others for the row itself."""
    if row is None or (decision.decision == "correct" and row.labels.empty):
        return False
    asked = None if anew is None else anew.get(decision.id)
    if decision.decision == "correct":
        return asked != OTHER if decision.sha256 is None else decision.sha256 == row.sha256
    return asked is None and anew is not None if decision.row is None else decision.row == _digest(row)


def _marked(decision: Decision, row: InstructionRecord) -> Decision:
    return decision.model_copy(update={"sha256": row.sha256, "row": _digest(row)})


def _digest(row: InstructionRecord) -> str:
    return hashlib.sha256(to_line(row).encode()).hexdigest()[:16]


def _asked_since(folder: Path, manifest: str) -> dict[str, str] | None:
    """Return the records of the run in `folder` that were asked anew since its manifest had this sha256, and why.

    None where the run never had it.
    """
    anew: dict[str, str] = {}
    found = False
    if (folder / HISTORY).is_file():
        for line in map(json.loads, (folder / HISTORY).read_text(encoding="utf-8").splitlines()):
            found |= line["manifest"] == manifest
            if found:
                anew |= {key: OTHER if anew.get(key) == OTHER else why for key, why in line["asked"].items()}
    return anew if found else None


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
    write_records(folder, kept)
    audited.write(folder, reviewed, rows, outcomes, decisions)
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


def write_records(folder: Path, rows: Iterable[InstructionRecord]) -> None:
    """Write records.jsonl, which `records=<this run>` reads: the rows with what people say of them, and nothing else.

    Of a row that a person has looked at these are all labels, of others those that came with the record. The split is
    that of the record.
    """
    splits: dict[str, Split] = {}
    if (folder / ASKED).is_file():
        with (folder / ASKED).open(encoding="utf-8") as lines:
            splits = {row["id"]: row["split"] for row in map(json.loads, lines)}
    write_jsonl(folder / runs.RECORDS, (_record(row, splits.get(row.id, "train")) for row in rows))


def _record(row: InstructionRecord, split: Split) -> ImageRecord:
    return ImageRecord(
        id=row.id,
        image=row.image,
        sha256=row.sha256,
        source=row.source,
        subject=row.subject,
        split=split,
        labels=row.labels if is_reviewed(row) else _manual(row),
        attributes=row.attributes,
    )


def is_reviewed(row: InstructionRecord | Rejection) -> bool:
    """Whether a person has decided about a row."""
    if isinstance(row, Rejection):
        return row.reason == REASON
    return not FLAGS.isdisjoint(row.flags)


def _manual(row: InstructionRecord) -> Labels:
    """Return the labels that came with a row's record."""
    said = {name: value for name in SCALARS if (value := _by_people(row, name)) is not None}
    units = {
        au: on for au, on in (row.labels.action_units or {}).items() if row.origin.action_units.get(str(au)) == "manual"
    }
    return Labels(**said, action_units=units or None, au_intensity=row.labels.au_intensity)


def _by_people(row: InstructionRecord, name: str) -> Any:
    return getattr(row.labels, name) if getattr(row.origin, name) == "manual" else None


def decided(row: InstructionRecord, decision: Decision | None) -> InstructionRecord | Rejection:
    """Return what becomes of one record."""
    if decision is None:
        return row
    if decision.decision == "reject":
        return Rejection(id=row.id, reason=REASON, detail=decision.note)
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
    return [name for name in SCALARS if getattr(labels, name) is not None]


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
