"""Remove a person or a picture from ledger, rows, exports, pages and kept features below outputs/.

    python scripts/forget.py disfa/SN001                  a subject, as <source>/<subject> or its bare name
    python scripts/forget.py face.jpg --dry-run           a picture: a file, its path in the rows, or its sha256
    python scripts/forget.py disfa/SN001/17               a record's id
    python scripts/forget.py SN001 --outputs /data/outputs --ledger /data/ledger.sqlite

It says what it removed and what has to be made anew; --dry-run changes nothing.
"""

import argparse
from pathlib import Path

from seke.cli.mistakes import in_one_line
from seke.core import forget
from seke.core.escape import visible


@in_one_line()
def main() -> None:
    """Read the command line, remove, and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("who", help="a subject, a record's id or a picture")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the folder of all runs")
    parser.add_argument("--ledger", type=Path, help="where it lies, if not in outputs")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    asked = parser.parse_args()
    person = forget.find(asked.who, asked.outputs)
    removed = forget.forget(person, asked.outputs, asked.ledger, asked.dry_run)
    print("would be removed:" if asked.dry_run else "removed:")
    print(*(f"  {visible(line)}" for line in removed.lines(asked.outputs)), sep="\n")


if __name__ == "__main__":
    main()
