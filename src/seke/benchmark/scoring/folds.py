"""WAR and UAR of answers that name one class of a clip, over the folds of a cross-validation; unanswered is wrong.

    WAR   weighted average recall: the share of clips that are right, which is accuracy
    UAR   unweighted average recall: the mean of each class's recall, over the classes that a fold tests

Both are counted in each fold; a dataset's number is the mean over its folds, as papers on DFEW and MAFW report it. The
pooled ones count all clips at once, which differs where folds are of unequal size.

    F  folds        C  classes        P  classes, and unanswered        B  resamples
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.classes import DRAWS
from seke.core.intervals import SHARE, interval

METRICS: Final = ("war", "uar")
Counts = NDArray[np.int64]


def confusions(
    classes: Sequence[str], answered: Sequence[tuple[int | None, str, str | None]]
) -> tuple[list[int | None], Counts]:
    """Return the folds, ascending, and the confusion matrix of each, (F, C, P); the last column is unanswered.

    Args:
        classes: all of them, in order.
        answered: fold (None: it has none, which is a fold of its own), true class and named one (None: unanswered).
    """
    place = {name: index for index, name in enumerate(classes)}
    folds = sorted({fold for fold, _, _ in answered}, key=lambda fold: (fold is None, fold or 0))
    counts_FCP = np.zeros((len(folds), len(classes), len(classes) + 1), dtype=np.int64)
    for fold, truth, named in answered:
        counts_FCP[folds.index(fold), place[truth], len(classes) if named is None else place[named]] += 1
    return folds, counts_FCP


def recalls(counts_NCP: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return WAR and UAR in [0, 1] of confusion matrices, (N,) each; NaN where there is no clip.

    >>> war, uar = recalls(np.array([[[3, 1, 0], [0, 1, 1]]]))
    >>> round(float(war[0]), 4), round(float(uar[0]), 4)
    (0.6667, 0.625)
    """
    right_NC = np.diagonal(counts_NCP, axis1=1, axis2=2).astype(float)
    true_NC = counts_NCP.sum(2)
    with np.errstate(divide="ignore", invalid="ignore"):
        war_N = right_NC.sum(1) / true_NC.sum(1)
        recall_NC = np.where(true_NC > 0, right_NC / true_NC, 0.0)
        uar_N = recall_NC.sum(1) / (true_NC > 0).sum(1)
    return war_N, uar_N


def means(counts_FCP: Counts) -> dict[str, float]:
    """Return WAR and UAR, each the mean over the folds.

    >>> means(np.array([[[1, 0, 0], [0, 0, 1]], [[2, 0, 0], [0, 1, 0]]]))
    {'war': 0.75, 'uar': 0.75}
    """
    return dict(zip(METRICS, (float(values_F.mean()) for values_F in recalls(counts_FCP)), strict=True))


def drawn(counts_FCP: Counts, seed: int, draws: int = DRAWS) -> dict[str, NDArray[np.float64]]:
    """Return WAR and UAR in every resample, (B,) each: in each of these the clips of every fold are drawn anew.

    The clips have no subjects, so that this is to draw the cells of each fold's matrix from a multinomial. What
    training anew on other clips would change is not in it.
    """
    folds = [np.stack(recalls(each_BCP)) for each_BCP in _resampled(counts_FCP, seed, draws)]
    return dict(zip(METRICS, np.mean(folds, axis=0), strict=True))


def differences(counts_FCPP: Counts, seed: int, draws: int = DRAWS) -> dict[str, NDArray[np.float64]]:
    """Return how far one model's WAR and UAR are above another's in every resample, (B,) each.

    Args:
        counts_FCPP: of each fold: truth, what one named, what the other did; a clip is drawn with both its answers.
        seed: of the resampling.
        draws: how many resamples.
    """
    folds = [
        np.stack(recalls(each_BCPP.sum(3))) - np.stack(recalls(each_BCPP.sum(2)))
        for each_BCPP in _resampled(counts_FCPP, seed, draws)
    ]
    return dict(zip(METRICS, np.mean(folds, axis=0), strict=True))


def _resampled(counts_F: Counts, seed: int, draws: int) -> Iterator[Counts]:
    """Yield the cells of each fold drawn anew, (B, ...)."""
    rng = np.random.default_rng(seed)
    for counts in counts_F:
        cells, n = counts.ravel(), int(counts.sum())
        yield rng.multinomial(n, cells / n, size=draws).reshape(draws, *counts.shape)


def fold_metrics(
    classes: Sequence[str], answered: Sequence[tuple[int | None, str, str | None]], seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return WAR and UAR: the means over the folds, each fold's, and pooled; and the 95 % intervals of the first two.

    Args:
        classes: all of them, in order.
        answered: of each clip of known truth, as `confusions` has it; at least one.
        seed: of the resampling.
    """
    folds, counts_FCP = confusions(classes, answered)
    found, drawn_B = means(counts_FCP), drawn(counts_FCP, seed)
    pooled = recalls(counts_FCP.sum(0, keepdims=True))
    each = [
        {
            "fold": fold,
            "war": float(war),
            "uar": float(uar),
            "n": int(counts_CP.sum()),
            "unanswered": int(counts_CP[:, -1].sum()),
            "absent": [name for name, n in zip(classes, counts_CP.sum(1), strict=True) if not n],
        }
        for fold, counts_CP, war, uar in zip(folds, counts_FCP, *recalls(counts_FCP), strict=True)
    ]
    bounds = {name: interval(drawn_B[name], found[name], len(answered), SHARE) for name in METRICS}
    return {
        **found,
        "war_pooled": float(pooled[0][0]),
        "uar_pooled": float(pooled[1][0]),
        "n": len(answered),
        "each": each,
    }, bounds
