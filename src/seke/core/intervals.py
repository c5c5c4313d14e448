"""95 % intervals and p-values from bootstrap replicates: one function for every number that a table shows.

What is resampled (subjects, pictures, judged answers) is a cluster here; how replicates are drawn is the caller's.

Percentiles of the replicates cannot leave the range of the clusters: of three they hold the truth in three quarters of
all samples. Here the replicates say only how far the estimate varies and how skewed it is. How far out an end lies is
Student's t for so many clusters, or Hall's transformation of it where skewness puts that end farther out.
`scripts/check_statistics.py` measures the coverage.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

TAIL: Final = 0.025
"""What a 95 % interval leaves out on either side."""
FEWEST: Final = 3
"""Clusters below which there is no interval: nobody can tell the skewness of two."""
ANY: Final = (-np.inf, np.inf)
SHARE: Final = (0.0, 1.0)
ERROR: Final = (0.0, np.inf)
CORRELATION: Final = (-1.0, 1.0)
_CHANCE: Final = 2 * float(np.sqrt(6))
"""Over sqrt(n), how skewed n units of a symmetric kind may look: two standard errors."""
_EQUAL: Final = 1e-9
"""Replicates that differ by less do not differ; all that is measured here is of the size of 1."""


class Estimate(NamedTuple):
    """A measured number and its 95 % interval; None is "not measured", never 0."""

    value: float | None
    low: float | None = None
    high: float | None = None


def interval(
    replicates_B: NDArray[np.float64],
    estimate: float,
    clusters: int,
    within: tuple[float, float] = ANY,
    comparisons: int = 1,
) -> list[float] | None:
    """Return [low, high], the 95 % interval of `estimate`.

    Either end is the farther one of two: of Student's t interval, and of that by Hall's monotone transformation
    (P. Hall, On the removal of skewness by transformation, J. R. Stat. Soc. B 54, 1992), both with n - 1 degrees of
    freedom for n clusters. Hall's alone covers too little of few symmetric clusters, whose skewness is estimated badly,
    t's alone too little of skewed ones.

    Args:
        replicates_B: the number in every resample, (B,); those in which it is undefined are NaN and left out.
        estimate: the number itself.
        clusters: how many independent units the number is from: what a resample draws with replacement.
        within: the least and the greatest value that there can be, where the ends stop.
        comparisons: of how many estimates this may be the most striking one; all their intervals together hold in
            95 % of samples (Bonferroni).

    Returns:
        None where the estimate is NaN, or of fewer than `FEWEST` clusters, or the same in all resamples: then nothing
        tells how far it varies.

    >>> values = np.random.default_rng(0).normal(size=100_000)
    >>> [round(end, 1) for end in interval(values, 0.0, 10_000)]
    [-2.0, 2.0]
    >>> interval(values, 0.0, 2)
    """
    spread = _spread(replicates_B, clusters)
    if np.isnan(estimate) or spread is None:
        return None
    return _ends(estimate, *spread, clusters, within, comparisons)


def interval_of_sum(
    parts_G: NDArray[np.float64],
    estimate: float,
    clusters: int,
    within: tuple[float, float] = ANY,
    unseen: float = 0.0,
) -> list[float] | None:
    """Return [low, high], the 95 % interval of an estimate whose error is a sum of independent parts, by its score.

    Either end lies where the truth would be t standard errors away, not of the variance that was seen but of that which
    there would be with the truth at this end. For parts of one size it is Wilson's interval of a count (J. Am. Stat.
    Assoc. 22, 1927), for parts of either sign Tango's of a paired difference (Stat. Med. 17, 1998). How likely units of
    each kind are, with the truth at a certain place, is found by empirical likelihood (Owen, Biometrika 75, 1988): that
    of a unit which adds a is proportional to 1 / (1 - eta a). Where the skewness of the parts may be chance, no end is
    nearer than Student's.

    Args:
        parts_G: what each independent unit adds to the error, (G,), of mean 0; such as its influence on the estimate.
        estimate: the number itself.
        clusters: units that tell of the variance: Student's t has one degree of freedom less.
        within: the least and the greatest value that there can be, where the ends stop.
        unseen: the size of a part, of either sign, that there may be though no unit was met that has it; 0: none.

    Returns:
        None where the estimate is NaN, of fewer than `FEWEST` clusters, or where nothing varies.

    >>> parts = np.tile([1.0, -1.0], 5_000) / 100
    >>> [round(end, 1) for end in interval_of_sum(parts, 0.0, 10_000)]
    [-2.0, 2.0]

    No error in a million units: in as many again there are at most 3.84 more of the one kind than of the other.

    >>> [round(end, 2) for end in interval_of_sum(np.zeros(10**6), 0.0, 10**6, unseen=1.0)]
    [-3.84, 3.84]
    """
    if np.isnan(estimate) or clusters < FEWEST or not max(np.sqrt(np.sum(parts_G**2)), unseen) > _EQUAL:
        return None
    t = float(stdtrit(clusters - 1, 1 - TAIL))
    downwards, upwards = (_score_end(sign * parts_G, t, unseen) for sign in (-1, 1))
    error = float(np.sqrt(np.sum(parts_G**2)))
    if abs(np.sum(parts_G**3)) * clusters < _CHANCE * error**3:
        downwards, upwards = max(downwards, t * error), max(upwards, t * error)
    low, high = estimate - downwards, estimate + upwards
    return [float(end) for end in np.clip([low, high], *within)]


def _score_end(parts_G: NDArray[np.float64], t: float, unseen: float) -> float:
    """Return d > 0 with d² = t² V(d), V(d) the variance of the likeliest truth whose sum is d farther up."""
    count, seen = len(parts_G), float(parts_G.max(initial=0.0))
    largest = max(seen, unseen)

    def moments(eta: float, share: float) -> tuple[float, float]:
        """Return how far the sum lies up, and its variance, where a share of all units is of the unseen kind."""
        weight_G = 1 / (1 - eta * parts_G)
        weight_G *= count * (1 - share) / weight_G.sum()
        total = float(weight_G @ parts_G) + count * share * unseen
        return total - float(parts_G.sum()), float(weight_G @ parts_G**2) + count * share * unseen**2 - total**2 / count

    def beyond(eta: float, share: float = 0.0) -> float:
        shift, variance = moments(eta, share)
        return shift**2 - t**2 * variance

    most = (1 - _EQUAL) / largest
    if seen < unseen and beyond(most) <= 0:  # what was seen does not explain so much: there are some of the unseen kind
        return moments(most, brentq(lambda share: beyond(most, share), _EQUAL, 1.0))[0]
    return moments(brentq(beyond, 0.0, most), 0.0)[0]


def _ends(
    estimate: float,
    error: float,
    skewness: float,
    clusters: int,
    within: tuple[float, float],
    comparisons: int = 1,
) -> list[float]:
    t = stdtrit(clusters - 1, 1 - TAIL / comparisons)
    low = estimate - error * max(t, _inverse(t, skewness))
    high = estimate - error * min(-t, _inverse(-t, skewness))
    return [float(end) for end in np.clip([low, high], *within)]


def estimated(
    replicates_B: NDArray[np.float64], estimate: float, clusters: int, within: tuple[float, float] = ANY
) -> Estimate:
    """Return a number with its `interval`."""
    return Estimate(estimate, *(interval(replicates_B, estimate, clusters, within) or (None, None)))


def p_value(difference_B: NDArray[np.float64], difference: float, clusters: int) -> float | None:
    """Return the two-sided p-value of no difference, in [0, 1]: below 0.05 exactly where `interval` excludes 0.

    A difference of 0 in all resamples has p = 1. None where else there is no interval.

    >>> values = np.random.default_rng(0).normal(size=100_000)
    >>> round(p_value(values, 1.0, 10_000), 2), p_value(values, 1.0, 2)
    (0.32, None)
    """
    spread = _spread(difference_B, clusters)
    if np.isnan(difference) or spread is None:
        return 1.0 if abs(difference) < _EQUAL and clusters >= FEWEST else None
    error, skewness = spread
    t = difference / error
    transformed = _transformed(t, skewness)
    beyond = min(stdtr(clusters - 1, -min(t, transformed)), stdtr(clusters - 1, max(t, transformed)))
    return min(1.0, float(2 * beyond))


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method (1979), in the order given.

    >>> holm([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.04]
    """
    p_M = np.asarray(p, dtype=np.float64)
    order_M = np.argsort(p_M)
    stepped_M = np.minimum(np.maximum.accumulate(p_M[order_M] * np.arange(len(p_M), 0, -1)), 1.0)
    corrected_M = np.empty_like(p_M)
    corrected_M[order_M] = stepped_M
    return [float(value) for value in corrected_M]


