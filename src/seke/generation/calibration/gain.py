"""By how much one way of labelling foretells held-out labels better than another, and whether that is beyond doubt."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from seke.core.label_prior import Array

LEVEL: Final = 0.05
"""How often something that is no better may seem to be: one-sided. A missed gain is a loss of quality in all records, a
false one costs their requests, so the level is the customary one and no stricter."""


class Gain(NamedTuple):
    """A mean difference of log losses over images."""

    mean: float
    standard_error: float
    """By subject; infinite for one."""
    subjects: int

    @property
    def margin(self) -> float:
        """What the mean has to exceed: 1.64 standard errors, more of them with few subjects (Student's t)."""
        if self.subjects < 2:
            return float("inf")
        return float(stdtrit(self.subjects - 1, 1 - LEVEL)) * self.standard_error

    @property
    def sure(self) -> bool:
        """Whether it is better beyond doubt."""
        return self.mean > self.margin

    @property
    def p(self) -> float:
        """How often something that is no better would seem to be as much better, or more: one-sided; 1: unknown."""
        if self.subjects < 2 or not np.isfinite(self.standard_error):
            return 1.0
        if not self.standard_error:
            return 0.0 if self.mean > 0 else 1.0
        return float(stdtr(self.subjects - 1, -self.mean / self.standard_error))


def discovery_level(p_values: Sequence[float], level: float = LEVEL) -> float:
    """Return the largest p-value at which of many discoveries no more than a share of `level` is false, on average.

    Benjamini & Hochberg (1995); where nothing is to be found, that is how often anything is. Where nothing is found,
    it is what the smallest would have to be.

    >>> discovery_level([0.001, 0.002, 0.5, 0.9]), discovery_level([0.04, 0.5])
    (0.002, 0.025)
    """
    if not p_values:
        return level
    # The step-up rule itself: scipy.stats, which has it too, takes half a second of every run to import.
    ordered = np.sort(np.asarray(p_values, dtype=float))
    found = ordered[ordered <= level * np.arange(1, len(ordered) + 1) / len(ordered)]
    return float(found[-1]) if len(found) else level / len(ordered)


def gain(values: Array, groups: NDArray[np.int_]) -> Gain:
    """Return the mean of values and its standard error where those of a group (a subject) go together.

    The sandwich estimator for cluster sums, with the factor G / (G - 1) of G groups (Liang & Zeger 1986).
    """
    count = len(np.unique(groups))
    if not len(values):
        return Gain(0.0, float("inf"), 0)
    mean = float(values.mean())
    if count < 2:
        return Gain(mean, float("inf"), count)
    sums = np.bincount(groups, weights=values - mean)
    return Gain(mean, float(np.sqrt((sums**2).sum() * count / (count - 1)) / len(values)), count)
