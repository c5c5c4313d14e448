"""Label files in an unpacked dataset, some folders deep."""

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from seke.errors import UserError

DEPTH: Final = 5
"""How many folders deep label files may lie."""


def below(folder: Path, *patterns: str) -> list[Path]:
    """Return the files no more than `DEPTH` folders deep whose names match, least deep first, then sorted."""
    files = (file for level in _levels(folder) for file in level)
    return [Path(file.path) for file in files if any(fnmatch(file.name.lower(), pattern) for pattern in patterns)]


def label_file(path: Path, *names: str) -> Path:
    """Return `path` if it is a file, else the least deep file below it that has one of `names`.

    Raises:
        UserError: if there is none, saying what was looked for and what is there instead.
    """
    if path.is_file():
        return path
    found = optional(path, *names)
    if found is None:
        raise missing(path, *names)
    return found


def optional(folder: Path, *names: str) -> Path | None:
    """Return the least deep file that has one of `names`, in any case, or None; of equals, that of the first name."""
    for level in _levels(folder):
        named = {file.name.lower(): file for file in reversed(level)}
        for name in names:
            if name.lower() in named:
                return Path(named[name.lower()].path)
    return None


def missing(path: Path, *names: str) -> UserError:
    """Return the error of a folder without its label file, telling what it holds instead."""
    there = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in path.iterdir()) if path.is_dir() else []
    more = f" and {len(there) - 6} more" if len(there) > 6 else ""
    found = ", ".join(there[:6]) + more if there else "nothing"
    return UserError("data.path", path, f"no {' or '.join(names)} in it, found {found}", "give that file or its folder")


def _levels(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
    """Yield the files of a folder, then those of its folders, and so on; deeper ones are only looked at when asked."""
    level = [str(folder)]
    for _ in range(DEPTH + 1):
        entries = [entry for here in level for entry in _entries(here)]
        yield [entry for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        level = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:  # a folder that may not be entered holds nothing that could be read
        return []
