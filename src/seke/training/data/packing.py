"""Packs: several samples in one sequence of at most so many tokens, instead of padded beside each other.

    once          lengths -> slots, longest first -> best fit into packs -> split into as many as ranks need
    every epoch   samples, shuffled among those of like length -> take the slots -> rounds of packs of like cost

Best fit decreasing (Johnson et al. 1974) needs at most 11/9 of the fewest packs possible, in practice hardly more than
these. Since only lengths decide the slots, every epoch has the same number of packs, known before it begins.
"""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seke.models.protocol import Product
from seke.training.data.flops import Work, forward

GRAIN: Final = 64
"""Lengths count as alike that differ by less than this part of the mean: at most so little room is given away for it,
and samples of like length are many, so that epochs really differ in what shares a pack."""
Packing: TypeAlias = list[list[int]]
"""Of each pack, the slots or samples in it."""


def rounded(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Return lengths rounded up to multiples of the grain.

    >>> rounded(np.array([50, 101])).tolist(), rounded(np.array([500, 1010, 1500])).tolist()
    ([50, 101], [510, 1020, 1500])
    """
    grain = max(1, int(lengths.mean()) // GRAIN)
    return -(-lengths.astype(np.int64) // grain) * grain


def best_fit(sizes: Iterable[int], capacity: int) -> Packing:
    """Put each item, in the order given, into the pack it fills best; one above `capacity` has a pack to itself.

    Bit f of an integer says whether a pack has f tokens left, so that the best one is found by a shift.

    >>> best_fit([6, 5, 4, 3, 2, 12], capacity=10)
    [[0, 2], [1, 3, 4], [5]]
    """
    packs: Packing = []
    having: list[list[int]] = [[] for _ in range(capacity + 1)]
    lefts = 0
    for item, size in enumerate(sizes):
        if fitting := lefts >> size:
            left = size + (fitting & -fitting).bit_length() - 1
            pack = having[left].pop()
            if not having[left]:
                lefts ^= 1 << left
        else:
            left, pack = max(capacity, size), len(packs)
            packs.append([])
        packs[pack].append(item)
        having[left - size].append(pack)
        lefts |= 1 << (left - size)
    return packs


def halves(pack: Sequence[int], sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return a pack of two items or more as two of nearly equal size.

    >>> halves([0, 1, 2, 3], sizes=[6, 5, 4, 3])
    ([0, 3], [1, 2])
    """
    two: tuple[list[int], list[int]] = ([], [])
    weights = [0, 0]
    for item in sorted(pack, key=lambda item: -sizes[item]):
        lighter = int(weights[1] < weights[0])
        two[lighter].append(item)
        weights[lighter] += sizes[item]
    return two


def split(packs: Packing, sizes: Sequence[int], count: int) -> Packing:
    """Halve the fullest packs until there are `count`, or none has two items; the rest stay empty."""
    whole = [pack for pack in packs if len(pack) == 1]
    heap = [(-sum(sizes[item] for item in pack), number, pack) for number, pack in enumerate(packs) if len(pack) > 1]
    heapify(heap)
    number = len(packs)
    while heap and len(whole) + len(heap) < count:
        _, _, fullest = heappop(heap)
        for half in halves(fullest, sizes):
            number += 1
            if len(half) > 1:
                heappush(heap, (-sum(sizes[item] for item in half), number, half))
            else:
                whole.append(half)
    made = whole + [pack for _, _, pack in sorted(heap)]
    return made + [[] for _ in range(count - len(made))]


def rounds(costs: NDArray[Any], width: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return which packs the ranks take together, (rounds, width): of nearly equal cost, in random order.

    Ranks wait for the slowest of them in every round. `width` divides the number of packs.
    """
    alike = np.argsort(-costs, kind="stable").reshape(-1, width)
    return generator.permuted(generator.permutation(alike), axis=1)


def cost(products: Sequence[Product], lengths: NDArray[Any], crops: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Return the FLOPs of each sample's tokens, of its attention and of its crops (0 where the tower is not run).

    Crops are taken as those of one image.

    A pack costs what its samples cost: none attends to another.
    """

    def of(**unit: int) -> float:
        return sum(forward(products, Work(**unit)).values())

    tokens = lengths.astype(np.float64)
    total = of(tokens=1) * tokens + of(pairs=1) * tokens * (tokens + 1) / 2
    if crops is None:
        return total
    seen = crops.astype(np.float64)
    return total + of(crops=1) * seen + of(crop_squares=1) * seen**2
