"""F1 of action units as DISFA's and BP4D's literature reports it: by fold of subjects, averaged over folds, then AUs.

S  subjects        K  folds        A  the protocol's action units        B  draws of the bootstrap
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.arrays import AUS, Columns
from seke.benchmark.scoring.bootstrap import statistics

Floats = NDArray[np.float64]
_CHUNK = 50
"""Draws handled at once."""


class Sums(NamedTuple):
    """What F1 is made of, by subject; each (S, A)."""

    hit_SA: Floats
    """True positives."""
    called_SA: Floats
    """Predicted active, of images annotated for the AU."""
    active_SA: Floats
    """Truly active."""


class FoldF1(NamedTuple):
    """F1 in [0, 1], of one sample or of B resamples; NaN where no image of a fold, or of any, shows the AU."""

    f1_BKA: Floats
    """Of each fold."""
    mean_BA: Floats
    """Of each AU, averaged over the folds in which it is defined."""
    mean_B: Floats
    """Averaged over the AUs: the number of the literature's tables."""
    pooled_B: Floats
    """The mean over AUs of the F1 of all folds' images together, which is not the same."""


def sums(data: Columns, aus: Sequence[int]) -> Sums:
    """Return the sums by subject, of these AUs."""
    found, chosen = statistics(data), [AUS.index(au) for au in aus]
    return Sums(*(found[name][:, chosen] for name in ("hit_A", "called_A", "active_A")))


def fold_f1(parts: Sums, fold_S: NDArray[np.int64], folds: int, weight_BS: Floats | None = None) -> FoldF1:
    """Return the F1 of each fold and AU.

    Args:
        parts: sums by subject.
        fold_S: each subject's fold, from 0.
        folds: how many there are.
        weight_BS: how often each subject counts; None: once.
    """
    weight_BS = np.ones((1, len(fold_S))) if weight_BS is None else weight_BS
    in_fold_KS = fold_S == np.arange(folds)[:, None]
    weight_BKS = weight_BS[:, None, :] * in_fold_KS
    hit_BKA, called_BKA, active_BKA = (weight_BKS @ values for values in parts)
    f1_BKA = _f1(hit_BKA, called_BKA, active_BKA)
    mean_BA = _mean(f1_BKA, axis=1)
    pooled_BA = _f1(hit_BKA.sum(1), called_BKA.sum(1), active_BKA.sum(1))
    return FoldF1(f1_BKA, mean_BA, _mean(mean_BA, axis=1), _mean(pooled_BA, axis=1))


def resampled(parts: Sums, fold_S: NDArray[np.int64], folds: int, draws: int, seed: int) -> FoldF1:
    """Return the same of resamples, in which each fold's subjects are drawn anew among themselves."""
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, draws, _CHUNK):
        weight_BS = np.zeros((min(_CHUNK, draws - start), len(fold_S)))
        for fold in range(folds):
            mine = np.flatnonzero(fold_S == fold)
            if len(mine):
                weight_BS[:, mine] = rng.multinomial(len(mine), np.full(len(mine), 1 / len(mine)), len(weight_BS))
        found.append(fold_f1(parts, fold_S, folds, weight_BS))
    return FoldF1(*(np.concatenate(values) for values in zip(*found, strict=True)))


def _f1(hit: Floats, called: Floats, active: Floats) -> Floats:
    """Return 2 TP / (called + active); NaN where nothing is active, for then it would be 0 whatever is predicted."""
    return np.asarray(np.where(active > 0, 2 * hit / np.maximum(called + active, 1e-12), np.nan))


def _mean(values: Floats, axis: int) -> Floats:
    """Return the mean of what is defined; NaN where nothing is."""
    told = ~np.isnan(values)
    number = told.sum(axis)
    return np.asarray(np.where(number > 0, np.where(told, values, 0.0).sum(axis) / np.maximum(number, 1), np.nan))
