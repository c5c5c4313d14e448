"""A miniature FI: folders of the eight classes, and nothing else."""

from pathlib import Path

from .emoset import EMOTIONS
from .pictures import save


def make(root: Path, within: str = "emotion_dataset") -> None:
    """Write two pictures a class below `within`; both classes of a pair have a picture of one name."""
    for emotion in EMOTIONS:
        for number in (1, 2):
            save(root / within / emotion / f"{emotion[0]}_{number}.jpg", f"{within}/{emotion}{number}")
    (root / within / ".DS_Store").write_bytes(b"\0")
