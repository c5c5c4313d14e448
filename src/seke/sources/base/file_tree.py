"""Finding one's way in an unpacked dataset: nested zip folders, odd cases, stray files, and text of any origin."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final

from seke.core.errors import UserError
from seke.core.images import SUFFIXES

IMAGES: Final = SUFFIXES
MOST_FOLDERS: Final = 2000
"""So many are looked through for links; a million take long."""
DEPTH: Final = 4
"""How many folders an unpacking tool may have put around what is looked for."""
NUMBER: Final = re.compile(r"(|.*[^0-9])([0-9]{1,12})", re.DOTALL)
"""A stem that ends in a number: what stands before it, and the number."""
STRAY: Final = re.compile(r"^\.|^__MACOSX$|^Thumbs\.db$|^desktop\.ini$", re.IGNORECASE)
"""Names that operating systems leave behind."""
LARGEST: Final = 32 * 2**20
"""Bytes of a label file that is read at once; the largest that is known, WEBEmo's list, has about half as many."""
DEEPEST: Final = 64
"""Folders in folders; further down nothing is looked for."""


def find(root: Path, *names: str, folder: bool = True, skip: Collection[str] = ()) -> Path | None:
    """Return the folder (or file) below `root` that has one of `names`, whatever its case; the least deep, then first.

    Names are tried in order at each depth; `root` itself counts, so that a root one level too deep works as well.
    Where a folder holds nothing but one of the same name, as unpacking twice leaves it, the inner one is meant.
    Folders called one of `skip` (lower case) are not searched: a million pictures take long to list.
    """
    wanted = [name.lower() for name in names]
    if folder and root.name.lower() in wanted:
        return _innermost(root)
    level = [root]
    for _ in range(DEPTH):
        entries = [entry for here in level for entry in listed(here)]
        for name in wanted:
            for entry in entries:
                if entry.name.lower() == name and (is_folder(entry) if folder else is_file(entry)):
                    return _innermost(Path(entry.path)) if folder else Path(entry.path)
        searched = [entry for entry in entries if entry.name.lower() not in skip]
        level = [Path(entry.path) for entry in searched if is_folder(entry)]
    return None


def located(root: Path, *names: str, folder: bool = True, skip: Collection[str] = ()) -> Path:
    """Return what `find` finds.

    Raises:
        UserError: if there is none, saying what was looked for and what is there instead.
    """
    found = find(root, *names, folder=folder, skip=skip)
    if found is None:
        raise missing(root, " or ".join(names) + ("/" if folder else ""))
    return found


def missing(root: Path, what: str) -> UserError:
    """Return the error of a root that lacks `what`, telling what it holds instead, and which folders are only links."""
    entries = listed(root)
    names = [f"{entry.name}/" * is_folder(entry) or f"{entry.name}" for entry in entries]
    there = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    remedy = "give the folder it is unpacked in"
    if links := [link.relative_to(root).as_posix() for link in linked(root)]:
        them = f"{', '.join(links[:3])} {'is a link' if len(links) == 1 else 'are links'}"
        there = f"{there}; {them}, and links are not followed"
        remedy = "move (or mount) the folder here that a link leads to"
    return UserError("source.root", root, f"no {what} in it, found {there or 'nothing'}", remedy)


def linked(root: Path) -> list[Path]:
    """Return the links to folders that lie in the first levels of folders."""
    found: list[Path] = []
    for folder in islice(below(root, STRAY), MOST_FOLDERS):
        found += [Path(entry.path) for entry in listed(folder) if is_link(entry)]
    return found


def mistake(file: Path, line: int | None, problem: str) -> UserError:
    """Return the error of a label file whose structure is not what its dataset promises."""
    where = f"{file}, line {line}" if line else str(file)
    return UserError("source.root", where, problem, "unpack the dataset anew or mend the file")


