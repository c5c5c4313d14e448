"""The benchmark's metrics, by torchmetrics: the content of metrics.json.

What counts as what where an answer is missing is decided in `arrays.columns`. A task without truth is None (absent),
never 0; an action unit that no image shows has no F1: None, and left out of the means.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multilabel_f1_score,
)
from torchmetrics.functional.regression import (
    concordance_corrcoef,
    mean_absolute_error,
    mean_squared_error,
    pearson_corrcoef,
)

from seke.benchmark.scoring import intensity
from seke.benchmark.scoring.arrays import AUS, UNANSWERED, UNKNOWN, Columns, columns
from seke.benchmark.scoring.bootstrap import CONSTANT, intervals, statistics, subjects, subjects_showing
from seke.core.affect import EXPRESSIONS, TABLE2_AUS
from seke.core.records import Prediction

CLASSES: Final = len(EXPRESSIONS) + 1
"""The eight expressions and "unanswered"."""
VA: Final = ("valence", "arousal")
ENOUGH_TO_SUSPECT: Final = 10
"""So many equal answers are a model that always says the same, not chance."""


def evaluate(predictions: Sequence[Prediction], draws: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Score predictions: all together, per source, with `draws` bootstrap draws for each 95 % interval.

    Returns:
        "n", "unanswered" (per task, among the images with truth), "expression", "action_units", "valence", "arousal",
        "ci95" (the metrics' keys, [low, high] or None), "subjects" (how many each task's numbers are from, and how
        many show each AU), and besides them "status" (how many answers of each status),
        "confusion" (rows: true expression; columns: predicted, the last one unanswered), "by_source" (the same
        metrics, confusion and intervals for each source) and "warnings". Where truth carries AU intensities also
        "au_intensity" (`intensity.score`), in "unanswered" and "ci95", too.
    """
    every = columns(predictions)
    source_N = np.array([prediction.source for prediction in predictions])
    return {
        **_with_intervals(predictions, every, draws, seed),
        "status": dict(sorted(Counter(prediction.status for prediction in predictions).items())),
        "by_source": {
            str(name): _with_intervals(
                [prediction for prediction in predictions if prediction.source == name],
                every.where(source_N == name),
                draws,
                seed,
            )
            for name in np.unique(source_N)
        },
        "warnings": suspicions(every),
    }


def scores(data: Columns) -> dict[str, Any]:
    """Return n, unanswered and the metrics of the four tasks, without intervals."""
    return {
        "n": len(data),
        "unanswered": unanswered(data),
        "expression": expression(data),
        "action_units": action_units(data),
        **{name: dimension(data, place) for place, name in enumerate(VA)},
    }


def expression(data: Columns) -> dict[str, Any] | None:
    """Return accuracy and macro F1 in [0, 1] over the images whose expression is known; None if there is none.

    The macro F1 is the mean over the expressions present in the truth: a dataset without contempt is not marked down
    for it.
    """
    known = data.expression_true_N != UNKNOWN
    if not known.any():
        return None
    truth, predicted = torch.from_numpy(data.expression_true_N[known]), torch.from_numpy(data.expression_N[known])
    f1_C = multiclass_f1_score(predicted, truth, num_classes=CLASSES, average="none")
    present_C = torch.bincount(truth, minlength=CLASSES) > 0
    return {
        "accuracy": _number(multiclass_accuracy(predicted, truth, num_classes=CLASSES, average="micro")),
        "f1_macro": _number(f1_C[present_C].double().mean()),
        "n": int(known.sum()),
    }


def action_units(data: Columns) -> dict[str, Any] | None:
    """Return the positive-class F1 of each AU in [0, 1], over the images whose source annotates it, and their means.

    `f1_mean_14` is Table 2's "All": the plain mean over its 14 AUs, of those whose F1 is defined; `f1_n_aus` says how
    many these are. An AU that no image shows has no F1, whatever is predicted: 0 would mark a perfect model down, and
    by the sample instead of the model. `annotated`, `active` and `false_alarms` count, for each AU, the images that
    annotate it, those that show it, and those that do not and of which it is predicted. None if no image annotates any.
    """
    annotated = data.au_true_NA != UNKNOWN
    if not annotated.any():
        return None
    predicted, truth = torch.from_numpy(data.au_NA), torch.from_numpy(data.au_true_NA)
    values = multilabel_f1_score(predicted, truth, num_labels=len(AUS), average="none", ignore_index=UNKNOWN)
    active = data.au_true_NA == 1
    false_alarms = annotated & ~active & (data.au_NA == 1)
    f1 = {au: _number(values[place]) if active[:, place].any() else None for place, au in enumerate(AUS)}
    in_14, in_17 = _known(f1[au] for au in TABLE2_AUS), _known(f1.values())
    return {
        "f1": {str(au): value for au, value in f1.items()},
        "f1_mean_14": _mean(in_14),
        "f1_mean_17": _mean(in_17),
        "f1_n_aus": {"f1_mean_14": len(in_14), "f1_mean_17": len(in_17)},
        **{
            name: {str(au): int(counted[:, place].sum()) for place, au in enumerate(AUS)}
            for name, counted in (("annotated", annotated), ("active", active), ("false_alarms", false_alarms))
        },
        "n": int(annotated.any(1).sum()),
    }


