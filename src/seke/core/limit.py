"""The setting `limit=`: so many records, in proportion over sources and splits, chosen by the seed; and shares of them.

A record is chosen by the hash of its id within its source and split, so neither the order of a file nor what else it
holds decides which of two records of one group comes first. The chosen ones keep the file's order.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from seke.core.errors import UserError

Record = TypeVar("Record")
Group = tuple[str, ...]
SEPARATOR: Final = "\0"
"""Stands in no id, so that no two lists of words hash alike."""


def checked(limit: object, argument: str = "limit") -> int | None:
    """Return `limit` if it is a positive whole number or None.

    Raises:
        UserError: if it is neither.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UserError(argument, limit, "not a number of records", "set 1 or more, or null for all")
    return limit


def limited(records: Iterable[Record], limit: int | None, seed: int) -> list[Record]:
    """Return `limit` of the records in their order; all of them for None or where there are no more.

    What has no `source` or no `split` makes one group with its like.
    """
    given = list(records)
    if limit is None or limit >= len(given):
        return given
    groups = [group_of(record) for record in given]
    return [given[place] for place in places([str(getattr(record, "id", "")) for record in given], groups, limit, seed)]


def chosen_ids(records: Callable[[], Iterable[Record]], limit: int, seed: int) -> frozenset[str]:
    """Return the ids of the records that `limited` would keep, of more than fit into memory.

    Args:
        records: yields them all, and is called twice.
        limit: how many.
        seed: of the choice.
    """
    left = in_proportion(limit, Counter(map(group_of, records())), seed)
    first: dict[Group, list[tuple[int, str]]] = {group: [] for group in left}  # heaps, the last chosen on top
    for record in records():
        group, id_ = group_of(record), str(getattr(record, "id", ""))
        entry = (-int.from_bytes(_hash(seed, "limit", id_)), id_)
        if len(first[group]) < left[group]:
            heapq.heappush(first[group], entry)
        elif left[group]:
            heapq.heappushpop(first[group], entry)
    return frozenset(id_ for entries in first.values() for _, id_ in entries)


def group_of(record: Any) -> Group:
    """Return source and split of a record, as far as it has them."""
    return tuple(str(getattr(record, name, "")) for name in ("source", "split"))


def places(ids: Sequence[str], groups: Sequence[Group], limit: int, seed: int) -> list[int]:
    """Return the places, ascending, of the `limit` entries that are chosen: each group's first by the hash of its id.

    >>> places(["a", "b", "c", "d"], [("x",), ("x",), ("x",), ("y",)], limit=4, seed=0)
    [0, 1, 2, 3]
    """
    return _first_of_each(ids, groups, in_proportion(limit, Counter(groups), seed), seed)


def places_of_share(ids: Sequence[str], groups: Sequence[Group], share: float, seed: int) -> list[int]:
    """Return the places, ascending, of `share` (0 to 1) of each group's entries, its first by the hash of their ids.

    What a smaller share chooses is among what a larger one does.

    >>> places_of_share(["a", "b", "c", "d"], [("x",)] * 4, share=1.0, seed=0)
    [0, 1, 2, 3]
    """
    return _first_of_each(ids, groups, {group: round(share * size) for group, size in Counter(groups).items()}, seed)


def _first_of_each(ids: Sequence[str], groups: Sequence[Group], numbers: Mapping[Group, int], seed: int) -> list[int]:
    left = dict(numbers)
    chosen = []
    for place in sorted(range(len(ids)), key=lambda place: _hash(seed, "limit", ids[place])):
        if left[groups[place]] > 0:
            left[groups[place]] -= 1
            chosen.append(place)
    return sorted(chosen)


def in_proportion(total: int, sizes: Mapping[Group, int], seed: int = 0) -> dict[Group, int]:
    """Share `total`, or all there is if that is less, in proportion to `sizes`, by largest remainder.

    Among equal remainders the seed decides, so that a small limit does not favour the first names of the alphabet.

    >>> in_proportion(10, {("ck_plus",): 50, ("disfa",): 30, ("bp4d",): 19})
    {('ck_plus',): 5, ('disfa',): 3, ('bp4d',): 2}
    """
    every = sum(sizes.values())
    total = min(total, every)
    shares = {group: total * size // max(every, 1) for group, size in sizes.items()}

    def most_wanting(group: Group) -> tuple[int, bytes]:
        return -(total * sizes[group] % max(every, 1)), _hash(seed, "share", *group)

    for group in sorted(sizes, key=most_wanting)[: total - sum(shares.values())]:
        shares[group] += 1
    return shares


def _hash(seed: int, *words: str) -> bytes:
    return hashlib.sha256(SEPARATOR.join((str(seed), *words)).encode(errors="surrogatepass")).digest()
