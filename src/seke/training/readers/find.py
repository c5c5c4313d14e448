"""Label files in an unpacked dataset, some folders deep."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Rejection
from seke.training.readers.row import rejected

ARGUMENT: Final = "data.path"
DEPTH: Final = 6
"""How many levels are looked through: label files may lie five folders deep."""
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
    """Return the files no more than five folders deep whose names match, least deep first, then sorted."""
    entries = (entry for level in file_tree.levels(folder, DEPTH, argument=ARGUMENT) for entry in level)
    return [
        Path(entry.path)
        for entry in entries
        if any(fnmatch(entry.name.lower(), pattern) for pattern in patterns) and file_tree.is_file(entry)
    ]


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
    file = optional(path, *names)
    if file is None:
        raise missing(path, *names)
    return file


def optional(folder: Path, *names: str) -> Path | None:
    """Return the least deep file that has one of `names`, in any case, or None; of equals, that of the first name."""
    return file_tree.find(folder, *names, folder=False, depth=DEPTH, argument=ARGUMENT)


def missing(path: Path, *names: str) -> UserError:
    """Return the error of a folder without its label file, telling what it holds instead."""
    return file_tree.missing(path, " or ".join(names), ARGUMENT, "give that file or its folder")
