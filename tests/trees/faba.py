"""FABA-Instruct as it lies on disk.

    FABAInstruct/{train,eval}/{train,eval}_{emotion,au}_anno.json
    FABAInstruct/{train,eval}/images/AffectNet/AffectNet_v2/<n>/<hash>.jpg

Quirks: `<image>` after the question; paths begin with FABAInstruct/, wherever that is; landmark files are named; eval
rows have `label` and `gpt4`; one row's picture is missing.
"""

import json
from pathlib import Path

from .pictures import save

IN_DATA = True
"""`make` is given paths.data, the folder that all datasets lie in."""


def make(root: Path, faces: int = 4) -> None:
    """Write FABAInstruct/ below `root`."""
    top = root / "FABAInstruct"
    for split in ("train", "eval"):
        rows: dict[str, list] = {"emotion": [], "au": []}
        for k in range(faces):
            inside = f"{split}/images/AffectNet/AffectNet_v2/{k}/{k:x}abc.jpg"
            save(top / inside, inside)
            rows["emotion"].append(
                row(inside, "What is the emotion of this face?", "They look glad.", split, "Happiness")
            )
            rows["au"].append(row(inside, "Which action units are active?", "AU6 and AU12.", split, "6, 12"))
        rows["au"].append(row(f"{split}/images/AffectNet/gone.jpg", "Which?", "AU1.", split, "1"))
        for task, made in rows.items():
            (top / split / f"{split}_{task}_anno.json").write_text(json.dumps(made))


def row(inside: str, question: str, answer: str, split: str, label: str) -> dict:
    """One annotation, with what only eval rows have."""
    stem = inside.removesuffix(".jpg")
    base = {
        "source": "AffectNet", "image": f"FABAInstruct/{inside}", "id": f"AffectNet/{stem}",
        "conversations": [{"from": "human", "value": f"{question}\n<image>"}, {"from": "gpt", "value": answer}],
        "landmark": f"FABAInstruct/{stem.replace('images', 'landmarks')}.npy",
    }  # fmt: skip
    return {**base, "label": label, "gpt4": answer} if split == "eval" else base
