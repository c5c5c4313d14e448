"""The benchmark protocol: the members that every benchmark has, and those it may have, with what their absence means.

    records -> request -> a model's answers -> predictions (a judge reads the labels) -> metrics -> table

A benchmark is one class in one file and one YAML in conf/benchmark/; it inherits from nothing here. What it leaves out
of the optional Protocols is done as for FEAB, whose rows are `seke.core.records.Prediction`:

    Planned    every record is asked about
    Asking     each with the same question
    Reading    it reads the records alone
    Attributed its truth is the labels of faces
    Measured   the labels of faces: Table 2's measures and FEAB's notes
    Compared   all labels of faces; nothing, for a benchmark that is Measured
    Grouped    Table 2's four measures by group; nothing, for a benchmark that is Measured
    Calibrated its answers say nothing of how sure they are
    Published  nobody released its images
    Ranked     no leaderboard has rows of it
    Pays       it asks no model of its own
    Writes     metrics.json and table.md are all its files
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.release import Release
from seke.core import plugins
from seke.core.intervals import ANY, SHARE
from seke.core.records import AnswerStatus, ImageRecord
from seke.core.vlm import VLM, Image, Request

Wrap = Callable[[str, VLM], VLM]
"""(role, backend) -> what takes its place, such as a meter."""
Reference = tuple[str | None, str, str]
"""What a setting names: a run or a file (None: nothing), and the command and the file that a run's name stands for."""

NEEDED: Final = ("n", "unanswered", "ci95", "warnings")
"""What metrics.json always has."""


class Row(Protocol):
    """One row of predictions.jsonl, a pydantic model; each benchmark has a kind of its own."""

    @property
    def id(self) -> str:
        """Of the record."""
        ...

    @property
    def text(self) -> str:
        """What the model said."""
        ...

    @property
    def judged(self) -> str | None:
        """The answer as a judge rewrote it; None where it was read as it stands."""
        ...

    @property
    def truth(self) -> Any:
        """What is right: `Labels`, or one label; None where nobody knows. Two runs are compared only if it is equal."""
        ...

    @property
    def status(self) -> AnswerStatus:
        """What became of the answer."""
        ...


@runtime_checkable
class Benchmark(Protocol):
    """What conf/benchmark/ offers."""

    @property
    def records_file(self) -> str:
        """The file that a prepared set's name in `records=` stands for, such as test.jsonl."""
        ...

    @property
    def predictions_from(self) -> tuple[str, str]:
        """The command and the file that a name in `predictions=` stands for, such as evaluate, predictions.jsonl."""
        ...

    @property
    def request(self) -> Callable[[Image], Request] | None:
        """Return the question about one image; a benchmark that asks no model, and scores `predictions=`, has None."""
        ...

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: "Judge"
    ) -> tuple[Sequence[Any], int]:
        """Return the rows to score, and how many records have no answer.

        Args:
            records: all that count. Of a model's answers there is a row for each of them, in their order: one without
                an answer counts as unanswered.
            answers: by record id; may lack some.
            judge: reads the labels of faces from one answer.

        Returns:
            Rows (`Row`), and the number of records that `answers` says nothing of.
        """
        ...

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md of the run `name`; `notes` say why the numbers may not be held against the paper's."""
        ...


@runtime_checkable
class Planned(Protocol):
    """A benchmark with a question of its own for each record, so that a single picture cannot be asked about."""

    def plan(self, records: Sequence[ImageRecord], root: Path, files: Mapping[str, Path]) -> Sequence[ImageRecord]:
        """Return the records that a question is asked about, before `request` is asked for any.

        Args:
            records: of the file.
            root: the folder below which their images lie.
            files: the run's input files by name, those of `reads` among them.

        Raises:
            UserError: if the benchmark can do nothing with the records.
        """
        ...


@runtime_checkable
class Asking(Protocol):
    """A benchmark whose question is the record's own: one picture may stand under several."""

    def ask(self, record: ImageRecord, image: Image) -> Request:
        """Return the question about a record, which shows `image`: its picture, or its clip."""
        ...


@runtime_checkable
class Attributed(Protocol):
    """A benchmark whose truth is an attribute of the records."""

    @property
    def attribute(self) -> str:
        """The attribute's name."""
        ...