def lines(file: Path) -> list[str]:
    """Return the lines of a label file, stripped; with or without a byte order mark, whatever its line ends.

    Raises:
        UserError: if it cannot be read, is larger than any label file, or is not UTF-8 text.
    """
    try:
        if not file.is_file():
            raise mistake(file, None, "no such file")  # nor a pipe, which would be waited for
        if file.stat().st_size > LARGEST:
            raise mistake(file, None, f"larger than a label file ({file.stat().st_size:,} bytes)")
        return [line.strip() for line in file.read_bytes().decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise mistake(file, None, f"not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise mistake(file, None, f"cannot be read ({error.strerror})") from error


def number(text: str) -> float | None:
    """Return the number that `text` spells, None where it spells none or one that is not finite.

    >>> number(" 0.5 "), number("1_0"), number("nan")
    (0.5, None, None)
    """
    if "_" in text or not text.isascii():  # a number to Python alone
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


@lru_cache(maxsize=2**16)  # label files repeat a few codes and frame numbers a million times
def whole(text: str) -> int | None:
    """Return the whole number that `text` spells, be it `5` or `5.0000000e+00`; None where it spells none."""
    value = number(text)
    return int(value) if value is not None and value == int(value) else None


def within(value: float | None) -> float | None:
    """Return valence or arousal if it lies in [-1, 1]; anything else is unknown, never clipped."""
    return value if value is not None and -1 <= value <= 1 else None


def listed(folder: Path, every: bool = False) -> list[os.DirEntry[str]]:
    """Return what a folder holds, sorted by name, without what operating systems leave behind.

    Names that are not UTF-8 are left out as well, unless `every` one is wanted: the inventory lists them.
    """
    try:
        with os.scandir(folder) as entries:
            kept = (e for e in entries if not STRAY.search(e.name) and (every or is_utf8(e.name)))
            return sorted(kept, key=lambda entry: entry.name)
    except NotADirectoryError:
        return []
    except OSError as error:
        raise mistake(folder, None, f"this folder cannot be listed ({error.strerror})") from error


def is_utf8(name: str) -> bool:
    """Whether a name is text that a file in UTF-8 can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link to one; a link that leads round in circles is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder itself; a link to one is not followed, it may lead anywhere and round in circles."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def is_link(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a link to a folder."""
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False


def folders(folder: Path) -> list[os.DirEntry[str]]:
    """Return the folders in a folder, sorted, without links to folders."""
    return [entry for entry in listed(folder) if is_folder(entry)]


def files(folder: Path, *extensions: str) -> list[os.DirEntry[str]]:
    """Return the files in a folder with one of these lower-case extensions (in any case), sorted."""
    return [entry for entry in listed(folder) if entry.name.lower().endswith(extensions) and is_file(entry)]


def images(folder: Path) -> list[os.DirEntry[str]]:
    """Return the picture files in a folder, sorted."""
    return files(folder, *IMAGES)


def walk(folder: Path, *extensions: str, leave: Path | None = None, depth: int = DEEPEST) -> Iterator[Path]:
    """Yield the files below a folder with one of these lower-case extensions, sorted within each folder.

    The folder `leave`, that of our own results, and what lies more than `depth` folders down are not looked into.
    What is called like a picture and is no file (a pipe, a link to nowhere) is yielded too: who opens it rejects it.
    """
    for entry in listed(folder):
        if is_folder(entry):
            if depth and Path(entry.path) != leave:
                yield from walk(Path(entry.path), *extensions, leave=leave, depth=depth - 1)
        elif entry.name.lower().endswith(extensions) and (
            is_file(entry) or (extensions == IMAGES and not is_link(entry))
        ):
            yield Path(entry.path)


def below(root: Path, leave: re.Pattern[str], depth: int = DEPTH) -> Iterator[Path]:
    """Yield `root` and the folders down to `depth` levels below it, the least deep first; none inside one of `leave`.

    `leave` is searched for in a folder's name: those are yielded, but what they hold is not looked through.
    """
    level = [root]
    for _ in range(depth + 1):
        yield from level
        level = [Path(e.path) for here in level if here == root or not leave.search(here.name) for e in folders(here)]


def only(found: Iterable[tuple[str, Path]], remedy: str) -> dict[str, Path]:
    """Return the one path of each name, sorted by name.

    Raises:
        UserError: naming both paths, if a name has two; which one is meant nobody can tell.
    """
    paths: dict[str, Path] = {}
    for name, path in found:
        if name in paths:
            raise UserError("source.root", paths[name], f"{path} is {name} as well", remedy)
        paths[name] = path
    return dict(sorted(paths.items()))


def inside(root: Path, argument: str, name: str, there: bool = True) -> Path:
    """Return the folder `name` below `root`.

    Raises:
        UserError: if it leads out of the root, as no record's image may, or if it is to be there and is not.
    """
    path = (root / name).resolve()
    remedy = "give a folder in it, relative to source.root"
    if not path.is_relative_to(root.resolve()):
        raise UserError(argument, name, f"leads out of {root}", remedy)
    if there and not path.is_dir():
        raise UserError(argument, name, f"no such folder in {root}", remedy)
    return path


def by_number(entries: Sequence[os.DirEntry[str]]) -> tuple[dict[int, str], list[str]]:
    """Return file names by their frame number (007.jpg is 7, and so is SN001_007.jpg), and the names without one.

    A number that stands alone goes first; else it ends the stem, and what stands before it must be the same in all
    names that have one. Two files of one number are both left out and named: which one the label means nobody can tell.
    """
    stems = {entry.name: NUMBER.fullmatch(entry.name.rpartition(".")[0]) for entry in entries}
    before = {found[1] for found in stems.values() if found}
    prefix = "" if "" in before or len(before) != 1 else before.pop()
    numbered: dict[int, list[str]] = {}
    others: list[str] = []
    for name, found in stems.items():
        if found and found[1] == prefix:
            numbered.setdefault(int(found[2]), []).append(name)
        else:
            others.append(name)
    others += [name for names in numbered.values() if len(names) > 1 for name in names]
    return {n: names[0] for n, names in numbered.items() if len(names) == 1}, others


def by_stem(entries: Iterable[os.DirEntry[str]]) -> tuple[dict[str, str], list[str]]:
    """Return file names by their stem in lower case, and the names of files that share a stem with another one.

    Which of 0.jpg and 0.png a label for 0 means nobody can tell: it stands for neither, and both are named.
    """
    named: dict[str, list[str]] = {}
    for entry in entries:
        named.setdefault((entry.name.rpartition(".")[0] or entry.name).lower(), []).append(entry.name)
    twins = [name for names in named.values() if len(names) > 1 for name in names]
    return {stem: names[0] for stem, names in named.items() if len(names) == 1}, twins


def ranges(numbers: Collection[int]) -> str:
    """Return whole numbers as text.

    >>> ranges([1, 2, 3, 7, 9, 10])
    '1-3, 7, 9-10'
    """
    parts: list[list[int]] = []
    for n in sorted(numbers):
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def coded(values: Mapping[int, str]) -> dict[int, bool] | None:
    """Return the AUs coded 1 or 0; any other code (9, -1, an empty cell) leaves its AU out: unknown is not absent."""
    units = {au: code == 1 for au, text in values.items() if (code := whole(text)) in (0, 1)}
    return units or None


def _innermost(folder: Path) -> Path:
    inner = listed(folder)
    while len(inner) == 1 and inner[0].name.lower() == folder.name.lower() and is_folder(inner[0]):
        folder = Path(inner[0].path)
        inner = listed(folder)
    return folder
