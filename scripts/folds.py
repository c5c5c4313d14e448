"""Deal the subjects of a prepared set into two folds: their records, and the instructions that a run wrote about them.

    python scripts/folds.py outputs/prepare/demo/train.jsonl outputs/generate/demo-seke/instructions.jsonl folds

writes folds/{0,1}/{records.jsonl,instructions.jsonl,manifest.json}. A subject is in one fold alone, a record without a
subject is a subject of its own, and the same subjects fall into the same fold whatever the run.
"""

import json
import os
import sys
from pathlib import Path

from seke.cli.mistakes import in_one_line
from seke.core import files, runs
from seke.core.errors import UserError
from seke.core.records import ImageRecord, InstructionRecord, read_jsonl, write_jsonl
from seke.generation.calibration.not_looking import deal
from seke.generation.calibration.pilot import group

FOLDS = 2


def write(records: Path, instructions: Path, target: Path) -> list[tuple[int, int]]:
    """Write both folds; return how many records and instructions each has."""
    for argument, file in (("records", records), ("instructions", instructions)):
        if not file.is_file():
            raise UserError(argument, file, "there is no such file", "give train.jsonl and instructions.jsonl")
    rows = list(read_jsonl(records, ImageRecord))
    fold = deal([group(row) for row in rows], FOLDS)
    if len(fold) < FOLDS:
        raise UserError("records", records, "are of one subject", "a model cannot be held against faces it has seen")
    of = {row.id: fold[group(row)] for row in rows}
    said = [row for row in read_jsonl(instructions, InstructionRecord) if row.id in of]
    counts = []
    for number in range(FOLDS):
        folder = files.folder(target / str(number))
        mine = [row for row in rows if of[row.id] == number]
        about = [row for row in said if of[row.id] == number]
        counts.append((write_jsonl(folder / "records.jsonl", mine), write_jsonl(folder / "instructions.jsonl", about)))
        root = os.path.relpath(runs.image_root(records).resolve(), folder.resolve())
        facts = {"image_root": root, **runs.noted(records, "synthetic")}
        files.write_text(folder / "manifest.json", json.dumps(facts, indent=2) + "\n")
    return counts


if __name__ == "__main__":
    with in_one_line():
        if len(sys.argv) != 4:
            raise UserError(
                "words", " ".join(sys.argv[1:]), "not three paths", "see the first lines of scripts/folds.py"
            )
        for number, (faces, instructions) in enumerate(write(*map(Path, sys.argv[1:]))):
            print(f"{sys.argv[3]}/{number}: {faces} records, {instructions} instructions")
