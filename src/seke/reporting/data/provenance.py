"""Provenance of the numbers: run, command, commit, settings, seed, input files, package versions, date."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from seke.core import old_runs
from seke.reporting.data import scenes
from seke.reporting.data.runs import FinishedRun, Gathered
from seke.reporting.data.tables import LABEL, Column, Table

HIDDEN_SETTINGS = ("paths", "wording", "commands", "prompts", "overwrite", "name", "hydra")
"""Settings that say nothing about a result, or too much for a list; the run's manifest holds them all."""

UNKNOWN: Final = "not recorded"
LOOKED_AT: Final = (
    "manifest.json", "config.yaml", "statistics.md", "statistics.png", "README.md", "instructions.jsonl",
    "rejected.jsonl", "draws.jsonl", "unanswered.md", "calibration.json", "model/README.md", "table.md",
    "comparison.md", "metrics.json", "comparison.json", "predictions.jsonl", "cost.json",
)  # fmt: skip
"""Files of a run that its entry links to, where they are there."""
REAL: Final = "no"
KINDS: Final = ("synthetic faces", "synthetic scenes", "simulated annotator", "simulated judges")
"""What can be synthetic or simulated, in the order in which it is named."""


@dataclass(frozen=True)
class Entry:
    """One run's provenance, ready to be shown."""

    stage: str
    name: str
    anchor: str
    seed: str
    finished_at: str
    command: str | None
    """What was typed; None for runs that did not note it."""
    commit: str | None
    """The first 12 digits of the program's commit, with "+changes" where files differed from it; None as above."""
    diff: str | None
    """The first 12 digits of the sha256 of these changes; None where there were none, or nobody noted it."""
    machine: tuple[tuple[str, str], ...]
    """Python, operating system, processor, GPUs and driver, each with its name; empty for runs that did not note it."""
    packages: tuple[tuple[str, str], ...]
    """Package and version; empty as above."""
    files: tuple[str, ...]
    """What the run left that people look at, by its name in the run's folder."""
    inputs: tuple[tuple[str, str], ...]
    """Input file and the first 12 digits of its sha256."""
    settings: tuple[tuple[str, str], ...]
    """Dotted setting and value."""


def entries(gathered: Gathered) -> list[Entry]:
    """Return every gathered run's provenance in the order of the commands."""
    return [
        Entry(
            run.stage,
            run.name,
            run.anchor,
            str(run.config.get("seed", "n/a")),
            run.finished_at,
            *_made(run.manifest),
            tuple(sorted((name, str(version)) for name, version in _section(run.manifest, "packages").items())),
            tuple(name for name in LOOKED_AT if (run.path / name).is_file()),
            tuple((name, str(digest)[:12]) for name, digest in sorted(_section(run.manifest, "inputs").items())),
            tuple(_settings(run.config)),
        )
        for run in gathered.runs
    ]


