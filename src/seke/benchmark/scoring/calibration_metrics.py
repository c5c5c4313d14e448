"""Calibration (ECE, Brier) and ranking (AURC) of confidences: pure functions of two arrays.

    N  labels        p_N  confidence that the label is right, in [0, 1]        right_N  whether it is

ECE and Brier ask whether a confidence of 0.8 is right in 80 % of cases; AURC (area under the risk-coverage curve)
only asks whether the surer labels are the righter ones, so it takes any score that ranks, such as an uncertainty.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS: Final = 15


def ece(p_N: Floats, right_N: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the expected calibration error in [0, 1]: |mean confidence - share right|, averaged over the labels.

    Bins hold equally many labels (Nixon et al. 2019): with equal widths nearly all labels of a confident annotator
    share one bin. Equal confidences are never parted, so the result does not depend on the labels' order.
    """
    order = np.argsort(p_N, kind="stable")
    p, right = p_N[order], right_N[order].astype(float)
    cuts = np.linspace(0, len(p), min(bins, len(p)) + 1).round().astype(int)[1:-1]
    # A cut inside a run of equal confidences moves to the run's end.
    cuts = np.unique(np.searchsorted(p, p[cuts - 1], side="right")) if len(cuts) else cuts
    starts = np.concatenate([[0], cuts[cuts < len(p)]])
    gaps = np.add.reduceat(p, starts) - np.add.reduceat(right, starts)
    return float(np.abs(gaps).sum() / len(p))


def brier(p_N: Floats, right_N: NDArray[np.bool_]) -> float:
    """Return the mean squared difference between confidence and being right, in [0, 1].

    >>> brier(np.array([1.0, 0.5]), np.array([True, False]))
    0.125
    """
    return float(np.mean((p_N - right_N) ** 2))


def aurc(score_N: Floats, right_N: NDArray[np.bool_]) -> float:
    """Return the share of wrong labels among the k surest, averaged over all k, in [0, 1] (Geifman & El-Yaniv 2017).

    `score_N` is higher for surer labels. Labels of equal score are taken in all orders alike: their mean counts.

    >>> aurc(np.array([0.9, 0.1]), np.array([True, False]))
    0.25
    """
    _, group_N, count_G = np.unique(-score_N, return_inverse=True, return_counts=True)
    wrong_G = np.bincount(group_N, weights=~right_N) / count_G
    wrong_N = np.repeat(wrong_G, count_G)
    return float(np.mean(np.cumsum(wrong_N) / np.arange(1, len(wrong_N) + 1)))


def excess_aurc(score_N: Floats, right_N: NDArray[np.bool_]) -> float:
    """Return by how much AURC exceeds that of the best ranking there is, which puts all right labels first."""
    return aurc(score_N, right_N) - aurc(right_N.astype(float), right_N)
