"""95 % bootstrap intervals, resampled by subject: faces of one person are not independent draws.

Every metric is a function of sums over images, so a subject is reduced once to its sums (`statistics`), a resample is
a weighted sum of subjects, and all metrics of all draws are formulae on one array (`estimates`). A thousand draws over
a hundred thousand images take seconds.

    G  subjects        B  draws        C  the 8 expressions        A  the 17 action units        T  valence, arousal
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.arrays import AUS, UNKNOWN, Columns
from seke.core.affect import EXPRESSIONS, TABLE2_AUS
from seke.core.intervals import CORRELATION, ERROR, SHARE, interval

Floats = NDArray[np.float64]
Statistics = Mapping[str, Floats]
"""Sums per subject, each (G, ...): see `statistics`."""
IN_TABLE2: Final = np.array([au in TABLE2_AUS for au in AUS])
CONSTANT: Final = 1e-12
"""Values of no more variance than this do not vary: their correlation is undefined."""
_CHUNK: Final = 50
"""Draws handled at once: bounds the weights to 50 x G numbers."""
WITHIN: Final = {"mae": ERROR, "rmse": ERROR, "ccc": CORRELATION, "pearson": CORRELATION}
"""What values a metric can have; all others are a `SHARE`."""


def intervals(columns: Columns, draws: int, seed: int) -> dict[str, Any]:
    """Return [low, high] of the 95 % interval (`interval`) for every metric, keyed as metrics.json is.

    Draws in which a metric is undefined (none of the resampled subjects has its truth) are left out of its interval.
    A metric without an interval, such as one whose truth comes from fewer than three subjects, has None.
    """
    sums = statistics(columns)
    drawn, values, counts = estimates(resampled(sums, draws, seed)), _point(sums), subjects(sums)
    f1_of_aus = values["action_units"].pop("f1")
    found = {
        task: {
            name: interval(drawn[task][name], value, counts[task], WITHIN.get(name, SHARE))
            for name, value in metrics.items()
        }
        for task, metrics in values.items()
    }
    f1, showing = drawn["action_units"]["f1"], subjects_showing(sums)
    of_aus = {au: interval(f1[au], f1_of_aus[au], showing[au], SHARE) for au in f1}
    return {**found, "action_units": {"f1": of_aus, **found["action_units"]}}


def subjects(sums: Statistics) -> dict[str, int]:
    """Return, by task, how many subjects have an image that counts."""
    counting = {
        "expression": sums["true_C"].sum(1),
        "action_units": sums["annotated_A"].sum(1),
        "valence": sums["pairs_T"][:, 0],
        "arousal": sums["pairs_T"][:, 1],
    }
    return {task: int(np.count_nonzero(images_G)) for task, images_G in counting.items()}


def subjects_showing(sums: Statistics) -> dict[str, int]:
    """Return, by action unit, how many subjects show it: of them its F1 is, however many others do not show it."""
    showing_A = np.count_nonzero(sums["active_A"], axis=0)
    return {str(au): int(showing_A[place]) for place, au in enumerate(AUS)}


def drawn(columns: Columns, draws: int, seed: int) -> dict[str, Any]:
    """Return every metric of `draws` resamples, (draws,) each and NaN where undefined.

    Columns of the same records in the same order are resampled alike under the same seed: their metrics are paired.
    """
    return estimates(resampled(statistics(columns), draws, seed))


def point(columns: Columns) -> dict[str, Any]:
    """Return every metric of the whole set, keyed as `estimates` keys them; NaN where undefined."""
    return _point(statistics(columns))


def _point(sums: Statistics) -> dict[str, Any]:
    found = estimates({name: of_subjects.sum(0, keepdims=True) for name, of_subjects in sums.items()})
    f1 = {au: float(value[0]) for au, value in found["action_units"].pop("f1").items()}
    values: dict[str, dict[str, Any]] = {
        task: {name: float(value[0]) for name, value in metrics.items()} for task, metrics in found.items()
    }
    return {**values, "action_units": {"f1": f1, **values["action_units"]}}


def statistics(columns: Columns) -> Statistics:
    """Return the sums per subject that the metrics are made of.

    right_C, named_C, true_C: images of class c named c; named c; truly c (of those whose expression is known).
    hit_A, called_A, active_A, annotated_A: true positives; predicted active; truly active; images annotated for the AU.
    pairs_T and absolute_T, square_T, x_T, y_T, xx_T, yy_T, xy_T: number of answered images whose truth is known, and
    sums of |x - y|, (x - y)², and of the moments of prediction x and truth y about the mean truth, which keeps
    the variances exact.
    """
    group, count = columns.group_N, int(columns.group_N.max(initial=-1)) + 1

    def by_subject(values_NK: NDArray[Any]) -> Floats:
        sums = np.zeros((count, values_NK.shape[1]))
        np.add.at(sums, group, values_NK)
        return sums

    classes = np.arange(len(EXPRESSIONS))
    true_NC = columns.expression_true_N[:, None] == classes
    named_NC = (columns.expression_N[:, None] == classes) & (columns.expression_true_N != UNKNOWN)[:, None]
    annotated_NA = columns.au_true_NA != UNKNOWN
    active_NA, called_NA = columns.au_true_NA == 1, (columns.au_NA == 1) & annotated_NA
    paired_NT = ~np.isnan(columns.va_N2) & ~np.isnan(columns.va_true_N2)
    number_T = np.maximum(paired_NT.sum(0), 1)
    centre_T = np.where(paired_NT, columns.va_true_N2, 0.0).sum(0) / number_T
    x_NT = np.where(paired_NT, columns.va_N2 - centre_T, 0.0)
    y_NT = np.where(paired_NT, columns.va_true_N2 - centre_T, 0.0)
    return {
        "right_C": by_subject(true_NC & named_NC),
        "named_C": by_subject(named_NC),
        "true_C": by_subject(true_NC),
        "hit_A": by_subject(active_NA & called_NA),
        "called_A": by_subject(called_NA),
        "active_A": by_subject(active_NA),
        "annotated_A": by_subject(annotated_NA),
        "pairs_T": by_subject(paired_NT),
        "absolute_T": by_subject(np.abs(x_NT - y_NT)),
        "square_T": by_subject((x_NT - y_NT) ** 2),
        "x_T": by_subject(x_NT),
        "y_T": by_subject(y_NT),
        "xx_T": by_subject(x_NT**2),
        "yy_T": by_subject(y_NT**2),
        "xy_T": by_subject(x_NT * y_NT),
    }


def estimates(totals: Statistics) -> dict[str, Any]:
    """Return every metric, (B,) each and NaN where undefined, of sums that are (B, ...): the bootstrap's formulae.

    They equal `metrics.scores` at the sums of the whole set; a test holds them to it.
    """
    true_BC, active_BA = totals["true_C"], totals["active_A"]
    f1_BC = np.where(true_BC > 0, _f1(totals["right_C"], totals["named_C"], true_BC), np.nan)
    f1_BA = np.where(active_BA > 0, _f1(totals["hit_A"], totals["called_A"], active_BA), np.nan)
    errors = _errors(totals)
    return {
        "expression": {
            "accuracy": _ratio(totals["right_C"].sum(1), true_BC.sum(1)),
            "f1_macro": _mean(f1_BC),
        },
        "action_units": {
            "f1": {str(au): f1_BA[:, place] for place, au in enumerate(AUS)},
            "f1_mean_14": _mean(f1_BA[:, IN_TABLE2]),
            "f1_mean_17": _mean(f1_BA),
        },
        "valence": {name: values_BT[:, 0] for name, values_BT in errors.items()},
        "arousal": {name: values_BT[:, 1] for name, values_BT in errors.items()},
    }


def resampled(sums: Statistics, draws: int, seed: int) -> Statistics:
    """Return the (draws, ...) sums of as many subjects as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    names, count = list(sums), len(next(iter(sums.values())))
    table = np.concatenate([sums[name] for name in names], axis=1)
    totals = []
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        chosen = rng.integers(count, size=(size, count))
        weights = np.stack([np.bincount(subjects, minlength=count) for subjects in chosen])  # a draw fits the cache
        totals.append(weights.astype(np.float64) @ table)
    ends = np.cumsum([sums[name].shape[1] for name in names])[:-1]
    return dict(zip(names, np.split(np.concatenate(totals), ends, axis=1), strict=True))


