"""A generation that grows: what of the run it updates still holds is taken over, and only the rest is asked.

    asked.jsonl      of each record, what it was when it was annotated; beside the rows of every finished run
    carried.jsonl    the rows that are taken over, in the journal's form, while an update is under way
    updates.jsonl    a line an update: the sha256 of the manifest that it replaced, and the records asked anew since

A row is taken over as it stands, decisions of a review included, where its record has the same picture (by its hash),
labels and attributes as when it was annotated. A row that a person has reviewed also stays where labels were added or
corrected that it has already, as `scripts/merge_review.py` writes them; and where a reviewed record is asked anew, the
reviewer's correction is applied to what comes, but for labels that the record says by now. What a pilot has taught is
taken over, too: rows of one run are made by one measure.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from seke.core import files, runs
from seke.core.budget import Spent
from seke.core.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    Origins,
    Rejection,
    Trace,
    read_jsonl,
    to_line,
)
from seke.generation.calibration import pilot
from seke.generation.outcome import Outcome
from seke.generation.run import audited, journal, review
from seke.generation.seke import by_value, normalisation

TAUGHT: Final = (
    pilot.FILE, pilot.COST, pilot.SECOND_FILE, pilot.SECOND_COST, *by_value.ASKING.values(), normalisation.FILE
)  # fmt: skip
"""What is learnt before the first record is annotated."""


class Update(NamedTuple):
    """What an update makes of each record."""

    carried: int
    reviewed: int
    """Of these, rows that a person has decided about."""
    new: int
    changed: int
    gone: int

    @property
    def line(self) -> str:
        """What the command prints."""
        reviewed = f" ({self.reviewed} of them reviewed)" if self.reviewed else ""
        anew = f"{self.new} new and {self.changed} changed ones are asked about"
        return f"update: {self.carried} records are taken over{reviewed}, {anew}, {self.gone} are gone"


class Asked(NamedTuple):
    """A record as it was when it was annotated."""

    sha256: str | None
    labels: str
    attributes: str
    """Hex digests of what the record said."""


def is_under_way(folder: Path) -> bool:
    """Whether the run in `folder` updates another one."""
    return (folder / journal.CARRIED).is_file()


def begin(folder: Path, before: Path, records: Sequence[ImageRecord]) -> Update:
    """Write into `folder` what the finished run in `before` knows of `records` and still holds.

    Args:
        folder: of the run that begins.
        before: of the run that it updates.
        records: those to annotate, in their order.
    """
    rows = _rows(before)
    anew = _anew(before, rows, records)
    kept = {record.id: _taken_over(rows[record.id], record) for record in records if record.id not in anew}
    gone = set(rows) - {record.id for record in records}
    for name in (*TAUGHT, review.FILE, review.HISTORY, *audited.FILES):
        if (before / name).is_file():
            shutil.copyfile(before / name, folder / name)
    if (before / "cost.json").is_file():
        shutil.copyfile(before / "cost.json", folder / journal.EARLIER_COST)
    reviewed = sum(map(review.is_reviewed, kept.values()))
    new = sum(record not in rows for record in anew)
    found = Update(len(kept), reviewed, new, len(anew) - new, len(gone))
    line = {"manifest": runs.file_sha256(before / runs.MANIFEST), "counts": found._asdict(), "asked": anew}
    with files.journal(folder / review.HISTORY) as history:
        files.append(history, [json.dumps(line, ensure_ascii=False)])
    _write(folder, before, kept)
    return found


def to_ask(before: Path, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return the records that an update of the run in `before` would ask about: all, if that is not finished."""
    if not runs.is_finished(before):
        return list(records)
    anew = _anew(before, _rows(before), records)
    return [record for record in records if record.id in anew]


