"""A miniature RAF-DB: the list of the basic set, aligned and original images, and what spoils a copy of it."""

from pathlib import Path

from .pictures import save

TRAIN, TEST = 60, 20
MISSING = "train_00007"
"""Listed, but its images are not there."""
UNLISTED = "train_00061"
"""Its images are there, but the list does not name it."""
UPPER = "test_0003"
"""Its files are called .JPG."""
LIST = "list_patition_label.txt"


def code(place: int) -> int:
    """Return the label of the n-th listed picture."""
    return 1 + place % 7


def stems() -> list[str]:
    """Return what the list names, in its order."""
    return [f"train_{n:05d}" for n in range(1, TRAIN + 1)] + [f"test_{n:04d}" for n in range(1, TEST + 1)]


def make(root: Path, base: str = "basic", table: str = LIST, original: bool = True) -> None:
    """Write the basic set below `base`, with or without original images.

    Quirks: CRLF line ends and a blank last line, .DS_Store, an upper-case extension, a listed image that is missing, an
    image that is not listed, train names of five digits and test names of four.
    """
    lines = [f"{stem}.jpg {code(place)}" for place, stem in enumerate(stems())]
    write_list(root / base, lines, table)
    for stem in (*stems(), UNLISTED):
        if stem == MISSING:
            continue
        extension = ".JPG" if stem == UPPER else ".jpg"
        save(root / base / "Image" / "aligned" / f"{stem}_aligned{extension}", stem)
        if original:
            save(root / base / "Image" / "original" / f"{stem}{extension}", f"original {stem}", (64, 56))
    (root / base / "Image" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def make_compound(root: Path) -> None:
    """Write the list of the compound set beside it: the same name, and eleven classes."""
    write_list(root / "compound", [f"train_{n:05d}.jpg {1 + n % 11}" for n in range(30)], LIST)


def write_list(base: Path, lines: list[str], table: str = LIST) -> Path:
    """Write a list of labels."""
    file = base / "EmoLabel" / table
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    return file
