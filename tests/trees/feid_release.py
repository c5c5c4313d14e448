"""FEID as its authors may have released it: LLaVA conversations in a file for each side, and their pictures."""

import json
from pathlib import Path

from .pictures import save


def make(root: Path, rows: int = 3) -> None:
    """Write train.json, test.json and their pictures; the picture of the last row is missing."""
    for side in ("train", "test"):
        found = [row(f"{side}_{number}", f"images/{side}_{number}.jpg") for number in range(rows)]
        for entry in found:
            save(root / entry["image"], entry["image"])
        found.append(row(f"{side}_gone", "images/gone.jpg"))
        (root / f"{side}.json").write_text(json.dumps(found))


def row(name: str, image: str) -> dict:
    """One conversation."""
    question, answer = "<image>\nWhat does this face show?", "The expression is happiness. AU6 and AU12 are active."
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": name, "image": image, "conversations": turns}