def left(folder: Path, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return the records that are to be asked about: all, unless an update has taken some over."""
    if not is_under_way(folder):
        return list(records)
    with (folder / journal.CARRIED).open(encoding="utf-8") as lines:
        carried = {json.loads(json.loads(line)["trace"])["id"] for line in lines}
    return [record for record in records if record.id not in carried]


def note(folder: Path, records: Sequence[ImageRecord]) -> None:
    """Write what each record is as it is annotated, for a later update, and the audit as it stands now."""
    with files.whole(folder / review.ASKED) as out:
        for record in records:
            row = {"id": record.id, "split": record.split, **_of(record)._asdict()}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    if (folder / review.FILE).is_file():
        review.write_records(folder, read_jsonl(folder / "instructions.jsonl", InstructionRecord))
    audited.renew(folder)


def facts(folder: Path) -> dict[str, Any]:
    """Return what the manifest says of the update that is under way; nothing without one."""
    if not is_under_way(folder):
        return {}
    last = json.loads((folder / review.HISTORY).read_text(encoding="utf-8").splitlines()[-1])
    return {"update": last["counts"]}


def corrections(folder: Path, records: Sequence[ImageRecord]) -> dict[str, Labels]:
    """Return, by record, what the review beside an update's rows corrects of records that are asked anew.

    A correction holds for the picture that it was made of, and for labels that nobody has given the record since.
    """
    if not is_under_way(folder) or not (folder / review.FILE).is_file():
        return {}
    said = {d.id: d for d in review.read(folder / review.FILE).decisions if d.labels is not None}
    found: dict[str, Labels] = {}
    for record in records:
        decision = said.get(record.id)
        if decision is None or decision.labels is None or decision.sha256 != record.sha256:
            continue
        rest = _without(decision.labels, record.labels)
        if not rest.empty:
            found[record.id] = rest
    return found


def _rows(before: Path) -> dict[str, InstructionRecord | Rejection]:
    rows: dict[str, InstructionRecord | Rejection] = {}
    rows |= {row.id: row for row in read_jsonl(before / "instructions.jsonl", InstructionRecord)}
    return rows | {row.id: row for row in read_jsonl(before / "rejected.jsonl", Rejection)}


def _anew(
    before: Path, rows: Mapping[str, InstructionRecord | Rejection], records: Sequence[ImageRecord]
) -> dict[str, str]:
    """Return why records must be asked about, by id; those whose rows still hold are not in it."""
    known = dict(_asked(before / review.ASKED))
    why = {record.id: _why_anew(record, known.get(record.id), rows.get(record.id)) for record in records}
    return {key: reason for key, reason in why.items() if reason is not None}


def _without(said: Labels, known: Labels) -> Labels:
    """Return what a correction says of labels that are not known otherwise."""
    units = {au: on for au, on in (said.action_units or {}).items() if au not in (known.action_units or {})}
    given = {name: None for name in ("expression", "valence", "arousal") if getattr(known, name) is not None}
    return said.model_copy(update={**given, "action_units": units or None})


def _why_anew(record: ImageRecord, asked: Asked | None, row: InstructionRecord | Rejection | None) -> str | None:
    """Return why a record must be asked about, None where its row still holds."""
    if asked is None or row is None:
        return review.OTHER
    now = _of(record)
    if now.sha256 is None or (now.sha256, now.attributes) != (asked.sha256, asked.attributes):
        return review.OTHER
    if isinstance(row, Rejection):
        return None if now.labels == asked.labels and row.reason != "image" else review.LABELS
    return (
        None
        if now.labels == asked.labels or (review.is_reviewed(row) and _agrees(row.labels, record.labels))
        else review.LABELS
    )


def _agrees(labels: Labels, said: Labels) -> bool:
    """Whether labels have all that is said, intensities aside, which no annotator completes."""
    plain = said.model_copy(update={"au_intensity": None})
    shown = labels.model_copy(update={"au_intensity": None})
    return plain.completed_by(shown) == shown


def _taken_over(row: InstructionRecord | Rejection, record: ImageRecord) -> InstructionRecord | Rejection:
    """Return a row with what its record says by now of where it comes from, and of who gave its labels."""
    if isinstance(row, Rejection):
        return row
    where = {"image": record.image, "source": record.source, "subject": record.subject}
    if not review.is_reviewed(row):
        return row.model_copy(update=where)
    labels, said = record.labels, {**row.origin.action_units}
    said |= {str(au): "manual" for au in labels.action_units or {}}
    origin = Origins(
        expression="manual" if labels.expression is not None else row.origin.expression,
        valence="manual" if labels.valence is not None else row.origin.valence,
        arousal="manual" if labels.arousal is not None else row.origin.arousal,
        action_units=said,
    )
    final = row.labels.model_copy(update={"au_intensity": labels.au_intensity})
    return row.model_copy(update={**where, "origin": origin, "labels": final})


def _write(folder: Path, before: Path, kept: Mapping[str, InstructionRecord | Rejection]) -> None:
    """Write the rows that are taken over, each with its trace, all at once: then the update has begun."""
    traces = before / "draws.jsonl"
    with files.whole(folder / journal.CARRIED) as out:
        seen: set[str] = set()
        for trace in read_jsonl(traces, Trace) if traces.is_file() else ():
            if trace.id in kept:
                seen.add(trace.id)
                out.write(_line(kept[trace.id], trace))
        for key, row in kept.items():
            if key not in seen:
                out.write(_line(row, _no_trace(key)))


def _line(row: InstructionRecord | Rejection, trace: Trace) -> str:
    return journal.line(Outcome(row, trace, Spent()), 0.0) + "\n"


def _no_trace(key: str) -> Trace:
    return Trace(id=key, prior=Labels(), draws=(), summary=None, requests=0, input_tokens=0, output_tokens=0)


def _of(record: ImageRecord) -> Asked:
    return Asked(record.sha256, _digest(json.loads(to_line(record.labels))), _digest(record.attributes))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _asked(file: Path) -> Iterator[tuple[str, Asked]]:
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                yield row["id"], Asked(row["sha256"], row["labels"], row["attributes"])
