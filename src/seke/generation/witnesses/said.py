"""What a witness says of the records, as arrays: one answer a record and label, NaN where it says nothing.

N records, E = 8 expressions, A = 17 AUs, F = 2 ways of scoring an AU, D = (valence, arousal).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from seke.core.label_prior import COLUMN, INDEX, Array

SUREST: Final = 0.002
"""A probability of an AU counts as no nearer to 0 or 1: specialists round theirs."""
SPREAD: Final = 0.4
"""Standard deviation that a column of valence or arousal is brought to, whatever its scale: about that of labels."""
FLOOR: Final = 0.01
"""Least share of an expression: seven of eight may have a column, and shares are rounded."""


@dataclass
class Answer:
    """What one row of a table, or all rows about a record, say."""

    units: dict[int, float] = field(default_factory=dict)
    """A score of each AU: intensity, probability, log-odds or 0 and 1, on one scale in the whole table."""
    occurs: dict[int, float] = field(default_factory=dict)
    """Whether the AU occurs, where a table has that beside its intensity."""
    shares: dict[str, float] = field(default_factory=dict)
    """A score of each expression."""
    valence: float | None = None
    arousal: float | None = None

    def fill(self, other: "Answer") -> None:
        """Take from another answer what this one does not say."""
        self.units, self.occurs = {**other.units, **self.units}, {**other.occurs, **self.occurs}
        self.shares = self.shares or other.shares
        self.valence = other.valence if self.valence is None else self.valence
        self.arousal = other.arousal if self.arousal is None else self.arousal

    @property
    def empty(self) -> bool:
        """Whether nothing is said."""
        return not (self.units or self.occurs or self.shares) and self.valence is None and self.arousal is None


class Said(NamedTuple):
    """Answers about N records."""

    units_NAF: Array
    """Scores of AUs with mean 0 and standard deviation 1 over the records; 0 where only the other way scores ..."""
    told_NA: NDArray[np.bool_]
    """... and whether there is one at all."""
    shares_NE: Array
    """Shares of the expressions, which sum to 1; NaN in all where none is told."""
    va_ND: Array
    """Valence and arousal with mean 0 and standard deviation `SPREAD`; NaN where not told."""

    def at(self, rows: Sequence[int] | NDArray[Any]) -> "Said":
        """Return the answers about these records, by their places or by a mask."""
        return Said._make(column[rows] for column in self)

    @property
    def answered_N(self) -> NDArray[np.bool_]:
        """Whether anything is said of a record."""
        told_N = self.told_NA.any(axis=1) | np.isfinite(self.shares_NE[:, 0]) | np.isfinite(self.va_ND).any(axis=1)
        return np.asarray(told_N, dtype=bool)


def as_arrays(answers: Sequence[Answer | None]) -> Said:
    """Return the answers about N records on scales that do not depend on the table's own.

    >>> said = as_arrays([Answer(units={12: 0.5}), Answer(units={12: 4.5}, valence=7.0), None])
    >>> said.told_NA[:, 8].tolist(), said.units_NAF[:, 8, 0].round(1).tolist()
    ([True, True, False], [-1.0, 1.0, 0.0])
    """
    n = len(answers)
    raw_NAF = np.full((n, len(COLUMN), 2), np.nan)
    scores_NE = np.full((n, len(INDEX)), np.nan)
    va_ND = np.full((n, 2), np.nan)
    for row, answer in enumerate(answers):
        if answer is None:
            continue
        for way, scores in enumerate((answer.units, answer.occurs)):
            for au, score in scores.items():
                raw_NAF[row, COLUMN[au], way] = score
        for expression, score in answer.shares.items():
            scores_NE[row, INDEX[expression]] = score
        for place, value in enumerate((answer.valence, answer.arousal)):
            if value is not None:
                va_ND[row, place] = value
    told_NAF = np.isfinite(raw_NAF)
    for way in (0, 1):
        raw_NAF[:, :, way] = _on_a_line(raw_NAF[:, :, way])
    units_NAF = np.where(told_NAF, _standardised(raw_NAF), 0.0)
    return Said(units_NAF, told_NAF.any(axis=2), _shares(scores_NE), SPREAD * _standardised(va_ND))


def mean_answer(answers: Sequence[Mapping[str, object]]) -> Answer:
    """Return what several `Labels`, as JSON has them, say together: the share of those asked that call each label."""
    found = Answer()
    units: dict[int, list[float]] = {}
    named = [str(labels["expression"]) for labels in answers if labels.get("expression")]
    for labels in answers:
        said = labels.get("action_units")
        for au, active in said.items() if isinstance(said, Mapping) else ():
            units.setdefault(int(au), []).append(float(active))
    found.units = {au: sum(values) / len(values) for au, values in units.items()}
    found.shares = {name: named.count(name) / len(named) for name in INDEX} if named else {}
    for name in ("valence", "arousal"):
        values = [float(str(value)) for labels in answers if (value := labels.get(name)) is not None]
        if values:
            setattr(found, name, sum(values) / len(values))
    return found


def _on_a_line(score_NA: Array) -> Array:
    """Return probabilities as log-odds, where the table has probabilities that are more than 0 and 1."""
    known = score_NA[np.isfinite(score_NA)]
    soft = len(known) and known.min() >= 0 and known.max() <= 1 and np.any((known > 0) & (known < 1))
    return np.asarray(logit(np.clip(score_NA, SUREST, 1 - SUREST))) if soft else score_NA


def _standardised(value_NX: Array) -> Array:
    """Return each column with mean 0 and standard deviation 1 over the records of which it tells."""
    told = np.isfinite(value_NX)
    count = np.maximum(told.sum(axis=0), 1)
    mean = np.where(told, value_NX, 0.0).sum(axis=0) / count
    variance = (np.where(told, value_NX - mean, 0.0) ** 2).sum(axis=0) / count
    return np.asarray((value_NX - mean) / np.sqrt(np.where(variance > 0, variance, 1.0)))


def _shares(score_NE: Array) -> Array:
    """Return scores of expressions as shares: those that can be negative are logarithms, whatever their sum."""
    told_NE = np.isfinite(score_NE)
    if not told_NE.any():
        return score_NE
    if np.nanmin(score_NE) < 0:
        peak_N1 = np.max(np.where(told_NE, score_NE, -np.inf), axis=1, keepdims=True)
        score_NE = np.exp(score_NE - np.where(np.isfinite(peak_N1), peak_N1, 0.0))
    share_NE = np.where(told_NE, score_NE, 0.0)
    total_N1 = share_NE.sum(axis=1, keepdims=True)
    share_NE = share_NE / np.where(total_N1 > 0, total_N1, 1.0)
    share_NE = (share_NE + FLOOR) / (1 + FLOOR * share_NE.shape[1])
    return np.where(total_N1 > 0, share_NE, np.nan)
