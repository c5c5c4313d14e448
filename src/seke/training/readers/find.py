"""Label files in an unpacked dataset, some folders deep."""

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.readers.row import rejected

DEPTH: Final = 5
"""How many folders deep label files may lie."""
TRAIN: Final = frozenset(("train", "training", "trn", "trainval", "feid"))
HELD_OUT: Final = frozenset((
    "test", "tests", "testing", "tst", "te", "val", "vali", "valid", "validate", "validation", "validations",
    "validating", "dev", "devel", "development", "devtest", "testdev", "eval", "evals", "evaluate", "evaluation",
    "evaluating", "holdout", "holdouts", "heldout", "minitest", "minival", "unseen", "benchmark", "feab",
))  # fmt: skip
"""Words in the names of files and folders of a dataset's sides; FEID and FEAB are one dataset's two sides."""
ENDING: Final = re.compile(r"(?:set|data|split|images)$")
"""What follows such a word without a mark between them."""
WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def below(folder: Path, *patterns: str) -> list[Path]:
    """Return the files no more than `DEPTH` folders deep whose names match, least deep first, then sorted."""
    files = (file for level in _levels(folder) for file in level)
    return [Path(file.path) for file in files if any(fnmatch(file.name.lower(), pattern) for pattern in patterns)]


def side(path: Path, folder: Path) -> str | None:
    """Return train or held out, as the words in the name of a file below `folder` say, from the file outwards.

    >>> side(Path("a/feid_train.json"), Path("a")), side(Path("a/DISFA/ValSet/x.json"), Path("a"))
    ('train', 'held out')
    >>> side(Path("a/notes.json"), Path("a")), side(Path("a/constrained.json"), Path("a"))
    (None, None)
    >>> side(Path("a/held_out.json"), Path("a")), side(Path("a/HeldOut/x.json"), Path("a"))
    ('held out', 'held out')
    """
    inside = path.relative_to(folder)
    for part in (inside.stem, *(parent.name for parent in inside.parents)):
        together = re.sub(r"(?i)(h[eo]ld)[ ._-]out", r"\1out", part)
        words = {ENDING.sub("", word.lower()) for name in (part, together) for word in WORDS.findall(name)}
        words |= {word.lower() for word in re.findall(r"[A-Za-z]+", together)}
        if words & HELD_OUT:
            return "held out"
        if words & TRAIN:
            return "train"
    return None


def trainable(folder: Path, files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return those of the files of a dataset's folder that are for training, and those that are not.

    Where no name speaks of a side, all are for training.

    Raises:
        UserError: if some names speak of one and others do not, or all files are held out.
    """
    sides = {file: side(file, folder) for file in files}
    held_out = [file for file in files if sides[file] == "held out"]
    unknown = [file for file in files if sides[file] is None]
    named = [file for file in files if sides[file] is not None]
    if named and unknown:
        shown = ", ".join(str(file.relative_to(folder)) for file in (unknown[0], named[0]))
        problem = f"{len(unknown)} of {len(files)} files tell no side (train, test, val, ...) while others do: {shown}"
        raise UserError("data.path", folder, problem, "give the file to train on, or move the others away")
    if files and not set(files) - set(held_out):
        names = ", ".join(str(file.relative_to(folder)) for file in held_out[:6])
        raise UserError("data.path", folder, f"all files are held out: {names}", "give the file to train on")
    return [file for file in files if file not in held_out], held_out


def told(folder: Path, held_out: Sequence[Path]) -> Iterator[Rejection]:
    """Yield a rejection for each file that is not trained on."""
    for file in held_out:
        yield rejected(f"left out: {file.relative_to(folder)}", "held out", "a file of another side is not trained on")


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