@runtime_checkable
class Reading(Protocol):
    """A benchmark that reads files beside the records; they count among the run's inputs."""

    @property
    def reads(self) -> Mapping[str, Reference]:
        """What is read, by name."""
        ...


@runtime_checkable
class Measured(Protocol):
    """A benchmark that counts something else than the labels of faces."""

    def metrics(self, predictions: Sequence[Any], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json, which has at least what is `NEEDED`.

        Args:
            predictions: the benchmark's own rows.
            seed: of the bootstrap.
        """
        ...

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run's numbers cannot be held against the paper's; empty if nothing is known to differ."""
        ...

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print the metrics that a reader compares."""
        ...


class PairedMetric(NamedTuple):
    """One metric of two models, and what it is in every resample of both."""

    task: str
    metric: str
    n: int
    """Images that count."""
    drawn_from: int
    """Subjects among these, or images where these have no subjects: what is resampled."""
    ours: float
    theirs: float
    """NaN where undefined."""
    difference_B: NDArray[np.float64]
    """ours - theirs, (B,); NaN where undefined."""
    within: tuple[float, float] = ANY
    """The least and the greatest value of `ours` and `theirs`."""


class Right(NamedTuple):
    """Which images of known truth each model gets right, (N,) each: what McNemar's test asks."""

    task: str
    ours_N: NDArray[np.bool_]
    theirs_N: NDArray[np.bool_]


class Paired(NamedTuple):
    """Two models' predictions, measured on the same images."""

    measures: Sequence[PairedMetric]
    right: Right | None
    """None where nothing is simply right or wrong."""
    over: str
    """What is resampled: "subjects", "pictures" or "clips"."""
    remarks: tuple[str, ...] = ()
    """What a reader of the table should know."""


@runtime_checkable
class Compared(Protocol):
    """A benchmark that says itself what of two runs is compared."""

    row: type[BaseModel]
    """Of its predictions.jsonl; see `Row`."""

    def paired(self, ours: Sequence[Any], theirs: Sequence[Any], seed: int, draws: int) -> Paired:
        """Return what is measured of both, which are about the same records in the same order."""
        ...


class GroupMetric(NamedTuple):
    """One metric of one group."""

    value: float
    """NaN where undefined."""
    drawn_B: NDArray[np.float64]
    """The same in every resample, (B,); all groups are of the same resamples."""
    n: int
    """Images with truth."""
    drawn_from: int
    """Subjects among these, or images where these have no subjects."""
    within: tuple[float, float] = ANY
    """The least and the greatest value that there can be."""


GroupMetrics = Mapping[str, GroupMetric]
"""One group, by metric."""


@runtime_checkable
class Grouped(Protocol):
    """A benchmark that says itself what of its groups is measured."""

    def grouped(
        self, predictions: Sequence[Any], groups_N: NDArray[Any], seed: int, draws: int, fewest: int
    ) -> tuple[Mapping[str, GroupMetrics], Mapping[str, Any]]:
        """Return each group's measures, and what else metrics.json is to hold.

        Args:
            predictions: the benchmark's own rows, N.
            groups_N: the name of each one's group.
            seed: of the resampling.
            draws: resamples, the same for all groups.
            fewest: images with truth below which a group is no end of a gap.
        """
        ...


@runtime_checkable
class Calibrated(Protocol):
    """A benchmark whose answers say how sure they are."""

    def trust(
        self, predictions: Sequence[Any], answers: Mapping[str, Answer], seed: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return metrics.json's "calibration", and the same keys' intervals; both empty where no answer says it."""
        ...


@runtime_checkable
class Published(Protocol):
    """A benchmark of faces whose images somebody released: only on these are two people's numbers comparable."""

    @property
    def released(self) -> Release | None:
        """The released images; None where nobody gave a list of them."""
        ...

    @property
    def prevalence(self) -> Mapping[int, float] | None:
        """The share of active images by action unit at which F1 is to be known, too."""
        ...


class RankedMetric(NamedTuple):
    """One measure by which a leaderboard compares systems."""

    key: str
    """As metrics.json has it: "expression.accuracy"."""
    title: str
    """As a column's head."""
    better: Literal["high", "low"]
    percent: bool
    """Whether a share in [0, 1] that is printed as per cent."""
    value: float
    """NaN where undefined."""
    rival: float
    """With what it competes (`rules.competing`); NaN: it does not."""
    drawn_B: NDArray[np.float64]
    """`rival` in every resample, (B,); systems that answered about the same records are resampled alike."""
    n: int
    """Images with truth."""
    drawn_from: int
    """Subjects among these, or images where these have no subjects."""
    coverage: float = 1.0
    """The share of n that has an answer, of an error over the answered ones."""
    within: tuple[float, float] = SHARE
    """The least and the greatest value that there can be."""


@runtime_checkable
class Ranked(Protocol):
    """A benchmark of which leaderboards have rows."""

    @property
    def board(self) -> str:
        """Its name there: lower-case words, joined by "_" and parted by "."."""
        ...

    @property
    def headline(self) -> str:
        """The key of the measure by which its rows are ordered."""
        ...

    def ranked(self, predictions: Sequence[Any], seed: int, draws: int) -> Sequence[RankedMetric]:
        """Return the measures, the headline first; every record counts, whatever became of its answer."""
        ...


@runtime_checkable
class Pays(Protocol):
    """A benchmark, or a judge, that asks models of its own."""

    def through(self, wrap: Wrap) -> None:
        """Replace every backend that this asks by what `wrap` makes of it."""
        ...


@runtime_checkable
class Writes(Protocol):
    """A benchmark with files of its own beside metrics.json and table.md."""

    def write(self, path: Path, metrics: Mapping[str, Any]) -> None:
        """Write them into the run's folder `path`, of the content of metrics.json."""
        ...


def question(benchmark: Benchmark) -> Callable[[ImageRecord, Image], Request]:
    """Return what makes a benchmark's question about a record and the image that it shows."""
    if isinstance(benchmark, Asking):
        return benchmark.ask
    same = benchmark.request
    assert same is not None, "who asks has a question"
    return lambda record, image: same(image)


def predicted(
    benchmark: Benchmark, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: "Judge"
) -> tuple[Sequence[Any], int]:
    """Return a benchmark's rows, and how many records have no answer.

    Raises:
        UserError: if it gives anything else, or a row of no record, or two of one.
    """
    try:
        made: Any = benchmark.predictions(records, answers, judge)
    except ValidationError as error:
        raise plugins.invalid("benchmark", benchmark, error) from error
    rows, missing = made if isinstance(made, tuple) and len(made) == 2 else (None, None)
    if not isinstance(rows, Sequence) or type(missing) is not int or not 0 <= missing <= len(records):
        problem = f"predictions() returned {plugins.shown(made)}"
        raise plugins.broken("benchmark", benchmark, problem, "return the rows, and how many records have no answer")
    left = {record.id for record in records}
    for row in rows:
        if not isinstance(row, BaseModel) or getattr(row, "id", None) not in left:
            remedy = "make one row, a pydantic model, of each record, with the record's id"
            raise plugins.broken("benchmark", benchmark, f"made the row {plugins.shown(row)}", remedy)
        left.remove(row.id)  # type: ignore[attr-defined]
    return rows, missing


def measured(benchmark: Benchmark, measures: Measured, rows: Sequence[Any], seed: int) -> dict[str, Any]:
    """Return what `measures` (the benchmark itself, or who stands in for it) counts: the content of metrics.json.

    Raises:
        UserError: if JSON cannot hold it, or something that is `NEEDED` is not in it.
    """
    found: Any = measures.metrics(rows, seed)
    if not isinstance(found, dict) or not set(NEEDED) <= set(found):
        problem, remedy = f"metrics() returned {plugins.shown(found)}", f"return a dictionary with {', '.join(NEEDED)}"
        raise plugins.broken("benchmark", benchmark, problem, remedy)
    for name, value in found.items():
        try:
            json.dumps({name: value}, allow_nan=False)
        except (TypeError, ValueError) as error:
            problem = f"its metric {name} is {plugins.shown(value)} ({error})"
            remedy = (
                "give what JSON holds: numbers of Python, texts, lists, dictionaries; None where a number is unknown"
            )
            raise plugins.broken("benchmark", benchmark, problem, remedy) from error
    return found
