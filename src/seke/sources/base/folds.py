"""Official folds of cross-validation: which clips each fold tests, as the owners' lists have it.

    fold=k      the lists of set k: their test clips are test, validation is drawn from their training clips
    fold=all    every clip is test, in the fold that tests it (`attributes.fold`): what a model that was tuned on none
                of them is measured on

Every clip has its own fold in `attributes.fold`, whichever is prepared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from seke.core.errors import UserError

FOLDS: Final = (1, 2, 3, 4, 5)
ALL: Final = "all"
Fold = int | Literal["all"]


def checked_fold(fold: object) -> Fold:
    """Return the setting `source.fold`.

    >>> checked_fold("1"), checked_fold(5), checked_fold("all")
    (1, 5, 'all')

    Raises:
        UserError: if it is neither a fold nor all.
    """
    if fold == ALL:
        return "all"
    if isinstance(fold, str) and fold.isdecimal():  # where a word may stand, a number is written as one, too
        fold = int(fold)
    if isinstance(fold, bool) or not isinstance(fold, int) or fold not in FOLDS:
        raise UserError("source.fold", fold, "no such fold", f"set one of {', '.join(map(str, FOLDS))}, or all")
    return fold


@dataclass
class Listing:
    """What the lists of all folds say of one clip."""

    labels: dict[str, str] = field(default_factory=dict)
    """Each label, with the place of its first mention."""
    test: dict[int, str] = field(default_factory=dict)
    """The folds that test it, each with the place."""
    train: dict[int, str] = field(default_factory=dict)

    def add(self, label: str, fold: int, test: bool, where: str) -> None:
        """Take one row of a list in."""
        self.labels.setdefault(label, where)
        (self.test if test else self.train).setdefault(fold, where)

    @property
    def problem(self) -> str | None:
        """Why it cannot be used; None where it can."""
        if len(self.labels) > 1:
            return "two labels: " + ", ".join(f"{label} ({where})" for label, where in self.labels.items())
        if len(self.test) > 1:
            return f"tested in {' and '.join(map(str, sorted(self.test)))}: folds share no test clip"
        both = sorted(self.test.keys() & self.train.keys())
        return f"in fold {both[0]} on both sides: {self.test[both[0]]} and {self.train[both[0]]}" if both else None

    @property
    def fold(self) -> int | None:
        """The one that tests it; None where the lists that are there do not say."""
        return min(self.test, default=None)

    @property
    def label(self) -> str:
        """Its first label."""
        return next(iter(self.labels))

    def side(self, fold: Fold) -> Literal["train", "test"] | None:
        """Return on which side a fold has it; None where it is not listed there."""
        if fold == ALL:
            return "test" if self.test else None
        return "test" if fold in self.test else "train" if fold in self.train else None


def check_complete(sizes: Mapping[int, int], fold: Fold) -> None:
    """Make sure that the lists which a fold needs are there.

    Args:
        sizes: rows of each fold's test list; a fold without a list is not in it.
        fold: the setting.

    Raises:
        UserError: naming the missing ones.
    """
    wanted = FOLDS if fold == ALL else (fold,)
    if missing := [number for number in wanted if not sizes.get(number)]:
        problem = f"no test clip of set {', '.join(map(str, missing))} is listed"
        raise UserError("source.fold", fold, problem, "unpack the lists of all five sets, or name a set that is there")
