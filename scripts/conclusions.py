#!/usr/bin/env python
"""What an audit is worth on one finished run of drawn faces, whose truth plays the people who look.

    python scripts/conclusions.py look outputs/generate/demo      look.json: the truth of every face of queue.jsonl
    python scripts/conclusions.py coverage outputs/generate/demo ... [repeats=400 looks=300 about=people seed=0 to=FILE]

`coverage` draws an audit sample again and again and counts how often each 95 % interval holds the truth: that of all
labels taken as right, that of people alone, and the corrected one. Controls: dice in place of each label that the
machine made, and the runs that are named besides (such as one of generator=blind, which looks at no picture).
`about=people` draws the subjects, too (with replacement: the run's subjects are the world), and audits each draw.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from seke.benchmark.scoring import conclusions as scoring
from seke.benchmark.scoring.conclusions import Column, Concluded, Quantity, Table, Term
from seke.benchmark.scoring.prediction_powered import About
from seke.benchmark.tasks.conclusions import table_of
from seke.core import runs
from seke.core.affect import EXPRESSIONS
from seke.core.files import write_text
from seke.core.records import ImageRecord, InstructionRecord, Labels, read_jsonl
from seke.core.text_tables import markdown_table

GLASSES: Final = "attributes.glasses"
QUANTITIES: Final = (
    *scoring.prevalences(["happiness", "AU4", "AU12", "AU14", "AU25"]),
    *scoring.means(["valence", "arousal"]),
    Quantity("difference", "valence, glasses less none", "valence", (Term(GLASSES, "True"),)),
    *scoring.associations([("AU12", "happiness"), ("AU4", "anger")]),
    *scoring.coefficients("valence", (Term("AU4"), Term("AU12")), "identity"),
)


def world(folder: Path, outputs: Path) -> Table:
    """Return a run's labels and the truth of its faces."""
    rows = {row.id: row for row in read_jsonl(folder / "instructions.jsonl", InstructionRecord)}
    named = str(runs.manifest_beside(folder / "instructions.jsonl")["config"]["records"])
    file = runs.locate("records", named, outputs, "prepare", "truth.jsonl")
    records = [record for record in read_jsonl(file, ImageRecord) if record.id in rows]
    kept = [rows[record.id] for record in records]
    return table_of(
        [row.labels for row in kept],
        [row.origin for row in kept],
        [record.labels for record in records],
        [(record.source, record.subject or record.id) for record in records],
        {GLASSES: [str(record.attributes.get("glasses")) for record in records]},
        words=(GLASSES,),
    )


def dice(table: Table, rng: np.random.Generator) -> Table:
    """Return the table with dice for a machine: any expression, either state of an AU, any valence and arousal."""
    columns = {}
    for name, column in table.columns.items():
        shape = column.machine_N.shape
        if name in EXPRESSIONS:
            thrown_N: NDArray[Any] = (rng.integers(len(EXPRESSIONS), size=shape) == 0).astype(np.float64)
        elif column.binary:
            thrown_N = rng.integers(2, size=shape).astype(np.float64)
        else:
            thrown_N = rng.uniform(-1, 1, size=shape)
        machine_N = np.where(column.always_N, column.machine_N, thrown_N)
        columns[name] = Column(machine_N, column.human_N, column.always_N)
    return replace(table, columns=columns)


def audited(table: Table, places_N: NDArray[np.intp], looks: int, rng: np.random.Generator) -> Table:
    """Return the faces at `places_N`, so many of which people looked at."""
    probability_N = np.full(len(places_N), np.nan)
    probability_N[rng.choice(len(places_N), looks, replace=False)] = looks / len(places_N)
    said_N = ~np.isnan(probability_N)
    columns = {}
    for name, column in table.columns.items():
        machine_N, human_N, always_N = (each[places_N] for each in (column.machine_N, column.human_N, column.always_N))
        if human_N.dtype.kind == "f":
            human_N = np.where(said_N | always_N, human_N, np.nan)
        columns[name] = Column(machine_N, human_N, always_N)
    nobody_N = np.zeros(len(places_N), dtype=np.bool_)
    return Table(columns, probability_N, nobody_N, nobody_N, table.subject_N[places_N])


