"""Rules that every room shares: right within 0.2, whose numbers compete, Table 2's measures, Mikels' emotions,
Algorithm 1's floor.
"""

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

NEAR: Final = 0.2
"""A valence or arousal, both in [-1, 1], that is this close to the truth counts as right (Fig. 6)."""
_ROUNDING: Final = 1e-9
"""More than floating point adds to a difference, and far less than any label's last digit."""

EMOTIONS: Final = ("amusement", "anger", "awe", "contentment", "disgust", "excitement", "fear", "sadness")
"""Mikels' eight (Behav. Res. Methods 2005), in EmoSet's order: what a picture's viewers feel, no facial expressions."""


def near(a: float, b: float) -> bool:
    """Whether two valences, or arousals, are within `NEAR` of each other; exactly `NEAR` apart counts as near.

    Labels have two decimals, so pairs do lie exactly on the boundary, and binary fractions put some of these
    above it and some below. "Within 0.2" speaks of those decimals: all of these pairs are near.

    >>> near(0.3, 0.1), near(0.5, 0.3), near(0.5, 0.29)
    (True, True, False)
    """
    return abs(a - b) <= NEAR + _ROUNDING


def all_near(lowest: NDArray[np.float64], highest: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether several opinions, of these extremes, are `near` each other; arrays of any shape."""
    return np.asarray(highest - lowest <= NEAR + _ROUNDING)


ENOUGH_ANSWERED: Final = 0.95
"""The share of images that must be answered for an error over the answered ones to be anybody's best."""


def competing(value: float | None, coverage: float, at_worst: float | None) -> float | None:
    """Return the number with which an error over answered images competes for a table's best; None: it does not.

    Who leaves hard images out has smaller errors. So an incomplete row competes with what it would be `at_worst`, every
    missing answer as wrong as can be, and a row below `ENOUGH_ANSWERED` not at all: answering less never pays.

    Args:
        value: over the answered images.
        coverage: their share of the images with truth, in [0, 1].
        at_worst: over all images with truth; None where nobody knows, as in runs of earlier releases.

    >>> competing(0.1, 1.0, None), competing(0.1, 0.97, 0.15), competing(0.1, 0.44, 0.8)
    (0.1, 0.15, None)
    """
    return value if coverage == 1 else at_worst if coverage >= ENOUGH_ANSWERED else None


def percent_answered(coverage: float) -> str:
    """Return a share of answered images as tables print it: 100 % is all of them, and nothing less.

    >>> percent_answered(0.44), percent_answered(0.9999), percent_answered(1.0)
    ('44 %', '99 %', '100 %')
    """
    return f"{int(100 * coverage + 1e-9)} %"


class Measure(NamedTuple):
    """One of Table 2's measures: where metrics.json holds it, and how it is printed."""

    task: str
    metric: str
    name: str
    """What metrics.json's groups and Figure 5's rows call it."""
    title: str
    """What a drawing of it is headed."""
    group: str
    """The task, as a heading of columns says it."""
    label: str
    """The metric, as a column under that heading says it."""
    paper: str
    """Its column in the paper's tables."""
    digits: int
    scale: float
    """100 prints a share in [0, 1] as per cent."""
    better: Literal["high", "low"]

    @property
    def key(self) -> str:
        """Its dotted key in metrics.json, e.g. "expression.accuracy"."""
        return f"{self.task}.{self.metric}"

    def printed(self, value: float) -> str:
        """Return a value as tables print it, without its unit.

        >>> MEASURES[0].printed(0.6111), MEASURES[2].printed(0.3421)
        ('61.1', '0.342')
        """
        return f"{value * self.scale:.{self.digits}f}"


# fmt: off
MEASURES: Final = (
    Measure("expression", "accuracy", "Expression accuracy", "Expression accuracy, %",
            "Expression", "acc. %", "EXP", 1, 100, "high"),
    Measure("action_units", "f1_mean_14", "AU F1", "AU F1, mean of 14, %",
            "Action units", "F1 (14) %", "All", 1, 100, "high"),
    Measure("valence", "mae", "Valence MAE", "Valence MAE (lower is better)",
            "Valence", "MAE", "Valence", 3, 1, "low"),
    Measure("arousal", "mae", "Arousal MAE", "Arousal MAE (lower is better)",
            "Arousal", "MAE", "Arousal", 3, 1, "low"),
)
# fmt: on
"""The four by which Table 2 compares systems: expression accuracy, mean F1 of 14 AUs, and two mean absolute errors."""

FIGURE5: Final = tuple(
    measure._replace(name=measure.name.replace("MAE", "1-MAE"), label="1 − MAE", better="high")
    if measure.better == "low"
    else measure._replace(metric="f1_mean_17", name="AU F1 (present)", label="F1 (present) %")
    if measure.metric == "f1_mean_14"
    else measure
    for measure in MEASURES
)
"""The same as Figure 5 has them: an error as 1 - error, so that more is better of each, and the F1 of those of the 17
AUs that occur, which no other table calls "AU F1": Aff-Wild2 annotates 12."""


def algorithm_floor(max_samples: int) -> float:
    """Return E[S] of Algorithm 1 at U = 0: two draws, then p_acc = 1/2 for each further one up to N (Eq. 4).

    >>> algorithm_floor(5), algorithm_floor(2)
    (2.875, 2.0)
    """
    return 3.0 - 2.0 ** (2 - max_samples)
