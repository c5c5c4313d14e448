"""A miniature CK+: every sequence ends in its peak, few of the folders for labels hold one, and zips were unpacked."""

from pathlib import Path

from .pictures import save

SUBJECTS = tuple(f"S{number:03d}" for number in (5, 10, 11, 14, 22, 26, 28, 32, 35, 37, 42, 44, 46, 50))
FRAMES = 3
UNLABELLED = ("S005_003", "S010_003")
"""Sequences with images and FACS, but with an empty folder for their emotion."""
NO_PEAK = "S011_003_00000004"
"""A labelled peak whose image is missing; the frames before it are there."""
CODES = {f"{subject}_{seq}": 1 + (2 * place + turn) % 7
         for place, subject in enumerate(SUBJECTS) for turn, seq in enumerate(("001", "002"))}  # fmt: skip
"""Emotion ids of the sequences that have one and their peak."""
FACS = {4: 2, 25: 0, 43: 0}
"""AU: intensity in every FACS file; 43 is none of the 17."""


def make(root: Path, zips: bool = False) -> None:
    """Write 14 subjects with two labelled sequences each, below the plain folders or below those that the zips make.

    Quirks: .DS_Store in every kind of folder, one peak with an upper-case extension, one label file with a byte order
    mark and CRLF, sequences with an empty label folder, one labelled sequence without its peak frame.
    """
    images = root / ("extended-cohn-kanade-images/cohn-kanade-images" if zips else "cohn-kanade-images")
    emotions = root / ("Emotion_labels/Emotion" if zips else "Emotion")
    facs = root / ("FACS_labels/FACS" if zips else "FACS")
    for sequence in (*CODES, *UNLABELLED):
        peak = f"{sequence}_{FRAMES:08d}"
        for frame in range(1, FRAMES + 1):
            extension = ".PNG" if sequence == "S005_001" and frame == FRAMES else ".png"
            name = f"{sequence}_{frame:08d}"
            save(place(images, name) / f"{name}{extension}", name)
        place(emotions, peak).mkdir(parents=True, exist_ok=True)
        if sequence in CODES:
            label(emotions, peak, CODES[sequence])
        text = "".join(f"   {au:.7e}   {intensity:.7e}\n" for au, intensity in FACS.items())
        written(place(facs, peak) / f"{peak}_facs.txt", text.encode())
    for frame in range(1, 4):
        name = f"{NO_PEAK[:8]}_{frame:08d}"
        save(place(images, name) / f"{name}.png", name)
    label(emotions, NO_PEAK, 3)
    untidy = place(emotions, "S010_001_00000003") / "S010_001_00000003_emotion.txt"
    untidy.write_bytes(b"\xef\xbb\xbf" + untidy.read_bytes().replace(b"\n", b"\r\n"))
    for folder in (root, images, images / "S005", emotions / "S005" / "001", facs):
        written(folder / ".DS_Store", b"\0\0\0\1Bud1")


def place(folder: Path, stem: str) -> Path:
    """Return the folder of a sequence, such as S005/001."""
    subject, sequence = stem.split("_")[:2]
    return folder / subject / sequence


def label(emotions: Path, stem: str, code: float) -> None:
    """Write an emotion file as the owners do."""
    written(place(emotions, stem) / f"{stem}_emotion.txt", f"   {code:.7e}\n".encode())


def written(file: Path, content: bytes) -> Path:
    """Write a file and the folders it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file
