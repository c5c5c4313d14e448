"""Do two models differ? Their predictions on the same records, compared metric by metric.

Both are resampled together, subject by subject, so what makes a face hard for both cancels out. The p-value asks how
many of the resamples lie on the other side of no difference, and so agrees with the 95 % interval printed beside it.
Holm's correction (1979) guards all metrics of one comparison together. McNemar's exact test (1947) of the expression
accuracy stands beside them: it needs no resampling, but takes the images of a subject as independent.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri, stdtr

from seke.benchmark.bootstrap import bounds, drawn, point
from seke.benchmark.columns import UNKNOWN, Columns, columns
from seke.benchmark.tables import ABSENT, HEADLINE, with_interval
from seke.errors import UserError
from seke.records import Prediction, read_jsonl

DRAWS: Final = 10_000
"""Of the bootstrap: no p-value is below 2 / 10,001, which survives the correction for twelve metrics."""
SAME_RECORDS: Final = "compare runs on the same records= and limit="


def rival(path: Path, ids: Collection[str], every: bool) -> list[Prediction]:
    """Return the predictions to compare with, before anything is paid for.

    Args:
        path: a predictions.jsonl.
        ids: the records that this run will score.
        every: whether this run will score all of them; the other run must then have done so, too.

    Raises:
        UserError: if an id occurs twice, is none of `ids`, or one of `ids` lacks although `every`.
    """
    rows = list(read_jsonl(path, Prediction))
    twice = [id_ for id_, times in Counter(row.id for row in rows).items() if times > 1]
    if twice:
        raise UserError("compare", path, f"id {twice[0]!r} occurs twice", "give the predictions.jsonl of one run")
    theirs = {row.id for row in rows}
    _refuse_other_ids(path, set(ids) if every else theirs & set(ids), theirs)
    return rows


def compare(
    ours: Sequence[Prediction], theirs: Sequence[Prediction], against: str, seed: int = 0, draws: int = DRAWS
) -> dict[str, Any]:
    """Return comparison.json: every headline metric of both, their difference and whether it may be chance.

    Valence and arousal are compared over the images that both answered; expressions and AUs count an unanswered image
    as `columns` says.

    Args:
        ours: this run's predictions.
        theirs: another run's on the same records, in any order.
        against: what to call the other run.
        seed: of the resampling.
        draws: resamples of the subjects.

    Returns:
        "against", "n", "draws", "metrics" (rows of task, metric, n, ours, theirs, difference = ours - theirs, ci95, p
        two-sided, p_holm; None where undefined or from a single subject) and "mcnemar" (None without expressions).

    Raises:
        UserError: if the two are not about the same records or have not the same truth.
    """
    a, b = _paired(ours, _aligned(ours, theirs, against))
    ours_at, theirs_at = point(a), point(b)
    ours_drawn, theirs_drawn = drawn(a, draws, seed), drawn(b, draws, seed)
    counted = _counted(a)
    rows: list[dict[str, Any]] = []
    for task, metrics in HEADLINE.items():
        subjects = len(np.unique(a.group_N[counted[task]]))
        for metric in metrics if counted[task].any() else ():
            # Rounded, so that sums of the same numbers taken in another order are a tie.
            difference_B = np.round(ours_drawn[task][metric] - theirs_drawn[task][metric], 12)
            values = [_known(found[task][metric]) for found in (ours_at, theirs_at)]
            rows.append(
                {
                    "task": task,
                    "metric": metric,
                    "n": int(counted[task].sum()),
                    "ours": values[0],
                    "theirs": values[1],
                    "difference": None if None in values else ours_at[task][metric] - theirs_at[task][metric],
                    "ci95": bounds(difference_B, subjects),
                    "p": p_value(difference_B, subjects),
                    "p_holm": None,
                }
            )
    tested = [row for row in rows if row["p"] is not None]
    for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = corrected
    return {"against": against, "n": len(a), "draws": draws, "metrics": rows, "mcnemar": _discordance(a, b)}


def p_value(difference_B: NDArray[np.float64], subjects: int) -> float | None:
    """Return the two-sided bootstrap p-value of no difference, in (0, 1]; None for fewer than two subjects.

    Twice the smaller share of draws that lie at or beyond 0 (Efron & Tibshirani 1993, Sec. 15.4), the observed set
    counted in (Davison & Hinkley 1997, Eq. 4.11), so that it is never 0. Few subjects make it larger by Student's t,
    as they widen the interval (`bootstrap.bounds`): where p is 0.05, the interval ends at 0.

    >>> round(p_value(np.array([0.1, 0.2, 0.3, -0.1, float("nan")]), 1000), 2)
    0.8
    """
    defined = difference_B[~np.isnan(difference_B)]
    if subjects < 2 or not defined.size:
        return None
    beyond = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    share = min(0.5, (beyond + 1) / (defined.size + 1))
    return float(2 * stdtr(subjects - 1, ndtri(share) * np.sqrt((subjects - 1) / subjects)))


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method, in the order given.

    >>> holm([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.04]
    """
    p_M = np.asarray(p, dtype=np.float64)
    order_M = np.argsort(p_M)
    stepped_M = np.minimum(np.maximum.accumulate(p_M[order_M] * np.arange(len(p_M), 0, -1)), 1.0)
    corrected_M = np.empty_like(p_M)
    corrected_M[order_M] = stepped_M
    return [float(value) for value in corrected_M]