def dimension(data: Columns, place: int) -> dict[str, Any] | None:
    """Return the errors of valence (`place` 0) or arousal (1) over the answered images whose truth is known.

    The paper names MAE and describes RMSE, so both are here. CCC (Lin 1989) is taken with sample variances, is 0 for
    constant predictions or truth and None for fewer than two answers; Pearson's correlation of what does not vary is
    undefined: None. `n` counts the images with truth, answered or not. None if there is no truth.

    Who stays silent on hard images has smaller errors, so beside them stand `coverage`, the answered share of `n` in
    [0, 1]; `mae_over_all`, over all n images, silence counted as the answer `constant`, the median of
    the truth (no other constant has a smaller MAE); and `at_worst`, the same errors if every missing answer were the
    end of the scale that lies farther from the truth (`rules.competing`).
    """
    truth, said = data.va_true_N2[:, place], data.va_N2[:, place]
    known = ~np.isnan(truth)
    if not known.any():
        return None
    truth, said = truth[known], said[known]
    silent = np.isnan(said)
    constant = float(np.median(truth))
    filled, worst = np.where(silent, constant, said), np.where(silent, np.where(truth > 0, -1.0, 1.0), said)
    return {
        **_errors(said[~silent], truth[~silent]),
        "n": len(truth),
        "coverage": 1 - float(silent.mean()),
        "constant": constant,
        "mae_over_all": _errors(filled, truth)["mae"],
        "at_worst": _errors(worst, truth),
    }


def unanswered(data: Columns) -> dict[str, int]:
    """Count, per task, the images that have truth but no answer; for AUs, answers that name no AU at all."""
    missing_va = np.isnan(data.va_N2) & ~np.isnan(data.va_true_N2)
    return {
        "expression": int(((data.expression_true_N != UNKNOWN) & (data.expression_N == UNANSWERED)).sum()),
        "action_units": int(((data.au_true_NA != UNKNOWN).any(1) & ~data.au_answered_N).sum()),
        **{name: int(missing_va[:, place].sum()) for place, name in enumerate(VA)},
    }


def confusion(data: Columns) -> dict[str, Any] | None:
    """Return counts of true expression (rows) by predicted expression (columns, the last one unanswered)."""
    known = data.expression_true_N != UNKNOWN
    if not known.any():
        return None
    truth, predicted = torch.from_numpy(data.expression_true_N[known]), torch.from_numpy(data.expression_N[known])
    matrix = multiclass_confusion_matrix(predicted, truth, num_classes=CLASSES)[: len(EXPRESSIONS)]
    return {"truth": list(EXPRESSIONS), "predicted": [*EXPRESSIONS, "unanswered"], "counts": matrix.tolist()}


def suspicions(data: Columns) -> list[str]:
    """Return a sentence for each task to which every answer is the same, or none at all; the scores stand."""
    known = {task: int(known_N.sum()) for task, known_N in data.known().items()}
    if not any(known.values()):
        return ["no record has a label: there is nothing to score"]
    missing = unanswered(data)
    silent: dict[int, list[str]] = {}
    for task, count in known.items():
        if 0 < count == missing[task]:
            silent.setdefault(count, []).append(task)
    found = [f"none of {count} answers states {', '.join(tasks)}" for count, tasks in silent.items()]
    answered = data.expression_N[(data.expression_N != UNANSWERED) & (data.expression_true_N != UNKNOWN)]
    aus = data.au_NA[data.au_answered_N & (data.au_true_NA != UNKNOWN).any(1)]
    if len(answered) >= ENOUGH_TO_SUSPECT and (answered == answered[0]).all():
        found.append(f"expression is {EXPRESSIONS[answered[0]]} in all {len(answered)} answers")
    if len(aus) >= ENOUGH_TO_SUSPECT and (aus == aus[0]).all():
        active = ", ".join(f"AU{AUS[place]}" for place in aus[0].nonzero()[0]) or "none"
        found.append(f"the active action units are the same ({active}) in all {len(aus)} answers")
    for place, name in enumerate(VA):
        values = data.va_N2[~np.isnan(data.va_N2 + data.va_true_N2)[:, place], place]
        if len(values) >= ENOUGH_TO_SUSPECT and (values == values[0]).all():
            found.append(f"{name} is {values[0]:.2f} in all {len(values)} answers")
    return found


def _with_intervals(predictions: Sequence[Prediction], data: Columns, draws: int, seed: int) -> dict[str, Any]:
    found = scores(data)
    bounds = intervals(data, draws, seed)
    sums = statistics(data)
    ci95 = {task: value for task, value in bounds.items() if found[task] is not None}
    if rated := intensity.rated(predictions, data.group_N):
        found[intensity.TASK], ci95[intensity.TASK], found["unanswered"][intensity.TASK] = intensity.score(
            rated, draws, seed
        )
    counts = {**subjects(sums), "f1": subjects_showing(sums)}
    return {**found, "confusion": confusion(data), "ci95": ci95, "subjects": counts}


def _errors(said: NDArray[np.float64], true: NDArray[np.float64]) -> dict[str, float | None]:
    predicted, truth = torch.from_numpy(said), torch.from_numpy(true)
    pairs = len(truth)
    return {
        "mae": _number(mean_absolute_error(predicted, truth)) if pairs else None,
        "rmse": _number(mean_squared_error(predicted, truth, squared=False)) if pairs else None,
        "ccc": _ccc(predicted, truth) if pairs > 1 else None,
        "pearson": _pearson(predicted, truth) if pairs > 1 else None,
    }


def _ccc(predicted: Tensor, truth: Tensor) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchmetrics warns of what we define: constant means 0
        value = _number(concordance_corrcoef(predicted, truth))
    return 0.0 if value != value else value


def _pearson(predicted: Tensor, truth: Tensor) -> float | None:
    if min(predicted.var().item(), truth.var().item()) <= CONSTANT:
        return None
    return _number(pearson_corrcoef(predicted, truth))


def _number(value: Tensor) -> float:
    return float(value.item())


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
