"""95 % intervals and p-values from bootstrap replicates: one function for every number that a table shows.

What is resampled (subjects, pictures, judged answers) is a cluster here; how replicates are drawn is the caller's.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

TAIL: Final = 0.025
"""What a 95 % interval leaves out on either side."""


class Estimate(NamedTuple):
    """A measured number and its 95 % interval; None is "not measured", never 0."""

    value: float | None
    low: float | None = None
    high: float | None = None


def interval(replicates_B: NDArray[np.float64], estimate: float, clusters: int) -> list[float] | None:
    """Return [low, high], the 95 % interval of `estimate`; None where it is NaN or of fewer than two clusters.

    Resamples of n clusters vary less than samples do, by sqrt((n - 1) / n) and as if the variance were known, so the
    percentiles lie as far out as Student's t asks: the expanded percentile interval of Hesterberg (Am. Stat.
    2015). For many clusters they are the central 95 %.

    Args:
        replicates_B: the number in every resample, (B,); those in which it is undefined are NaN and left out.
        estimate: the number itself.
        clusters: how many independent units the number is from: what a resample draws with replacement.

    >>> [round(end, 2) for end in interval(np.linspace(0, 1, 1001), 0.5, 10_000)]
    [0.02, 0.98]
    >>> interval(np.linspace(0, 1, 1001), 0.5, 1)
    """
    defined = replicates_B[~np.isnan(replicates_B)]
    if np.isnan(estimate) or clusters < 2 or not defined.size:
        return None
    tail = ndtr(np.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, TAIL))
    return [float(end) for end in np.quantile(defined, [tail, 1 - tail])]


def estimated(replicates_B: NDArray[np.float64], estimate: float, clusters: int) -> Estimate:
    """Return a number with its `interval`."""
    return Estimate(estimate, *(interval(replicates_B, estimate, clusters) or (None, None)))


def p_value(difference_B: NDArray[np.float64], clusters: int) -> float | None:
    """Return the two-sided bootstrap p-value of no difference, in (0, 1]; None for fewer than two clusters.

    Twice the smaller share of draws that lie at or beyond 0 (Efron & Tibshirani 1993, Sec. 15.4), the observed set
    counted in (Davison & Hinkley 1997, Eq. 4.11), so that it is never 0. Few clusters make it larger by Student's t,
    as they widen the `interval`: where p is 0.05, the interval ends at 0.

    >>> round(p_value(np.array([0.1, 0.2, 0.3, -0.1, float("nan")]), 1000), 2)
    0.8
    """
    defined = difference_B[~np.isnan(difference_B)]
    if clusters < 2 or not defined.size:
        return None
    beyond = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    share = min(0.5, (beyond + 1) / (defined.size + 1))
    return float(2 * stdtr(clusters - 1, ndtri(share) * np.sqrt((clusters - 1) / clusters)))
