"""FEA-20K as it lies on disk.

    FEA-20K/train.json, test.json, and the pictures of seven other datasets below it

Quirks: `AUs` lists what is active only; AUs that are none of the 17; emotions that are none of the eight; one face with
two; one picture is missing.
"""

import json
from pathlib import Path

from .pictures import save

LABELS = (["sadness"], ["happiness"], ["confusion"], ["fear", "anger"], [])


def make(root: Path) -> None:
    """Write the tree to `root`: one row per entry of LABELS, and one without a picture."""
    rows = []
    for k, labels in enumerate(LABELS):
        image = f"RAF-DB/train_{k:05d}.jpg"
        save(root / image, image)
        rows.append(row(k, image, labels))
    rows.append(row(99, "FER2013/gone.png", ["anger"]))
    for name in ("train", "test"):
        (root / f"{name}.json").write_text(json.dumps(rows))


def row(k: int, image: str, labels: list[str]) -> dict:
    """One annotated face."""
    return {
        "id": f"fea_{k}", "dataset": "RAF-DB", "image": image, "question": "<image>\nWhat does this face show?",
        "AUs": ["AU1", "AU4", "AU43"], "labels": labels, "description": f"Description {k}.", "meta_info": {},
    }  # fmt: skip
