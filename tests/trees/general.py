"""A prepared set of questions that are not about emotion, as `source=synthetic_questions` leaves it.

    general/train.jsonl, manifest.json, and the pictures in questions/

Quirks: a row without an answer, one without a question, one whose picture is missing, one of the test side.
"""

import json
from pathlib import Path
from typing import Any

from .pictures import save

TOLD: dict[str, Any] = {
    "kind": "glasses",
    "question": "Glasses?",
    "answer": "Glasses.",
    "expected": [[["yes"], ["no"]]],
}


def make(root: Path) -> None:
    """Write the set to `root`: three whole rows, and one with each quirk."""
    rows = [row(k) for k in range(3)]
    rows.append({**row(3), "attributes": {**TOLD, "answer": None}})
    rows.append({**row(4), "attributes": {"kind": "glasses"}})
    rows.append({**row(5), "image": "gone.jpg"})
    rows.append({**row(6), "split": "test"})
    for each in rows:
        if each["image"] != "gone.jpg":
            save(root / "questions" / each["image"], each["image"])
    (root / "train.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    (root / "manifest.json").write_text('{"image_root": "questions"}')


def row(k: int) -> dict[str, Any]:
    """One record."""
    return {
        "id": f"q{k}", "image": f"{k}.jpg", "sha256": None, "source": "synthetic_questions", "subject": None,
        "split": "train", "labels": {}, "attributes": TOLD,
    }  # fmt: skip
