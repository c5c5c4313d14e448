"""SFEW 2.0: aligned faces of films in folders of expressions, below Train and Val."""

from pathlib import Path

from .pictures import save

CLASSES = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


def make(root: Path) -> None:
    """Write two frames of each expression for training, of two films, and one of a third film for validation."""
    for label in CLASSES:
        for side, film in (("Train", "AboutABoy"), ("Train", "21"), ("Val", "Hangover")):
            image = f"{side}/{side}_Aligned_Faces/{label}/{film}_0033148{len(label)}7_00000077.png"
            save(root / image, image)
