"""Averaging over ways of reading an annotator, by how well each foretells labels that it was not fitted to.

The best of a hundred on some forty images is the best by luck as well as by merit; an average over those that may be
the best is surer of neither (pseudo-BMA+: Yao, Vehtari, Simpson & Gelman 2018, "Using stacking to average Bayesian
predictive distributions", Section 3.4).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seke.core.label_prior import Array

RESAMPLES: Final = 400
"""Of the subjects, by the Bayesian bootstrap."""
LEAST: Final = 0.05
"""A share below this part of the largest one is left out ..."""
MOST: Final = 12
"""... and so is what comes after the largest twelve: each has to be read for every image."""


def shares(loss_KN: Array, group_N: NDArray[np.int_]) -> Array:
    """Return the share of each of K options in their average, (K,); they sum to 1, and most are 0.

    Args:
        loss_KN: negative log-probability that each option, fitted without it, gives each of N images' labels; an option
            with a NaN was not tried on all and gets no share.
        group_N: the subject of each image: images of one do not count as independent.

    Raises:
        ValueError: if there is no image, or no option that was tried on all.

    >>> shares(np.array([[0.1, 0.1], [0.1, 0.1], [9.0, 9.0], [np.nan, 0.0]]), np.array([0, 1])).round(2).tolist()
    [0.5, 0.5, 0.0, 0.0]
    """
    tried_K = np.isfinite(loss_KN).all(axis=1)
    if not loss_KN.shape[1] or not tried_K.any():
        raise ValueError("shares need images, and an option that was tried on all of them")
    _, place_N = np.unique(group_N, return_inverse=True)
    groups = int(place_N.max()) + 1
    sum_KG = np.array([np.bincount(place_N, weights=loss_N, minlength=groups) for loss_N in loss_KN[tried_K]])
    weight_BG = groups * np.random.default_rng(0).dirichlet(np.ones(groups), RESAMPLES)
    log_BK = -weight_BG @ sum_KG.T
    share_BK = np.exp(log_BK - log_BK.max(axis=1, keepdims=True))
    share_K = np.zeros(len(loss_KN))
    share_K[tried_K] = (share_BK / share_BK.sum(axis=1, keepdims=True)).mean(axis=0)
    share_K[share_K < LEAST * share_K.max()] = 0.0
    share_K[np.argsort(-share_K, kind="stable")[MOST:]] = 0.0
    kept_K: Array = share_K / share_K.sum()
    return kept_K