class Difference(NamedTuple):
    """An estimated difference, and whether it may be none."""

    estimate: Estimate
    p: float | None = None
    """Two-sided, of no difference; None where nothing tells."""
    clusters: int | None = None
    """Subjects, or pictures that have none, that it is from; None: not known."""


def over_seeds(each: Sequence[Difference]) -> Difference:
    """Return the mean of the same difference under several seeds, with what seeds and subjects make it vary by.

    Both are random: other seeds train other models, other subjects would be tested. So their variances add up, s² / S
    of S seeds' differences and the squared standard error over the subjects, who are the same under all seeds. For the
    latter the seeds' mean standard error is taken, its upper bound, which it reaches where the seeds' errors are the
    same. Degrees of freedom by Satterthwaite (1946). Where no seed tells about subjects, it is a t-test over seeds.

    >>> gain = over_seeds([Difference(Estimate(value)) for value in (1.0, 2.0, 3.0)])
    >>> gain.estimate.value, round(gain.p, 3)
    (2.0, 0.074)
    """
    known = [tested for tested in each if tested.estimate.value is not None]
    values_S = np.array([tested.estimate.value for tested in known], dtype=np.float64)
    if len(known) < 2:
        return known[0] if known else Difference(Estimate(None))
    mean, clusters = float(values_S.mean()), [tested.clusters for tested in known]
    parts = [(float(values_S.var(ddof=1)) / len(known), len(known) - 1)]
    fewest = min((count for count in clusters if count is not None), default=None)
    errors = [error for tested in known if (error := _standard_error(tested)) is not None]
    if len(errors) == len(known) and fewest is not None:
        parts.append((float(np.mean(errors)) ** 2, fewest - 1))
    variance = sum(part for part, _ in parts)
    if variance < _EQUAL**2:
        return Difference(Estimate(mean), 1.0 if abs(mean) < _EQUAL else None, fewest)
    freedom = variance**2 / sum(part**2 / of for part, of in parts)
    half = float(np.sqrt(variance) * stdtrit(freedom, 1 - TAIL))
    p = float(2 * stdtr(freedom, -abs(mean) / np.sqrt(variance)))
    return Difference(Estimate(mean, mean - half, mean + half), p, fewest)


