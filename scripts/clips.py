"""Instruction data and test records of scripts/clips.sh: how a face moves, beside controls that cannot see it move.

    python scripts/clips.py ordered <prepared set> <out> [seed]     the clips as they are
    python scripts/clips.py shuffled <prepared set> <out> [seed]    the frames of each clip in an order drawn anew
    python scripts/clips.py blind <prepared set> <out> [seed]       one grey picture in place of every clip

<prepared set>: a folder of records with clips and `attributes.movement` (source=synthetic_clips source.shown=8).
<out>: a folder for rows.jsonl, LLaVA conversations of train.jsonl, and test.jsonl.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import yaml
from PIL import Image

from seke.core.files import write_text
from seke.core.records import ImageRecord, read_jsonl, write_jsonl
from seke.core.runs import image_root

EXPERIMENT = Path(__file__).parents[1] / "conf" / "evaluate" / "experiment" / "clips.yaml"
GREY = "grey.png"
ARMS = ("ordered", "shuffled", "blind")


def shuffled(record: ImageRecord, seed: int) -> ImageRecord:
    """Return a record with the frames of its clip in another order; the times stay, so that nothing tells it."""
    assert record.clip is not None
    places = list(range(len(record.clip.frames)))
    Random(f"{seed}/{record.id}/frames").shuffle(places)
    clip = record.clip.of(places).model_copy(update={"times": record.clip.times})
    return record.model_copy(update={"clip": clip})


def blind(record: ImageRecord) -> ImageRecord:
    """Return a record that shows a grey picture, the same one in training and test: its sha256 says nothing."""
    return record.model_copy(update={"image": GREY, "sha256": None, "clip": None})


def named_apart(record: ImageRecord) -> ImageRecord:
    """Return a record whose subject is called otherwise than those of drawn faces, who are other people."""
    return record.model_copy(update={"subject": f"clip-{record.subject}"})


def conversation(record: ImageRecord, question: str) -> dict[str, object]:
    """Return a row of instruction data about a record's clip, or its picture where it has none."""
    turns = [
        {"from": "human", "value": f"<image>\n{question}"},
        {"from": "gpt", "value": record.attributes["movement"]},
    ]
    row = {"id": record.id, "image": record.image, "sha256": record.sha256, "source": record.source}
    clip = {} if record.clip is None else {"clip": record.clip.model_dump(mode="json", exclude_none=True)}
    return {**row, "subject": record.subject, "conversations": turns, **clip}


def main(arm: str, prepared: Path, out: Path, seed: int = 0) -> None:
    """Write an arm's instructions and test records."""
    question = str(yaml.safe_load(EXPERIMENT.read_text(encoding="utf-8"))["benchmark"]["question"]).strip()
    root = image_root(prepared / "train.jsonl").resolve()
    out.mkdir(parents=True, exist_ok=True)
    if arm == "blind":
        root = out.resolve()
        Image.new("RGB", (96, 96), (127, 127, 127)).save(root / GREY)

    def seen(record: ImageRecord) -> ImageRecord:
        record = named_apart(record)
        if arm == "blind":
            return blind(record)
        return shuffled(record, seed) if arm == "shuffled" else record

    train, test = (
        [seen(record) for record in read_jsonl(prepared / f"{split}.jsonl", ImageRecord)] for split in ("train", "test")
    )
    rows = [json.dumps(conversation(record, question), ensure_ascii=False) for record in train]
    write_text(out / "rows.jsonl", "\n".join(rows) + "\n")
    write_jsonl(out / "test.jsonl", test)
    made = json.loads((prepared / "manifest.json").read_text(encoding="utf-8"))
    write_text(out / "manifest.json", json.dumps({"image_root": str(root), "synthetic": made.get("synthetic")}))


def arguments(words: Sequence[str]) -> tuple[str, Path, Path, int]:
    """Return what the command line says."""
    if len(words) not in (3, 4) or words[0] not in ARMS:
        raise SystemExit(__doc__)
    return words[0], Path(words[1]), Path(words[2]), int(words[3]) if len(words) > 3 else 0


if __name__ == "__main__":
    main(*arguments(sys.argv[1:]))
