"""Which picture each row of a table means: by its path, the only file of its name, or the number of its frame."""

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from seke.core import file_tree


def matched(
    rows: Iterable[str], pictures: Iterable[str], frames: bool = False
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the row of each picture, and why each of the other rows has none.

    Rows of `frames` are numbers, or a folder and a number, and mean the only picture whose name ends with it.

    A row means the picture of its path; else the only one whose path differs in its Unicode form, case or slashes only;
    else the only one of that file name, wherever it lies; and at last the only one of that stem, whatever its
    extension. A row whose folder holds pictures is about one of these, and of no other folder.

    >>> matched(["A.JPG", "/mnt/x/b.png", "gone.jpg"], ["a.jpg", "b.png"])
    ({'a.jpg': 'A.JPG', 'b.png': '/mnt/x/b.png'}, {'gone.jpg': 'no such picture in the folder'})
    """
    left, free = list(dict.fromkeys(rows)), list(dict.fromkeys(pictures))
    found: dict[str, str] = {}
    problems: dict[str, str] = {}
    folders = {_folder(picture) for picture in free}
    names = (str, _folded, _name, _stem)
    for alike in (_frame_of_folder, _frame) if frames else names:
        by_row, by_picture = _grouped(left, alike), _grouped(free, alike)
        for key, named in by_row.items():
            candidates = by_picture.get(key, [])
            if len(named) == 1 and (folder := _folder(named[0])) and folder in folders:
                candidates = [picture for picture in candidates if _folder(picture) == folder]
            if len(named) == len(candidates) == 1:
                found[candidates[0]] = named[0]
            elif candidates:
                several = "rows" if len(named) > 1 else "pictures"
                others = named if len(named) > 1 else candidates
                problems.update(
                    (row, f"{len(others)} {several} are called so: {', '.join(others[:3])}") for row in named
                )
        taken = set(found.values())
        left = [row for row in left if row not in taken and row not in problems]
        free = [picture for picture in free if picture not in found]
    return found, {**problems, **dict.fromkeys(left, "no such picture in the folder")}


def are_shifted(rows: Iterable[str], pictures: Iterable[str]) -> bool:
    """Whether frames begin and end with other numbers than pictures do, by the same difference: one counts from 0.

    >>> are_shifted(["1", "2", "3"], ["0.png", "1.png", "2.png"]), are_shifted(["1", "2"], ["2.png"])
    (True, False)
    """
    frames, numbers = ({int(number) for path in paths if (number := _frame(path))} for paths in (rows, pictures))
    return bool(frames and numbers) and min(frames) - min(numbers) == max(frames) - max(numbers) != 0


def _grouped(paths: Iterable[str], alike: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        if key := alike(path):
            groups.setdefault(key, []).append(path)
    return groups


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _name(path: str) -> str:
    return _folded(PurePosixPath(path).name)


def _folder(path: str) -> str:
    """Return the folder that a path names; empty where it names none."""
    return _folded(path).rpartition("/")[0]


def _stem(path: str) -> str:
    """Return what a row without an extension and a picture have in common."""
    name = _name(path)
    return name.rpartition(".")[0] if name.endswith(file_tree.IMAGES) else name


def _frame(path: str) -> str:
    """Return the number of a frame: of `12`, or of the picture frame_det_00_000012.bmp."""
    match = file_tree.NUMBER.fullmatch(_stem(path))
    return str(int(match[2])) if match else ""


def _frame_of_folder(path: str) -> str:
    """Return folder and number of a frame: of a.mp4, OpenFace puts pictures into a_aligned and the table into a.csv."""
    folder, number = PurePosixPath(_folder(path)).name.removesuffix("_aligned"), _frame(path)
    return f"{folder}/{number}" if folder and number else ""
