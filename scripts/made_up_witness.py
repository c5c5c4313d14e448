"""Write the table of a made-up specialist about drawn faces, or deal another witness's answers out at random.

    python scripts/made_up_witness.py specialist outputs/prepare/demo/truth.jsonl specialist.csv [seed=0] [strength=2.0]
    python scripts/made_up_witness.py dice specialist.csv dice.csv [seed=0]          also of predictions.jsonl

The specialist looks at the truth through noise, as `backend=simulated` does, in the columns that OpenFace and
EmotiEffLib write: an intensity and an occurrence of each of OpenFace's AUs (`strength` standard deviations higher where
it is active), shares of seven expressions, valence and arousal. It finds no face in 3 of 100 pictures. Dice answer with
what was said of another picture: the control of everything that is learnt from answers.
"""

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seke.cli.mistakes import in_one_line
from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.files import write_text
from seke.core.records import ImageRecord, read_jsonl

OPENFACE = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26)
SEVEN = tuple(name for name in EXPRESSIONS if name != "contempt")
MISSED = 0.03
"""Share of pictures in which the specialist finds no face."""
SHARP = 2.2
"""How far the score of the true expression lies above the others', in their standard deviation."""
VA_ERROR = 0.22
"""Standard deviation of the specialist's error in valence and arousal."""


def specialist(source: Path, target: Path, seed: int, strength: float) -> int:
    """Write a table about the faces of truth.jsonl; return how many rows it has."""
    rng = np.random.default_rng(seed)
    units = [name for au in OPENFACE for name in (f"AU{au:02}_r", f"AU{au:02}_c")]
    lines = [["filename", "success", *units, *SEVEN, "valence", "arousal"]]
    for record in read_jsonl(source, ImageRecord):
        labels = record.labels
        if rng.random() < MISSED:
            lines.append([record.image, "0", *[""] * (len(units) + len(SEVEN) + 2)])
            continue
        cells: list[str] = []
        for au in OPENFACE:
            score = strength * float((labels.action_units or {}).get(au, False)) + rng.normal()
            cells += [f"{np.clip(score, 0, 5):.2f}", str(int(score > strength / 2))]
        scores = rng.normal(size=len(SEVEN)) + [SHARP * (name == labels.expression) for name in SEVEN]
        shares = np.exp(scores) / np.exp(scores).sum()
        va = [np.clip((value or 0.0) + VA_ERROR * rng.normal(), -1, 1) for value in (labels.valence, labels.arousal)]
        lines.append([record.image, "1", *cells, *(f"{p:.4f}" for p in shares), *(f"{value:.3f}" for value in va)])
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return len(lines) - 1


def dice(source: Path, target: Path, seed: int) -> int:
    """Write the rows of a table or of predictions.jsonl, each about another's picture; return how many there are."""
    rng = np.random.default_rng(seed)
    if source.suffix == ".jsonl":
        rows: list[Mapping[str, Any]] = [json.loads(line) for line in source.read_text("utf-8").splitlines() if line]
        others = [rows[place] for place in rng.permutation(len(rows))]
        mixed = [{**other, "id": row["id"]} for row, other in zip(rows, others, strict=True)]
        write_text(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in mixed))
        return len(mixed)
    with source.open(encoding="utf-8", newline="") as file:
        titles, *lines = list(csv.reader(file))
    others_of = [lines[place] for place in rng.permutation(len(lines))]
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [titles, *([line[0], *other[1:]] for line, other in zip(lines, others_of, strict=True))]
        )
    return len(lines)


def main(words: list[str]) -> None:
    """Do what the words of the command say."""
    places = [word for word in words if "=" not in word]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    seed, strength = int(given.pop("seed", 0)), float(given.pop("strength", 2.0))
    if len(places) != 3 or places[0] not in ("specialist", "dice") or given:
        raise UserError(
            "words", " ".join(words), "no such command", "see the first lines of scripts/made_up_witness.py"
        )
    source, target = Path(places[1]), Path(places[2])
    if not source.is_file():
        raise UserError("source", source, "there is no such file", "give truth.jsonl, a table or predictions.jsonl")
    target.parent.mkdir(parents=True, exist_ok=True)
    rows = specialist(source, target, seed, strength) if places[0] == "specialist" else dice(source, target, seed)
    print(f"{target}: {rows} rows")


if __name__ == "__main__":
    with in_one_line():
        main(sys.argv[1:])
