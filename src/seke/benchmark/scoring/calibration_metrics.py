"""Calibration (ECE, Brier) and ranking (AURC) of confidences: pure functions of arrays.

    N  labels        p_N  confidence that the label is right, in [0, 1]        right_N  whether it is
    K  bins          G    clusters (subjects)        B  draws                  cluster_N  of whom it is, 0 to G - 1

ECE and Brier ask whether a confidence of 0.8 is right in 80 % of cases. The ECE of true confidences is not 0, but as
large as chance makes it (0.12 of 100 labels in 15 bins): `ece_debiased` is 0 on average, and `calibration_p` tests it.
AURC (area under the risk-coverage curve) only asks whether the surer labels are the righter ones, so it takes any score
that ranks, such as an uncertainty.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seke.core.intervals import FEWEST

Floats = NDArray[np.float64]
BINS: Final = 15
TEST_BINS: Final = 10
"""Of the test, which fewer bins make more powerful."""
_CERTAIN: Final = 1e-6
"""Least variance of a bin: confidences of 1 state none."""


def ece(p_N: Floats, right_N: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the expected calibration error in [0, 1]: |mean confidence - share right|, averaged over the labels.

    Bins hold equally many labels (Nixon et al. 2019): with equal widths nearly all labels of a confident annotator
    share one bin. Equal confidences are never parted, so the result does not depend on the labels' order.
    """
    gaps_K = np.bincount(bin_of(p_N, bins), weights=p_N - right_N)
    return float(np.abs(gaps_K).sum() / len(p_N))


def bin_of(p_N: Floats, bins: int) -> NDArray[np.intp]:
    """Return the bin of each label, 0 to at most bins - 1: bins of equally many labels, equal confidences together."""
    p = np.sort(p_N, kind="stable")  # of resamples, which come in order, in linear time
    cuts = np.linspace(0, len(p), min(bins, len(p)) + 1).round().astype(int)[1:-1]
    # A cut inside a run of equal confidences moves to the run's end: each bin ends with the largest of its confidences.
    ends = np.unique(p[cuts - 1])
    return np.searchsorted(ends[ends < p[-1]], p_N)


def ece_debiased(p_N: Floats, right_N: NDArray[np.bool_], cluster_N: NDArray[np.intp], bins: int = BINS) -> float:
    """Return the calibration error without what chance adds to it, in [-1, 1]: 0 on average for true confidences.

    The root of the mean squared gap between confidence and share right, which is estimated without bias: of the squared
    sum over a bin only products of labels of different clusters count (Kumar et al., NeurIPS 2019, Sec. 4, where each
    label is its own cluster). An estimate below 0 has its root's sign turned, so it says "less than chance adds". NaN
    where no bin has labels of two clusters.
    """
    gap_KG, n_KG = _by_bin_and_cluster(p_N, right_N, cluster_N, bins)
    products_K = gap_KG.sum(1) ** 2 - (gap_KG**2).sum(1)
    pairs_K, n_K = n_KG.sum(1) ** 2 - (n_KG**2).sum(1), n_KG.sum(1)
    known = pairs_K > 0
    if not known.any():
        return float("nan")
    squared = float(np.average(products_K[known] / pairs_K[known], weights=n_K[known]))
    return float(np.sign(squared) * np.sqrt(abs(squared)))


def calibration_p(
    p_N: Floats,
    right_N: NDArray[np.bool_],
    cluster_N: NDArray[np.intp],
    seed: int,
    draws: int = 999,
    bins: int = TEST_BINS,
) -> float | None:
    """Return the p-value of "a confidence of p is right in a share p of cases", in (0, 1].

    The statistic is the sum over bins of (confidence - right)², scaled by the variance that the confidences state
    (Hosmer & Lemeshow 1980). Its distribution under the hypothesis is simulated: where each label is of another
    cluster, whether it is right is drawn anew with the stated probability; else the gaps of a whole cluster keep or
    change their signs together, which keeps how labels of one subject depend on each other (wild cluster bootstrap,
    Cameron, Gelbach & Miller 2008). None for fewer than three clusters.
    """
    clusters = len(np.unique(cluster_N))
    if clusters < FEWEST:
        return None
    rng, bin_N = np.random.default_rng(seed), bin_of(p_N, bins)
    gap_KG, _ = _by_bin_and_cluster(p_N, right_N, cluster_N, bins)
    stated_K = np.maximum(np.bincount(bin_N, weights=p_N * (1 - p_N)), _CERTAIN)
    if clusters == len(p_N):
        drawn_BN = p_N - (rng.random((draws, len(p_N))) < p_N)
        drawn_BK = np.stack([np.bincount(bin_N, weights=gap_N, minlength=len(stated_K)) for gap_N in drawn_BN])
    else:
        drawn_BK = np.asarray(rng.choice([-1.0, 1.0], size=(draws, gap_KG.shape[1])) @ gap_KG.T)
    found = float((gap_KG.sum(1) ** 2 / stated_K).sum())
    beyond = np.count_nonzero((drawn_BK**2 / stated_K).sum(1) >= found * (1 - 1e-9))
    return (beyond + 1) / (draws + 1)


def _by_bin_and_cluster(
    p_N: Floats, right_N: NDArray[np.bool_], cluster_N: NDArray[np.intp], bins: int
) -> tuple[Floats, Floats]:
    """Return the sum of confidence - right and the number of labels, (K, G) each."""
    there_G = np.bincount(cluster_N) > 0
    bin_N = bin_of(p_N, bins)
    shape = int(bin_N.max()) + 1, int(np.count_nonzero(there_G))
    cell_N = bin_N * shape[1] + (np.cumsum(there_G) - 1)[cluster_N]
    cells = shape[0] * shape[1]
    gap = np.bincount(cell_N, weights=p_N - right_N, minlength=cells).astype(np.float64)
    n = np.bincount(cell_N, minlength=cells).astype(np.float64)
    return gap.reshape(shape), n.reshape(shape)


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
    order_N = np.argsort(score_N, kind="stable")[::-1]
    score, wrong = score_N[order_N], ~right_N[order_N]
    first_G = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]]))
    count_G = np.diff(first_G, append=len(score))
    wrong_N = np.repeat(np.add.reduceat(wrong, first_G, dtype=np.float64) / count_G, count_G)
    return float(np.mean(np.cumsum(wrong_N) / np.arange(1, len(wrong_N) + 1)))


def least_aurc(right_N: NDArray[np.bool_]) -> float:
    """Return AURC of the best ranking there is, which puts all right labels first.

    >>> least_aurc(np.array([False, True])) == aurc(np.array([0.1, 0.9]), np.array([False, True]))
    True
    """
    wrong_N = np.arange(len(right_N)) >= np.count_nonzero(right_N)
    return float(np.mean(np.cumsum(wrong_N) / np.arange(1, len(wrong_N) + 1)))


def excess_aurc(score_N: Floats, right_N: NDArray[np.bool_]) -> float:
    """Return by how much AURC exceeds that of the best ranking there is."""
    return aurc(score_N, right_N) - least_aurc(right_N)
