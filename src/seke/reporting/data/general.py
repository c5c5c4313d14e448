"""Evaluations by the general benchmark, which asks what a model knows beside emotion: their columns, rows and table."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from seke.core.intervals import Estimate
from seke.reporting.data.run_labels import NamedRun
from seke.reporting.data.runs import Answer, FinishedRun
from seke.reporting.data.scenes import measures, same_pictures
from seke.reporting.data.tables import Column, Row, Table

GENERAL: Final = "general"
OPTIONS: Final = "options"
"""What a benchmark of questions with options measures, by kind as the general one does."""
TITLES: Final = {GENERAL: "What a model knows beside emotion", OPTIONS: "Questions with options"}
OURS: Final = ("description", "glasses", "beard", "hair", "place", "action", "ground", "air")
"""The kinds of `source=synthetic_questions`."""
HEADS: Final = {GENERAL: "general questions", OPTIONS: "questions"}


def scores(task: str) -> tuple[Column, ...]:
    """Return the columns of the accuracy over all questions."""
    return (
        Column.percent(f"{task}.accuracy", "acc. %", HEADS[task].capitalize()),
        Column.count(f"{task}.n", "n", "Pictures"),
        Column.count(f"unanswered.{task}", "no answer", "Pictures"),
    )


SCORES: Final = scores(GENERAL)


def of_kind(kind: str, task: str = GENERAL) -> Column:
    """Return the column of one kind's accuracy."""
    return Column.percent(f"{task}.kinds.{kind}.accuracy", f"{kind} %", f"Kinds of {HEADS[task]}")


class GeneralAnswer(Answer):
    """What the report needs of a row of predictions.jsonl."""

    subject: str | None = None
    kind: str
    right: int
    truth: tuple[Any, ...]

    @property
    def score(self) -> float:
        """The share of the expected statements that are right, in [0, 1]."""
        return self.right / len(self.truth)


def asked(run: FinishedRun, task: str = GENERAL) -> bool:
    """Whether an evaluation asked general questions, or those of another task."""
    return measures(run, task)


def answers_by_id(run: FinishedRun, source: str | None = None) -> dict[str, GeneralAnswer]:
    """Return the answers by id, of one source or of all.

    Raises:
        RecordError: if a row is none of this benchmark's.
    """
    return {row.id: row for row in run.rows_of(GeneralAnswer) if source in (None, row.source)}


def score_table(runs: Sequence[NamedRun], caption: str, task: str = GENERAL) -> Table:
    """Return one row per evaluation: accuracy over all questions and by kind."""
    measured: list[Mapping[str, Estimate]] = [run.scores for run, _, _ in runs]
    prefix, suffix = f"{task}.kinds.", ".accuracy"
    found = {key for of_run in measured for key in of_run if key.startswith(prefix) and key.endswith(suffix)}
    kinds = sorted(key.removeprefix(prefix).removesuffix(suffix) for key in found)
    alike = same_pictures(runs)
    rows = tuple(
        Row(words.label, run.scores, run.name, run.anchor, words.reference or not alike) for run, words, _ in runs
    )
    columns = (*scores(task), *(of_kind(kind, task) for kind in kinds))
    return Table(task, TITLES[task], "Model", columns, rows, caption)