def _errors(totals: Statistics) -> dict[str, Floats]:
    number = totals["pairs_T"]
    mean_x, mean_y = _ratio(totals["x_T"], number), _ratio(totals["y_T"], number)
    # Sums of squares about the mean, n - 1 below them as in torchmetrics; a rounding residue is no variance.
    var_x = np.maximum(totals["xx_T"] - number * mean_x**2, 0.0) / np.maximum(number - 1, 1)
    var_y = np.maximum(totals["yy_T"] - number * mean_y**2, 0.0) / np.maximum(number - 1, 1)
    cov = (totals["xy_T"] - number * mean_x * mean_y) / np.maximum(number - 1, 1)
    spread = var_x + var_y + (mean_x - mean_y) ** 2
    ccc = np.where(spread > 1e-15, 2 * cov / np.where(spread > 1e-15, spread, 1.0), 0.0)
    vary = (var_x > CONSTANT) & (var_y > CONSTANT)
    pearson = np.clip(cov / np.sqrt(np.where(vary, var_x * var_y, 1.0)), -1.0, 1.0)
    return {
        "mae": _ratio(totals["absolute_T"], number),
        "rmse": np.sqrt(_ratio(totals["square_T"], number)),
        "ccc": np.where(number > 1, ccc, np.nan),
        "pearson": np.where(vary, pearson, np.nan),
    }


def _f1(hits: Floats, called: Floats, true: Floats) -> Floats:
    """Return F1 = 2 TP / (predicted + true); 0, as in torchmetrics, where both are 0."""
    both = called + true
    return np.where(both > 0, 2 * hits / np.maximum(both, 1), 0.0)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    known = denominator > 0
    return np.where(known, numerator / np.where(known, denominator, 1), np.nan)


def _mean(values_BK: Floats) -> Floats:
    """Return the mean over the defined ones of K values, NaN if there is none."""
    defined = ~np.isnan(values_BK)
    return _ratio(np.where(defined, values_BK, 0.0).sum(1), defined.sum(1).astype(np.float64))
