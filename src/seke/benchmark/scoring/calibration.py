"""Calibration of a generate run: how far each label's confidence can be trusted, with intervals by subject.

Expression and action units are right or wrong; valence and arousal are right where `near` the truth, which is what a
generate run's confidence means there. A run without confidences has draws that agree or not: 1 - uncertainty ranks
its labels (AURC), but is no probability, so ECE and Brier are None.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from seke.benchmark.answer import Answer
from seke.benchmark.scoring.calibration_metrics import aurc, brier, ece, excess_aurc
from seke.core.intervals import interval
from seke.core.records import Prediction
from seke.core.rules import near

TASKS: Final = ("expression", "action_units", "valence", "arousal")
DRAWS: Final = 200
"""Of the bootstrap: each sorts all labels anew."""


class Judged(NamedTuple):
    """One generated label beside the truth."""

    subject: str
    right: bool
    confidence: float | None
    """P(right) as the generate run states it, in [0, 1]."""
    score: float | None
    """The confidence, or 1 - uncertainty in its place."""


def trust(
    predictions: Sequence[Prediction], answers: Mapping[str, Answer], seed: int = 0, draws: int = DRAWS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return per task ece, brier, aurc, excess_aurc and n, and their intervals; None where nothing ranks the labels."""
    found: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for task in TASKS:
        labels = [label for row in predictions for label in judged(row, answers[row.id], task)]
        ranked = [label for label in labels if label.score is not None]
        found[task] = {**measures(ranked), "n": len(ranked)} if ranked else None
        bounds[task] = _intervals(ranked, found[task], seed, draws) if ranked else None
    return found, bounds


def judged(row: Prediction, answer: Answer, task: str) -> Iterator[Judged]:
    """Yield every label of a task whose truth is known."""
    subject = f"{row.source}/{row.subject}" if row.subject is not None else row.id
    stated = (answer.confidence or {}).get(task)
    doubt = getattr(answer.uncertainty, task)
    agreement = None if doubt is None else 1 - doubt
    if task == "action_units":
        predicted = row.labels.action_units or {}
        for au, active in (row.truth.action_units or {}).items():
            if au in predicted:
                p = (stated or {}).get(str(au))
                yield Judged(subject, predicted[au] == active, p, agreement if p is None else p)
        return
    label, truth = getattr(row.labels, task), getattr(row.truth, task)
    if label is not None and truth is not None:
        right = label == truth if task == "expression" else near(label, truth)
        yield Judged(subject, right, stated, agreement if stated is None else stated)


def measures(labels: Sequence[Judged]) -> dict[str, float | None]:
    """Return ECE and Brier where all labels have a confidence, AURC and its excess over the best ranking."""
    right_N = np.array([label.right for label in labels])
    score_N = np.array([label.score for label in labels], dtype=float)
    sure = all(label.confidence is not None for label in labels)
    return {
        "ece": ece(score_N, right_N) if sure else None,
        "brier": brier(score_N, right_N) if sure else None,
        "aurc": aurc(score_N, right_N),
        "excess_aurc": excess_aurc(score_N, right_N),
    }


def _intervals(
    labels: Sequence[Judged], values: Mapping[str, float | None], seed: int, draws: int
) -> dict[str, list[float] | None]:
    """Return the interval of each measure over resampled subjects; None where it is unknown or of one subject."""
    by_subject: dict[str, list[Judged]] = {}
    for label in labels:
        by_subject.setdefault(label.subject, []).append(label)
    groups, rng = list(by_subject.values()), np.random.default_rng(seed)
    drawn = [
        measures([label for group in rng.integers(len(groups), size=len(groups)) for label in groups[group]])
        for _ in range(draws if len(groups) > 1 else 0)
    ]

    def interval_of(name: str) -> list[float] | None:
        value, resampled_B = values[name], np.array([found[name] for found in drawn], dtype=float)  # None is NaN there
        return None if value is None else interval(resampled_B, value, len(groups))

    return {name: interval_of(name) for name in ("ece", "brier", "aurc", "excess_aurc")}
