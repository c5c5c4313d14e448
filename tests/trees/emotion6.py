"""A miniature Emotion6, as its README describes it."""

from pathlib import Path

from .pictures import save

KEYWORDS = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
HEADER = "[image_filename] [valence] [arousal]" + "".join(f" [prob. {name}]" for name in (*KEYWORDS, "neutral"))


def make(root: Path) -> None:
    """Write the tree: three pictures a folder, and one row for each.

    - number 1 of a folder was felt as the folder's word says, number 2 as neutral, number 3 as fear
    - surprise/3.jpg has no row; joy/9.jpg has a row and no picture
    """
    rows = [HEADER]
    for place, word in enumerate(KEYWORDS):
        for number in (1, 2, 3):
            save(root / "images" / word / f"{number}.jpg", f"{word}{number}")
            felt = {1: place, 2: 6, 3: 2}[number]
            if (word, number) != ("surprise", 3):
                rows.append(row(f"{word}/{number}.jpg", felt))
    rows.append(row("joy/9.jpg", 3))
    (root / "ground_truth.txt").write_text("\n".join(rows) + "\n")
    (root / "README.txt").write_text("Emotion6\n")


def row(picture: str, felt: int) -> str:
    shares = [0.05] * 7
    shares[felt] = 0.7
    return "\t".join([picture, "2.5", "3.8", *map(str, shares)])
