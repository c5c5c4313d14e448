"""From a file of records to instructions.jsonl, rejected.jsonl and draws.jsonl, durably.

Each finished chunk is appended to progress.jsonl and synced to the disk before the next one is asked, in the records'
order. An interrupted run goes on after the last whole row; the result is byte for byte that of an uninterrupted one.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tqdm import tqdm

from seke import images
from seke.errors import UserError
from seke.generation.outcome import Face, Generator, Outcome, Trace
from seke.records import (
    ImageRecord,
    InstructionRecord,
    Labels,
    RecordError,
    Rejection,
    Split,
    read_jsonl,
    to_line,
)
from seke.runs import write_text
from seke.vlm import Image

PROGRESS = "progress.jsonl"
COUNTED = ("requests", "samples", "input_tokens", "output_tokens")


class Summary(NamedTuple):
    """How a finished generation went."""

    instructions: int
    rejected: int
    flags: dict[str, int]
    """How many instructions carry each flag."""
    cost: dict[str, Any]
    """The content of cost.json."""


def select(path: Path, split: Split | None, limit: int | None) -> list[ImageRecord]:
    """Read the records to work on, in the file's order.

    Raises:
        UserError: for a setting out of range, no records at all, or an id that occurs twice.
    """
    if split not in (None, "train", "validation", "test"):
        raise UserError("split", split, "no such split", "set train, validation, test or null")
    if limit is not None and limit < 1:
        raise UserError("limit", limit, "there is nothing to do", "set 1 or more, or null for all records")
    rows = (record for record in read_jsonl(path, ImageRecord) if split in (None, record.split))
    records = list(islice(rows, limit))
    if not records:
        wanted = f" of split {split}" if split else ""
        raise UserError("records", path, f"holds no records{wanted}", "choose other records")
    twice, count = Counter(record.id for record in records).most_common(1)[0]
    if count > 1:
        raise RecordError(path, f"id {twice} occurs {count} times")
    return records


def generate(records: list[ImageRecord], image_root: Path, generator: Generator, folder: Path, chunk: int) -> Summary:
    """Work through `records`, going on where `folder` shows that an earlier run ended, and write the result files."""
    if chunk < 1:
        raise UserError("chunk", chunk, "a chunk holds at least one record", "set 1 or more")
    progress = folder / PROGRESS
    done = _whole_rows(progress)
    generator.learn(records, lambda record: _face(_open(record, image_root)), folder)
    with (
        progress.open("a", encoding="utf-8") as file,
        tqdm(total=len(records), initial=done, unit=" records", desc="generate", mininterval=0.5) as bar,
    ):
        for start in range(done, len(records), chunk):
            began = time.perf_counter()
            batch = records[start : start + chunk]
            outcomes = list(_outcomes(batch, image_root, generator))
            _append(file, outcomes, (time.perf_counter() - began) / len(batch))
            bar.update(len(batch))
    return _finish(progress, folder)


def _outcomes(batch: list[ImageRecord], image_root: Path, generator: Generator) -> Iterator[Outcome]:
    """Yield one outcome per record, in order; a record whose image cannot be read is asked of nobody."""
    opened = [_open(record, image_root) for record in batch]
    answered = iter(generator.generate([face for face in opened if isinstance(face, Face)]))
    for face in opened:
        yield next(answered) if isinstance(face, Face) else face


def _open(record: ImageRecord, root: Path) -> Face | Outcome:
    try:
        path = images.resolve(root, record.image)
        data = path.read_bytes()
        images.decode(data, record.image)
    except (images.ImageError, OSError) as error:
        rejection = Rejection(id=record.id, reason="image", detail=str(error))
        nothing = Trace(
            id=record.id, prior=Labels(), draws=(), summary=None, requests=0, input_tokens=0, output_tokens=0
        )
        return Outcome(rejection, nothing, 0.0)
    return Face(record, Image(path, images.sha256(data)))


def _face(opened: Face | Outcome) -> Face | None:
    return opened if isinstance(opened, Face) else None


def _append(file: TextIO, outcomes: Iterable[Outcome], seconds: float) -> None:
    """Write one line per outcome, its rows as text so that they reach the result files unchanged; sync the disk."""
    for outcome in outcomes:
        line = {
            "file": "instructions" if isinstance(outcome.row, InstructionRecord) else "rejected",
            "row": to_line(outcome.row),
            "trace": to_line(outcome.trace),
            "samples": len(outcome.trace.draws),
            "requests": outcome.trace.requests,
            "input_tokens": outcome.trace.input_tokens,
            "output_tokens": outcome.trace.output_tokens,
            "usd": outcome.usd,
            "seconds": round(seconds, 6),
            "flags": outcome.row.flags if isinstance(outcome.row, InstructionRecord) else (),
        }
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    file.flush()
    os.fsync(file.fileno())


def _whole_rows(progress: Path) -> int:
    """Return how many rows a former run completed, after cutting off what a crash left half written."""
    if not progress.is_file():
        return 0
    count = length = 0
    with progress.open("rb") as file:
        for line in file:
            try:
                json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            count, length = count + 1, length + len(line)
    os.truncate(progress, length)
    return count


def _finish(progress: Path, folder: Path) -> Summary:
    """Write the result files from the progress file; each appears whole or not at all."""
    rows: dict[str, list[str]] = {"instructions": [], "rejected": [], "draws": []}
    flags: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    seconds, usd = 0.0, 0.0
    priced = True
    with progress.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            rows[line["file"]].append(line["row"])
            rows["draws"].append(line["trace"])
            flags.update(line["flags"])
            sums.update({name: line[name] for name in COUNTED})
            seconds += line["seconds"]
            priced = priced and line["usd"] is not None
            usd += line["usd"] or 0.0
    for name, texts in rows.items():
        write_text(folder / f"{name}.jsonl", "".join(text + "\n" for text in texts))
    cost = {
        "records": len(rows["draws"]),
        "rejected": len(rows["rejected"]),
        **{name: sums[name] for name in COUNTED},
        "mean_samples": sums["samples"] / len(rows["draws"]),
        "usd": round(usd, 6) if priced else None,
        "seconds": round(seconds, 3),
    }
    write_text(folder / "cost.json", json.dumps(cost, indent=2) + "\n")
    return Summary(len(rows["instructions"]), len(rows["rejected"]), dict(sorted(flags.items())), cost)
