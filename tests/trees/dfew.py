"""A miniature DFEW: lists of five folds, and clips as folders of frames, but one as a video among the originals' names.

Quirks: names without zeros, labels written 3.0, a clip without a single label, one that is not there.
"""

from pathlib import Path

from .merr_fine import film
from .pictures import save

CLIPS = 15
LABELS = {k: (k - 1) % 7 + 1 for k in range(1, CLIPS + 1)} | {15: 0}
GONE = 14
FRAMES = 5


def fold_of(k: int) -> int:
    """The fold that tests clip k."""
    return (k - 1) % 5 + 1


def make(root: Path, layout: str = "folders") -> None:
    """Write the tree; `layout` is folders (clip_224x224) or videos (original/1.mp4)."""
    for fold in range(1, 6):
        sides = {"test": [k for k in LABELS if fold_of(k) == fold], "train": [k for k in LABELS if fold_of(k) != fold]}
        for side, clips in sides.items():
            path = root / "EmoLabel_DataSplit" / f"{side}(single-labeled)" / f"set_{fold}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = "".join(f"{k},{LABELS[k]}{'.0' if k == 3 else ''}\r\n" for k in clips)
            path.write_text("video_name,label\r\n" + rows)
    for k in LABELS:
        if k == GONE:
            continue
        if layout == "folders":
            for i in range(1, FRAMES + 1):
                save(root / "Clip" / "clip_224x224" / f"{k:05d}" / f"{k:05d}_{i:05d}.jpg", f"dfew {k} {i}")
        else:
            film(root / "Clip" / "original" / f"{k}.mp4", FRAMES, alike=False)