def _section(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a manifest, empty where it is missing or, written by hand, something else."""
    part = manifest.get(name)
    return part if isinstance(part, Mapping) else {}


def _made(manifest: Mapping[str, Any]) -> tuple[str | None, str | None, str | None, tuple[tuple[str, str], ...]]:
    made = _section(manifest, "made")
    head, plus, changes = str(made.get("commit") or "").partition("+")
    command, diff = (None if made.get(name) is None else str(made[name]) for name in ("command", "diff"))
    return command, f"{head[:12]}{plus}{changes}" or None, diff and diff[:12], tuple(_machine(made))


def _machine(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a manifest says of the machine, as `seke.core.machine` wrote it; what is not known is said."""
    machine = _section(made, "machine")
    if not machine:
        return
    cores, gpus = machine.get("cores"), machine.get("gpus")
    names = Counter(map(str, gpus)) if isinstance(gpus, list) else Counter[str]()
    yield "Python", str(machine.get("python") or UNKNOWN)
    yield "System", str(machine.get("os") or UNKNOWN)
    yield "Processor", str(machine.get("cpu") or UNKNOWN) + (f", {cores} cores" if cores else "")
    yield "GPU", ", ".join(f"{count} × {name}" if count > 1 else name for name, count in names.items()) or "none"
    if names:
        yield "Driver", str(machine.get("driver") or UNKNOWN)


def _settings(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if not prefix and key in HIDDEN_SETTINGS:
            continue
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "null" if value is None else str(value)


Natures = Mapping[tuple[str, str], str]
"""Of each run, by stage and name, what of it is synthetic or simulated; empty where nothing is."""


def natures(gathered: Gathered, outputs: Path) -> dict[tuple[str, str], str]:
    """Say of each generation and evaluation what of it is not real: "synthetic faces, simulated annotator".

    Rows, answers and manifests say it themselves; of earlier versions' runs `seke.core.old_runs` knows. What holds of a
    part of a run is said with its number.
    """
    generations: dict[str, str] = {}
    for run in gathered.of("generate"):
        annotators = Counter(old_runs.simulated(row.simulated, row.annotator) for row in run.instructions)
        kinds = [*_pictures(run, outputs), *_part("simulated annotator", annotators[True], annotators.total(), "rows")]
        generations[run.name] = ", ".join(kinds)
    evaluations = {
        run.name: ", ".join(dict.fromkeys(_of_evaluation(run, outputs, gathered, generations)))
        for run in gathered.of("evaluate")
    }
    return {
        **{("generate", name): kinds for name, kinds in generations.items()},
        **{("evaluate", name): kinds for name, kinds in evaluations.items()},
    }


def _of_evaluation(
    run: FinishedRun, outputs: Path, gathered: Gathered, generations: Mapping[str, str]
) -> Iterator[str]:
    yield from _pictures(run, outputs)
    yield from _part("synthetic scenes", *scenes.count_synthetic(run), "pictures")
    models = [str(model) for model in run.manifest.get("models") or ()]
    noted = run.manifest.get("simulated")
    fake = [model for model in models if old_runs.simulated(None if noted is None else model in noted, model)]
    yield from _part("simulated annotator", len(fake), len(models), "models")
    if noted is None and not models:
        yield from old_runs.simulated_by_notes(run.manifest)
    judges = scenes.judges(run)
    yield from _part("simulated judges", sum(judges), len(judges), "judges")
    for source in _trained_on(run, gathered):
        if "simulated annotator" in generations.get(source, ""):
            yield "trained on labels of a simulated annotator"


def _pictures(run: FinishedRun, outputs: Path) -> Iterator[str]:
    """Yield what the pictures are that a run was about, where they are drawn."""
    reference = str(run.config.get("records") or "")
    folder = outputs / "prepare" / reference if reference else Path()
    if not reference or not folder.is_dir():
        folder = Path(reference).parent
    noted = run.manifest.get("synthetic")
    if reference and (what := old_runs.synthetic(noted, folder)) != "nothing":
        yield f"synthetic {what}"
    if noted is None:
        yield from old_runs.synthetic_by_notes(run.manifest)


def _trained_on(run: FinishedRun, gathered: Gathered) -> Iterator[str]:
    """Yield the names of the generations whose instructions the model of an evaluation, or its base, was trained on."""
    node = run.config.get("backend")
    model = node.get("model") if isinstance(node, Mapping) else None
    path = model.get("path") if isinstance(model, Mapping) else None
    trained = {(run.path / "model").resolve(): run for run in gathered.of("train")}
    while path is not None and (found := trained.pop(Path(str(path)).resolve(), None)):
        yield from (Path(str(file)).parent.name for file in found.manifest.get("trained_on") or ())
        path = found.manifest.get("base")


def _part(kind: str, some: int, every: int, noun: str) -> list[str]:
    """Return a statement about some of `every`, with the numbers unless it holds of all."""
    return [] if not some else [kind if some == every else f"{kind} ({some:,} of {every:,} {noun})"]


def nature(natures: Natures) -> str:
    """Return all that is not real in any run, each kind once; empty where everything is."""
    kinds = [kind for of_run in natures.values() for kind in of_run.split(", ") if kind]
    order = {kind: place for place, kind in enumerate(KINDS)}
    plain = dict.fromkeys(kind.partition(" (")[0] for kind in kinds)
    return ", ".join(sorted(plain, key=lambda kind: order.get(kind, len(order))))


def uniform(natures: Natures) -> bool:
    """Whether one statement holds of every run."""
    return len(set(natures.values())) == 1


def state_nature(
    table: Table, stage: str, natures: Natures, columns: Mapping[str, str] = MappingProxyType({})
) -> Table:
    """Return a table that says of each row what of it is not real: once if all are alike, else in a column.

    `columns`: of a table whose columns are runs, the run's name by the column's key.
    """
    runs = list(columns.values()) if columns else [row.run for row in table.rows]
    of_run = {name: natures.get((stage, name), "") for name in runs if (stage, name) in natures}
    if not any(of_run.values()):
        return table
    if len(set(of_run.values())) == 1:
        return _with_statement(table, f"Every {'column' if columns else 'row'}: {next(iter(of_run.values()))}.")
    if columns:
        each = "; ".join(f"{key}: {of_run.get(name) or REAL}" for key, name in columns.items())
        return _with_statement(table, f"Synthetic or simulated: {each}.")
    column = Column("nature", "synthetic or simulated", "Made of", under=LABEL)
    lines = tuple(
        replace(row, cells={**row.cells, "nature": (of_run[row.run] or REAL) if row.run in of_run else None})
        for row in table.rows
    )
    return replace(table, columns=(*table.columns, column), rows=lines)


def _with_statement(table: Table, statement: str) -> Table:
    return replace(table, caption=f"{table.caption} {statement}".strip(), made_of=statement)
