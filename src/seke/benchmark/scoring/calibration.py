"""Calibration of a generate run: how far each label's confidence can be trusted, with intervals by subject.

Expression and action units are right or wrong; valence and arousal are right where `near` the truth, which is what a
generate run's confidence means there. A run without confidences has draws that agree or not: 1 - uncertainty ranks
its labels (AURC), but is no probability, so ECE and Brier are None, and there is no test.

    N  labels        G  subjects
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.answer import Answer
from seke.benchmark.scoring.calibration_metrics import aurc, brier, calibration_p, ece, ece_debiased, least_aurc
from seke.core.intervals import CORRELATION, ERROR, FEWEST, interval
from seke.core.records import Prediction
from seke.core.rules import near

TASKS: Final = ("expression", "action_units", "valence", "arousal")
DRAWS: Final = 400
"""Of the bootstrap: each sorts all labels anew."""
WITHIN: Final = {
    "ece": ERROR, "ece_debiased": CORRELATION, "brier": ERROR, "aurc": ERROR, "excess_aurc": ERROR
}  # fmt: skip
"""The measures, and what values they can have."""


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
    """Return what each task's confidences are worth; None where nothing ranks its labels.

    Returns:
        Per task the measures of `WITHIN`, "calibration_p" (of `calibration_metrics.calibration_p`; None where no label
        has a confidence, or of fewer than three subjects), "n" labels and "subjects"; and the measures' intervals.
    """
    found: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for task in TASKS:
        labels = [label for row in predictions for label in judged(row, answers[row.id], task)]
        ranked = [label for label in labels if label.score is not None]
        if not ranked:
            found[task] = bounds[task] = None
            continue
        data = _Labels.of(ranked)
        values = measures(data)
        found[task] = {
            **{name: None if np.isnan(value) else value for name, value in values.items()},
            "calibration_p": calibration_p(data.score_N, data.right_N, data.group_N, seed) if data.sure else None,
            "n": len(ranked),
            "subjects": data.subjects,
        }
        bounds[task] = _intervals(data, values, seed, draws)
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


class _Labels(NamedTuple):
    """Judged labels as arrays."""

    score_N: NDArray[np.float64]
    right_N: NDArray[np.bool_]
    group_N: NDArray[np.intp]
    """Whose label it is, 0 to subjects - 1."""
    sure: bool
    """Whether all scores are confidences."""

    @classmethod
    def of(cls, labels: Sequence[Judged]) -> "_Labels":
        return cls(
            np.array([label.score for label in labels], dtype=float),
            np.array([label.right for label in labels]),
            np.unique([label.subject for label in labels], return_inverse=True)[1],
            all(label.confidence is not None for label in labels),
        )

    @property
    def subjects(self) -> int:
        return int(self.group_N.max()) + 1

    def resampled(self, draws: int, seed: int) -> Iterator["_Labels"]:
        """Yield the labels of as many subjects, drawn with replacement; one who is drawn twice stays one subject.

        They come in the order of their scores, which is found once.
        """
        order_N = np.argsort(self.score_N, kind="stable")
        rng, group_N = np.random.default_rng(seed), self.group_N[order_N]
        for _ in range(draws):
            times_G = np.bincount(rng.integers(self.subjects, size=self.subjects), minlength=self.subjects)
            chosen = np.repeat(order_N, times_G[group_N])
            yield _Labels(self.score_N[chosen], self.right_N[chosen], self.group_N[chosen], self.sure)


def measures(data: _Labels) -> dict[str, float]:
    """Return ECE and Brier where all labels have a confidence, AURC and its excess over the best ranking, else NaN."""
    scored = data.score_N, data.right_N
    ranked = aurc(*scored)
    return {
        "ece": ece(*scored) if data.sure else np.nan,
        "ece_debiased": ece_debiased(*scored, data.group_N) if data.sure else np.nan,
        "brier": brier(*scored) if data.sure else np.nan,
        "aurc": ranked,
        "excess_aurc": ranked - least_aurc(data.right_N),
    }


def _intervals(data: _Labels, values: Mapping[str, float], seed: int, draws: int) -> dict[str, list[float] | None]:
    """Return the interval of each measure over resampled subjects; None where it is unknown or of too few."""
    drawn = [measures(sample) for sample in data.resampled(draws if data.subjects >= FEWEST else 0, seed)]
    return {
        name: interval(np.array([found[name] for found in drawn], dtype=float), values[name], data.subjects, within)
        for name, within in WITHIN.items()
    }
