"""A folder of somebody's own pictures, and what they wrote down about some of them."""

from pathlib import Path

from .pictures import save

TABLE = """image,subject,expression,valence,arousal,AU1,AU12
anna/1.jpg,anna,happiness,0.7,0.4,0,1
anna/2.jpg,anna,,,,,
ben/1.png,ben,sadness,-0.5,-0.2,1,
carl/1.jpg,carl,fear,,,,
"""


def make(root: Path) -> None:
    """Write five pictures, one of them without a row, and labels.csv."""
    for image in ("anna/1.jpg", "anna/2.jpg", "ben/1.png", "carl/1.jpg", "nobody.jpg"):
        save(root / image, image)
    (root / "labels.csv").write_text(TABLE)
