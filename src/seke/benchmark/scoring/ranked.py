"""Measures by which a leaderboard compares systems, each in the same resamples of the subjects.

Systems that answered about the same records have the same subjects in the same order, so under one seed they are drawn
alike: the difference of two systems' replicates is that of a paired bootstrap, and nobody needs the other's answers.

    N  images        G  subjects        B  draws        C  classes
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.protocol import RankedMetric
from seke.benchmark.scoring.arrays import Columns, columns
from seke.benchmark.scoring.bootstrap import WITHIN, drawn, point, resampled, statistics, subjects
from seke.benchmark.scoring.classes import measures
from seke.core.intervals import SHARE
from seke.core.records import Prediction
from seke.core.rules import MEASURES, competing

DRAWS: Final = 1000
VA: Final = ("valence", "arousal")


def ranked_faces(
    predictions: Sequence[Prediction], seed: int, draws: int = DRAWS, tasks: Collection[str] | None = None
) -> list[RankedMetric]:
    """Return those of Table 2's measures whose truth is known, of `tasks` or of all.

    A missing valence or arousal competes as `rules.competing` says: as wrong as can be, and not at all where too many
    are missing.
    """
    data = columns(predictions)
    known = data.known()
    shown = [measure for measure in MEASURES if (tasks is None or measure.task in tasks) and known[measure.task].any()]
    worst = _at_worst(data)
    values, rivals, drawn_as = point(data), point(worst), drawn(worst, draws, seed)
    counts = subjects(statistics(worst))
    found = []
    for measure in shown:
        task, metric = measure.task, measure.metric
        coverage = _coverage(data, VA.index(task)) if task in VA else 1.0
        rival = competing(rivals[task][metric], coverage, rivals[task][metric])
        found.append(
            RankedMetric(
                measure.key,
                measure.title,
                measure.better,
                measure.scale == 100,
                values[task][metric],
                np.nan if rival is None else rival,
                drawn_as[task][metric],
                int(known[task].sum()),
                counts[task],
                coverage,
                WITHIN.get(metric, SHARE),
            )
        )
    return found


def ranked_classes(
    task: str,
    classes: Sequence[str],
    answered: Sequence[tuple[str, str | None, str | None]],
    seed: int,
    draws: int = DRAWS,
) -> list[RankedMetric]:
    """Return accuracy and macro F1 of answers that name one of several classes; unanswered is wrong.

    Args:
        task: what the scores are called.
        classes: all of them, in order.
        answered: of every record the subject, or the record's id where it has none, its true class (None: unknown,
            and it does not count) and the one that was named (None: unanswered).
        seed: of the resampling.
        draws: resamples.
    """
    counts_GK = _cells(classes, answered)
    shape = (len(classes), len(classes) + 1)
    if not counts_GK.any():
        return []
    accuracy, f1, _ = measures(counts_GK.sum(0).reshape(1, *shape).astype(np.int64))
    drawn_BK = resampled({"cells": counts_GK}, draws, seed)["cells"]
    accuracy_B, f1_B, _ = measures(drawn_BK.reshape(draws, *shape).astype(np.int64))
    n, groups = int(counts_GK.sum()), int(np.count_nonzero(counts_GK.sum(1)))

    def metric(key: str, title: str, found: float, drawn_B: NDArray[np.float64]) -> RankedMetric:
        return RankedMetric(
            f"{task}.{key}", f"{task.capitalize()} {title}, %", "high", True, found, found, drawn_B, n, groups
        )

    return [
        metric("accuracy", "accuracy", float(accuracy[0]), accuracy_B),
        metric("f1_macro", "macro F1", float(f1[0]), f1_B),
    ]


def _cells(classes: Sequence[str], answered: Sequence[tuple[str, str | None, str | None]]) -> NDArray[np.float64]:
    """Return each subject's confusion matrix as a row, (G, C * (C + 1)), the last column of a matrix unanswered."""
    place = {name: index for index, name in enumerate(classes)}
    groups: dict[str, int] = {}
    group_N = np.array([groups.setdefault(subject, len(groups)) for subject, _, _ in answered], dtype=np.int64)
    width = len(classes) + 1
    cell_N = np.array(
        [
            -1 if truth is None else place[truth] * width + (len(classes) if named is None else place[named])
            for _, truth, named in answered
        ],
        dtype=np.int64,
    )
    counts_GK = np.zeros((len(groups), len(classes) * width))
    counted_N = cell_N >= 0
    np.add.at(counts_GK, (group_N[counted_N], cell_N[counted_N]), 1)
    return counts_GK


def _at_worst(data: Columns) -> Columns:
    """Return the same with each missing valence or arousal at the end of the scale that lies farther from the truth."""
    farther_N2 = np.where(data.va_true_N2 > 0, -1.0, 1.0)
    missing_N2 = np.isnan(data.va_N2) & ~np.isnan(data.va_true_N2)
    return replace(data, va_N2=np.where(missing_N2, farther_N2, data.va_N2))


def _coverage(data: Columns, place: int) -> float:
    known_N = ~np.isnan(data.va_true_N2[:, place])
    return float((~np.isnan(data.va_N2[known_N, place])).mean())
