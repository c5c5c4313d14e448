"""How long listing a large dataset takes, and how much memory: an Aff-Wild2 of many frames, made up on the spot.

    python scripts/bench_prepare.py                      50k, 100k and 200k frames
    python scripts/bench_prepare.py --rows 1000000       one size; 0.1 ms and one tiny file a frame to make it

Each frame has a picture (never opened) and a row in three label sets. Two ways of joining them are measured, each in a
process of its own that has imported everything before the clock starts; `times` compares their processor time:
    seke      sources.aff_wild2, as `python prepare.py source=aff_wild2` lists it
    pandas    read_csv for each label file, merged by frame, os.path.exists and one ImageRecord a row
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from bench import Cost, apart, cost, options, peak, tell
from seke.core.records import ImageRecord, Labels
from seke.sources.base.split import assign

FRAMES_PER_VIDEO = 2000
AUS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
CLASSES = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
MISSING = 0.03
"""Share of rows with a missing code in a label set."""
FOLDERS = {"va": "VA_Estimation_Challenge", "expr": "EXPR_Classification_Challenge", "au": "AU_Detection_Challenge"}
HEADS = {
    "va": "valence,arousal",
    "expr": ",".join(name.capitalize() for name in CLASSES),
    "au": ",".join(f"AU{au}" for au in AUS),
}


def make(root: Path, rows: int) -> None:
    """Write label sets as ABAW has them since 2022, and a picture of no content for every frame."""
    rng = Random(rows)
    for start in range(0, rows, FRAMES_PER_VIDEO):
        video, count = f"video{start // FRAMES_PER_VIDEO + 1}", min(FRAMES_PER_VIDEO, rows - start)
        pictures = root / "cropped_aligned" / video
        pictures.mkdir(parents=True)
        lines = {task: [head] for task, head in HEADS.items()}
        for frame in range(1, count + 1):
            (pictures / f"{frame:05d}.jpg").touch()
            gone = [rng.random() < MISSING for _ in lines]
            lines["va"].append("-5,-5" if gone[0] else f"{rng.uniform(-1, 1):.3f},{rng.uniform(-1, 1):.3f}")
            lines["expr"].append("-1" if gone[1] else str(rng.randrange(len(CLASSES))))
            lines["au"].append(",".join("-1" if gone[2] else str(int(rng.random() < 0.2)) for _ in AUS))
        for task, text in lines.items():
            file = root / FOLDERS[task] / "Train_Set" / f"{video}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(text) + "\n")


def seke(root: Path) -> tuple[Cost, int, float]:
    """List the tree with this package; return the cost, the number of records and the peak memory in bytes."""
    from seke.sources.faces_datasets.aff_wild2 import AffWild2
    from seke.sources.prepare.prepare import listed

    return measured(lambda: listed(AffWild2(str(root)), root)[0])


def pandas(root: Path) -> tuple[Cost, int, float]:
    """List the tree as one would with pandas."""
    import pandas as pd

    columns = {"va": ["valence", "arousal"], "expr": ["expression"], "au": [f"au{au}" for au in AUS]}

    def read() -> list[ImageRecord]:
        records = []
        files = sorted((root / FOLDERS["va"] / "Train_Set").glob("*.txt"))
        splits = assign((file.stem for file in files), 0)
        for file in files:
            table: Any = None
            for task, folder in FOLDERS.items():
                path = root / folder / "Train_Set" / file.name
                part = pd.read_csv(path, skiprows=1, header=None, names=columns[task])
                part["image"] = [f"cropped_aligned/{file.stem}/{n + 1:05d}.jpg" for n in part.index]
                table = part if table is None else table.merge(part, on="image", how="outer")
            for _, row in table.iterrows():
                if os.path.exists(root / row["image"]) and (found := labels(row)) != Labels():
                    records.append(
                        ImageRecord(
                            id=f"aff_wild2/{row['image']}", image=row["image"], sha256=None, source="aff_wild2",
                            subject=file.stem, split=splits[file.stem], labels=found,
                        )
                    )  # fmt: skip
        return records

    def labels(row: Any) -> Labels:
        rated = row["valence"] != -5 and row["arousal"] != -5
        return Labels(
            expression=CLASSES[row["expression"]] if 0 <= row["expression"] < 7 else None,
            valence=row["valence"] if rated else None,
            arousal=row["arousal"] if rated else None,
            action_units={au: bool(row[f"au{au}"]) for au in AUS if row[f"au{au}"] in (0, 1)} or None,
        )

    return measured(read)


def measured(listing: Callable[[], list[ImageRecord]]) -> tuple[Cost, int, float]:
    """List once; the records stay in memory until the peak is known, as they do in `prepare`."""
    took = cost(listing)
    return took._replace(result=None), len(took.result), peak()


def main() -> int:
    """Measure and tell; return the exit code."""
    parser = options(__doc__, rounds=None)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 100_000, 200_000], help="numbers of frames")
    sizes = sorted(parser.parse_args().rows)
    rows, each = list[list[object]](), list[float]()
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), size)
            found = {way.__name__: apart(way, Path(folder)) for way in (seke, pandas)}
        each.append(found["seke"][0].processor / size)
        for name, (took, records, memory) in found.items():
            ratio = took.processor / found["seke"][0].processor
            rows.append([size, name, records, took.seconds, took.processor, size / took.seconds, memory / 1e6, ratio])
    head = ["frames", "way", "records", "seconds", "CPU s", "frames/s", "peak MB", "times ours"]
    about = f"listing frames; CPU time a frame at {sizes[-1]:,} over that at {sizes[0]:,} is {each[-1] / each[0]:.2f}"
    return tell(about, head, rows, [])


if __name__ == "__main__":
    raise SystemExit(main())
