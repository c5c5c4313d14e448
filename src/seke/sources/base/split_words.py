"""Splits by the names of folders: the one list of words that datasets use for train, validation and test.

A name is read word by word: `test_set`, `FER2013-Test` and `TestImages` are the test side. Of FER2013's two, PublicTest
was there to choose settings on and PrivateTest to be scored on. A folder that stands where others name a split and
names none is refused, because its pictures may be those that nobody was to train on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Split

WORDS: Final[Mapping[str, Split]] = {
    **dict.fromkeys(("train", "training", "trn", "tr", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "vali", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(
        ("test", "testing", "tests", "tst", "te", "eval", "evaluation", "evaluate", "holdout", "heldout"),
        "test",
    ),
}
SHORT: Final = frozenset(("tr", "te", "trn", "tst"))
"""Too short to mean a split beside other words."""
NOISE: Final = frozenset(
    ("set", "sets", "data", "dataset", "image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photos",
     "face", "faces", "split", "part", "folder", "dir", "public", "private", "official", "the", "samples", "aligned",
     "label", "labels", "list", "lists", "file", "files", "annotation", "annotations")
)  # fmt: skip
"""Words that add nothing to a name of a split."""
ENDINGS: Final = ("dataset", "images", "data", "set", "imgs", "split")
"""What is written together with a word: testset."""
LISTS: Final = (".csv", ".tsv", ".txt", ".json", ".jsonl")
SPLITS: Final = ("train", "validation", "test")


def split_word(name: str, exact: bool = False) -> Split | None:
    """Return the split that a folder's name means, None where it means none or more than one.

    With `exact`, all of its words must be about a split: a person's own folders may be called anything.

    >>> split_word("test_set"), split_word("PublicTest"), split_word("FER2013-train"), split_word("anger")
    ('test', 'validation', 'train', None)
    >>> split_word("FER2013-train", exact=True), split_word("train_and_test")
    (None, None)
    """
    words = [_bare(word.lower()) for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    meant = {WORDS[word] for word in words if word in WORDS and (word not in SHORT or len(words) == 1)}
    others = [word for word in words if word and word not in WORDS and word not in NOISE]
    if words in (["held", "out"], ["hold", "out"]):
        return "test"
    if len(meant) != 1 or (exact and others):
        return None
    return "validation" if "public" in words and meant == {"test"} else meant.pop()


def checked_splits(splits: object) -> dict[str, Split | None]:
    """Return the setting `source.splits`: folder names (any case) and the split that each one means, or None.

    Raises:
        UserError: if it is anything else.
    """
    if splits is None:
        return {}
    if not isinstance(splits, Mapping):
        raise UserError("source.splits", splits, "not names of folders with splits", "set for example {unseen: test}")
    for name, split in splits.items():
        if split is not None and split not in SPLITS:
            raise UserError(f"source.splits.{name}", split, "no split", f"use {', '.join(SPLITS)} or null (any)")
    return {str(name).lower(): split for name, split in splits.items()}


def split_folders(
    root: Path,
    places: Iterable[tuple[str, ...]],
    named: Mapping[str, Split | None],
    exact: bool = False,
    others: bool = False,
) -> dict[tuple[str, ...], Split | None]:
    """Return what the folders around pictures say about their split; None where none says anything.

    Args:
        root: where the pictures lie; its own name counts where no folder below says anything.
        places: the folders from the root down to the pictures (or to their class folder).
        named: the setting `source.splits`; it goes before the words.
        exact: see `split_word`.
        others: whether folders that say nothing may stand side by side, as those of persons do.

    Raises:
        UserError: if one place names a split, or there are several, and another place names none.
    """
    sides: dict[tuple[str, ...], Split | None] = {}
    silent: list[tuple[str, ...]] = []
    for place in sorted(set(places)):
        telling = [part for part in reversed(place) if part.lower() in named or split_word(part, exact)]
        if telling:
            sides[place] = named[telling[0].lower()] if telling[0].lower() in named else split_word(telling[0], exact)
        else:
            silent.append(place)
    if silent and (any(sides.values()) or (len(silent) > 1 and not others)):
        raise _unknown(root, silent, sides)
    own = None if sides else split_word(root.name, exact=True)
    return {**sides, **dict.fromkeys(silent, own)}


def check_lists(root: Path, sides: Mapping[tuple[str, ...], Split | None], named: Mapping[str, Split | None]) -> None:
    """Refuse a folder whose split is in lists that are not read, while no folder tells it: all would be hashed.

    Raises:
        UserError: if a file called test or validation lies in the folder and no folder names a split.
    """
    if any(sides.values()) or split_word(root.name, exact=True):
        return
    for entry in file_tree.files(root, *LISTS):
        side = split_word(entry.name.rpartition(".")[0], exact=True)
        if side in ("test", "validation") and entry.name.lower() not in named:
            problem = f"{entry.name} lies in it, which is not read, and no folder is called {side}"
            remedy = (
                f"put its pictures into a folder {side}/, or set 'source.splits={{{entry.name}: null}}' to ignore it"
            )
            raise UserError("source.root", root, problem, remedy)


def _unknown(root: Path, silent: Sequence[tuple[str, ...]], sides: Mapping[tuple[str, ...], Split | None]) -> UserError:
    place = next((place for place in silent if place), ())
    folder = place[-1] if place else "."
    known = sorted({"/".join(path) for path, split in sides.items() if split})
    beside = f"beside {', '.join(known[:3])}" if known else f"one of {len(silent)} that hold classes"
    problem = f"the folder {'/'.join(place) or 'itself'} ({beside}) is not known to be for training or for testing"
    name = folder if place else "<folder>"
    remedy = f"say so with 'source.splits={{{name}: test}}' (train, validation, test, or null to hash) or rename it"
    return UserError("source.root", root, problem, remedy)


def _bare(word: str) -> str:
    """Return a word without what is written together with it."""
    for ending in ENDINGS:
        if word.removesuffix(ending) in WORDS and word not in WORDS:
            return word.removesuffix(ending)
    return word
