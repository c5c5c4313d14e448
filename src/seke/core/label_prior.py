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
COLUMN = {au: place for place, au in enumerate(AUS)}
"""Column of an AU in all arrays."""
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
    base_told_A: Array
    """P(AU active) where humans named the expression, too: not that of films whose every frame has AUs alone."""
    centre_ED: Array
    """Mean valence and arousal of an expression."""
    spread_ED: Array
    """Their standard deviation."""

    def evidence(self, known: Labels) -> Array:
        """Return log P(known labels | expression), (E,); zeros where nothing is known.

        A known expression leaves minus infinity for the others.
        """
        log_E: Array = self.evidence_NE(tabulate([known]))[0]
        return log_E

    def evidence_NE(self, known: "Table") -> Array:
        """Return `evidence` of many images at once, (N, E)."""
        told_NA, told_ND = ~np.isnan(known.units_NA), ~np.isnan(known.va_ND)
        units_NA = np.where(told_NA, known.units_NA, 0.0)
        log_NE: Array = units_NA @ np.log(self.au_EA).T + (told_NA - units_NA) @ np.log1p(-self.au_EA).T
        log_NED = log_normal(known.va_ND[:, None, :], self.centre_ED, self.spread_ED)
        log_NE += np.where(told_ND[:, None, :], log_NED, 0.0).sum(axis=2)
        other_NE = known.expression_NE.any(axis=1, keepdims=True) & (known.expression_NE == 0)
        return np.where(other_NE, -np.inf, log_NE)


class Table(NamedTuple):
    """The labels of N images."""

    expression_NE: Array
    """1 at the image's expression; a row of zeros where it is unknown."""
    units_NA: Array
    """1 active, 0 inactive, NaN unknown."""
    va_ND: Array
    """Valence and arousal in [-1, 1], NaN unknown."""

    def where(self, rows_N: NDArray[np.bool_] | NDArray[np.int_]) -> "Table":
        """Return the images at which `rows_N` is true, or those in these places."""
        return Table(*(column[rows_N] for column in self))


def tabulate(rows: Iterable[Labels]) -> Table:
    """Return the labels as arrays."""
    listed = list(rows)
    expression_NE = np.zeros((len(listed), len(EXPRESSIONS)))
    units_NA = np.full((len(listed), len(AUS)), np.nan)
    va_ND = np.full((len(listed), 2), np.nan)
    for row, labels in enumerate(listed):
        if labels.expression is not None:
            expression_NE[row, INDEX[labels.expression]] = 1.0
        for au, active in (labels.action_units or {}).items():
            units_NA[row, COLUMN[au]] = active
        for place, value in enumerate((labels.valence, labels.arousal)):
            if value is not None:
                va_ND[row, place] = value
    return Table(expression_NE, units_NA, va_ND)


def couplings(manual: Iterable[Labels] | Table) -> Couplings:
    """Fit the couplings to what humans annotated; with nothing to fit they are `seke.core.affect`'s own."""
    table = manual if isinstance(manual, Table) else tabulate(manual)
    units_NA, told_NA = np.nan_to_num(table.units_NA), ~np.isnan(table.units_NA)
    va_ND, told_ND = np.nan_to_num(table.va_ND), ~np.isnan(table.va_ND)
    members_EN = table.expression_NE.T
    published_EA = WORTH_AU * np.array([[au_probability(e, au) for au in AUS] for e in EXPRESSIONS])
    anchors_ED = np.array([[VA_OF_EXPRESSION[e].valence, VA_OF_EXPRESSION[e].arousal] for e in EXPRESSIONS])
    count_E = WORTH_EXPRESSION + members_EN.sum(axis=1)
    n_ED = WORTH_VA + members_EN @ told_ND
    centre_ED = (WORTH_VA * anchors_ED + members_EN @ va_ND) / n_ED
    square_ED = (WORTH_VA * (anchors_ED**2 + TOLERANCE**2) + members_EN @ va_ND**2) / n_ED
    base_A = (published_EA.mean(axis=0) + units_NA.sum(axis=0)) / (WORTH_AU + told_NA.sum(axis=0))
    active_A, n_A = (members_EN @ units_NA).sum(axis=0), (members_EN @ told_NA).sum(axis=0)
    return Couplings(
        expression_E=count_E / count_E.sum(),
        au_EA=(published_EA + members_EN @ units_NA) / (WORTH_AU + members_EN @ told_NA),
        base_A=base_A,
        base_told_A=(WORTH_AU * base_A + active_A) / (WORTH_AU + n_A),
        centre_ED=centre_ED,
        spread_ED=np.sqrt(np.maximum(square_ED - centre_ED**2, 1e-4)),
    )


def log_normal(value: float | Array, mean: float | Array, sd: float | Array) -> Array:
    """Return the logarithm of the normal density."""
    return np.asarray(-0.5 * ((value - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi))
