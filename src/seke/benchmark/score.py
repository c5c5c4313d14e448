"""Answers -> predictions.jsonl, metrics.json and table.md, and the same on the terminal."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from seke.benchmark import tables
from seke.benchmark.answer import Answer
from seke.benchmark.judge import Judge
from seke.benchmark.metrics import evaluate
from seke.records import ImageRecord, Prediction, write_jsonl
from seke.runs import write_text


class Benchmark(Protocol):
    """What conf/benchmark/ offers, as far as scoring goes."""

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[Prediction], int]:
        """Return the predictions to score, and the number of records without an answer."""

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md; `notes` say why the numbers may not be held against the paper's."""


@runtime_checkable
class Trusted(Protocol):
    """A benchmark whose answers say how sure they are."""

    def trust(
        self, predictions: Sequence[Prediction], answers: Mapping[str, Answer], seed: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return metrics.json's "calibration", and the same keys' intervals."""


def score(
    path: Path,
    benchmark: Benchmark,
    records: Sequence[ImageRecord],
    answers: Mapping[str, Answer],
    judge: Judge,
    records_file: Path,
    seed: int,
) -> dict[str, Any]:
    """Write the three files into the run's directory `path`, print the result, and return facts for the manifest."""
    predictions, missing = benchmark.predictions(records, answers, judge)
    write_jsonl(path / "predictions.jsonl", predictions)
    metrics = {**evaluate(predictions, seed=seed), "missing": missing}
    if isinstance(benchmark, Trusted):
        metrics["calibration"], metrics["ci95"]["calibration"] = benchmark.trust(predictions, answers, seed)
    write_text(path / "metrics.json", json.dumps(metrics, indent=1, allow_nan=False) + "\n")
    models = sorted({answer.model for answer in answers.values() if answer.model is not None})
    notes = tables.what_differs(records_file, records, models)
    write_text(path / "table.md", benchmark.table(path.name, metrics, notes))
    tables.show(metrics, f"{path}: {len(predictions)} predictions, {missing} records without one")
    for line in metrics["warnings"]:
        print(f"warning: {line}", file=sys.stderr)
    for line in notes:
        print(f"note: {line}", file=sys.stderr)
    return {"counts": {"predictions": len(predictions), "missing": missing}, "models": models, "notes": notes}