def of_subjects(table: Table, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return as many subjects as there are, drawn with replacement: the places of their faces, and whose these are."""
    count = int(table.subject_N.max()) + 1
    of_G = [np.flatnonzero(table.subject_N == subject) for subject in range(count)]
    chosen = rng.integers(count, size=count)
    places = [of_G[subject] for subject in chosen]
    return np.concatenate(places), np.repeat(np.arange(count), [len(each) for each in places])


def repeats(table: Table, about: About, looks: int, times: int, seed: int) -> Iterator[list[Concluded]]:
    """Yield what is concluded from one audit after another."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        if about == "people":
            places_N, subject_N = of_subjects(table, rng)
            drawn = replace(audited(table, places_N, looks, rng), subject_N=subject_N)
        else:
            drawn = audited(table, np.arange(len(table.subject_N)), looks, rng)
        yield [scoring.conclude(drawn, quantity, about, audited=True) for quantity in QUANTITIES]


def truths(table: Table) -> list[float]:
    """Return the quantities of the true labels."""
    known = {name: Column(each.human_N, each.human_N, each.always_N | True) for name, each in table.columns.items()}
    full = replace(table, columns=known)
    return [scoring.conclude(full, quantity, "people", audited=False).naive for quantity in QUANTITIES]


def coverage(table: Table, about: About, looks: int, times: int, seed: int, title: str) -> str:
    """Return a table: of how many repeats each interval holds the truth, and what the machine's labels are worth."""
    right = truths(table)
    ways: list[Callable[[Concluded], Sequence[float] | None]] = [
        lambda each: each.naive_interval,
        lambda each: each.found and each.found.human_interval,
        lambda each: each.found and each.found.interval,
    ]
    hits, there = np.zeros((len(QUANTITIES), 3)), np.zeros((len(QUANTITIES), 3))
    effective: list[list[float]] = [[] for _ in QUANTITIES]
    for results in tqdm(repeats(table, about, looks, times, seed), title, total=times, leave=False, disable=None):
        for place, each in enumerate(results):
            if each.found and each.found.effective and each.drawn:
                effective[place].append(each.found.effective / each.drawn)
            for way, bounds in enumerate(interval(each) for interval in ways):
                there[place, way] += bounds is not None
                hits[place, way] += bounds is not None and bounds[0] <= right[place] <= bounds[1]
    rows = []
    for place, quantity in enumerate(QUANTITIES):
        shares = [f"{100 * hits[place, way] / there[place, way]:.1f}" if there[place, way] else "–" for way in range(3)]
        worth = f"{np.median(effective[place]):.1f}" if effective[place] else "–"
        lacking = int(times - there[place, 2])
        rows.append([quantity.name, f"{right[place]:+.3f}", *shares, worth, str(lacking or "")])
    head = ["quantity", "truth", "all labels as right", "people alone", "corrected", "worth", "no interval"]
    return f"### {title}\n\n{markdown_table(head, rows, 'lr')}\n"


def look(folder: Path, outputs: Path) -> Path:
    """Write review.json beside a run's queue: the truth of every face in it, as a person would correct it."""
    queue = [json.loads(line) for line in (folder / "queue.jsonl").read_text(encoding="utf-8").splitlines()]
    named = str(runs.manifest_beside(folder / "instructions.jsonl")["config"]["records"])
    file = runs.locate("records", named, outputs, "prepare", "truth.jsonl")
    truth = {record.id: record.labels for record in read_jsonl(file, ImageRecord)}
    decisions: list[dict[str, Any]] = [
        {"id": row["id"], "decision": "correct", "labels": _labels(truth[row["id"]])} for row in queue
    ]
    about = {"name": folder.name, "manifest": runs.file_sha256(folder / runs.MANIFEST)}
    path = folder / "look.json"
    path.write_text(json.dumps({"run": about, "decisions": decisions}), encoding="utf-8")
    return path


def _labels(labels: Labels) -> dict[str, Any]:
    return labels.model_copy(update={"au_intensity": None}).model_dump(mode="json")


def main(words: Sequence[str]) -> None:
    """Do what the command line says."""
    settings = {"repeats": "400", "looks": "300", "about": "faces", "seed": "0", "to": ""}
    settings |= dict(word.split("=", 1) for word in words if "=" in word)
    what, *folders = [word for word in words if "=" not in word] or [""]
    numbers = [settings[name] for name in ("repeats", "looks", "seed")]
    if what not in ("look", "coverage") or not folders or len(settings) > 5 or settings["about"] not in get_args(About):
        sys.exit(f"usage:\n{__doc__}")
    repeats, looks, seed = map(int, numbers)
    paths = [Path(folder) for folder in folders]
    outputs = paths[0].resolve().parents[1]
    if what == "look":
        print(look(paths[0], outputs))
        return
    tables = {path.name: world(path, outputs) for path in paths}
    tables["dice"] = dice(next(iter(tables.values())), np.random.default_rng(seed))
    found: list[str] = []
    for name, table in tables.items():
        title = f"{name}, about these faces" if settings["about"] == "faces" else f"{name}, about people like these"
        found.append(coverage(table, settings["about"], looks, repeats, seed, title))  # type: ignore[arg-type]
        print(found[-1], flush=True)
    if settings["to"]:
        write_text(Path(settings["to"]), "\n".join(found))


if __name__ == "__main__":
    main(sys.argv[1:])
