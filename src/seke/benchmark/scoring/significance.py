"""Significance tests: do two models differ? Predictions on the same records, compared metric by metric.

Both are resampled together, subject by subject, so what makes a face hard for both cancels out. The p-value is that of
the 95 % interval printed beside it: below 0.05 exactly where the interval excludes 0.
Holm's correction (1979) guards all metrics of one comparison together. McNemar's exact test (1947) of the expression
accuracy stands beside them: it needs no resampling, but takes the images of a subject as independent.

What is measured, and resampled, a benchmark may say itself (`Compared`); else it is `pair_faces`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.special import bdtr

from seke.benchmark.protocol import Benchmark, Compared, Measured, Paired, PairedMetric, Right
from seke.benchmark.scoring.arrays import UNKNOWN, Columns, columns
from seke.benchmark.scoring.bootstrap import WITHIN, drawn, point
from seke.benchmark.scoring.tables import ABSENT, HEADLINE, with_interval, with_signed_interval
from seke.core.errors import UserError
from seke.core.escape import markdown
from seke.core.intervals import SHARE, interval, p_value
from seke.core.intervals import holm as holm
from seke.core.records import Labels, Prediction, RecordError, read_jsonl
from seke.core.text_tables import markdown_table

DRAWS: Final = 10_000
"""Of the bootstrap: more than an interval needs, so that a p-value hardly depends on the seed."""
SAME_BENCHMARK: Final = "compare runs of the same benchmark="
SAME_RECORDS: Final = "compare runs on the same records= and limit="


Pairing = Callable[[Sequence[Any], Sequence[Any], int, int], Paired]
"""(ours, theirs, seed, draws), about the same records in the same order."""


def pairing_of(benchmark: Benchmark) -> Pairing | None:
    """Return what a benchmark compares of two runs: all labels of faces, unless it says; None for nothing."""
    if isinstance(benchmark, Compared):
        return benchmark.paired
    return None if isinstance(benchmark, Measured) else pair_faces


def other_predictions(
    path: Path, ids: Collection[str], every: bool, row: type[BaseModel] = Prediction, limited: bool = False
) -> list[Any]:
    """Return the predictions to compare with, before anything is paid for.

    Args:
        path: a predictions.jsonl.
        ids: the records that this run will score.
        every: whether this run will score all of them; the other run must then have done so, too.
        row: what the benchmark's predictions are.
        limited: whether `ids` are a part of the file's records, of which the other run may have scored all.

    Raises:
        UserError: if they are another benchmark's, an id occurs twice, is none of `ids`, or one of `ids` lacks
            although `every`.
    """
    rows: list[Any] = []
    try:
        rows += read_jsonl(path, row)
    except RecordError as error:
        raise UserError("compare", path, f"no predictions of this benchmark ({error})", SAME_BENCHMARK) from None
    twice = [id_ for id_, times in Counter(row.id for row in rows).items() if times > 1]
    if twice:
        raise UserError("compare", path, f"id {twice[0]!r} occurs twice", "give the predictions.jsonl of one run")
    if limited:
        rows = [row for row in rows if row.id in ids]
    theirs = {row.id for row in rows}
    _refuse_other_ids(path, set(ids) if every else theirs & set(ids), theirs)
    return rows


def pair_faces(
    ours: Sequence[Prediction],
    theirs: Sequence[Prediction],
    seed: int,
    draws: int,
    tasks: Collection[str] = tuple(HEADLINE),
) -> Paired:
    """Return the headline metrics of the labels of faces, those of `tasks` that have truth, resampled by subject.

    Valence and arousal are compared over the images that both answered; expressions and AUs count an unanswered image
    as `columns` says.
    """
    a, b = _both(ours, theirs)
    ours_at, theirs_at = point(a), point(b)
    ours_drawn, theirs_drawn = drawn(a, draws, seed), drawn(b, draws, seed)
    counted = {task: counted_N for task, counted_N in _counted(a).items() if task in tasks and counted_N.any()}
    measures = [
        PairedMetric(
            task,
            metric,
            int(counted_N.sum()),
            len(np.unique(a.group_N[counted_N])),
            ours_at[task][metric],
            theirs_at[task][metric],
            ours_drawn[task][metric] - theirs_drawn[task][metric],
            WITHIN.get(metric, SHARE),
        )
        for task, counted_N in counted.items()
        for metric in HEADLINE[task]
    ]
    known = a.expression_true_N != UNKNOWN
    right = [(data.expression_N == data.expression_true_N)[known] for data in (a, b)]
    affect = ("mae and rmse: lower is better. Valence and arousal: over the images that both answered.",)
    return Paired(
        measures,
        Right("expression", *right) if known.any() else None,
        "subjects",
        affect if {"valence", "arousal"} & set(counted) else (),
    )


def compare(
    ours: Sequence[Any],
    theirs: Sequence[Any],
    against: str,
    seed: int = 0,
    draws: int = DRAWS,
    pairing: Pairing = pair_faces,
    on_shared: bool = False,
) -> dict[str, Any]:
    """Return comparison.json: every headline metric of both, their difference and whether it may be chance.

    Args:
        ours: this run's predictions.
        theirs: another run's on the same records, in any order.
        against: what to call the other run.
        seed: of the resampling.
        draws: resamples.
        pairing: what is measured, and of what resamples.
        on_shared: pair on the records that both scored, and say how many those are. Labels are scored of what a
            generation annotated, without the pilot that it learnt from; answers are given about every record.

    Returns:
        "against", "n", "draws", "over", "remarks", "metrics" (rows of task, metric, n, ours, theirs, difference =
        ours - theirs, ci95, p two-sided, p_holm, drawn_from: how many subjects or pictures; None where undefined or
        from fewer than three of these) and "mcnemar" (None where nothing is simply right or wrong).

    Raises:
        UserError: if the two are not about the same records, or share none, or have not the same truth.
    """
    every = ours, theirs
    if on_shared:
        ours, theirs = _shared(ours, theirs, against)
    paired = pairing(ours, _aligned(ours, theirs, against), seed, draws)
    rows = [_row(measure) for measure in paired.measures]
    tested = [row for row in rows if row["p"] is not None]
    for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = corrected
    return {
        "against": against,
        "n": len(ours),
        "draws": draws,
        "over": paired.over,
        "remarks": [*_left_out(len(ours), *map(len, every)), *paired.remarks],
        "metrics": rows,
        "mcnemar": None if paired.right is None else _discordance(paired.right),
    }


def _row(measure: PairedMetric) -> dict[str, Any]:
    # Rounded, so that sums of the same numbers taken in another order are a tie.
    difference_B = np.round(measure.difference_B, 12)
    ours, theirs = _known(measure.ours), _known(measure.theirs)
    span = measure.within[1] - measure.within[0]
    return {
        "task": measure.task,
        "metric": measure.metric,
        "n": measure.n,
        "ours": ours,
        "theirs": theirs,
        "difference": None if ours is None or theirs is None else ours - theirs,
        "ci95": interval(difference_B, measure.ours - measure.theirs, measure.drawn_from, (-span, span)),
        "p": p_value(difference_B, measure.ours - measure.theirs, measure.drawn_from),
        "p_holm": None,
        "drawn_from": measure.drawn_from,
    }


def mcnemar(only_ours: int, only_theirs: int) -> float:
    """Return McNemar's exact two-sided p-value: are the images that one alone gets right split evenly?

    The binomial distribution is taken as it is, however many they are.

    >>> round(mcnemar(1, 5), 5)
    0.21875
    """
    both = only_ours + only_theirs
    return min(1.0, 2 * float(bdtr(min(only_ours, only_theirs), both, 0.5))) if both else 1.0


def comparison_table(found: Mapping[str, Any], name: str) -> str:
    """Return comparison.json in Markdown, without a title."""
    against = found["against"]
    head = ["Task", "Metric", "n", *map(markdown, (name, against)), "Difference (95 % interval)", "p", "p, Holm"]
    rows = []
    for row in found["metrics"]:
        star = " *" if row["p_holm"] is not None and row["p_holm"] < 0.05 else ""
        cells = [
            row["task"],
            row["metric"],
            str(row["n"]),
            *(with_interval(row[who], None) for who in ("ours", "theirs")),
        ]
        clusters = row.get("drawn_from")  # not in files of earlier releases
        difference = with_signed_interval(row["difference"], row["ci95"], clusters, found["over"])
        cells += [difference + star, _p(row["p"]), _p(row["p_holm"])]
        rows.append(cells)
    lines = [
        markdown_table(head, rows, "llr"),
        "",
        f"Paired bootstrap over {found['over']}, {found['draws']} draws; * p < 0.05 after Holm's correction for the "
        f"{len(found['metrics'])} metrics.",
        *map(markdown, found["remarks"]),
    ]
    if (split := found["mcnemar"]) is not None:
        proviso = "; takes images as independent, the bootstrap does not" if found["over"] == "subjects" else ""
        lines.append(
            f"McNemar, {split['task']}: {split['only_ours']} images right in {name} alone, {split['only_theirs']} in "
            f"{against} alone, p = {_p(split['p'])} (exact{proviso})."
        )
    return "\n".join(lines) + "\n"


def _shared(ours: Sequence[Any], theirs: Sequence[Any], against: str) -> tuple[list[Any], list[Any]]:
    """Return the rows of the records that both scored."""
    both = {row.id for row in ours} & {row.id for row in theirs}
    if not both:
        raise UserError("compare", against, "no record is scored in both", SAME_RECORDS)
    mine, others = ([row for row in rows if row.id in both] for rows in (ours, theirs))
    return mine, others


def _left_out(both: int, ours: int, theirs: int) -> Iterator[str]:
    if {both} != {ours, theirs}:
        yield f"On the {both} records that both scored; {ours - both} of ours and {theirs - both} of the other are not."


def _aligned(ours: Sequence[Any], theirs: Sequence[Any], against: str) -> list[Any]:
    by_id = {row.id: row for row in theirs}
    _refuse_other_ids(against, {row.id for row in ours}, set(by_id))
    for row in ours:
        if _labelled(row.truth) != _labelled(by_id[row.id].truth):
            raise UserError("compare", against, f"the truth of {row.id!r} is another there", SAME_RECORDS)
    return [by_id[row.id] for row in ours]


def _labelled(truth: Any) -> Any:
    """Return the truth that is compared: no AU intensities, which earlier runs did not keep."""
    return truth.model_copy(update={"au_intensity": None}) if isinstance(truth, Labels) else truth


def _refuse_other_ids(against: object, ours: set[str], theirs: set[str]) -> None:
    if ours != theirs:
        example = min(ours ^ theirs)
        problem = f"{len(theirs - ours)} of its ids are not scored here and {len(ours - theirs)} of ours not there"
        raise UserError("compare", against, f"{problem}, such as {example!r}", SAME_RECORDS)


def _both(ours: Sequence[Prediction], theirs: Sequence[Prediction]) -> tuple[Columns, Columns]:
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


def _discordance(right: Right) -> dict[str, Any]:
    ours_N, theirs_N = right.ours_N, right.theirs_N
    only_ours, only_theirs = int((ours_N & ~theirs_N).sum()), int((theirs_N & ~ours_N).sum())
    return {
        "task": right.task,
        "both_right": int((ours_N & theirs_N).sum()),
        "only_ours": only_ours,
        "only_theirs": only_theirs,
        "both_wrong": int((~ours_N & ~theirs_N).sum()),
        "p": mcnemar(only_ours, only_theirs),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _p(value: float | None) -> str:
    return ABSENT if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
