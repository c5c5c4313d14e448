"""Quality and cost of annotation methods side by side, with intervals by subject and paired differences.

All methods are scored on the same records, in the same order, so a difference is taken within each bootstrap resample:
it is known far better than from two separate intervals.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.bootstrap import drawn, statistics, subjects
from seke.core.intervals import Estimate, estimated
from seke.core.records import Prediction
from seke.core.rules import FIGURE5, Measure

DRAWS: Final = 1000


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
    """Return Figure 5's measures (`rules.FIGURE5`) whose truth is known, in [-1, 1]; more is better of each."""
    values, resampled, counts = _point(predictions), _drawn(predictions, seed), _subjects(predictions)
    return {
        name: estimated(resampled[name], value, counts[name]) for name, value in values.items() if not np.isnan(value)
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
        for name in value
        if not np.isnan(value[name])
    }


def _point(predictions: Sequence[Prediction]) -> dict[str, float]:
    from seke.benchmark.scoring.metrics import scores  # torchmetrics brings torch

    found = scores(columns(predictions))
    values = {
        measure.name: None if found[measure.task] is None else _gain(measure, found[measure.task][measure.metric])
        for measure in FIGURE5
    }
    return {name: float("nan") if value is None else value for name, value in values.items()}


def _drawn(predictions: Sequence[Prediction], seed: int) -> dict[str, NDArray[np.float64]]:
    found = drawn(columns(predictions), DRAWS, seed)
    return {measure.name: _gain(measure, found[measure.task][measure.metric]) for measure in FIGURE5}


def _gain(measure: Measure, value: Any) -> Any:
    """Return a number, or those of all resamples, so that more is better; what is unknown stays so."""
    return 1 - value if measure.metric == "mae" and value is not None else value


def _subjects(predictions: Sequence[Prediction]) -> dict[str, int]:
    counts = subjects(statistics(columns(predictions)))
    return {measure.name: counts[measure.task] for measure in FIGURE5}
