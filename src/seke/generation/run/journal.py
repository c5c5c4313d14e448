"""The journal of a generation, progress.jsonl, and the result files that are made of it.

Each finished chunk is appended and synced to the disk before the next one is asked, in the records' order. An
interrupted run goes on after the last whole line; its result is byte for byte that of an uninterrupted one.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TextIO

from seke.core import files
from seke.core.budget import Spent
from seke.core.errors import UserError
from seke.core.records import ImageRecord, InstructionRecord, to_line
from seke.generation.calibration.pilot import COST as PILOT_COST
from seke.generation.calibration.pilot import SECOND_COST
from seke.generation.outcome import Outcome

PROGRESS: Final = "progress.jsonl"
BLOCKS: Final = "blocks"
"""Where engine=ray of version 0.2 and before kept what it had finished out of order."""
CARRIED: Final = "carried.jsonl"
"""What an update takes over of the run that it updates, in the journal's form (`update`)."""
EARLIER_COST: Final = "earlier_cost.json"
"""The cost.json of the run that is updated."""
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
    """Write one line per outcome; sync the disk."""
    files.append(file, (line(outcome, seconds) for outcome in outcomes))


def line(outcome: Outcome, seconds: float) -> str:
    """Return the journal's line of an outcome, its rows as text so that they reach the result files unchanged."""
    entry = {
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
    return json.dumps(entry, ensure_ascii=False)


Amend = Callable[[InstructionRecord], InstructionRecord]


def finish(folder: Path, order: Sequence[str] = (), amend: Amend | None = None) -> Results:
    """Write the result files of the whole journal, read once; each appears whole or not at all.

    Args:
        folder: the run's.
        order: the ids of all records in their order; needed where an update takes some over.
        amend: what becomes of an instruction that was asked for; None: it stays.
    """
    rejected: dict[str, str] = {}
    flags, sums = Counter[str](), Counter[str]()
    seconds, spent = 0.0, Spent()
    with ExitStack() as results:
        to = {name: results.enter_context(files.whole(folder / f"{name}.jsonl")) for name in RESULTS}
        for entry, carried in _entries(folder, order):
            if amend is not None and not carried and entry["file"] == "instructions":
                row = amend(InstructionRecord.model_validate_json(entry["row"]))
                entry |= {"row": to_line(row), "flags": row.flags}
            sums["records"] += 1
            to[entry["file"]].write(entry["row"] + "\n")
            to["draws"].write(entry["trace"] + "\n")
            if entry["file"] == "rejected":
                rejection = json.loads(entry["row"])
                rejected[rejection["id"]] = rejection["reason"]
            flags.update(entry["flags"])
            sums["samples"] += entry["samples"]
            if not carried:  # what these took stands in the earlier run's cost
                sums.update({name: entry[name] for name in COUNTED if name != "samples"})
                seconds += entry["seconds"]
                spent.plus(_cost(entry))
    records = sums["records"]
    cost = {
        "records": records,
        "rejected": len(rejected),
        **{name: sums[name] for name in COUNTED},
        "mean_samples": sums["samples"] / records,
        **{name: number for name, number in spent.facts().items() if name not in (*COUNTED, "recalled")},
        "seconds": round(seconds, 3),
    }
    if (folder / EARLIER_COST).is_file():
        cost = _with_earlier(cost, json.loads((folder / EARLIER_COST).read_text(encoding="utf-8")))
    for name, file in (("pilot", folder / PILOT_COST), ("second_pilot", folder / SECOND_COST)):
        if file.is_file():
            cost[name] = json.loads(file.read_text(encoding="utf-8"))
    files.write_text(folder / "cost.json", json.dumps(cost, indent=2) + "\n")
    return Results(records - len(rejected), rejected, dict(sorted(flags.items())), cost)


def clear(folder: Path) -> None:
    """Remove what the result files have been made of."""
    for name in (PROGRESS, CARRIED, EARLIER_COST):
        (folder / name).unlink(missing_ok=True)


def _entries(folder: Path, order: Sequence[str]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the journal's entries, and whether each was taken over: in `order`, where an update takes some over."""
    carried = folder / CARRIED
    if not carried.is_file():
        with (folder / PROGRESS).open(encoding="utf-8") as lines:
            yield from ((json.loads(text), False) for text in lines)
        return
    with ExitStack() as open_files:
        places: dict[str, tuple[BinaryIO, int]] = {}
        for path in (carried, folder / PROGRESS):
            if path.is_file():
                file: BinaryIO = open_files.enter_context(path.open("rb"))
                at = 0
                for text in file:
                    places[json.loads(json.loads(text)["trace"])["id"]] = (file, at)
                    at += len(text)
        for key in order:
            file, at = places[key]
            file.seek(at)
            yield json.loads(file.readline()), Path(file.name) == carried


def _with_earlier(cost: dict[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all rows ever made under a run's name took, gone ones included, and what this update took of it."""
    summed = dict(cost)
    for name in ("requests", "input_tokens", "output_tokens", "sent", "tokens_at_most", "unknown", "seconds"):
        summed[name] = cost.get(name, 0) + earlier.get(name, 0)
    for name in ("usd", "usd_at_most"):
        now, before = cost.get(name), earlier.get(name, 0.0)
        summed[name] = None if now is None or before is None else round(now + before, 6)
    summed["update"] = {name: cost[name] for name in ("requests", "input_tokens", "output_tokens", "usd")}
    return summed


def _cost(line: Mapping[str, Any]) -> Spent:
    """Return what a line's record cost; those of earlier versions of the program know of no bound."""
    if "cost" in line:
        return Spent(**line["cost"])
    calls, into, out, usd = (line[name] for name in ("requests", "input_tokens", "output_tokens", "usd"))
    return Spent(calls, calls, into, out, into + out, usd, usd)
