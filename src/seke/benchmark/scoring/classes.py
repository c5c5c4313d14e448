"""Scores of answers that name one of several classes of a picture, unanswered being wrong.

B  bootstrap draws        C  the classes        P  the classes, and unanswered
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seke.core.intervals import SHARE, interval
from seke.core.records import AnswerStatus

DRAWS: Final = 1000
CLASS_SCORES: Final = ("precision", "recall", "f1")
ENOUGH_TO_SUSPECT: Final = 10

Counts = NDArray[np.int64]


def class_metrics(
    task: str,
    classes: Sequence[str],
    pairs: Sequence[tuple[str, str | None]],
    statuses: Sequence[AnswerStatus],
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """Return metrics.json: accuracy and macro F1 in [0, 1] with 95 % intervals, each class's scores, the confusion.

    The pictures have no subjects, so the bootstrap draws pictures, which is to draw the cells of the confusion matrix
    anew from a multinomial.

    Args:
        task: what the scores are called, such as "emotion".
        classes: all of them, in order.
        pairs: truth and answer of each picture whose truth is known; None: unanswered.
        statuses: of all answers, those about pictures of unknown truth among them.
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    place = {name: index for index, name in enumerate(classes)}
    confusion_CP = np.zeros((len(classes), len(classes) + 1), dtype=np.int64)
    for truth, named in pairs:
        confusion_CP[place[truth], len(classes) if named is None else place[named]] += 1
    total = {
        "n": len(statuses),
        "unanswered": {task: int(confusion_CP[:, -1].sum())},
        "status": dict(sorted(Counter(statuses).items())),
        "confusion": {
            "truth": list(classes),
            "predicted": [*classes, "unanswered"],
            "counts": confusion_CP.tolist(),
        },
        **dict.fromkeys(("expression", "action_units", "valence", "arousal")),
        "by_source": {},
    }
    if not pairs:
        article = "an" if task[0] in "aeiou" else "a"
        return {**total, task: None, "ci95": {}, "warnings": [f"no record has {article} {task}: nothing to score"]}
    cells = confusion_CP.ravel()
    resampled = np.random.default_rng(seed).multinomial(len(pairs), cells / cells.sum(), size=draws)
    accuracy_B, f1_B, _ = measures(resampled.reshape(draws, *confusion_CP.shape))
    accuracy, f1, scored = measures(confusion_CP[None])
    n_C = confusion_CP.sum(1)
    found = {
        "accuracy": float(accuracy[0]),
        "f1_macro": float(f1[0]),
        "n": len(pairs),
        "classes": {
            name: {**{key: _number(values[0, index]) for key, values in scored.items()}, "n": int(n_C[index])}
            for name, index in place.items()
        },
    }
    measured = {"accuracy": (accuracy_B, float(accuracy[0])), "f1_macro": (f1_B, float(f1[0]))}
    return {
        **total,
        task: found,
        "ci95": {task: {name: interval(*both, len(pairs), SHARE) for name, both in measured.items()}},
        "warnings": suspicions(task, [named for _, named in pairs]),
    }


def measures(counts_BCP: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return accuracy (B,), macro F1 (B,) over the classes present, and precision, recall and F1 (B, C).

    A class that is absent from the truth is NaN and left out of the mean; precision is NaN where it is never named.
    Without pictures all are NaN.
    """
    right_BC = np.diagonal(counts_BCP, axis1=1, axis2=2).astype(float)
    true_BC, named_BC = counts_BCP.sum(2), counts_BCP[:, :, :-1].sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(named_BC > 0, right_BC / named_BC, np.nan)
        recall = np.where(true_BC > 0, right_BC / true_BC, np.nan)
        f1 = np.where(true_BC > 0, 2 * right_BC / (true_BC + named_BC), np.nan)
        accuracy = right_BC.sum(1) / counts_BCP.sum((1, 2))
        f1_macro = np.nansum(f1, axis=1) / (true_BC > 0).sum(1)
    return accuracy, f1_macro, {"precision": precision, "recall": recall, "f1": f1}


def suspicions(task: str, answers: Sequence[str | None]) -> list[str]:
    """Return a sentence if every answer is the same, or there is none."""
    named = [answer for answer in answers if answer is not None]
    if not named:
        return [f"none of {len(answers)} answers names {'an' if task[0] in 'aeiou' else 'a'} {task}"]
    same = len(named) >= ENOUGH_TO_SUSPECT and len(set(named)) == 1
    return [f"the {task} is {named[0]} in all {len(named)} answers"] if same else []


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
