"""Checks of an evaluation's settings and files, from end to end, before anything is asked or paid for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seke.benchmark.answer import Answer
from seke.benchmark.judging.judge import parse
from seke.benchmark.protocol import Attributed, Benchmark, Compared, Planned, Reading, predicted
from seke.benchmark.run import contamination, import_predictions, predict
from seke.benchmark.scoring import significance, subgroups
from seke.core import old_runs, plugins, runs, small_data
from seke.core.errors import UserError
from seke.core.escape import shortened
from seke.core.limit import checked, limited
from seke.core.records import ImageRecord, Labels, Prediction
from seke.core.shown import with_frames


class Task(NamedTuple):
    """What is to be done."""

    records: Sequence[ImageRecord]
    inputs: Mapping[str, Path]
    """The files that decide the result, by name."""
    answers: Mapping[str, Answer] | None
    """By record id, where they were made elsewhere; None: a model is to be asked."""
    scoring: Mapping[str, Any]
    """Arguments of `score` beside answers and records: predictions to compare with, groups, who answered, notes."""
    remarks: tuple[str, ...]
    """What a reader of the table should know, such as what could not be checked."""


def files_of(
    benchmark: Benchmark, outputs: Path, records: str, predictions: str | None, compare: str | None
) -> dict[str, Path]:
    """Return the files of a run by name: its records, and the predictions to score or to compare with if given.

    Raises:
        UserError: if one is not there, or predictions are wanted and not given.
    """
    if predictions is None and benchmark.request is None:
        raise UserError("predictions", None, "this benchmark asks no model", "name the generate run to score")
    if compare is not None and significance.pairing_of(benchmark) is None:
        raise UserError("compare", compare, "this benchmark does not say what to compare", "leave compare= out")
    given = {
        "predictions": (predictions, *benchmark.predictions_from),
        "compare": (compare, "evaluate", "predictions.jsonl"),
        **(benchmark.reads if isinstance(benchmark, Reading) else {}),
    }
    found = {"records": runs.locate_records(str(records), outputs, benchmark.records_file)}
    others = {name: where for name, where in given.items() if where[0] is not None}
    return found | {name: runs.locate(name, str(where[0]), outputs, *where[1:]) for name, where in others.items()}


def check(benchmark: Benchmark, outputs: Path, settings: Mapping[str, Any], model: str | None) -> Task:
    """Return the task that the settings of conf/evaluate.yaml describe.

    Args:
        benchmark: of conf/benchmark.
        outputs: where names of runs are looked up.
        settings: records, limit, shown, seed, predictions, predictions_fields, compare, groups, allow_overlap,
            paths.images. Nothing but the records that `limit` leaves is judged, compared, counted or paid for.
        model: the checkpoint that is asked: a directory or a Hub id; None for a model behind an API.

    Raises:
        UserError: if a file is missing or broken, if nothing can be scored, or training and test set overlap.
    """
    plugins.require("benchmark", benchmark, "predictions", "table")
    elsewhere = settings["predictions"] is not None
    inputs = files_of(benchmark, outputs, settings["records"], settings["predictions"], settings["compare"])
    every = predict.planned(benchmark, inputs, settings["paths"]["images"])
    most = checked(settings["limit"])
    records = [with_frames(record, settings.get("shown")) for record in limited(every, most, settings["seed"])]
    keys = subgroups.keys_of(settings["groups"])
    subgroups.check(keys, records, benchmark)
    _check_truth(benchmark, records, inputs["records"])
    against, answers, remarks = None, None, tuple[str, ...]()
    noted, models, simulated = tuple[str, ...](), tuple[str, ...](), None
    if "compare" in inputs:
        asked = {record.id for record in records}
        row = benchmark.row if isinstance(benchmark, Compared) else Prediction
        every_record, limit = benchmark.request is not None, most is not None
        rows = significance.other_predictions(inputs["compare"], asked, every_record, row, limit)
        against = (str(settings["compare"]), rows)
    answerer, argument = model, "model.path"
    if elsewhere:
        known, scored = ({record.id for record in rows} for rows in (every, records))
        given = import_predictions.read(inputs["predictions"], known, settings["predictions_fields"], scored)
        answers, remarks = given.answers, (*_missing(benchmark, records, given.answers), *given.remarks)
        answerer, argument = contamination.answered_by(inputs["predictions"], outputs), "predictions"
        # The rows of predictions.jsonl do not name who answered; what cannot be checked anew was perhaps noted then.
        made = runs.manifest_beside(inputs["predictions"])
        models, simulated = tuple(made.get("models", ())), made.get("simulated")
        noted = contamination.noted_overlaps(made) if answerer is None else ()
    elif model:
        weights = predict.weights(model)
        inputs |= weights
        made, sources = runs.manifest_beside(inputs["records"]), {record.source for record in records}
        drawn = old_runs.synthetic(made.get("synthetic"), inputs["records"].parent, sources)
        if advice := small_data.drawings_only(small_data.size_of(weights.values()), drawn):
            remarks = (*remarks, advice)
    seen = contamination.Finding()
    if benchmark.request is not None:  # else labels are scored, and no model was tested
        seen = contamination.check(records, answerer, outputs, settings["allow_overlap"], argument)
    caveats = (*seen.notes, *noted)
    scoring = {
        "against": against,
        "groups": keys,
        "caveats": caveats,
        "models": models,
        "simulated": simulated,
    }
    return Task(records, inputs, answers, scoring, (*seen.remarks, *remarks))


def _check_truth(benchmark: Benchmark, records: Sequence[ImageRecord], file: Path) -> None:
    if benchmark.request is None or isinstance(benchmark, Planned):
        return  # labels that a generate run masked are known once its rows are; a plan takes only what can be judged
    rows, _ = predicted(benchmark, records, {}, parse)
    if all(row.truth.empty if isinstance(row.truth, Labels) else row.truth is None for row in rows):
        problem = f"none of {len(records)} records has a label that this benchmark scores{_lacking(benchmark, records)}"
        raise UserError("records", file, problem, "give annotated records, or ask about one picture with image=")


def _lacking(benchmark: Benchmark, records: Sequence[ImageRecord]) -> str:
    """Return what the records have in place of the attribute that is scored, as a message goes on."""
    if not isinstance(benchmark, Attributed):
        return ""
    told = sorted(
        {str(value) for record in records if (value := record.attributes.get(benchmark.attribute)) is not None}
    )
    if not told:
        return f": attributes.{benchmark.attribute}"
    return f": attributes.{benchmark.attribute} is {shortened(', '.join(told), 100)}, none of its classes"


def _missing(benchmark: Benchmark, records: Sequence[ImageRecord], answers: Mapping[str, Answer]) -> tuple[str, ...]:
    lacking = sum(record.id not in answers for record in records)
    if not lacking or benchmark.request is None:  # a generate run annotates a part of the records, and is asked for it
        return ()
    return (f"{lacking} of {len(records)} records have no prediction: unanswered",)
