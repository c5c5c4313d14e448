"""Pictures in folders called like expressions, below train and test, as FER2013 is passed on."""

from pathlib import Path

from seke.core.affect import EXPRESSIONS

from .pictures import save


def make(root: Path) -> None:
    """Write three pictures for training and one for testing of each expression."""
    for expression in EXPRESSIONS:
        for number in range(4):
            image = f"{'test' if number == 3 else 'train'}/{expression}/{number}.png"
            save(root / image, image)
