"""A miniature BP4D: occurrence files with frame numbers from anywhere on, intensities of two AUs, and pictures."""

from collections.abc import Sequence
from pathlib import Path

from seke.core.affect import AUS_OF_SOURCE

from .pictures import save

AUS = AUS_OF_SOURCE["bp4d"]
SUBJECTS = ("F001", "F002", "F003", "F004", "F005", "F006", "M001", "M002", "M003", "M004", "M005", "M006")
TASKS = ("T1", "T8")
FRAMES = 4
TITLES = 100
"""The original header: 0 for the frame number, then every number up to 99, which marks occlusion."""


def first(subject: str, task: str) -> int:
    """Return the number of a sequence's first coded frame."""
    return 2440 if task == "T1" else 7 + int(subject[1:])


def code(subject: str, au: int, frame: int) -> int:
    """Return the made-up occurrence code of an AU in a frame; AUs that nobody codes have nines throughout."""
    return (int(subject[1:]) + au + frame) % 2 if au in AUS or au in (5, 9) else 9


def make(root: Path, layout: str = "original", subjects: Sequence[str] = SUBJECTS, frames: int = FRAMES) -> None:
    """Write the tree.

    `layout` is original (AUCoding/AU_OCC and AU_INT) or fera (AUCoding/AUCoding, no intensities, only the AUs in the
    header and no column for occlusion). Picture names are padded in T8 and not in T1; one picture before and one after
    the coded frames carry no code. Beside them lie 3D models, a video, a picture in a folder T1 that is no subject's,
    and what macOS leaves behind.
    """
    for subject in subjects:
        for task in TASKS:
            start = first(subject, task)
            coded = range(start, start + frames)
            titles = range(TITLES) if layout == "original" else (0, *AUS)
            folder = root / "AUCoding" / ("AU_OCC" if layout == "original" else "AUCoding")
            rows = [",".join(map(str, titles))]
            for frame in coded:
                marks = ["0"] if layout == "original" else []
                codes = [code(subject, au, frame) for au in titles if au not in (0, 99)]
                rows.append(",".join([str(frame), *map(str, codes), *marks]))
            write(folder / f"{subject}_{task}.csv", rows)
            for au in (6, 12) if layout == "original" else ():
                scores = [f"{frame},{9 if frame == start else (frame + au) % 6}" for frame in coded]
                write(root / "AUCoding" / "AU_INT" / f"AU{au:02d}" / f"{subject}_{task}_AU{au:02d}.csv", scores)
            for frame in range(start - 1, start + frames + 1):
                name = f"{frame:04d}.jpg" if task == "T8" else f"{frame}.JPG"
                save(root / "BP4D-training" / "2D" / subject / task / name, f"bp4d {subject} {task} {frame}")
    save(root / "examples" / "T1" / "2440.jpg")
    write(root / "3D" / "F001" / "T1" / "2440.obj", ["v 0 0 0"])
    write(root / "Videos" / "F001" / "T1.avi", ["no pictures"])
    (folder / ".DS_Store").write_bytes(b"\x00\x01")


def write(path: Path, rows: Sequence[str]) -> None:
    """Write a label file as Windows does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\r\n".join(rows) + "\r\n").encode("utf-8-sig"))