def mcnemar(only_ours: int, only_theirs: int) -> float:
    """Return McNemar's exact two-sided p-value: are the images that one alone gets right split evenly?

    The binomial distribution is taken as it is, however many they are.

    >>> mcnemar(1, 5)
    0.21875
    """
    both = only_ours + only_theirs
    return min(1.0, 2 * float(bdtr(min(only_ours, only_theirs), both, 0.5))) if both else 1.0


def comparison_table(found: Mapping[str, Any], name: str) -> str:
    """Return comparison.json in Markdown, without a title."""
    against = found["against"]
    lines = [
        f"| Task | Metric | n | {name} | {against} | Difference (95 % interval) | p | p, Holm |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["metrics"]:
        star = " *" if row["p_holm"] is not None and row["p_holm"] < 0.05 else ""
        cells = [
            row["task"],
            row["metric"],
            str(row["n"]),
            *(with_interval(row[who], None) for who in ("ours", "theirs")),
        ]
        cells += [_signed(row["difference"], row["ci95"]) + star, _p(row["p"]), _p(row["p_holm"])]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Paired bootstrap over subjects, {found['draws']} draws; * p < 0.05 after Holm's correction for the "
        f"{len(found['metrics'])} metrics. mae and rmse: lower is better.",
        "Valence and arousal: over the images that both answered.",
    ]
    if (split := found["mcnemar"]) is not None:
        lines.append(
            f"McNemar, expression: {split['only_ours']} images right in {name} alone, {split['only_theirs']} in "
            f"{against} alone, p = {_p(split['p'])} (exact; takes images as independent, the bootstrap does not)."
        )
    return "\n".join(lines) + "\n"


def _aligned(ours: Sequence[Prediction], theirs: Sequence[Prediction], against: str) -> list[Prediction]:
    by_id = {row.id: row for row in theirs}
    _refuse_other_ids(against, {row.id for row in ours}, set(by_id))
    for row in ours:
        if row.truth != by_id[row.id].truth:
            raise UserError("compare", against, f"the truth of {row.id!r} is another there", SAME_RECORDS)
    return [by_id[row.id] for row in ours]


def _refuse_other_ids(against: object, ours: set[str], theirs: set[str]) -> None:
    if ours != theirs:
        example = min(ours ^ theirs)
        problem = f"{len(theirs - ours)} of its ids are not scored here and {len(ours - theirs)} of ours not there"
        raise UserError("compare", against, f"{problem}, such as {example!r}", SAME_RECORDS)


def _paired(ours: Sequence[Prediction], theirs: Sequence[Prediction]) -> tuple[Columns, Columns]:
    """Return both as columns of the same subjects, valence and arousal unanswered where one of them has no answer."""
    a, b = columns(ours), columns(theirs)
    both_N2 = ~np.isnan(a.va_N2) & ~np.isnan(b.va_N2)
    return (
        replace(a, va_N2=np.where(both_N2, a.va_N2, np.nan)),
        replace(b, va_N2=np.where(both_N2, b.va_N2, np.nan), group_N=a.group_N),
    )


def _counted(data: Columns) -> dict[str, NDArray[np.bool_]]:
    answered_N2 = ~np.isnan(data.va_N2)
    known = data.known()
    return {
        **known,
        "valence": known["valence"] & answered_N2[:, 0],
        "arousal": known["arousal"] & answered_N2[:, 1],
    }


def _discordance(a: Columns, b: Columns) -> dict[str, Any] | None:
    known = a.expression_true_N != UNKNOWN
    if not known.any():
        return None
    right = [(data.expression_N == data.expression_true_N)[known] for data in (a, b)]
    only_ours, only_theirs = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return {
        "both_right": int((right[0] & right[1]).sum()),
        "only_ours": only_ours,
        "only_theirs": only_theirs,
        "both_wrong": int((~right[0] & ~right[1]).sum()),
        "p": mcnemar(only_ours, only_theirs),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _signed(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:+.3f}" + (f" ({interval[0]:+.3f} to {interval[1]:+.3f})" if interval else "")


def _p(value: float | None) -> str:
    return ABSENT if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
