"""The journal of a generation, progress.jsonl, and the result files that are made of it.

Each finished chunk is appended and synced to the disk before the next one is asked, in the records' order. An
interrupted run goes on after the last whole line; its result is byte for byte that of an uninterrupted one.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from seke.core import files
from seke.core.budget import Spent
from seke.core.errors import UserError
from seke.core.records import ImageRecord, InstructionRecord, to_line
from seke.generation.calibration.pilot import COST as PILOT_COST
from seke.generation.outcome import Outcome

PROGRESS: Final = "progress.jsonl"
BLOCKS: Final = "blocks"
"""Where engine=ray of version 0.2 and before kept what it had finished out of order."""
RESULTS: Final = ("instructions", "rejected", "draws")
COUNTED: Final = ("requests", "samples", "input_tokens", "output_tokens")


class Results(NamedTuple):
    """What the result files hold."""

    instructions: int
    rejected: dict[str, str]
    """Why there is no instruction, by record id."""
    flags: dict[str, int]
    """How many instructions carry each flag."""
    cost: dict[str, Any]
    """The content of cost.json."""


def take_over_blocks(folder: Path) -> None:
    """Append the blocks that an earlier version finished out of order, as far as they follow on the journal.

    Those after a gap are worked on again, by replies from the ledger.
    """
    if not (folder / BLOCKS).is_dir():
        return
    done = files.cut_torn(folder / PROGRESS, json.loads)
    for path in sorted((folder / BLOCKS).glob("*.jsonl")):
        first, lines = int(path.stem), path.read_bytes().splitlines()
        if first > done:
            break
        with files.journal(folder / PROGRESS) as file:
            files.append(file, (line.decode() for line in lines[done - first :]))
        done = max(done, first + len(lines))
    shutil.rmtree(folder / BLOCKS, ignore_errors=True)


def resume(folder: Path, records: Sequence[ImageRecord]) -> int:
    """Return how many records are finished, after cutting off what a crash left half written.

    Raises:
        UserError: if the run was begun with other records, as some would be missing, or be there twice: versions of
            this program choose differently by the same settings, such as `limit`.
    """
    progress = folder / PROGRESS
    begun: list[str] = []
    done = files.cut_torn(progress, lambda line: begun.append(json.loads(json.loads(line)["trace"])["id"]))
    for name, record in zip(begun[:done], records, strict=False):
        if name != record.id:
            problem = f"{progress} was begun with other records: {name} where {record.id} is due"
            raise UserError("name", folder.name, problem, "choose another name= or say overwrite=true")
    return done


def append(file: TextIO, outcomes: Iterable[Outcome], seconds: float) -> None:
    """Write one line per outcome, its rows as text so that they reach the result files unchanged; sync the disk."""
    lines = (
        {
            "file": "instructions" if isinstance(outcome.row, InstructionRecord) else "rejected",
            "row": to_line(outcome.row),
            "trace": to_line(outcome.trace),
            "samples": len(outcome.trace.draws),
            "requests": outcome.trace.requests,
            "input_tokens": outcome.trace.input_tokens,
            "output_tokens": outcome.trace.output_tokens,
            "cost": outcome.cost.numbers(),
            "seconds": round(seconds, 6),
            "flags": outcome.row.flags if isinstance(outcome.row, InstructionRecord) else (),
        }
        for outcome in outcomes
    )
    files.append(file, (json.dumps(line, ensure_ascii=False) for line in lines))


def finish(folder: Path) -> Results:
    """Write the result files of the whole journal, read once; each appears whole or not at all."""
    rejected: dict[str, str] = {}
    flags, sums = Counter[str](), Counter[str]()
    seconds, spent = 0.0, Spent()
    with (folder / PROGRESS).open(encoding="utf-8") as lines, ExitStack() as results:
        to = {name: results.enter_context(files.whole(folder / f"{name}.jsonl")) for name in RESULTS}
        for line in map(json.loads, lines):
            sums["records"] += 1
            to[line["file"]].write(line["row"] + "\n")
            to["draws"].write(line["trace"] + "\n")
            if line["file"] == "rejected":
                row = json.loads(line["row"])
                rejected[row["id"]] = row["reason"]
            flags.update(line["flags"])
            sums.update({name: line[name] for name in COUNTED})
            seconds += line["seconds"]
            spent.plus(_cost(line))
    records = sums["records"]
    cost = {
        "records": records,
        "rejected": len(rejected),
        **{name: sums[name] for name in COUNTED},
        "mean_samples": sums["samples"] / records,
        **{name: number for name, number in spent.facts().items() if name not in (*COUNTED, "recalled")},
        "seconds": round(seconds, 3),
    }
    pilot = folder / PILOT_COST
    if pilot.is_file():
        cost["pilot"] = json.loads(pilot.read_text(encoding="utf-8"))
    files.write_text(folder / "cost.json", json.dumps(cost, indent=2) + "\n")
    return Results(records - len(rejected), rejected, dict(sorted(flags.items())), cost)


def _cost(line: Mapping[str, Any]) -> Spent:
    """Return what a line's record cost; those of earlier versions of the program know of no bound."""
    if "cost" in line:
        return Spent(**line["cost"])
    calls, into, out, usd = (line[name] for name in ("requests", "input_tokens", "output_tokens", "usd"))
    return Spent(calls, calls, into, out, into + out, usd, usd)
