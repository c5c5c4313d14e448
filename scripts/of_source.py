"""Take the rows of one source out of a file of records or of instructions, to be judged apart.

    python scripts/of_source.py outputs/prepare/demo/test.jsonl raf_db raf_db/test.jsonl

writes them with the manifest.json that says where their pictures lie.
"""

import json
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from seke.cli.mistakes import in_one_line
from seke.core import files, runs
from seke.core.errors import UserError
from seke.core.records import read_jsonl, write_jsonl


class Sourced(BaseModel):
    """A row of any kind; all of it is kept."""

    model_config = ConfigDict(extra="allow")

    source: str


def write(records: Path, source: str, target: Path) -> int:
    """Write the rows of `source`; return how many there are.

    Raises:
        UserError: if there is no such file, or it has no record of this source.
    """
    if not records.is_file():
        raise UserError("records", records, "there is no such file", "give a file that prepare.py wrote")
    rows = list(read_jsonl(records, Sourced))
    kept = [row for row in rows if row.source == source]
    if not kept:
        found = ", ".join(sorted({row.source for row in rows})) or "none"
        raise UserError("source", source, f"{records} has no record of it", f"name one of its sources: {found}")
    folder = files.folder(target.parent)
    number = write_jsonl(target, kept)
    root = os.path.relpath(runs.image_root(records).resolve(), folder.resolve())
    facts = {"image_root": root, **runs.noted(records, "synthetic")}
    files.write_text(folder / "manifest.json", json.dumps(facts, indent=2) + "\n")
    return number


if __name__ == "__main__":
    with in_one_line():
        if len(sys.argv) != 4:
            raise UserError(
                "words", " ".join(sys.argv[1:]), "not three of them", "see the first lines of scripts/of_source.py"
            )
        print(f"{sys.argv[3]}: {write(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))} records")
