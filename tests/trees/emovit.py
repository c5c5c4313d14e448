"""EmoVIT's instructions and EmoSet's pictures as they lie on disk.

    EmoVIT/emo/train.json                       one row per question and answer, ids that repeat over classes
    EmoVIT/emo/val.json                         EmoSet's split list: lists, no rows
    EmoSet/image/amusement/amusement_00000.jpg

Quirks: no `<image>` anywhere; "Complex" left at the end of an answer; one row's picture is missing.
"""

import json
from pathlib import Path

from .pictures import save

CLASSES = ("amusement", "awe", "fear")
QUESTION = "Please select the emotion closest to the image from the following options:amusement, awe and fear"

IN_DATA = True
"""`make` is given paths.data, the folder that all datasets lie in."""


def make(root: Path, pictures: int = 4, images: str = "image/{cls}/{file}") -> None:
    """Write both trees below `root`; `images` is where a picture lies in EmoSet."""
    rows = []
    for cls in CLASSES:
        for k in range(pictures):
            file = f"{cls}_{k:05d}.jpg"
            save(root / "EmoSet" / images.format(cls=cls, file=file), file)
            rows.append(row(file, QUESTION, f"Predict emotion: {cls}"))
            rows.append(row(file, " What stands out? ", "A Complex of colours.\n\nComplex"))
    rows.append(row("awe_99999.jpg", QUESTION, "Predict emotion: awe"))
    folder = root / "EmoVIT" / "emo"
    folder.mkdir(parents=True)
    (folder / "train.json").write_text(json.dumps(rows))
    split = [[c, f"image/{c}/{c}_00000.jpg", f"annotation/{c}/{c}_00000.json"] for c in CLASSES]
    (folder / "val.json").write_text(json.dumps(split))


def row(file: str, question: str, answer: str) -> dict:
    """One row as all.py writes it: its id is the five characters behind the first underscore."""
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": file.split("_")[1][:5], "image": file, "conversations": turns}
