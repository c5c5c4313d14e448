"""Where each number comes from: run, command, commit, settings, seed, input files, package versions, date."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seke.records import InstructionRecord
from seke.reporting import scenes
from seke.reporting.gather import Gathered

UNTOLD = ("paths", "wording", "commands", "prompts", "overwrite", "name", "hydra")
"""Settings that say nothing about a result, or too much for a list; the run's manifest holds them all."""


@dataclass(frozen=True)
class Entry:
    """One run's provenance, ready to be shown."""

    door: str
    name: str
    anchor: str
    seed: str
    finished_at: str
    command: str | None
    """What was typed; None for runs that did not note it."""
    commit: str | None
    """The first 12 digits of the program's commit, with "+changes" where files differed from it; None as above."""
    inputs: tuple[tuple[str, str], ...]
    """Input file and the first 12 digits of its sha256."""
    settings: tuple[tuple[str, str], ...]
    """Dotted setting and value."""


def entries(found: Gathered) -> list[Entry]:
    """Return every gathered run's provenance in the order of the doors."""
    return [
        Entry(
            run.door,
            run.name,
            run.anchor,
            str(run.config.get("seed", "n/a")),
            run.finished_at,
            *_made(run.manifest),
            tuple((name, str(digest)[:12]) for name, digest in sorted(dict(run.manifest.get("inputs") or {}).items())),
            tuple(_told(run.config)),
        )
        for run in found.runs
    ]


def _made(manifest: Mapping[str, Any]) -> tuple[str | None, str | None]:
    made = manifest.get("made")
    found = made if isinstance(made, Mapping) else {}
    head, plus, changes = str(found.get("commit") or "").partition("+")
    return found.get("command"), f"{head[:12]}{plus}{changes}" or None


def _told(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if not prefix and key in UNTOLD:
            continue
        if isinstance(value, Mapping) and value:
            yield from _told(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "null" if value is None else str(value)


def packages(found: Gathered) -> list[tuple[str, tuple[str, ...]]]:
    """Return each package with its versions: more than one where the runs were not made alike."""
    versions: dict[str, set[str]] = {}
    for run in found.runs:
        for package, version in dict(run.manifest.get("packages") or {}).items():
            versions.setdefault(package, set()).add(str(version))
    return [(package, tuple(sorted(seen))) for package, seen in sorted(versions.items())]


def nature(found: Gathered, rows: Mapping[str, Sequence[InstructionRecord]]) -> str:
    """Say what kind of data the numbers come from, where it is not real: "synthetic faces, simulated annotator".

    A truth.jsonl exists for synthetic faces only, a scenes.jsonl for synthetic scenes, which predictions name as their
    source; rows name their annotator, metrics their judges, and evaluations leave notes.
    """
    notes = " ".join(str(run.manifest.get("notes") or "") for run in found.runs)
    kinds = []
    if "synthetic faces" in notes or any((run.path / "truth.jsonl").is_file() for run in found.of("prepare")):
        kinds.append("synthetic faces")
    prepared = any((run.path / "scenes.jsonl").is_file() for run in found.of("prepare"))
    if prepared or any(map(scenes.drawn, found.of("evaluate"))):
        kinds.append("synthetic scenes")
    if "simulated" in notes or any(row.annotator.startswith("simulated") for made in rows.values() for row in made):
        kinds.append("simulated annotator")
    if any(model.startswith("simulated") for run in found.of("evaluate") for model in scenes.judges(run)):
        kinds.append("simulated judges")
    return ", ".join(kinds)
