"""One evaluation, looked at from end to end before anything is asked or paid for: every mistake is told here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seke.benchmark import contamination, groups, importing, predict, significance
from seke.benchmark.answer import Answer
from seke.records import ImageRecord


class Task(NamedTuple):
    """What is to be done."""

    records: Sequence[ImageRecord]
    inputs: Mapping[str, Path]
    """The files that decide the result, by name."""
    answers: Mapping[str, Answer] | None
    """By record id, where they were made elsewhere; None: a model is to be asked."""
    scoring: Mapping[str, Any]
    """What `score` is told beside answers and records: whom to compare with, groups, why not comparable."""
    remarks: tuple[str, ...]
    """What a reader of the table should know, such as what could not be checked."""


def check(benchmark: Any, outputs: Path, settings: Mapping[str, Any], model: str | None) -> Task:
    """Return the task that the settings of conf/evaluate.yaml describe.

    Args:
        benchmark: of conf/benchmark.
        outputs: where names of runs are looked up.
        settings: records, limit, predictions, predictions_fields, compare, groups, allow_overlap, paths.images.
        model: the checkpoint that is asked: a directory or a Hub id; None for a model behind an API.

    Raises:
        UserError: if a file is missing or broken, or training and test set overlap.
    """
    elsewhere = settings["predictions"] is not None
    inputs = predict.inputs(benchmark, outputs, settings["records"], settings["predictions"], settings["compare"])
    every = predict.planned(benchmark, inputs, settings["paths"]["images"])
    records = predict.evenly(every, settings["limit"])
    groups.check(settings["groups"], records, benchmark)
    against, answers, remarks = None, None, tuple[str, ...]()
    if "compare" in inputs:
        asked = {record.id for record in records}
        rows = significance.rival(inputs["compare"], asked, every=benchmark.request is not None)
        against = (str(settings["compare"]), rows)
    answerer, argument = model, "model.path"
    if elsewhere:
        known = {record.id for record in every}
        given = importing.read(inputs["predictions"], known, settings["predictions_fields"])
        answers, remarks = given.answers, tuple(given.remarks)
        answerer, argument = contamination.answered_by(inputs["predictions"]), "predictions"
    elif model:
        inputs |= predict.weights(model)
    seen = contamination.Finding()
    if benchmark.request is not None:  # else labels are scored, and no model was tested
        seen = contamination.check(records, answerer, outputs, settings["allow_overlap"], argument)
    scoring = {"against": against, "groups": list(settings["groups"]), "marks": seen.notes}
    return Task(records, inputs, answers, scoring, (*seen.remarks, *remarks))
