"""Epistemic uncertainty (Eq. 2-3): how much the draws of one image disagree, normalised to [0, 1].

The paper leaves the normalisation open. Here each variance is divided by the largest value that it can take; what
counts as 1 where Algorithm 1 decides is a setting of its own (`normalisation`):

    expression    the one-hot vector's total variance 1 - sum p²; at most 1 - 1/8
    valence, arousal    the variance of a number in [-1, 1]; at most 1
    action units  the variance p (1 - p) of each AU asked, at most 1/4; then the mean over the AUs (or their maximum)

p are the shares of the draws, or the mean of what they say themselves where they are soft (`soft`). So even one soft
draw has an uncertainty of expression and AUs; of a number it takes two.
"""

from collections.abc import Sequence
from typing import Literal

from seke.core.affect import EXPRESSIONS
from seke.core.records import Labels, Uncertainty
from seke.generation.calibration.logprobs import SoftDraw, p_active, p_expressions

PerAU = Literal["mean", "max"]


def variance(values: Sequence[float]) -> float:
    """Return the biased variance 1/S sum f² - (1/S sum f)² of Eq. 3, never below 0.

    >>> variance([1.0, -1.0])
    1.0
    """
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def expression_uncertainty(drawn: Sequence[str]) -> float:
    """Return (1 - sum p²) / (1 - 1/8) in [0, 1], p being the shares of the eight expressions among the draws.

    >>> expression_uncertainty(["anger", "anger"]), round(expression_uncertainty(["anger", "fear"]), 3)
    (0.0, 0.571)
    """
    # In the fixed order of EXPRESSIONS: a set's order, and with it the last digit, changes from run to run.
    return distribution_uncertainty([drawn.count(expression) / len(drawn) for expression in EXPRESSIONS])


def distribution_uncertainty(p: Sequence[float]) -> float:
    """Return (1 - sum p²) / (1 - 1/8) in [0, 1] of the probabilities of the eight expressions."""
    return (1 - sum(share**2 for share in p)) / (1 - 1 / len(EXPRESSIONS))


def action_unit_uncertainty(drawn: Sequence[Sequence[float]], per_au: PerAU = "mean") -> float:
    """Return the mean (or maximum) over AUs of 4 p (1 - p), in [0, 1]; `drawn` holds what each draw says of each AU.

    >>> action_unit_uncertainty([[True, False], [True, True]])
    0.5
    """
    each = []
    for draws in drawn:
        p = sum(draws) / len(draws)
        each.append(4 * p * (1 - p))
    return max(each) if per_au == "max" else sum(each) / len(each)


def uncertainty(draws: Sequence[Labels], per_au: PerAU = "mean") -> Uncertainty:
    """Return the uncertainty of each description over the draws that give it, and the largest of them.

    None stands where no draw gives a description: it was not asked, so nothing is known about its uncertainty.
    A single draw has no variance (Eq. 3 with S = 1): 0. A single soft draw knows the uncertainty of its expression and
    AUs, and not that of its valence and arousal: None.
    """
    expressions = [p_E for draw in draws if (p_E := p_expressions(draw)) is not None]
    valences = [draw.valence for draw in draws if draw.valence is not None]
    arousals = [draw.arousal for draw in draws if draw.arousal is not None]
    enough = 2 if any(isinstance(draw, SoftDraw) for draw in draws) else 1
    units: dict[int, list[float]] = {}
    for draw in draws:
        for au, p in p_active(draw).items():
            units.setdefault(au, []).append(p)
    tasks = {
        "expression": distribution_uncertainty(_mean(expressions)) if expressions else None,
        "valence": variance(valences) if len(valences) >= enough else None,
        "arousal": variance(arousals) if len(arousals) >= enough else None,
        "action_units": action_unit_uncertainty(list(units.values()), per_au) if units else None,
    }
    # Rounding errors may leave 1 + 1e-16 or -1e-16 behind.
    bounded = {task: None if value is None else min(max(value, 0.0), 1.0) for task, value in tasks.items()}
    known = [value for value in bounded.values() if value is not None]
    return Uncertainty(**bounded, max=max(known) if known else None)


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]
