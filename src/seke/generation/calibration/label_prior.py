"""The prior of labels: how the three descriptions hang together, published couplings corrected by manual labels.

The expression is the hub: given it, AUs, valence and arousal are taken as independent (naive Bayes). Published tables
(`seke.core.affect`) are the prior; every manually labelled record moves them, so a dataset in which surprise is
unpleasant gets its own anchor.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.core.affect import ACTION_UNITS, EXPRESSIONS, VA_OF_EXPRESSION, au_probability
from seke.core.records import Labels

Array = NDArray[np.float64]
AUS = tuple(ACTION_UNITS)
INDEX = {expression: place for place, expression in enumerate(EXPRESSIONS)}
"""Row of an expression in all arrays."""
WORTH_EXPRESSION = 2.0
"""How many records the uniform prior of an expression counts for."""
WORTH_AU = 10.0
"""How many records of an expression its published AU probabilities count for."""
WORTH_VA = 10.0
"""How many records of an expression its published anchor counts for."""
TOLERANCE = 0.35
"""Least prior standard deviation of valence and arousal around an anchor: what annotators of AffectNet differ by."""


class Couplings(NamedTuple):
    """E = 8 expressions, A = 17 AUs, D = (valence, arousal)."""

    expression_E: Array
    """P(expression)."""
    au_EA: Array
    """P(AU active | expression)."""
    base_A: Array
    """P(AU active)."""
    centre_ED: Array
    """Mean valence and arousal of an expression."""
    spread_ED: Array
    """Their standard deviation."""

    def evidence(self, known: Labels) -> Array:
        """Return log P(known labels | expression), (E,); zeros where nothing is known.

        A known expression leaves minus infinity for the others.
        """
        log_E = np.zeros(len(EXPRESSIONS))
        if known.expression is not None:
            log_E = np.full(len(EXPRESSIONS), -np.inf)
            log_E[INDEX[known.expression]] = 0.0
        for au, active in (known.action_units or {}).items():
            p_E = self.au_EA[:, AUS.index(au)]
            log_E = log_E + np.log(p_E if active else 1 - p_E)
        for place, value in enumerate((known.valence, known.arousal)):
            if value is not None:
                log_E = log_E + log_normal(value, self.centre_ED[:, place], self.spread_ED[:, place])
        return log_E


def couplings(manual: Iterable[Labels]) -> Couplings:
    """Fit the couplings to what humans annotated; with nothing to fit they are `seke.core.affect`'s own."""
    count_E = np.full(len(EXPRESSIONS), WORTH_EXPRESSION)
    active_EA = WORTH_AU * np.array([[au_probability(e, au) for au in AUS] for e in EXPRESSIONS])
    known_EA = np.full(active_EA.shape, WORTH_AU)
    active_A, known_A = active_EA.mean(axis=0), np.full(len(AUS), WORTH_AU)
    anchors_ED = np.array([[VA_OF_EXPRESSION[e].valence, VA_OF_EXPRESSION[e].arousal] for e in EXPRESSIONS])
    n_ED = np.full(anchors_ED.shape, WORTH_VA)
    sum_ED, square_ED = WORTH_VA * anchors_ED, WORTH_VA * (anchors_ED**2 + TOLERANCE**2)
    for labels in manual:
        row = INDEX[labels.expression] if labels.expression is not None else None
        if row is not None:
            count_E[row] += 1
        for au, active in (labels.action_units or {}).items():
            column = AUS.index(au)
            active_A[column] += active
            known_A[column] += 1
            if row is not None:
                active_EA[row, column] += active
                known_EA[row, column] += 1
        for place, value in enumerate((labels.valence, labels.arousal)):
            if row is not None and value is not None:
                n_ED[row, place] += 1
                sum_ED[row, place] += value
                square_ED[row, place] += value**2
    centre_ED = sum_ED / n_ED
    return Couplings(
        expression_E=count_E / count_E.sum(),
        au_EA=active_EA / known_EA,
        base_A=active_A / known_A,
        centre_ED=centre_ED,
        spread_ED=np.sqrt(np.maximum(square_ED / n_ED - centre_ED**2, 1e-4)),
    )


def log_normal(value: float | Array, mean: float | Array, sd: float | Array) -> Array:
    """Return the logarithm of the normal density."""
    return np.asarray(-0.5 * ((value - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi))
