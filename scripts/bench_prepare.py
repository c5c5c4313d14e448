"""How long listing a large dataset takes, and how much memory: an Aff-Wild2 of many frames, made up on the spot.

    python scripts/bench_prepare.py                      50k, 100k and 200k frames
    python scripts/bench_prepare.py --rows 1000000       one size; 0.1 ms and one tiny file a frame to make it

Each frame has a picture (never opened) and a row in three label sets. Two ways of joining them are timed, each in a
process of its own that has imported everything before the clock starts:
    seke      sources.aff_wild2, as `python prepare.py source=aff_wild2` lists it
    obvious   pandas.read_csv for each label file, merged by frame, os.path.exists and one ImageRecord a row
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import NamedTuple

from seke.records import ImageRecord, Labels
from seke.sources.split import split_of

FRAMES_PER_VIDEO = 2000
AUS = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
CLASSES = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise", "other")
MISSING = 0.03
"""Share of rows with a missing code in a label set."""
FOLDERS = {"va": "VA_Estimation_Challenge", "expr": "EXPR_Classification_Challenge", "au": "AU_Detection_Challenge"}


class Cost(NamedTuple):
    """What one way of listing took."""

    records: int
    seconds: float
    processor: float
    """Seconds of processor time: what the clock would say on an idle machine."""
    megabytes: float
    """Peak resident memory of the whole process, imports included."""


def make(root: Path, rows: int) -> None:
    """Write label sets as ABAW has them since 2022, and a picture of no content for every frame."""
    rng = Random(rows)
    for start in range(0, rows, FRAMES_PER_VIDEO):
        video = f"video{start // FRAMES_PER_VIDEO + 1}"
        count = min(FRAMES_PER_VIDEO, rows - start)
        pictures = root / "cropped_aligned" / video
        pictures.mkdir(parents=True)
        for frame in range(1, count + 1):
            (pictures / f"{frame:05d}.jpg").touch()
        lines = {
            "va": ["valence,arousal"],
            "expr": [",".join(name.capitalize() for name in CLASSES)],
            "au": [",".join(f"AU{au}" for au in AUS)],
        }
        for _ in range(count):
            gone = [rng.random() < MISSING for _ in lines]
            lines["va"].append("-5,-5" if gone[0] else f"{rng.uniform(-1, 1):.3f},{rng.uniform(-1, 1):.3f}")
            lines["expr"].append("-1" if gone[1] else str(rng.randrange(len(CLASSES))))
            lines["au"].append(",".join("-1" if gone[2] else str(int(rng.random() < 0.2)) for _ in AUS))
        for task, text in lines.items():
            file = root / FOLDERS[task] / "Train_Set" / f"{video}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(text) + "\n")


def seke(root: Path) -> Cost:
    """List the tree with this package."""
    from seke.sources.aff_wild2 import AffWild2
    from seke.sources.prepared import listed

    return timed(lambda: listed(AffWild2(str(root)), root)[0])


def obvious(root: Path) -> Cost:
    """List the tree as one would with pandas."""
    import pandas as pd

    def read() -> list[ImageRecord]:
        records = []
        columns = {"va": ["valence", "arousal"], "expr": ["expression"], "au": [f"au{au}" for au in AUS]}
        for file in sorted((root / FOLDERS["va"] / "Train_Set").glob("*.txt")):
            table = None
            for task, folder in FOLDERS.items():
                part = pd.read_csv(
                    root / folder / "Train_Set" / file.name, skiprows=1, header=None, names=columns[task]
                )
                part["image"] = [f"cropped_aligned/{file.stem}/{n + 1:05d}.jpg" for n in part.index]
                table = part if table is None else table.merge(part, on="image", how="outer")
            for _, row in table.iterrows():
                if os.path.exists(root / row["image"]) and (found := labels(row)) != Labels():
                    records.append(
                        ImageRecord(
                            id=f"aff_wild2/{row['image']}", image=row["image"], sha256=None, source="aff_wild2",
                            subject=file.stem, split=split_of(file.stem, 0), labels=found,
                        )
                    )  # fmt: skip
        return records

    def labels(row: "pd.Series") -> Labels:
        rated = row["valence"] != -5 and row["arousal"] != -5
        named = 0 <= row["expression"] < 7
        units = {au: bool(row[f"au{au}"]) for au in AUS if row[f"au{au}"] in (0, 1)}
        return Labels(
            expression=CLASSES[row["expression"]] if named else None,
            valence=row["valence"] if rated else None,
            arousal=row["arousal"] if rated else None,
            action_units=units or None,
        )

    return timed(read)


def timed(listing: Callable[[], list[ImageRecord]]) -> Cost:
    """Run `listing` and measure it; its records stay in memory, as they do in `prepare`."""
    start, busy = time.perf_counter(), time.process_time()
    records = listing()
    seconds, processor = time.perf_counter() - start, time.process_time() - busy
    return Cost(len(records), seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def apart(way: Callable[[Path], Cost], root: Path) -> Cost:
    """Measure one way in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(way, root).result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 100_000, 200_000], help="numbers of frames")
    sizes = sorted(parser.parse_args().rows)
    print(f"{'frames':>9} {'way':<8} {'records':>9} {'seconds':>8} {'CPU s':>7} {'frames/s':>9} {'peak MB':>8} ratio")
    took: list[float] = []
    for rows in sizes:
        root = Path(tempfile.mkdtemp(prefix="bench_prepare_"))
        try:
            make(root, rows)
            costs = {way.__name__: apart(way, root) for way in (seke, obvious)}
        finally:
            shutil.rmtree(root)
        took.append(costs["seke"].processor / rows)
        for name, cost in costs.items():
            print(
                f"{rows:>9} {name:<8} {cost.records:>9} {cost.seconds:>8.2f} {cost.processor:>7.2f} "
                f"{rows / cost.seconds:>9.0f} {cost.megabytes:>8.0f} {cost.processor / costs['seke'].processor:>5.1f}"
            )
    print(f"linear if 1: CPU time a frame at {sizes[-1]} over that at {sizes[0]} is {took[-1] / took[0]:.2f}")


if __name__ == "__main__":
    main()
