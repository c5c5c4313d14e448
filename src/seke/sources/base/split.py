"""Subject-independent train, validation and test: which groups of pictures are on which side.

A group is a subject, or one picture where no subject is known; no picture of a person lands on both sides. Groups are
ranked by a hash of (seed, group): the first are test, the next validation. So the sides have exactly the sizes asked
for, the order of rows does not matter, and a group that is added moves at most one other into or out of test, and at
most three in all.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Rejection, Split

VALIDATION_SHARE: Final = 0.08
"""Share of the training part that is set aside to choose settings on."""
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
FEWEST: Final = 3
"""Groups of a test side, where that is no more than a third of all: fewer give no interval (`core.intervals`)."""


class Draw(NamedTuple):
    """A split that is still to be drawn, once all groups are known."""

    group: str
    test: bool = True
    """False where the dataset's owners decided what is tested: then only validation is drawn."""


class Undrawn(NamedTuple):
    """A record whose split is still to be drawn; until then it says train."""

    record: ImageRecord
    draw: Draw


Listed = ImageRecord | Rejection | Undrawn
"""A row of a dataset, before its groups are all known."""


def assign(
    groups: Iterable[str],
    seed: int,
    test_share: float = 0.1,
    validation_share: float = VALIDATION_SHARE,
    kept: Mapping[str, Split] = MappingProxyType({}),
) -> dict[str, Split]:
    """Return the split of each group: "test" (the benchmark's side, FEAB), "validation" or "train".

    Of n groups, `round(n * test_share)` are test, at least 3 or a third of them if that is fewer; of the m others,
    `round(m * validation_share)` are validation, at least 1 where m > 2. A share of 0 is none. A larger test share only
    moves groups into test. Those that are `kept` stay where they are, so that a set which grows moves nobody; the new
    ones fill up what is missing on the other sides.

    >>> from collections import Counter
    >>> Counter(assign([f"F{k:03d}" for k in range(41)], seed=0).values()) == {"test": 4, "validation": 3, "train": 34}
    True
    """
    ranked = sorted((_hashed(seed, group), group) for group in set(groups))
    staying = Counter(kept[group] for _, group in ranked if group in kept)
    test = _count(len(ranked), test_share, FEWEST)
    validation = _count(len(ranked) - test, validation_share, 1)
    new = [group for _, group in ranked if group not in kept]
    test = max(test - staying["test"], 0)
    seen = test + max(validation - staying["validation"], 0)
    sides: list[Split] = ["test" if k < test else "validation" if k < seen else "train" for k in range(len(new))]
    drawn = {**kept, **dict(zip(new, sides, strict=True))}
    return {group: drawn[group] for _, group in ranked}


def staying(groups: Iterable[tuple[str, Split | None]]) -> dict[str, Split]:
    """Return where each group stays: on the first side, of train, validation and test, that one of its members was on.

    Nobody who may have been trained on is tested on. Groups without such a member are left out.

    >>> staying([("anna", "test"), ("anna", "train"), ("bert", None), ("cleo", "test")])
    {'anna': 'train', 'cleo': 'test'}
    """
    sides: dict[str, set[Split]] = {}
    for group, side in groups:
        if side is not None:
            sides.setdefault(group, set()).add(side)
    return {group: next(side for side in SPLITS if side in found) for group, found in sides.items()}


def drawn(
    rows: Iterable[Listed],
    seed: int,
    test_share: float,
    validation_share: float,
    earlier: Mapping[str, Split] = MappingProxyType({}),
) -> Iterator[ImageRecord | Rejection]:
    """Yield all rows in their order, with the splits that were still to be drawn; `earlier`: see `Source.earlier`."""
    listed = list(rows)
    draws = [row.draw for row in listed if isinstance(row, Undrawn)]
    undrawn = [row for row in listed if isinstance(row, Undrawn)]
    kept = {
        test: staying((row.draw.group, earlier.get(row.record.id)) for row in undrawn if row.draw.test is test)
        for test in (True, False)
    }
    splits = {
        test: assign(
            (draw.group for draw in draws if draw.test is test), seed, test_share * test, validation_share, kept[test]
        )
        for test in (True, False)
    }
    for row in listed:
        if not isinstance(row, Undrawn):
            yield row
        elif (split := splits[row.draw.test][row.draw.group]) == row.record.split:
            yield row.record
        else:
            yield row.record.model_copy(update={"split": split})


def _hashed(seed: int, group: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{group}".encode()).digest()[:7], "big")


def _count(groups: int, share: float, fewest: int) -> int:
    """Return how many of `groups` make up `share`, at least `fewest` where they are a third of all or less."""
    return max(round(share * groups), min(fewest, groups // 3)) if share else 0


def checked_share(argument: str, value: float) -> float:
    """Return `value` if it is a share.

    Raises:
        UserError: if it is no number in [0, 1].
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(argument, value, "a share lies between 0 and 1", "set for example 0.1")
    return float(value)
