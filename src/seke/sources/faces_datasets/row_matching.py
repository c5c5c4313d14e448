"""Which picture each row of a table means: by its path, the only file of its name, or the number of its frame."""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import PurePosixPath

from seke.core import file_tree


def matched(
    rows: Iterable[str], pictures: Iterable[str], frames: bool = False
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the row of each picture, and why each of the other rows has none.

    Rows of `frames` are numbers, or a folder and a number, and mean the only picture whose name ends with it.

    A row means the picture of its path; else the only one whose path differs in its Unicode form, case or slashes only;
    else the only one that ends with the same folders and file name, most folders first, wherever these lie;
    else the only one of that file name, wherever it lies; and at last the only one of that stem, whatever its
    extension. A row whose folder holds pictures is about one of these, and of no other folder. A folder of pictures
    that earlier steps know by the name that rows have for it is no other folder: rows about a person whose pictures
    were removed must not fall to somebody else's pictures of the same names.

    >>> matched(["A.JPG", "/mnt/x/b.png", "gone.jpg"], ["a.jpg", "b.png"])
    ({'a.jpg': 'A.JPG', 'b.png': '/mnt/x/b.png'}, {'gone.jpg': 'no such picture in the folder'})
    >>> matched(["/mnt/anna/1.png", "/mnt/bert/1"], ["anna/1.png", "bert/1.png"])
    ({'anna/1.png': '/mnt/anna/1.png', 'bert/1.png': '/mnt/bert/1'}, {})
    """
    left, free = list(dict.fromkeys(rows)), list(dict.fromkeys(pictures))
    found: dict[str, str] = {}
    problems: dict[str, str] = {}
    folders = {_folder(picture) for picture in free}
    known_as: dict[str, set[str]] = {}
    depth = min(max(map(_depth, left), default=0), max(map(_depth, free), default=0))
    tails = [partial(_tail, parts=parts) for parts in range(depth, 1, -1)]
    names: tuple[Callable[[str], str], ...] = (
        str, _folded, *tails, _name, *(partial(_stem_tail, parts=tail.keywords["parts"]) for tail in tails), _stem,
    )  # fmt: skip
    for alike in (_frame_of_folder, _frame) if frames else names:
        by_row, by_picture = _grouped(left, alike), _grouped(free, alike)
        for key, named in by_row.items():
            candidates = by_picture.get(key, [])
            if len(named) == 1 and (folder := _folder(named[0])) and folder in folders:
                candidates = [picture for picture in candidates if _folder(picture) == folder]
            if len(named) == 1 and (folder := _folder(named[0])):
                candidates = [p for p in candidates if _may_be(folder, _folder(p), known_as)]
            if len(named) == len(candidates) == 1:
                found[candidates[0]] = named[0]
            elif candidates and isinstance(alike, partial):
                continue  # a shorter end of the path may still tell them apart
            elif candidates:
                several = "rows" if len(named) > 1 else "pictures"
                others = named if len(named) > 1 else candidates
                problems.update(
                    (row, f"{len(others)} {several} are called so: {', '.join(others[:3])}") for row in named
                )
        for picture, row in found.items():
            if _folder(picture) and _folder(row):
                known_as.setdefault(_folder(picture), set()).add(_folder(row))
        taken = set(found.values())
        left = [row for row in left if row not in taken and row not in problems]
        free = [picture for picture in free if picture not in found]
    return found, {**problems, **dict.fromkeys(left, "no such picture in the folder")}


def repeated(rows: Iterable[str], pictures: Collection[str]) -> dict[str, str]:
    """Return the picture that each of these rows means as well as another row does: another spelling of the same path.

    >>> repeated(["A/1.JPG", "a/1", "2", "b/1.jpg"], ["a/1.jpg", "a/2.jpg"])
    {'A/1.JPG': 'a/1.jpg', 'a/1': 'a/1.jpg', '2': 'a/2.jpg'}
    """
    whole = {_stem_path(picture): picture for picture in pictures}
    named = _grouped(pictures, _stem)
    found: dict[str, str] = {}
    for row in rows:
        alike = named.get(_stem(row), [])
        picture = whole.get(_stem_path(row)) or (alike[0] if len(alike) == 1 and not _folder(row) else None)
        if picture:
            found[row] = picture
    return found


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


def _may_be(folder: str, other: str, known_as: Mapping[str, Collection[str]]) -> bool:
    """Whether a row's folder may be that of a picture, by its name or since no row knows it by another one."""
    same = folder.rpartition("/")[2] == other.rpartition("/")[2]
    return same or folder in known_as.get(other, {folder})


def _depth(path: str) -> int:
    return path.count("/") + 1


def _tail(path: str, parts: int) -> str:
    """Return the last `parts` names of a path; empty of a shorter one."""
    names = _folded(path).split("/")
    return "/".join(names[-parts:]) if len(names) >= parts else ""


def _stem_tail(path: str, parts: int) -> str:
    tail = _tail(path, parts)
    return f"{tail.rpartition('/')[0]}/{_stem(tail)}" if tail else ""


def _stem_path(path: str) -> str:
    return f"{_folder(path)}/{_stem(path)}"


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
