"""RAF-AU as it lies on disk.

    RAFAU_label.txt, aligned/0001_aligned.jpg, original/0001.jpg

Quirks: units of one side (L12); AUs that are none of the 17; "null"; spaces at a line's end; a picture without a line,
a line without a picture, and one that is no list of units.
"""

from pathlib import Path

from .pictures import save

LINES = (
    "0001.jpg 1+2+5+25", "0002.jpg 4+L12+R14 ", "0003.jpg null", "0004.jpg 6+12+25+27", "0005.jpg 9+10",
    "0006.jpg many", "0007.jpg 17+39", "0099.jpg 4+7",
)  # fmt: skip
GONE = "0099"


def make(root: Path) -> None:
    """Write the list and the aligned and original pictures, 0099's left out and 0010's added."""
    (root / "RAFAU_label.txt").write_text("\n".join(LINES) + "\n")
    stems = [line.partition(".")[0] for line in LINES] + ["0010"]
    for stem in stems:
        if stem != GONE:
            save(root / "aligned" / f"{stem}_aligned.jpg", f"aligned {stem}")
            save(root / "original" / f"{stem}.jpg", f"original {stem}")
