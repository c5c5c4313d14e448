"""What is believed about one image's missing labels, and what is decided on it, whoever the belief comes from."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from seke.core.affect import EXPRESSIONS
from seke.core.label_prior import INDEX, Array
from seke.core.records import Labels
from seke.core.rules import NEAR


class Posterior(NamedTuple):
    """What is believed about one image's missing labels; None or absent where nothing was asked."""

    expression: Mapping[str, float] | None
    action_units: Mapping[int, float]
    """P(active) per AU."""
    valence: tuple[float, float] | None
    """Mean and standard deviation."""
    arousal: tuple[float, float] | None


def blend(
    log_E: Array,
    known: Labels,
    expression: bool,
    units: Mapping[int, Array],
    dims: Mapping[str, tuple[Array, Array]],
) -> Posterior:
    """Return the posterior of naive Bayes: what each expression foretells, weighed by how probable it is.

    Args:
        log_E: log P(expression | all that is known), (E,), up to a constant.
        known: the known labels; a known expression is certain.
        expression: whether the expression is asked.
        units: P(active | expression) of each AU asked, (E,).
        dims: mean and standard deviation of valence and arousal in each expression, (E,), where they are asked.
    """
    p_E = np.exp(log_E - log_E.max())  # scipy's softmax says the same in ten times the time, once for every image
    p_E = p_E / p_E.sum()
    if known.expression is not None:
        p_E = np.eye(len(EXPRESSIONS))[INDEX[known.expression]]
    return Posterior(
        expression=dict(zip(EXPRESSIONS, p_E.tolist(), strict=True)) if expression else None,
        action_units={au: min(float(p_E @ q_E), 1.0) for au, q_E in units.items()},  # sums may round to more
        valence=_mixed(p_E, *dims["valence"]) if "valence" in dims else None,
        arousal=_mixed(p_E, *dims["arousal"]) if "arousal" in dims else None,
    )


def decided(posterior: Posterior, thresholds: Mapping[int, float]) -> Labels:
    """Return the labels: the likeliest expression, AUs over their thresholds, mean valence and arousal."""
    likeliest = max(posterior.expression, key=posterior.expression.__getitem__) if posterior.expression else None
    return Labels(
        expression=likeliest,
        valence=_bounded(posterior.valence),
        arousal=_bounded(posterior.arousal),
        action_units={au: p > thresholds[au] for au, p in posterior.action_units.items()} or None,
    )


def confidence(posterior: Posterior, labels: Labels) -> dict[str, object]:
    """Return the probability of each of `labels`; of valence and arousal, that of the truth lying within `NEAR`."""
    found: dict[str, object] = {}
    if posterior.expression is not None and labels.expression is not None:
        found["expression"] = round(posterior.expression[labels.expression], 4)
    for name in ("valence", "arousal"):
        belief, value = getattr(posterior, name), getattr(labels, name)
        if belief is not None and value is not None:
            mean, sd = belief
            inside = ndtr((value + NEAR - mean) / sd) - ndtr((value - NEAR - mean) / sd)
            found[name] = round(float(inside), 4)
    units = {
        str(au): round(p if (labels.action_units or {}).get(au) else 1 - p, 4)
        for au, p in posterior.action_units.items()
    }
    return {**found, "action_units": units} if units else found


def f1_threshold(probabilities: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return the threshold that maximises the expected F1 of calling AUs active, given calibrated probabilities.

    Expected F1 of calling the m likeliest is 2 sum of their p / (m + sum of all p). At the optimum F*, exactly those
    with p > F* / 2 are called (Lipton, Elkan & Naryanaswamy 2014), so half of F* is the threshold.

    Args:
        probabilities: of the images.
        weights: how many images each of them stands for; None: one.
    """
    p = np.asarray(probabilities, dtype=float)
    order = np.argsort(-p)
    p, w = p[order], np.ones(len(p)) if weights is None else np.asarray(weights, dtype=float)[order]
    if not len(p) or not (w * p).sum():
        return 0.5
    f1 = 2 * np.cumsum(w * p) / (np.cumsum(w) + (w * p).sum())
    return float(np.clip(f1.max() / 2, 0.05, 0.5))


def _mixed(p_E: Array, mean_E: Array, sd_E: Array) -> tuple[float, float]:
    """Return mean and standard deviation of a mixture of normals."""
    mean = float(p_E @ mean_E)
    variance = float(p_E @ (sd_E**2 + mean_E**2)) - mean**2
    return mean, max(variance, 1e-6) ** 0.5


def _bounded(belief: tuple[float, float] | None) -> float | None:
    return None if belief is None else float(np.clip(belief[0], -1, 1))
