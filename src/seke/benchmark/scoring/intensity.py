"""AU intensity, 0 to 5, against human codes: intraclass correlations and mean absolute error of each action unit.

Apart from occurrence in every respect: only images whose truth carries intensities count, only stated intensities
answer, and neither is ever turned into the other.

    N  images      A  the 17 action units      K  raters      G  subjects      B  resamples
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.arrays import AUS
from seke.benchmark.scoring.bootstrap import resampled
from seke.core.intervals import CORRELATION, ERROR, interval
from seke.core.records import Labels, Prediction

Floats = NDArray[np.float64]
TASK: Final = "au_intensity"
"""The section of metrics.json."""
METRICS: Final = ("icc31", "icc11", "mae")
CONSTANT: Final = 1e-9
"""Mean squares of no more than this are rounding: what was rated does not vary."""


class Sums(NamedTuple):
    """What an analysis of variance needs of n targets that K raters rated; sums over targets, so they add up."""

    targets: Floats
    """n, (...)."""
    raters: Floats
    """Sum of each rater's ratings, (..., K)."""
    squares: Floats
    """Sum of each rater's squared ratings, (..., K)."""
    totals: Floats
    """Sum over targets of (the sum of its K ratings) squared, (...)."""


class Correlations(NamedTuple):
    """Intraclass correlations of Shrout & Fleiss (1979), NaN where undefined."""

    one_one: Floats
    """ICC(1,1): absolute agreement, each target as if rated by other raters."""
    three_one: Floats
    """ICC(3,1): consistency of these raters; a constant offset of one of them costs nothing."""
    two_one: Floats
    """ICC(2,1): absolute agreement of raters who stand for others; an offset of one of them costs."""


def sums(ratings_NK: Floats) -> Sums:
    """Return the sums of a table of ratings, one row a target and one column a rater, without gaps."""
    return Sums(
        np.asarray(float(len(ratings_NK))),
        ratings_NK.sum(axis=0),
        (ratings_NK**2).sum(axis=0),
        np.asarray((ratings_NK.sum(axis=1) ** 2).sum()),
    )


def icc(found: Sums) -> Correlations:
    """Return the intraclass correlations (Shrout & Fleiss 1979, Table 3) from the mean squares of their Table 2.

    ICC(1,1) = (BMS - WMS) / (BMS + (K - 1) WMS), ICC(3,1) = (BMS - EMS) / (BMS + (K - 1) EMS), and ICC(2,1) is
    (BMS - EMS) / (BMS + (K - 1) EMS + K (JMS - EMS) / n). Undefined for fewer than two targets, and where all ratings
    are the same.

    >>> float(icc(sums(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))).three_one)
    1.0
    """
    n, k = found.targets, found.raters.shape[-1]
    targets, spare = np.maximum(n, 1), np.maximum(n - 1, 1)
    grand = found.raters.sum(axis=-1) ** 2 / (targets * k)
    between = found.totals / k - grand
    within = found.squares.sum(axis=-1) - found.totals / k
    raters = (found.raters**2).sum(axis=-1) / targets - grand
    bms, wms, ems = between / spare, within / (targets * (k - 1)), (within - raters) / (spare * (k - 1))
    jms = raters / (k - 1)
    return Correlations(
        one_one=_correlation(bms, wms, k, n),
        three_one=_correlation(bms, ems, k, n),
        two_one=_correlation(bms, ems, k, n, k * (jms - ems) / targets),
    )


def _correlation(between: Floats, error: Floats, k: int, targets: Floats, of_raters: Floats | float = 0.0) -> Floats:
    whole = between + (k - 1) * error + of_raters
    defined = (targets > 1) & (whole > CONSTANT)
    return np.where(defined, (between - error) / np.where(defined, whole, 1.0), np.nan)


@dataclass(frozen=True)
class Rated:
    """N images with the true and the stated intensity of each action unit, NaN where unknown."""

    true_NA: Floats
    said_NA: Floats
    group_N: NDArray[np.int64]
    """Which subject, as 0, 1, ..."""


def rated(predictions: Sequence[Prediction], group_N: NDArray[np.int64]) -> Rated | None:
    """Return the intensities of N predictions whose subjects are `group_N`; None if no truth carries any."""
    if not any(prediction.truth.au_intensity for prediction in predictions):
        return None
    return Rated(
        np.array([_row(prediction.truth) for prediction in predictions]),
        np.array([_row(prediction.labels) for prediction in predictions]),
        group_N,
    )


