"""A miniature EmoSet, as it looks once everything is unpacked."""

import json
from pathlib import Path

from .pictures import save

EMOTIONS = ("amusement", "anger", "awe", "contentment", "disgust", "excitement", "fear", "sadness")
EACH = 9
ALONE, UNLISTED = 7, 8
"""The picture without an annotation, and the one that no split list names."""


def make(root: Path, lists: bool = True) -> None:
    """Write the tree: nine pictures a class, numbered from 995 on; optional keys come and go.

    - number 7 of every class has no annotation, and anger has an annotation without a picture
    - `lists` writes train.json, val.json and test.json; the last picture of each class is in none of them
    - one picture has an upper-case extension; .DS_Store lies about
    """
    named: dict[str, list[list[str]]] = {"train": [], "val": [], "test": []}
    for emotion in EMOTIONS:
        for number in range(EACH):
            stem = f"{emotion}_{995 + number:05d}"
            picture = f"image/{emotion}/{stem}.{'JPG' if (emotion, number) == ('awe', 1) else 'jpg'}"
            save(root / picture, stem)
            if number != ALONE:
                annotate(root, emotion, stem, number)
            if number != UNLISTED:
                part = {0: "test", 1: "test", 2: "val"}.get(number, "train")
                named[part].append([emotion, picture, f"annotation/{emotion}/{stem}.json"])
    annotate(root, "anger", "anger_77777", 0)
    (root / "image" / ".DS_Store").write_bytes(b"\0")
    (root / "info.json").write_text(json.dumps({"label2idx": {emotion: k for k, emotion in enumerate(EMOTIONS)}}))
    for name, rows in named.items() if lists else ():
        (root / f"{name}.json").write_text(json.dumps(rows))


def annotate(root: Path, emotion: str, stem: str, number: int) -> Path:
    found = {"image_id": stem, "emotion": emotion, "brightness": number / 10, "colorfulness": 0.3}
    if number % 2:
        found |= {"scene": "beach", "object": ["Toy", "Dog"]}
    if number % 3 == 0:
        found |= {"facial_expression": "happy", "human_action": "smiling"}
    file = root / "annotation" / emotion / f"{stem}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))
    return file
