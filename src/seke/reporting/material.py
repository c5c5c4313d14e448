"""All that one report is made from: the runs in the order of their rows, their records, and the latent truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seke import runs
from seke.errors import UserError
from seke.records import ImageRecord, InstructionRecord, Labels, read_jsonl
from seke.reporting import results
from seke.reporting.gather import FinishedRun, Gathered
from seke.reporting.provenance import nature
from seke.reporting.wording import NamedRun, named


@dataclass(frozen=True)
class Material:
    """What tables, figures and cases draw on; an empty part means that no such run was found."""

    scored: Sequence[NamedRun]
    """Evaluations of models on FEAB."""
    checked: Sequence[NamedRun]
    """Evaluations of generated labels against the latent truth."""
    generated: Sequence[NamedRun]
    trained: Sequence[NamedRun]
    rows: Mapping[str, Sequence[InstructionRecord]]
    """The instructions of each generation, by its run's name."""
    chosen: NamedRun | None
    """The generation whose records are looked at."""
    truth: Mapping[str, Labels]
    """The latent labels of the records that `chosen` annotated, by id; empty where nobody knows them."""
    image_root: Path | None
    """The folder of the pictures of `chosen`; None where its records are gone."""
    trusted: Mapping[str, tuple[results.Bin, ...]]
    """How often the labels that `chosen` generated are right, by their uncertainty."""
    nature: str
    """What the numbers come from where it is not real, e.g. "synthetic faces, simulated annotator"."""
    absent: Sequence[str]
    """Labels of evaluations that the wording expects and nobody ran."""


def collect(
    found: Gathered,
    outputs: Path,
    wording: Mapping[str, Mapping[str, Mapping[str, Any]]],
    cases_run: str,
    images: str | None,
) -> Material:
    """Read what the gathered runs left, in the order and under the names that `wording` gives."""
    generated, trained, evaluated = (
        named(found.of(door), wording.get(door, {})) for door in ("generate", "train", "evaluate")
    )
    rows = {item.run.name: results.instructions(item.run) for item in generated}
    chosen = _of_suffix(generated, cases_run)
    records = _prepared(chosen.run, outputs) if chosen else None
    truth = _truth(records) if records else {}
    root = Path(images) if images else runs.image_root(records) if records else None
    return Material(
        scored=[item for item in evaluated if not results.is_reliability(item.run)],
        checked=[item for item in evaluated if results.is_reliability(item.run)],
        generated=generated,
        trained=trained,
        rows=rows,
        chosen=chosen,
        truth=truth,
        image_root=root,
        trusted=results.trust(rows[chosen.run.name], truth) if chosen else {},
        nature=nature(found, rows),
        absent=_absent(evaluated, wording.get("evaluate", {})),
    )


def _of_suffix(generated: Sequence[NamedRun], suffix: str) -> NamedRun | None:
    """Return the run of that suffix, or else the first that kept its draws."""
    fitting = [item for item in generated if item.suffix == suffix]
    sampled = [item for item in generated if (item.run.path / "draws.jsonl").is_file()]
    return next(iter([*fitting, *sampled]), None)


def _absent(evaluated: Sequence[NamedRun], wording: Mapping[str, Mapping[str, Any]]) -> list[str]:
    present = {item.suffix for item in evaluated}
    return [str(words["label"]) for suffix, words in wording.items() if suffix not in present] if evaluated else []


def _prepared(run: FinishedRun, outputs: Path) -> Path | None:
    """Return the records file that a generation read, if it is still there."""
    try:
        return runs.locate("records", str(run.config.get("records")), outputs, "prepare", "train.jsonl")
    except UserError:
        return None


def _truth(records: Path) -> dict[str, Labels]:
    path = records.parent / "truth.jsonl"
    return {row.id: row.labels for row in read_jsonl(path, ImageRecord)} if path.is_file() else {}