def _row(labels: Labels) -> list[float]:
    stated = labels.au_intensity or {}
    return [stated.get(au, np.nan) for au in AUS]


def score(data: Rated, draws: int, seed: int) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Score intensities over the images whose truth is known and whose intensity is stated.

    Returns:
        - the metrics: `icc31`, `icc11` and `mae` (on the scale 0 to 5) of each action unit that has truth, their means
          over those where they are defined and how many these are (`n_aus`), how many images have truth (`n`), and of
          each action unit how many have truth (`annotated`) and an answer besides (`answered`). An ICC is None where
          the truth does not vary: nothing could be right about it. One constant answer to a truth that varies has
          an ICC of 0 or below.
        - their 95 % intervals by `draws` resamples of subjects, [low, high] or None.
        - the number of images with truth of which no intensity is stated.
    """
    known_NA = ~np.isnan(data.true_NA)
    paired_NA = known_NA & ~np.isnan(data.said_NA)
    sums_G = _by_subject(data, paired_NA)
    drawn = _metrics(resampled(sums_G, draws, seed))
    whole = _metrics({name: values.sum(0, keepdims=True) for name, values in sums_G.items()})
    subjects_A = np.count_nonzero(sums_G["targets_A"], axis=0)
    annotated = [place for place in range(len(AUS)) if known_NA[:, place].any()]
    found: dict[str, Any] = {"n": int(known_NA.any(1).sum()), "n_aus": {}}
    bounds: dict[str, Any] = {}
    for name in METRICS:
        values_A, drawn_BA, within = whole[name][0], drawn[name], ERROR if name == "mae" else CORRELATION
        found[name] = {str(AUS[place]): _number(values_A[place]) for place in annotated}
        bounds[name] = {
            str(AUS[place]): interval(drawn_BA[:, place], values_A[place], int(subjects_A[place]), within)
            for place in annotated
        }
        mean = f"{name}_mean"
        defined = ~np.isnan(values_A)
        # In every resample the same action units, as far as they are defined there.
        means_B = _mean(drawn_BA[:, defined])
        found[mean] = _number(_mean(values_A[None, defined])[0])
        found["n_aus"][mean] = int(defined.sum())
        subjects = np.count_nonzero(sums_G["targets_A"][:, defined].any(axis=1))
        bounds[mean] = interval(means_B, np.nan if found[mean] is None else found[mean], int(subjects), within)
    for name, counted_NA in (("annotated", known_NA), ("answered", paired_NA)):
        found[name] = {str(AUS[place]): int(counted_NA[:, place].sum()) for place in annotated}
    return found, bounds, int((known_NA.any(1) & ~paired_NA.any(1)).sum())


def _by_subject(data: Rated, paired_NA: NDArray[np.bool_]) -> dict[str, Floats]:
    """Return each subject's sums over its images, (G, A) each: what `Sums` is made of, and absolute errors."""
    x, y = (np.where(paired_NA, values, 0.0) for values in (data.true_NA, data.said_NA))
    each = {
        "targets_A": paired_NA.astype(np.float64),
        "true_A": x,
        "said_A": y,
        "true_squares_A": x**2,
        "said_squares_A": y**2,
        "totals_A": (x + y) ** 2,
        "absolute_A": np.abs(x - y),
    }
    found = {}
    for name, values_NA in each.items():
        found[name] = np.zeros((int(data.group_N.max(initial=-1)) + 1, len(AUS)))
        np.add.at(found[name], data.group_N, values_NA)
    return found


def _metrics(totals: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the three metrics, (B, A) each and NaN where undefined, of sums that are (B, A)."""
    n = totals["targets_A"]
    correlations = icc(
        Sums(
            n,
            np.stack([totals["true_A"], totals["said_A"]], axis=-1),
            np.stack([totals["true_squares_A"], totals["said_squares_A"]], axis=-1),
            totals["totals_A"],
        )
    )
    spread = totals["true_squares_A"] - totals["true_A"] ** 2 / np.maximum(n, 1)
    varies = spread > CONSTANT * np.maximum(n, 1)
    return {
        "icc31": np.where(varies, correlations.three_one, np.nan),
        "icc11": np.where(varies, correlations.one_one, np.nan),
        "mae": np.where(n > 0, totals["absolute_A"] / np.maximum(n, 1), np.nan),
    }


def _mean(values_BK: Floats) -> Floats:
    """Return the mean over the defined ones of K values, NaN if there is none."""
    defined = ~np.isnan(values_BK)
    count = defined.sum(axis=1)
    return np.where(count > 0, np.where(defined, values_BK, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
