"""Ranks with intervals: of which systems is known that they are better, and what is only chance.

A rank is a claim about all others at once. So every ordered pair of systems is tested ("a is better than b"), all of
one measure together by Holm's method (1979); a system's rank is then from 1 + those that are better to K - those that
are worse. All these intervals together hold the true ranks with 95 % confidence (Mogstad, Romano, Shaikh and Wilhelm,
Inference for ranks, Review of Economic Studies 91, 2024, sec. 3: ranks by differences, familywise error held).

    K  systems        B  resamples
"""

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from seke.core.intervals import FEWEST, TAIL, Estimate, estimated, holm, p_value

LEVEL: Final = 0.05
UNKNOWN: Final = float("nan")


class Competitor(NamedTuple):
    """One system in one measure, more being better (an error counts as minus itself)."""

    value: float
    drawn_B: NDArray[np.float64] | None
    """In every resample; None where these are not known."""
    clusters: int
    half_width: float | None
    """Of its 95 % interval, the longer side; None without one."""
    resamples: Hashable
    """What was drawn, and how: those of equal ones are paired."""


class Pair(NamedTuple):
    """What is known of the difference of two systems."""

    difference: Estimate
    """First minus second; the interval is of this pair alone."""
    p: float | None
    """Two-sided, of this pair alone; None where nothing tells."""
    paired: bool
    """Whether picture by picture, or from two separate intervals, which see less."""


class Ranks(NamedTuple):
    """What is known of the order of K systems."""

    intervals: tuple[tuple[int, int], ...]
    """Of each one's rank, 1 being the best."""
    better_KK: NDArray[np.bool_]
    """Whether it is known (5 %, all pairs together) that the row's system is better than the column's."""
    pairs: tuple[tuple[Pair, ...], ...]


def pair(a: Competitor, b: Competitor) -> Pair:
    """Compare two systems: in the same resamples if they were drawn alike, else by their intervals."""
    difference = a.value - b.value
    if a.drawn_B is not None and b.drawn_B is not None and a.resamples == b.resamples:
        drawn_B, clusters = np.round(a.drawn_B - b.drawn_B, 6), min(a.clusters, b.clusters)
        return Pair(estimated(drawn_B, difference, clusters), p_value(drawn_B, difference, clusters), True)
    freedom = min(a.clusters, b.clusters) - 1
    if a.half_width is None or b.half_width is None or freedom < FEWEST - 1:
        return Pair(Estimate(difference), None, False)
    errors = [one.half_width / stdtrit(one.clusters - 1, 1 - TAIL) for one in (a, b) if one.half_width is not None]
    error = float(np.hypot(*errors))
    if error == 0:
        return Pair(Estimate(difference), None, False)
    half = float(stdtrit(freedom, 1 - TAIL)) * error
    p = float(2 * stdtr(freedom, -abs(difference) / error))
    return Pair(Estimate(difference, difference - half, difference + half), p, False)


def ranks(competitors: Sequence[Competitor]) -> Ranks:
    """Return the ranks' intervals and every pair.

    >>> from numpy.random import default_rng
    >>> noise = default_rng(0).normal(size=(3, 1000)) / 100
    >>> rows = [Competitor(m, m + n, 500, None, "all") for m, n in zip((0.7, 0.5, 0.51), noise)]
    >>> ranks(rows).intervals
    ((1, 1), (2, 3), (2, 3))
    """
    count = len(competitors)
    pairs = tuple(tuple(pair(a, b) for b in competitors) for a in competitors)
    ordered = [(i, j) for i in range(count) for j in range(count) if i != j]
    one_sided = [_one_sided(pairs[i][j]) for i, j in ordered]
    better_KK = np.zeros((count, count), dtype=np.bool_)
    for (i, j), corrected in zip(ordered, holm(one_sided) if ordered else (), strict=True):
        better_KK[i, j] = corrected < LEVEL
    found = tuple((1 + int(better_KK[:, k].sum()), count - int(better_KK[k].sum())) for k in range(count))
    return Ranks(found, better_KK, pairs)


def pareto(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Return the places, cheapest first, of those that nobody else beats at no higher cost.

    Args:
        costs: less is better.
        values: more is better.

    >>> pareto([1.0, 2.0, 3.0, 2.0], [0.5, 0.4, 0.9, 0.6])
    [0, 3, 2]
    """
    front: list[int] = []
    for place in sorted(range(len(costs)), key=lambda place: (costs[place], -values[place])):
        if not front or values[place] > values[front[-1]]:
            front.append(place)
    return front


def _one_sided(found: Pair) -> float:
    """Return the p-value of "the first is not better", 1 where nothing tells."""
    if found.p is None or found.difference.value is None:
        return 1.0
    return found.p / 2 if found.difference.value > 0 else 1 - found.p / 2
