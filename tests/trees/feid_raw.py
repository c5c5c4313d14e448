"""Six miniature datasets in one folder, as `source=feid_raw` finds them in paths.data.

python -m tests.trees.feid_raw FOLDER writes them, to try the command on:
python prepare.py source=feid_raw paths.data=FOLDER name=mini
"""

import sys
from pathlib import Path

from . import aff_wild2, affectnet, bp4d, ck_plus, disfa, raf_db

IN_DATA = True
"""`make` is given paths.data, the folder that all datasets lie in."""


def make(root: Path) -> None:
    """Write CK+, RAF-DB, AffectNet, DISFA, BP4D and Aff-Wild2."""
    ck_plus.make(root / "CK+")
    raf_db.make(root / "RAF-DB")
    affectnet.make_csv(root / "AffectNet")
    disfa.make(root / "DISFA")
    bp4d.make(root / "BP4D")
    aff_wild2.make(root / "Aff-Wild2")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
