"""Search for folders and files in an unpacked dataset: nested folders, odd cases, stray files, links and depth."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from seke.core.errors import UserError
from seke.core.images import SUFFIXES

ARGUMENT: Final = "source.root"
"""The setting that errors name, unless a caller says another."""
IMAGES: Final = SUFFIXES
MOST_FOLDERS: Final = 2000
"""So many are looked through for links; a million take long."""
DEPTH: Final = 4
"""How many folders an unpacking tool may have put around what is looked for."""
NUMBER: Final = re.compile(r"(|.*[^0-9])([0-9]{1,12})", re.DOTALL)
"""A stem that ends in a number: what stands before it, and the number."""
STRAY: Final = re.compile(r"^\.|^__MACOSX$|^Thumbs\.db$|^desktop\.ini$", re.IGNORECASE)
"""Names that operating systems leave behind."""
DEEPEST: Final = 64
"""Folders in folders; further down nothing is looked for."""


def levels(
    root: Path, depth: int = DEPTH, skip: Collection[str] = (), argument: str = ARGUMENT
) -> Iterator[list[os.DirEntry[str]]]:
    """Yield what `root` holds, then what its folders hold, and so on: `depth` levels, each listed when asked for.

    Folders called one of `skip` (lower case) are not listed: a million pictures take long.
    """
    level = [root] if root.is_dir() else []
    for _ in range(depth):
        entries = [entry for folder in level for entry in listed(folder, argument=argument)]
        yield entries
        level = [Path(entry.path) for entry in entries if is_folder(entry) and entry.name.lower() not in skip]


def find(
    root: Path,
    *names: str,
    folder: bool = True,
    skip: Collection[str] = (),
    depth: int = DEPTH,
    argument: str = ARGUMENT,
) -> Path | None:
    """Return the folder (or file) below `root` that has one of `names`, whatever its case; the least deep, then first.

    Names are tried in order at each depth; `root` itself counts, so that a root one level too deep works as well.
    Where a folder holds nothing but one of the same name, as unpacking twice leaves it, the inner one is meant.
    For `skip` see `levels`.
    """
    wanted = [name.lower() for name in names]
    if folder and root.name.lower() in wanted:
        return _innermost(root)
    for entries in levels(root, depth, skip, argument):
        for name in wanted:
            for entry in entries:
                if entry.name.lower() == name and (is_folder(entry) if folder else is_file(entry)):
                    return _innermost(Path(entry.path)) if folder else Path(entry.path)
    return None


def required(root: Path, *names: str, folder: bool = True, skip: Collection[str] = ()) -> Path:
    """Return what `find` finds.

    Raises:
        UserError: if there is none, saying what was looked for and what is there instead.
    """
    path = find(root, *names, folder=folder, skip=skip)
    if path is None:
        raise missing(root, " or ".join(names) + ("/" if folder else ""))
    return path


def missing(
    root: Path, what: str, argument: str = ARGUMENT, remedy: str = "give the folder it is unpacked in"
) -> UserError:
    """Return the error of a root that lacks `what`, with what it holds instead, and which folders are only links."""
    entries = listed(root, argument=argument) if root.is_dir() else []
    names = [entry.name + "/" * is_folder(entry) for entry in entries]
    there = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    if links := [link.relative_to(root).as_posix() for link in (linked(root) if entries else ())]:
        them = f"{', '.join(links[:3])} {'is a link' if len(links) == 1 else 'are links'}"
        there = f"{there}; {them}, and links are not followed"
        remedy = "move (or mount) the folder here that a link leads to"
    return UserError(argument, root, f"no {what} in it, found {there or 'nothing'}", remedy)


def linked(root: Path) -> list[Path]:
    """Return the links to folders that lie in the first levels of folders."""
    found: list[Path] = []
    for folder in islice(below(root, STRAY), MOST_FOLDERS):
        found += [Path(entry.path) for entry in listed(folder) if is_link(entry)]
    return found


def listed(folder: Path, every: bool = False, argument: str = ARGUMENT) -> list[os.DirEntry[str]]:
    """Return what a folder holds, sorted by name, without what operating systems leave behind; a file holds nothing.

    Names that are not UTF-8 are left out as well, unless `every` one is wanted: the inventory lists them.

    Raises:
        UserError: if the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            kept = (e for e in entries if not STRAY.search(e.name) and (every or is_utf8(e.name)))
            return sorted(kept, key=lambda entry: entry.name)
    except NotADirectoryError:
        return []
    except OSError as error:
        raise unreadable(folder, error, argument) from error


def unreadable(folder: Path, error: OSError, argument: str = ARGUMENT) -> UserError:
    """Return the error of a folder that cannot be listed."""
    problem = f"this folder cannot be listed ({error.strerror})"
    return UserError(argument, folder, problem, "make it readable, or unpack the dataset anew")


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


def unique(found: Iterable[tuple[str, Path]], remedy: str) -> dict[str, Path]:
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


def folder_inside(root: Path, argument: str, name: str, there: bool = True) -> Path:
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


def _innermost(folder: Path) -> Path:
    inner = listed(folder)
    while len(inner) == 1 and inner[0].name.lower() == folder.name.lower() and is_folder(inner[0]):
        folder = Path(inner[0].path)
        inner = listed(folder)
    return folder
