"""Write a review's corrections into the table of one's own pictures: a new table for the next `prepare.py`.

    python scripts/merge_review.py reviewed                      -> /pictures/labels.reviewed.csv, or .xlsx
    python scripts/merge_review.py reviewed --accepted           all labels of what was accepted or corrected as well
    python scripts/merge_review.py reviewed --out new.csv --outputs /data/outputs

`reviewed` is the name of a run of `python generate.py review=review.json name=reviewed`. The table is that of the
prepared set which the run was made of; it stays as it is. Look at the new one, put it in its place, and go on with
`python prepare.py ... update=true` and `python generate.py ... update=true`: nobody is asked again about what was
reviewed.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from seke.core import runs
from seke.core.errors import UserError
from seke.core.records import InstructionRecord, Labels, read_jsonl
from seke.generation.run import review
from seke.sources.faces_datasets.folder import Folder
from seke.sources.faces_datasets.merged_labels import default_out, merge


def corrections(instructions: Path, accepted: bool) -> dict[str, Labels]:
    """Return what the reviewer says of each record; with `accepted` all labels of the rows that were looked at."""
    decisions = review.read(instructions.parent / review.FILE).decisions
    said = {decision.id: decision.labels for decision in decisions if decision.labels is not None}
    rows = [row for row in read_jsonl(instructions, InstructionRecord) if review.is_reviewed(row)]
    if accepted:
        return {row.id: row.labels for row in rows}
    return {row.id: labels for row in rows if (labels := said.get(row.id)) is not None}


def table_of(instructions: Path, outputs: Path) -> tuple[Folder, dict[str, Any]]:
    """Return the folder of pictures that a generation is about, and its settings.

    Raises:
        UserError: if its records come from another source.
    """
    records = str(runs.manifest_beside(instructions).get("config", {}).get("records"))
    prepared = runs.locate_records(records, outputs, "train.jsonl")
    settings = dict(runs.manifest_beside(prepared).get("config", {}).get("source") or {})
    if str(settings.pop("_target_", "")).rpartition(".")[2] != "Folder":
        raise UserError("records", records, "not of source=folder: there is no table of yours", "keep the run instead")
    return Folder(**settings), settings


def main() -> None:
    """Read the command line, merge, and say what was done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", help="the name of a reviewed generate run")
    parser.add_argument("--accepted", action="store_true", help="write all labels of what was looked at")
    parser.add_argument(
        "--out", type=Path, help="the new table; else <its name>.reviewed.csv, or .xlsx, beside the old one"
    )
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the folder of all runs")
    asked = parser.parse_args()
    try:
        instructions = runs.locate("run", asked.run, asked.outputs, "generate", "instructions.jsonl")
        folder, settings = table_of(instructions, asked.outputs)
        out = asked.out or default_out(folder)
        merged = merge(folder, settings, corrections(instructions, asked.accepted), out)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"{out}: {merged.changed} rows changed, {merged.added} added; {folder.files[0]} is as it was")
    print(f"next: put it in the place of {folder.files[0].name}, and give prepare.py again with update=true")


if __name__ == "__main__":
    main()
