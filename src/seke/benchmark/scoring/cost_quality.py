"""Quality and cost of annotation methods side by side, with intervals by subject and paired differences.

All methods are scored on the same records, in the same order, so a difference is taken within each bootstrap resample:
it is known far better than from two separate intervals.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.bootstrap import WITHIN, drawn, statistics, subjects
from seke.core.intervals import SHARE, Difference, Estimate, estimated, p_value
from seke.core.records import Prediction
from seke.core.rules import FIGURE5

DRAWS: Final = 1000


class Price(NamedTuple):
    """US dollars per million tokens."""

    input: float
    output: float


class Calls(NamedTuple):
    """Requests and tokens of an annotation; `per_thousand` images they are rates."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    @classmethod
    def of(cls, cost: Mapping[str, Any]) -> "Calls":
        """Return what cost.json says."""
        return cls(*(float(cost[name]) for name in cls._fields))

    @classmethod
    def sum(cls, several: Iterable["Calls"]) -> "Calls":
        """Return the sum of several."""
        return cls(*map(sum, zip(cls(), *several, strict=True)))

    def per_thousand(self, images: int) -> "Calls":
        """Return what a thousand of `images` annotations take."""
        return Calls(*(1000 * value / images for value in self))

    def usd(self, price: Price) -> float:
        """Return dollars.

        >>> Calls(1, 1_000_000, 100_000).usd(Price(2.5, 10.0))
        3.5
        """
        return (self.input_tokens * price.input + self.output_tokens * price.output) / 1e6


class Resampled(NamedTuple):
    """One of Figure 5's measures of one annotation method."""

    value: float
    """NaN where no truth is known."""
    drawn_B: NDArray[np.float64]
    """The same in every resample, (B,)."""
    subjects: int
    """Who are resampled."""
    within: tuple[float, float]
    """The least and the greatest value that there can be."""


def quality(predictions: Sequence[Prediction], seed: int = 0) -> dict[str, Estimate]:
    """Return Figure 5's measures (`rules.FIGURE5`) whose truth is known, in [-1, 1]; more is better of each."""
    return {
        name: estimated(found.drawn_B, found.value, found.subjects, found.within)
        for name, found in _resampled(predictions, seed).items()
        if not np.isnan(found.value)
    }


def subjects_of(predictions: Sequence[Prediction]) -> dict[str, int]:
    """Return of how many subjects each of Figure 5's measures is."""
    counts = subjects(statistics(columns(predictions)))
    return {measure.name: counts[measure.task] for measure in FIGURE5}


def differences(
    predictions: Sequence[Prediction], reference: Sequence[Prediction], seed: int = 0
) -> dict[str, Estimate]:
    """Return by how much each measure exceeds the reference's, paired by subject.

    Raises:
        ValueError: if the two are not about the same records in the same order.
    """
    return {name: found.estimate for name, found in paired_differences(predictions, reference, seed).items()}


def paired_differences(
    predictions: Sequence[Prediction], reference: Sequence[Prediction], seed: int = 0
) -> dict[str, Difference]:
    """Return `differences`, each with its p-value and of how many subjects it is.

    Raises:
        ValueError: as `differences`.
    """
    if [row.id for row in predictions] != [row.id for row in reference]:
        raise ValueError("predictions of different records cannot be paired")
    ours, theirs = _resampled(predictions, seed), _resampled(reference, seed)
    found = {}
    for name, a, b in ((name, ours[name], theirs[name]) for name in ours):
        if not np.isnan(a.value):
            paired = a.drawn_B - b.drawn_B, a.value - b.value, min(a.subjects, b.subjects)
            found[name] = Difference(estimated(*paired), p_value(*paired), paired[2])
    return found


def _resampled(predictions: Sequence[Prediction], seed: int) -> dict[str, Resampled]:
    from seke.benchmark.scoring.metrics import scores  # torchmetrics brings torch

    data = columns(predictions)
    values, draws, counts = scores(data), drawn(data, DRAWS, seed), subjects(statistics(data))
    found = {}
    for measure in FIGURE5:
        value = None if values[measure.task] is None else values[measure.task][measure.metric]
        drawn_B = draws[measure.task][measure.metric]
        within = WITHIN.get(measure.metric, SHARE)
        if measure.metric == "mae":  # more is better of each
            value, drawn_B = None if value is None else 1 - value, 1 - drawn_B
            within = (1 - within[1], 1 - within[0])
        found[measure.name] = Resampled(np.nan if value is None else value, drawn_B, counts[measure.task], within)
    return found
