"""The runs of one experiment: which cells there are, what each measured, and which are missing.

A recipe calls its runs <name>-<cell>, or <name>-s<seed>-<cell> where it has several seeds. A row of a study's table is
one cell; or, by task, several (Figure 4's "only one description"); or one source in a cell (leave one source out).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final, NamedTuple

from seke.core import old_runs
from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.records import Split
from seke.reporting.data.run_labels import Words
from seke.reporting.data.runs import FinishedRun, LeftOut, Outputs, estimates
from seke.reporting.data.scenes import without_a_model

TONES: Final = ("grey", "sky", "orange", "blue", "green", "purple", "red", "yellow")
"""Colours of rows that name none, in turn."""
COST_KEYS: Final = ("requests", "input_tokens", "output_tokens", "usd")
"""What cost.json counts for a whole run; a study shows it per 1,000 records."""


class Value(NamedTuple):
    """A measure of one row: of one run with its 95 % interval, or of several seeds with their spread."""

    value: float | None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    """Standard deviation over the seeds (n - 1); None for a single one."""
    seeds: int = 1
    """How many seeds measured it."""

    @property
    def reach(self) -> Estimate:
        """The value with its interval, or over several seeds with one standard deviation to either side."""
        if self.value is None or self.sd is None:
            return Estimate(self.value, self.low, self.high)
        return Estimate(self.value, self.value - self.sd, self.value + self.sd)


@dataclass(frozen=True)
class Line:
    """One row of a study, measured."""

    key: str
    words: Words
    each: Mapping[str, Mapping[str, Estimate]]
    """Per seed's name (demo-s0), per measure."""
    runs: Mapping[str, Mapping[str, FinishedRun]] = field(default_factory=dict)
    """Per seed's name, per task, the evaluation (or prepared set); under "" where one stands for all tasks."""
    source: str | None = None
    """Of the run's faces only those of this source."""
    notes: tuple[str, ...] = ()
    """Why its numbers may not be held against the paper's, as its runs noted."""

    def value(self, measure: str) -> Value:
        """Return a measure: of one seed as it is, of several the mean and the standard deviation."""
        found = [each[measure] for each in self.each.values() if measure in each]
        known = [estimate.value for estimate in found if estimate.value is not None]
        if len(self.each) < 2:
            return Value(*found[0]) if found else Value(None)
        spread = stdev(known) if len(known) > 1 else None
        return Value(fmean(known) if known else None, sd=spread, seeds=len(known))

    def evaluation(self, seed: str, measure: str) -> FinishedRun | None:
        """Return the run that measured `measure` under `seed`."""
        runs = self.runs.get(seed, {})
        return runs.get(measure.partition(".")[0], runs.get(""))


class MeasuredRows(NamedTuple):
    """The rows of a study that were measured at all, and the runs that were not."""

    lines: tuple[Line, ...]
    seeds: tuple[str, ...]
    """The names under which the cells were run: "table4", or "table4-s0", "table4-s1", ..."""
    missing: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """Why evaluations of these runs cannot be held against the paper's numbers."""


def read_rows(outputs: Outputs, name: str, runs: Mapping[str, str], rows: Mapping[str, Any]) -> MeasuredRows:
    """Read every cell of a study.

    Args:
        outputs: the folder of all runs.
        name: of the experiment's runs.
        runs: per stage, how its runs are called, e.g. {"evaluate": "{name}-labels-{cell}"}.
        rows: per row its label, or {label, short, tone, reference, cell, tasks, source, stages}; see the module, and
            for `stages` those of `runs` that the row has, where it lacks some.
    """
    seeds = seeds_of(outputs.path, name, runs)
    missing = dict.fromkeys(_unseeded(outputs.path, name, runs, rows) if seeds != (name,) else ())
    lines = []
    for place, (key, given) in enumerate(rows.items()):
        spec: Mapping[str, Any] = {} if isinstance(given, str) else given
        each: dict[str, dict[str, Estimate]] = {}
        evaluations: dict[str, dict[str, FinishedRun]] = {}
        notes: dict[str, None] = {}
        for seed, (task, cell), (stage, called) in product(seeds, _cells(key, spec), runs.items()):
            if stage not in spec.get("stages", runs):
                continue
            read = _read(outputs, stage, called.format(name=seed, cell=cell), spec.get("source"))
            if isinstance(read, LeftOut):
                missing[read] = None
                continue
            run, values = read
            each.setdefault(seed, {}).update({name: value for name, value in values.items() if name.startswith(task)})
            notes |= dict.fromkeys(_notes(run))
            if stage not in ("generate", "train"):
                evaluations.setdefault(seed, {})[task] = run
        if each:
            tone = spec.get("tone", TONES[place % len(TONES)])
            words = Words(label(rows, key), str(spec.get("short", key)), tone, bool(spec.get("reference", False)))
            lines.append(Line(key, words, each, evaluations, spec.get("source"), tuple(notes)))
    every = dict.fromkeys(note for line in lines for note in line.notes)
    return MeasuredRows(tuple(lines), seeds, tuple(missing), tuple(every))


