"""Ways of annotating side by side: quality with intervals by subject, paired differences, and what it costs.

All ways are scored on the same records, in the same order, so a difference is taken within each bootstrap resample: it
is known far better than two separate intervals tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.bootstrap import drawn, statistics, subjects
from seke.benchmark.columns import columns
from seke.intervals import Estimate, estimated
from seke.records import Prediction

DRAWS: Final = 1000
MEASURES: Final = {
    "Expression accuracy": ("expression", "accuracy", False),
    "AU F1": ("action_units", "f1_mean_17", False),
    "Valence 1-MAE": ("valence", "mae", True),
    "Arousal 1-MAE": ("arousal", "mae", True),
}
"""Figure 5's measures, all of them better when higher: task, metric, and whether it is an error. An AU that no record
annotates is left out of the F1's mean."""


class Price(NamedTuple):
    """US dollars per million tokens."""

    input: float
    output: float


class Bill(NamedTuple):
    """What was asked; `per_thousand` images it is a rate."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    @classmethod
    def of(cls, cost: Mapping[str, Any]) -> "Bill":
        """Return what cost.json says."""
        return cls(*(float(cost[name]) for name in cls._fields))

    @classmethod
    def sum(cls, bills: Iterable["Bill"]) -> "Bill":
        """Return the sum of several bills."""
        return cls(*map(sum, zip(cls(), *bills, strict=True)))

    def per_thousand(self, images: int) -> "Bill":
        """Return the bill of a thousand of `images` annotations."""
        return Bill(*(1000 * value / images for value in self))

    def usd(self, price: Price) -> float:
        """Return dollars.

        >>> Bill(1, 1_000_000, 100_000).usd(Price(2.5, 10.0))
        3.5
        """
        return (self.input_tokens * price.input + self.output_tokens * price.output) / 1e6


def quality(predictions: Sequence[Prediction], seed: int = 0) -> dict[str, Estimate]:
    """Return the measures whose truth is known, in [0, 1]."""
    values, resampled, counts = _point(predictions), _drawn(predictions, seed), _subjects(predictions)
    return {
        name: estimated(resampled[name], values[name], counts[name]) for name in MEASURES if not np.isnan(values[name])
    }


def differences(
    predictions: Sequence[Prediction], reference: Sequence[Prediction], seed: int = 0
) -> dict[str, Estimate]:
    """Return by how much each measure exceeds the reference's, paired by subject.

    Raises:
        ValueError: if the two are not about the same records in the same order.
    """
    if [row.id for row in predictions] != [row.id for row in reference]:
        raise ValueError("predictions of different records cannot be paired")
    value, other = _point(predictions), _point(reference)
    a, b = _drawn(predictions, seed), _drawn(reference, seed)
    ours, theirs = _subjects(predictions), _subjects(reference)
    return {
        name: estimated(a[name] - b[name], value[name] - other[name], min(ours[name], theirs[name]))
        for name in MEASURES
        if not np.isnan(value[name])
    }


def _point(predictions: Sequence[Prediction]) -> dict[str, float]:
    from seke.benchmark.metrics import scores  # torchmetrics brings torch

    found = scores(columns(predictions))
    values: dict[str, float] = {}
    for name, (task, metric, is_error) in MEASURES.items():
        value = None if found[task] is None else found[task][metric]
        values[name] = float("nan") if value is None else 1 - value if is_error else value
    return values


def _drawn(predictions: Sequence[Prediction], seed: int) -> dict[str, NDArray[np.float64]]:
    found = drawn(columns(predictions), DRAWS, seed)
    return {
        name: 1 - found[task][metric] if is_error else found[task][metric]
        for name, (task, metric, is_error) in MEASURES.items()
    }


def _subjects(predictions: Sequence[Prediction]) -> dict[str, int]:
    counts = subjects(statistics(columns(predictions)))
    return {name: counts[task] for name, (task, _, _) in MEASURES.items()}
