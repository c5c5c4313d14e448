"""Conversion of predictions to arrays, from which both the metrics and the bootstrap count.

    N  predictions        A  the 17 action units, in the order of affect.ACTION_UNITS        2  valence, arousal

Unknown truth and an unanswered task are distinct from every label, and what an unanswered task counts as is decided
here, once: an unanswered expression is a ninth class that is never right; an action unit that the answer does not
mention is predicted absent, so that silence is worth exactly what "no action unit is active" is; an unanswered valence
or arousal has no error, so it is left out and counted, and `metrics.dimension` says what that hides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import Prediction

UNANSWERED: Final = len(EXPRESSIONS)
"""The class of an unanswered expression: one past the last, so that it can be in a confusion matrix."""
UNKNOWN: Final = -1
"""An expression or action unit that the source does not annotate."""

AUS: Final = tuple(ACTION_UNITS)
_CLASS: Final = {name: index for index, name in enumerate(EXPRESSIONS)}
_PLACE: Final = {au: index for index, au in enumerate(AUS)}


@dataclass(frozen=True)
class Columns:
    """N predictions beside their truth."""

    expression_true_N: NDArray[np.int64]
    """Index into affect.EXPRESSIONS, or UNKNOWN."""
    expression_N: NDArray[np.int64]
    """Index into affect.EXPRESSIONS, or UNANSWERED."""
    au_true_NA: NDArray[np.int64]
    """1 active, 0 not active, UNKNOWN where the source does not annotate this AU."""
    au_NA: NDArray[np.int64]
    """1 predicted active; 0 predicted not active or not mentioned."""
    au_answered_N: NDArray[np.bool_]
    """Whether the answer says anything about action units."""
    va_true_N2: NDArray[np.float64]
    """In [-1, 1]; NaN unknown."""
    va_N2: NDArray[np.float64]
    """In [-1, 1]; NaN unanswered."""
    group_N: NDArray[np.int64]
    """Which subject, as 0, 1, ...; a record without a subject is a group of its own."""

    def __len__(self) -> int:
        return len(self.group_N)

    def where(self, kept_N: NDArray[np.bool_]) -> "Columns":
        """Return the predictions that `kept_N` marks, their subjects numbered anew from 0."""
        kept = {field.name: getattr(self, field.name)[kept_N] for field in fields(self)}
        return Columns(**{**kept, "group_N": np.unique(kept["group_N"], return_inverse=True)[1]})

    def unknown_outside(self, kept_N: NDArray[np.bool_]) -> "Columns":
        """Return the same rows and subjects, the truth unknown but where `kept_N` marks.

        What is drawn of several such parts under one seed is drawn of the same subjects.
        """
        return replace(
            self,
            expression_true_N=np.where(kept_N, self.expression_true_N, UNKNOWN),
            au_true_NA=np.where(kept_N[:, None], self.au_true_NA, UNKNOWN),
            va_true_N2=np.where(kept_N[:, None], self.va_true_N2, np.nan),
        )

    def known(self) -> dict[str, NDArray[np.bool_]]:
        """Return per task which of the N images have truth; for AUs, of any AU."""
        return {
            "expression": self.expression_true_N != UNKNOWN,
            "action_units": (self.au_true_NA != UNKNOWN).any(1),
            "valence": ~np.isnan(self.va_true_N2[:, 0]),
            "arousal": ~np.isnan(self.va_true_N2[:, 1]),
        }


def columns(predictions: Sequence[Prediction]) -> Columns:
    """Turn prediction rows into arrays; subjects of the same name in two sources are two subjects."""
    count = len(predictions)
    expression_true, expression = np.full(count, UNKNOWN), np.full(count, UNANSWERED)
    au_true, au = np.full((count, len(AUS)), UNKNOWN), np.zeros((count, len(AUS)), dtype=np.int64)
    au_answered = np.zeros(count, dtype=np.bool_)
    va_true, va = np.full((count, 2), np.nan), np.full((count, 2), np.nan)
    group = np.zeros(count, dtype=np.int64)
    groups: dict[tuple[str, str | None, str], int] = {}
    for row, prediction in enumerate(predictions):
        truth, labels = prediction.truth, prediction.labels
        if truth.expression is not None:
            expression_true[row] = _CLASS[truth.expression]
        if labels.expression is not None:
            expression[row] = _CLASS[labels.expression]
        for unit, active in (truth.action_units or {}).items():
            au_true[row, _PLACE[unit]] = active
        for unit in labels.active:
            au[row, _PLACE[unit]] = 1
        au_answered[row] = labels.action_units is not None
        va_true[row] = [np.nan if value is None else value for value in (truth.valence, truth.arousal)]
        va[row] = [np.nan if value is None else value for value in (labels.valence, labels.arousal)]
        lone = prediction.id if prediction.subject is None else ""
        group[row] = groups.setdefault((prediction.source, prediction.subject, lone), len(groups))
    return Columns(expression_true, expression, au_true, au, au_answered, va_true, va, group)
