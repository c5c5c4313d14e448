"""Controls and the table of scripts/smooth.sh.

python scripts/smooth.py shuffled <records.jsonl> <out.jsonl> [seed]      each film's frames change their times
python scripts/smooth.py copied <instructions.jsonl> <out.jsonl> [every]  frames left out have the last one's labels
python scripts/smooth.py table <outputs> <run> <arm>...                   quality by subject, and what was asked
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from seke.core.records import Clip, ImageRecord, InstructionRecord, Labels, read_jsonl, write_jsonl

MEASURES = (
    ("expression, acc.", "expression", "accuracy"),
    ("AU F1 (14)", "action_units", "f1_mean_14"),
    ("valence MAE", "valence", "mae"),
    ("arousal MAE", "arousal", "mae"),
)


def shuffled(records: Sequence[ImageRecord], seed: int) -> list[ImageRecord]:
    """Return the records with the times of each film dealt out anew: what follows what is lost, and nothing else."""
    films: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        if record.clip is not None:
            films.setdefault(f"{record.source}/{record.clip.video}", []).append(place)
    found = list(records)
    for film, places in films.items():
        clips: list[Clip | None] = [records[place].clip for place in places]
        Random(f"{seed}/{film}").shuffle(clips)
        for place, clip in zip(places, clips, strict=True):
            found[place] = records[place].model_copy(update={"clip": clip})
    return found


def copied(rows: Sequence[InstructionRecord], every: int) -> list[InstructionRecord]:
    """Return the rows in which frames that are left out have the generated labels of the last frame that is not."""
    films: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.clip is not None:
            films.setdefault(f"{row.source}/{row.clip.video}", []).append(place)
    found = list(rows)
    for places in films.values():
        ordered = sorted(places, key=lambda place: _time(rows[place]))
        for number, place in enumerate(ordered):
            source, row = rows[ordered[number - number % every]], rows[place]
            human = {
                name: getattr(row.labels, name) if getattr(row.origin, name) == "manual" else None
                for name in ("expression", "valence", "arousal")
            }
            units = row.labels.action_units or {}
            kept = {au: value for au, value in units.items() if row.origin.action_units.get(str(au)) == "manual"}
            labels = Labels(**human, action_units=kept or None).completed_by(source.labels)
            if place != ordered[number - number % every]:
                found[place] = row.model_copy(update={"labels": labels, "confidence": None})
    return found


def table(outputs: Path, run: str, arms: Iterable[str]) -> str:
    """Return the Markdown table of what `evaluate.py benchmark=reliability` found of each arm."""
    head = ["", *(f"{title} (95 %)" for title, *_ in MEASURES), "frames asked", "calls"]
    lines = [head, ["---"] * len(head)]
    for arm in arms:
        found = json.loads((outputs / "evaluate" / f"{run}-labels-{arm}" / "metrics.json").read_text(encoding="utf-8"))
        cells = [_cell(found, task, metric) for _, task, metric in MEASURES]
        lines.append([arm, *cells, *_asked(outputs / "generate" / f"{run}-{arm}")])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(found: dict[str, Any], task: str, metric: str) -> str:
    low, high = found["ci95"][task][metric]
    return f"{found[task][metric]:.3f} ({low:.3f} to {high:.3f})"


def _asked(folder: Path) -> tuple[str, str]:
    if not (folder / "cost.json").is_file():
        return "", ""
    rows = list(read_jsonl(folder / "instructions.jsonl", InstructionRecord))
    cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
    return f"{sum(row.samples > 0 for row in rows) / len(rows):.0%}", f"{cost['requests']:,}"


def _time(row: InstructionRecord) -> float:
    return (row.clip.time if row.clip is not None else None) or 0.0


def main(arguments: Sequence[str]) -> None:
    """Do what the first argument says."""
    what, *rest = arguments
    if what == "table":
        print(table(Path(rest[0]), rest[1], rest[2:]))
        return
    source, out, number = Path(rest[0]), Path(rest[1]), int((*rest[2:], 0 if what == "shuffled" else 2)[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    if what == "shuffled":
        write_jsonl(out, shuffled(list(read_jsonl(source, ImageRecord)), number))
    else:
        write_jsonl(out, copied(list(read_jsonl(source, InstructionRecord)), number))


if __name__ == "__main__":
    main(sys.argv[1:])
