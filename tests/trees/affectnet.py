"""A miniature AffectNet: the CSV release with its lists, or the npy release with its arrays."""

from pathlib import Path, PurePosixPath

import numpy as np

from .pictures import save

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
LANDMARKS = ";".join(str(number / 2) for number in range(136))
TRAIN, VALIDATION, AUTOMATIC = 70, 20, 8
VALUES = ((0.0, 0.1), (0.7, 0.2), (-0.6, -0.3), (0.1, 0.8), (-0.2, 0.7), (-0.6, 0.4), (-0.5, 0.6), (-0.4, 0.2))
"""Valence and arousal that go with each expression, by its id."""

IMAGES = "Manually_Annotated_Images"
TRAINING_LIST = "Manually_Annotated_file_lists/training.csv"
VALIDATION_LIST = "Manually_Annotated_file_lists/validation.csv"
AUTOMATIC_LIST = "Automatically_annotated_file_list/automatically_annotated.csv"
UNCERTAIN, NO_FACE = "1/uncertain.jpg", "2/noface.jpg"
MISSING, UNLISTED, UPPER = "3/missing.jpg", "3/unlisted.jpg", "2/upper.JPG"
NO_BOX = "1/nobox.jpg"
"""Its face box has no area."""


def path(place: int, part: str = "train") -> str:
    """Return <dir>/<hash>.jpg of the n-th image of a part."""
    return f"{1 + place % 3}/{part}{place:04d}.jpg"


def row(image: str, expression: object, valence: object, arousal: object, box: str = "4,5,40,41") -> str:
    """Return one line of a list."""
    return f"{image},{box},{LANDMARKS},{expression},{valence},{arousal}"


def rows(part: str, number: int) -> list[str]:
    """Return the lines of one part, its expressions in turn."""
    return [row(path(n, part), n % 8, *VALUES[n % 8]) for n in range(number)]


def make(root: Path) -> None:
    """Write the CSV release."""
    make_csv(root)


def make_csv(root: Path, header: bool = True, level: bool = True, flat: bool = False, automatic: bool = False) -> None:
    """Write the CSV release; without a header line, without folders in the lists, or all images in one folder.

    Quirks: CRLF line ends and a byte order mark, .DS_Store, faces that are uncertain or none, a face box without area,
    an image that is missing, one that no list names, and one called .JPG.
    """
    special = [
        row(UNCERTAIN, 9, -2, -2),
        row(NO_FACE, 10, "-2.000", "-2.000", "0,0,0,0"),
        row(MISSING, 1, 0.5, 0.5),
        row(UPPER, 1, 0.5, 0.5),
        row(NO_BOX, 3, 0.2, 0.6, "3,4,0,-1"),
    ]
    tables = {TRAINING_LIST: rows("train", TRAIN) + special, VALIDATION_LIST: rows("validation", VALIDATION)}
    for table, lines in tables.items():
        written = lines if level else [line.partition("/")[2] for line in lines]
        write_list(root / table, written, header)
        for line in lines:
            if not line.startswith(MISSING):
                picture(root / IMAGES, line.partition(",")[0], flat)
    picture(root / IMAGES, UNLISTED, flat)
    (root / IMAGES / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    if automatic:
        write_list(root / AUTOMATIC_LIST, rows("train", AUTOMATIC), header)
        for n in range(AUTOMATIC):
            picture(root / "Automatically_Annotated_Images", path(n), flat, "automatic")


def picture(folder: Path, image: str, flat: bool = False, name: str = "manual") -> None:
    """Write the picture that a list calls `image`."""
    save(folder / (PurePosixPath(image).name if flat else image), f"{name} {image}")


def write_list(file: Path, lines: list[str], header: bool = True) -> Path:
    """Write a list."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\r\n" for line in ([HEADER] if header else []) + lines)
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    return file


def make_npy(root: Path, text: bool = True) -> None:
    """Write the npy release, 70 images and 20, with values as texts or as numbers.

    Quirks: .DS_Store, arrays without an image (991), an image without arrays (992), and landmarks beside the labels.
    """
    for name, number in (("train_set", TRAIN), ("val_set", VALIDATION)):
        for n in range(number):
            write_arrays(root / name, str(n), n % 8, *VALUES[n % 8], text=text)
            save(root / name / "images" / f"{n}.jpg", f"{name} {n}")
    write_arrays(root / "train_set", "991", 1, 0.5, 0.5, text=text)
    save(root / "train_set" / "images" / "992.jpg", "train_set 992")
    (root / "train_set" / "annotations" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def write_arrays(
    part: Path, stem: str, expression: object, valence: object, arousal: object, text: bool = True
) -> None:
    """Write the arrays of one image, without a dimension."""
    folder = part / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, value in (("exp", expression), ("val", valence), ("aro", arousal)):
        np.save(folder / f"{stem}_{kind}.npy", np.array(str(value) if text else value))
    np.save(folder / f"{stem}_lnd.npy", np.arange(136.0))
