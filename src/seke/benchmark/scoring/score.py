"""Scoring of a run: answers -> predictions.jsonl, metrics.json and table.md, and the same on the terminal.

With another run to compare with, also comparison.json and comparison.md; what they say is in table.md, too.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.protocol import Benchmark, Calibrated, Measured, Published, Writes, measured, predicted
from seke.benchmark.scoring import significance, tables
from seke.benchmark.scoring import subgroups as grouping
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.metrics import evaluate
from seke.benchmark.scoring.prevalence import at_prevalence
from seke.core import old_runs
from seke.core.escape import markdown, visible
from seke.core.files import write_text
from seke.core.records import ImageRecord, Prediction, write_jsonl
from seke.core.runs import noted


class Faces:
    """How the labels of faces are measured: what a benchmark does that is not `Measured` itself."""

    def __init__(self, benchmark: Benchmark | None = None) -> None:
        published = benchmark if isinstance(benchmark, Published) else None
        self._released = published and published.released
        self._prevalence: Mapping[int, float] = (published and published.prevalence) or {}

    def metrics(self, predictions: Sequence[Prediction], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json."""
        found = evaluate(predictions, seed=seed)
        if self._prevalence and found["action_units"] is not None:
            found["action_units"]["at_prevalence"] = at_prevalence(columns(predictions), self._prevalence)
        return found

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run's numbers cannot be held against the paper's."""
        return tables.what_differs(records_file, records, models, self._released)

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print the metrics that a reader compares."""
        tables.show(metrics, title)


def _silent(records: Sequence[ImageRecord], answers: Mapping[str, Answer]) -> Iterator[str]:
    """Yield a remark on records without an answer, where it is known why: a picture that is gone, or another one."""
    given = (answers.get(record.id) for record in records)
    silent = [answer for answer in given if answer is not None and answer.status == "unanswered" and answer.detail]
    if silent:
        first = f"{silent[0].id[:80]}: {silent[0].detail[:200]}"
        yield f"{len(silent)} of {len(records)} records are scored as unanswered, such as {first}"


def score(
    path: Path,
    benchmark: Benchmark,
    records: Sequence[ImageRecord],
    answers: Mapping[str, Answer],
    judge: Judge,
    records_file: Path,
    seed: int,
    against: tuple[str, Sequence[Any]] | None = None,
    groups: Sequence[str] = (),
    caveats: Sequence[str] = (),
    remarks: Sequence[str] = (),
    models: Sequence[str] = (),
    simulated: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Write the files into the run's directory `path`, print the result, and return facts for the manifest.

    Args:
        path: the run's directory; its name is the row's.
        benchmark: makes predictions of answers, and the table.
        records: what was asked about.
        answers: by record id.
        judge: reads labels from an answer.
        records_file: where the records came from.
        seed: of the bootstrap.
        against: the name and predictions of a run to compare with.
        groups: keys of the per-group tables: "source" or "attributes.<name>".
        caveats: why the numbers may not be comparable, beside what the records and the models show.
        remarks: what else a reader of the table should know, such as what could not be checked.
        models: who answered, beside whom the answers themselves name.
        simulated: which of `models` are simulations of one; None where nobody noted it.
    """
    measures: Measured = benchmark if isinstance(benchmark, Measured) else Faces(benchmark)
    remarks = [*remarks, *_silent(records, answers)]
    predictions, missing = predicted(benchmark, records, answers, judge)
    write_jsonl(path / "predictions.jsonl", predictions)
    metrics = {**measured(benchmark, measures, predictions, seed), "missing": missing}
    if isinstance(benchmark, Calibrated):
        sure, bounds = benchmark.trust(predictions, answers, seed)
        if sure:
            metrics["calibration"], metrics["ci95"]["calibration"] = sure, bounds
    if groups and (by := grouping.grouping_of(benchmark)):
        metrics["groups"] = grouping.by_group(predictions, records, groups, seed, grouping=by)
    write_text(path / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    answered_by = [(model, None if simulated is None else model in simulated) for model in models]
    answered_by += [(answer.model, answer.simulated) for answer in answers.values() if answer.model is not None]
    answered = sorted({model for model, _ in answered_by})
    fake = sorted({model for model, was in answered_by if old_runs.simulated(was, model)})
    ids = {row.id for row in predictions}
    scored = [record for record in records if record.id in ids]  # a generate run may annotate a part of its file alone
    notes = [
        *measures.what_differs(records_file, scored, answered),
        *tables.simulated_note(fake, answered),
        *caveats,
    ]
    parts = [benchmark.table(path.name, metrics, notes), grouping.groups_table(metrics.get("groups", {}))]
    if against is not None and (pairing := significance.pairing_of(benchmark)):
        name, theirs = against
        on_shared = benchmark.request is None  # a generation may annotate a part of the records, and keep a pilot back
        found = significance.compare(predictions, theirs, name, seed, pairing=pairing, on_shared=on_shared)
        parts.append(_compared(path, found))
    parts.append("".join(f"- {markdown(remark)}\n" for remark in remarks))
    write_text(path / "table.md", "\n".join(part for part in parts if part))
    if isinstance(benchmark, Writes):
        benchmark.write(path, metrics)
    measures.show(metrics, f"{path}: {len(predictions)} predictions, {missing} records without one")
    for line in metrics["warnings"]:
        print(f"warning: {visible(line)}", file=sys.stderr)
    for line in (*notes, *remarks):
        print(f"note: {visible(line)}", file=sys.stderr)
    counts = {"predictions": len(predictions), "missing": missing}
    return {
        "counts": counts,
        "scores": "labels" if benchmark.request is None else "answers",
        "models": answered,
        "simulated": fake,
        **noted(records_file, "synthetic"),
        "notes": notes,
        "own_draw": any(note.startswith(tables.OWN_DRAW) for note in notes),
        "remarks": list(remarks),
    }


def _compared(path: Path, found: Mapping[str, Any]) -> str:
    """Write comparison.json and comparison.md, and return the section for table.md."""
    table = significance.comparison_table(found, path.name)
    write_text(path / "comparison.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    write_text(path / "comparison.md", f"# {markdown(path.name)} against {markdown(found['against'])}\n\n{table}")
    return f"## Against {markdown(found['against'])}\n\n{table}"