def _cells(key: str, spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the cells of a row, each with the task that it stands for: "" for all of them."""
    return list((spec.get("tasks") or {"": spec.get("cell", key)}).items())


def label(rows: Mapping[str, Any], key: str) -> str:
    """Return what a row is called."""
    return str(rows[key] if isinstance(rows[key], str) else rows[key]["label"])


def seeds_of(outputs: Path, name: str, runs: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that the experiment ran under: one for each seed, or the plain name where there are none."""
    pattern = re.compile(rf"({re.escape(name)}-s(\d+))(?:-.*)?")
    folders = [path.name for stage in runs if (outputs / stage).is_dir() for path in (outputs / stage).iterdir()]
    found = {match[1]: int(match[2]) for folder in folders if (match := pattern.fullmatch(folder))}
    return tuple(sorted(found, key=found.__getitem__)) or (name,)


def _unseeded(outputs: Path, name: str, runs: Mapping[str, str], rows: Mapping[str, Any]) -> Iterator[LeftOut]:
    """Yield the runs that stand beside those of several seeds and have none in their names."""
    for (key, spec), (stage, called) in product(rows.items(), runs.items()):
        for _, cell in _cells(key, {} if isinstance(spec, str) else spec):
            if (outputs / stage / (run := called.format(name=name, cell=cell))).is_dir():
                yield LeftOut(stage, run, "left out, it has no seed in its name and others have")


def finished(outputs: Outputs, stage: str, name: str) -> FinishedRun | LeftOut:
    """Return a run, or why there is none to use."""
    path = outputs.path / stage / name
    if not path.is_dir():
        return LeftOut(stage, name, "not run")
    try:
        return outputs.open(path)
    except FileNotFoundError:
        return LeftOut(stage, name, "failed or not finished")
    except (ValueError, OSError, RecursionError) as error:
        return LeftOut(stage, name, f"manifest.json does not read: {error}")


def _read(
    outputs: Outputs, stage: str, name: str, source: str | None
) -> tuple[FinishedRun, dict[str, Estimate]] | LeftOut:
    run = finished(outputs, stage, name)
    if isinstance(run, LeftOut):
        return run
    try:
        return run, READERS[stage](run, source)
    except UserError as error:
        return LeftOut(stage, name, str(error))


def _scores(run: FinishedRun, source: str | None) -> dict[str, Estimate]:
    scores = run.scores if source is None else estimates((run.metrics.get("by_source") or {}).get(source) or {})
    return {**scores, **without_a_model(scores)}


def _costs(run: FinishedRun, source: str | None) -> dict[str, Estimate]:
    cost = run.cost
    records = cost.get("records")
    rates = {
        f"cost.{name}": Estimate(1000 * cost[name] / records if records and name in cost else None)
        for name in COST_KEYS
    }
    return {**rates, "cost.mean_samples": Estimate(cost.get("mean_samples")), **_texts(run.manifest)}


def _texts(manifest: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return what a generation's manifest says of its texts; those of earlier versions say less."""
    counts, flags, diversity = (manifest.get(key) or {} for key in ("counts", "flags", "diversity"))
    every = diversity.get("all") or {}
    asked, answered = (every.get(part) or {} for part in ("questions", "answers"))
    written = counts.get("instructions")
    return {
        "texts.class_differs": Estimate(flags.get("class_differs", 0) / written if written else None),
        "texts.questions": Estimate(asked.get("distinct")),
        "texts.distinct_2": Estimate(answered.get("distinct_2")),
        "texts.compression_ratio": Estimate(answered.get("compression_ratio")),
    }


def _image_counts(run: FinishedRun, source: str | None) -> dict[str, Estimate]:
    """Count images as Table 1 does: its train is our train and validation together."""
    splits: Mapping[str, Sequence[Split]] = {"train": ("train", "validation"), "test": ("test",)}
    counts = {
        name: sum(count for split in ours for of, count in run.images[split].items() if source in (None, of))
        for name, ours in splits.items()
    }
    return {f"images.{name}": Estimate(count) for name, count in counts.items()}


def _training(run: FinishedRun, source: str | None) -> dict[str, Estimate]:
    return {f"train.{name}": Estimate(run.manifest.get(name)) for name in ("rows", "steps")}


READERS: Final[Mapping[str, Callable[[FinishedRun, str | None], dict[str, Estimate]]]] = {
    "prepare": _image_counts,
    "generate": _costs,
    "train": _training,
    "evaluate": _scores,
}
"""Stage -> what its runs measured, of all faces or of one source."""


def _notes(run: FinishedRun) -> Sequence[str]:
    """Return why a run's numbers may not be held against the paper's, as the run itself noted."""
    if run.stage == "prepare" and old_runs.synthetic(run.manifest.get("synthetic"), run.path) == "faces":
        return ["synthetic faces, not the six datasets"]
    notes = run.manifest.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []
