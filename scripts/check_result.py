"""Check rows of a leaderboard before they are sent: one line for each fault.

    python scripts/check_result.py results/feab--mine.json results      files, or folders of them
    python scripts/check_result.py --schema results/schema.json         write the rows' JSON schema

A row is right if it has the form of results/schema.json, its counts add up to what was asked, its intervals are those
of its replicates, and nothing in it names a folder of your machine or a key. Exit code 2: there is a fault, or no row.
"""

import argparse
import sys
from pathlib import Path

from seke.cli.mistakes import in_one_line
from seke.core.errors import UserError
from seke.core.escape import one_line
from seke.core.files import write_text
from seke.core.result_file import faults, files_in, schema


@in_one_line()
def main() -> None:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="*", help="files of rows, or folders of them")
    parser.add_argument("--schema", type=Path, help="write the JSON schema to this file")
    asked = parser.parse_args()
    if asked.schema:
        write_text(asked.schema, schema())
        return
    files = [file for path in asked.rows for file in (files_in(path) if path.is_dir() else [path])]
    if not files:
        raise UserError(
            "rows", " ".join(map(str, asked.rows)), "no file of a row", "name what evaluate.py results= wrote"
        )
    wrong = 0
    for file in files:
        for fault in faults(file):
            wrong += 1
            print(one_line(f"error: {file}: {fault}"), file=sys.stderr)
    print(f"{len(files)} {'rows' if len(files) > 1 else 'row'}, {wrong} {'faults' if wrong != 1 else 'fault'}")
    if wrong:
        raise SystemExit(2)


if __name__ == "__main__":
    main()