def _standard_error(tested: Difference) -> float | None:
    """Return what `interval` was made of: the nearer of its ends is Student's t of standard errors away."""
    (value, low, high), _, clusters = tested
    if value is None or low is None or high is None or clusters is None or clusters < FEWEST:
        return None
    return min(value - low, high - value) / float(stdtrit(clusters - 1, 1 - TAIL))


def _spread(replicates_B: NDArray[np.float64], clusters: int) -> tuple[float, float] | None:
    """Return the standard error of an estimate and its skewness, which of a mean of n is the clusters' / sqrt(n).

    Resamples of n clusters vary as samples would if n clusters were all there are. So both are corrected as they are
    of a sample: the variance by n / (n - 1), the skewness by sqrt(n (n - 1)) / (n - 2), which lets it reach 1.
    """
    defined = replicates_B[~np.isnan(replicates_B)]
    if clusters < FEWEST or not defined.size or np.ptp(defined) < _EQUAL:
        return None
    deviation_B = defined - defined.mean()
    variance = np.mean(deviation_B**2)
    skewness = np.mean(deviation_B**3) / variance**1.5 * np.sqrt(clusters * (clusters - 1)) / (clusters - 2)
    return float(np.sqrt(variance * clusters / (clusters - 1))), float(np.clip(skewness, -1.0, 1.0))


def _transformed(t: float, skewness: float) -> float:
    """Return Hall's g(t) = t + s (t² / 3 + 1 / 6) + s² t³ / 27, which a skewed estimate's t follows Student's by."""
    return float(t + skewness * (t**2 / 3 + 1 / 6) + skewness**2 * t**3 / 27)


def _inverse(transformed: float, skewness: float) -> float:
    """Return the t of which `_transformed` is `transformed`: 27 g + 27 - 4.5 s² = (3 + s t)³ for s = skewness."""
    if abs(skewness) < 1e-6:
        return transformed
    return float(3 * (np.cbrt(1 + skewness * (transformed - skewness / 6)) - 1) / skewness)
