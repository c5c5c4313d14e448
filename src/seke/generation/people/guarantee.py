"""Probably approximately correct labels: how many can be left to the machine, by what an audit found.

E. Candès, A. Ilyas, T. Zrnic, Probably approximately correct labels, arXiv 2506.10908 (2025). Records are put in
order by the machine's own risk, which is known for all of them. If those of the k least risks keep the machine's
labels and a person looks at all others, the finished labels have the mean error

    L(k) = wrong labels among the k / all labels,

which grows with k. The audit, a simple random sample, bounds each L(k) from above. From small k to large, "L(k) >
eps" is tested at level alpha, and the first that is not rejected ends it: a fixed sequence, of which a wrong
rejection has probability alpha however long it is. So with confidence 1 - alpha no more than eps of the finished
labels are wrong.

The bound is that of Clopper and Pearson for an effective number of labels. Labels of one face, and faces of one
subject, err together: a design effect divides their number (E. L. Korn, B. I. Graubard, Confidence intervals for
proportions with small expected number of positive counts estimated from survey data, Survey Methodology 24, 1998). Of
the labels at hand the audit is a sample of records and needs no subjects for that; with them the bound also holds for
further subjects, and is never less careful.

Who asks again whenever more of the audit is done, and stops at the first good answer, has several chances to be
lucky. So the r-th audit that is tested spends alpha / (r (r + 1)), all of them together alpha (`share_of_alpha`).
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
STEPS: Final = 200
"""How many k are tested, evenly spaced: of so many parts of all records the largest that passes is found."""
FEWEST: Final = 2
"""Clusters below which nothing tells how far labels err together."""


class Certified(NamedTuple):
    """What can be left to the machine."""

    left: int
    """k: records of the least risks that may keep the machine's labels; 0: none."""
    bound: float
    """Upper confidence bound of the share of wrong labels among all finished ones, in [0, 1]; 0 where `left` is 0."""
    wrong: int
    """Wrong labels that the audit found among those k."""
    labels: int
    """All labels that the audit looked at."""
    all_machine: float
    """The same bound if the machine kept all, for comparison."""


def upper_bounds(wrong_KC: Floats, labels_C: Floats, records: int, alpha: float) -> Floats:
    """Return upper confidence bounds of K shares of wrong labels, (K,) in [0, 1], each with confidence 1 - alpha.

    Args:
        wrong_KC: wrong labels in each of C clusters, K times.
        labels_C: all labels of each cluster, of which those are a part.
        records: of all clusters. Where nothing is wrong there is no variance to measure a design effect by; then the
            records, which were drawn, are what counts.
        alpha: of one side, in (0, 1).

    >>> each = np.ones(59)
    >>> round(float(upper_bounds(np.zeros((1, 59)), each, 59, 0.05)[0]), 4)  # nothing wrong in 59: the rule of three
    0.0495
    """
    clusters, labels = len(labels_C), float(labels_C.sum())
    if not labels:
        return np.ones(len(wrong_KC))
    wrong_K = wrong_KC.sum(axis=1)
    p_K = wrong_K / labels
    most = min(labels, float(records))
    if clusters < FEWEST:
        effective_K = np.full(len(p_K), 1.0)
    else:
        residual_KC = wrong_KC - p_K[:, None] * labels_C
        variance_K = clusters / (clusters - 1) * (residual_KC**2).sum(axis=1) / labels**2
        # the fewer clusters, the less is known of that variance (Korn & Graubard, Eq. 2)
        freedom = (stdtrit(max(labels - 1, 1), alpha) / stdtrit(clusters - 1, alpha)) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            effective_K = np.where(variance_K > 0, p_K * (1 - p_K) / variance_K * freedom, most)
        effective_K = np.clip(np.where(wrong_K > 0, effective_K, most), 1.0, labels)
    x_K = p_K * effective_K
    with np.errstate(invalid="ignore"):
        bound_K = betaincinv(x_K + 1, np.maximum(effective_K - x_K, 1e-9), 1 - alpha)
    return np.where(p_K >= 1, 1.0, bound_K)


def certify(
    place_M: Integers,
    wrong_M: Integers,
    labels_M: Integers,
    cluster_M: Integers,
    records: int,
    eps: float,
    alpha: float,
) -> Certified:
    """Return how many records may keep the machine's labels, by the audited ones.

    Args:
        place_M: rank by risk of each of M audited records among all of them, in [0, records).
        wrong_M: its wrong labels.
        labels_M: its labels, of which those are a part.
        cluster_M: the number of its subject; a record without one is a cluster of its own.
        records: N, all whose labels are to be finished.
        eps: the share of wrong labels that is allowed, in (0, 1).
        alpha: what the confidence lacks to 1, in (0, 1).
    """
    left_K = np.unique(np.ceil(np.linspace(0, records, STEPS + 1)[1:]).astype(np.int64))
    _, cluster_M = np.unique(cluster_M, return_inverse=True)
    clusters = int(cluster_M.max()) + 1 if len(cluster_M) else 0
    labels_C = np.bincount(cluster_M, weights=labels_M, minlength=clusters).astype(np.float64)
    wrong_KC = np.zeros((len(left_K), clusters))
    np.add.at(wrong_KC, (np.searchsorted(left_K, place_M, side="right"), cluster_M), wrong_M)
    np.cumsum(wrong_KC, axis=0, out=wrong_KC)  # what is wrong among the k least risks is so among any more of them
    bound_K = upper_bounds(wrong_KC, labels_C, len(place_M), alpha)
    passed = int(np.argmin(np.append(bound_K <= eps, False)))  # how many pass before the first that does not
    return Certified(
        left=int(left_K[passed - 1]) if passed else 0,
        bound=float(bound_K[passed - 1]) if passed else 0.0,
        wrong=int(wrong_KC[passed - 1].sum()) if passed else 0,
        labels=int(labels_C.sum()),
        all_machine=float(bound_K[-1]) if len(bound_K) else 1.0,
    )


def share_of_alpha(alpha: float, round_: int) -> float:
    """Return what the `round_`-th test, 1 or greater, may spend of alpha; all rounds together spend alpha.

    >>> [share_of_alpha(0.06, each) for each in (1, 2, 3)]
    [0.03, 0.01, 0.005]
    """
    return alpha / (round_ * (round_ + 1))


def fewest_audited(eps: float, alpha: float) -> int:
    """Return how many audited records, none of them wrong, it takes to leave any to the machine: (1 - eps)^n <= alpha.

    >>> fewest_audited(0.05, 0.05)
    59
    """
    return math.ceil(math.log(alpha) / math.log1p(-eps))
