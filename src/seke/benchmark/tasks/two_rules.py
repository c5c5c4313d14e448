"""Benchmarks of published faces with an expression, action units or both, scored by our rule and by their authors'.

Ours    expression by `answers.extract` from what an answer says in the end, units from all of it, negation and all;
        whatever is refused, unreadable or has no picture is wrong, and shows no unit. F1 is the mean over the units
        that the records' truth knows, those that nobody shows left out; intervals resample pictures.
Theirs  as their program reads an answer: a label (None: that program stops with an error there) and units.

`differences.csv` lists every answer of which the two read different expressions.

    N  pictures        A  action units        B  resamples
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from seke.benchmark.answer import SILENT, Answer, Judge
from seke.benchmark.protocol import Paired, PairedMetric, RankedMetric, Right
from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.au_folds import FoldF1, fold_f1, resampled, sums
from seke.benchmark.scoring.classes import DRAWS, class_metrics
from seke.benchmark.scoring.ranked import ranked_classes
from seke.benchmark.scoring.tables import with_interval
from seke.benchmark.tasks.questions import OwnQuestions, answer_about, facts_of, read_final, unshown
from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.files import write_text
from seke.core.intervals import SHARE, interval
from seke.core.records import AnswerStatus, ImageRecord, Labels, Prediction
from seke.core.text_tables import csv_table, markdown_table

CLASS: Final = "class"
UNITS: Final = "units"


class Reading(BaseModel):
    """A label and units as the authors' program has them; None: it has none of that kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    label: str | None = None
    units: tuple[str, ...] | None = Field(default=None, strict=False)


class TwoRulesPrediction(BaseModel):
    """One row of predictions.jsonl: the answer as we read it and as they would."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    of_set: str
    text: str
    judged: str | None
    labels: Labels
    """As we read them."""
    truth: Labels | None
    published: Reading
    """The truth as it is published."""
    theirs: Reading
    """The answer as their program reads it."""
    status: AnswerStatus


@dataclass(frozen=True)
class TwoRules(OwnQuestions):
    """The questions of the records, and how answers become two scores; a child says how the authors read an answer."""

    max_tokens: int = 512
    judge_template: str = "faces"
    row: ClassVar[type[BaseModel]] = TwoRulesPrediction
    headline: ClassVar[str] = f"{CLASS}.accuracy"
    title: ClassVar[str]
    pictures: ClassVar[int | None] = None
    """Published questions; None: not known."""
    their_source: ClassVar[str]
    """Whose program "theirs" is."""

    def their_reading(self, text: str, published: Reading) -> Reading:
        """Return what their program reads from an answer to a question with this truth."""
        raise NotImplementedError

    def their_f1(self, rows: Sequence[TwoRulesPrediction]) -> dict[str, float]:
        """Return F1 of each unit as their program scores these rows, all of which have units."""
        raise NotImplementedError

    def check(self, record: ImageRecord) -> None:
        """Make sure that a record has a question, and an expression or units to score.

        Raises:
            UserError: if it has not.
        """
        super().check(record)
        if record.labels.expression is None and record.labels.action_units is None and not _published(record):
            raise UserError("records", record.id, "no expression and no action units to score", self.remedy)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[TwoRulesPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered."""
        return [self._row(record, answers, judge) for record in records], sum(row.id not in answers for row in records)

    def _row(self, record: ImageRecord, answers: Mapping[str, Answer], judge: Judge) -> TwoRulesPrediction:
        answer, published = answer_about(record, answers), _reading(_published(record))
        final, whole = read_final(answer, judge), judge(answer)
        known = answer.status not in SILENT
        labels = Labels(
            expression=final.labels.expression if known else None,
            action_units=whole.labels.action_units if known else None,
        )
        wanted = record.labels
        said = (wanted.expression is not None and labels.expression is not None) or (
            wanted.action_units is not None and labels.action_units is not None
        )
        return TwoRulesPrediction(
            **facts_of(record),
            of_set=str(record.attributes.get("set")),
            text=answer.text,
            judged=whole.judged,
            labels=labels,
            truth=None if wanted.empty else wanted,
            published=published,
            theirs=self.their_reading(answer.text, published),
            status="unanswered" if answer.status == "ok" and not said else answer.status,
        )

    def metrics(self, predictions: Sequence[TwoRulesPrediction], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        named = [(row.truth or Labels(), row.labels.expression) for row in predictions]
        known = [(truth.expression, said) for truth, said in named if truth.expression is not None]
        found = class_metrics(CLASS, EXPRESSIONS, known, [row.status for row in predictions], seed)
        measured = self._units(predictions, seed, DRAWS)
        silent = sum(row.labels.action_units is None for row in predictions if _units_of(row))
        warnings = [text for text in found["warnings"] if known]
        if measured is None:
            units, bounds = None, {}
        else:
            aus, f1, drawn, n = measured
            mean = _number(f1.mean_B[0])
            units = {
                "f1_mean": mean,
                "f1": {str(au): _number(f1.mean_BA[0, place]) for place, au in enumerate(aus)},
                "n": n,
            }
            bounds = {UNITS: {"f1_mean": None if mean is None else interval(drawn.mean_B, mean, n, SHARE)}}
        return {
            **found,
            "attribute": "published",
            UNITS: units,
            "unanswered": {**found["unanswered"], UNITS: silent},
            "theirs": self._theirs(predictions),
            "by_set": self._by_set(predictions),
            "ci95": {**found["ci95"], **bounds},
            "differences": [
                [row.id, row.published.label, row.labels.expression, row.theirs.label]
                for row in sorted(predictions, key=lambda row: row.id)
                if row.published.label is not None and _their_expression(row) != row.labels.expression
            ],
            "warnings": warnings,
        }

    def _theirs(self, predictions: Sequence[TwoRulesPrediction]) -> dict[str, Any]:
        """Return accuracy and F1 as their program has them, and at how many answers it stops."""
        named = [row for row in predictions if row.published.label is not None]
        read = [row for row in named if row.theirs.label is not None]
        f1 = self.their_f1([row for row in predictions if row.published.units is not None])
        right = sum(row.theirs.label == row.published.label for row in read)
        return {
            "accuracy": right / len(read) if read else None,
            "n": len(read),
            "stopped": len(named) - len(read),
            "f1": f1,
            "f1_mean": sum(f1.values()) / len(f1) if f1 else None,
        }

    def _by_set(self, predictions: Sequence[TwoRulesPrediction]) -> dict[str, Any]:
        of_sets = {}
        for name in sorted({row.of_set for row in predictions}):
            rows = [row for row in predictions if row.of_set == name]
            faces = [row for row in rows if _expression(row)]
            right = sum(row.truth is not None and row.labels.expression == row.truth.expression for row in faces)
            measured = self._units(rows, 0, 0)
            theirs = self._theirs(rows)
            of_sets[name] = {
                "n": len(rows),
                "accuracy": right / len(faces) if faces else None,
                "f1_mean": None if measured is None else _number(measured[1].mean_B[0]),
                "theirs": {"accuracy": theirs["accuracy"], "f1_mean": theirs["f1_mean"]},
            }
        return of_sets

    def _units(
        self, predictions: Sequence[TwoRulesPrediction], seed: int, draws: int
    ) -> tuple[list[int], FoldF1, FoldF1, int] | None:
        """Return the units that are scored, their F1, the same in resamples, and of how many pictures."""
        rows = [_face(row) for row in predictions if _units_of(row)]
        if not rows:
            return None
        aus = sorted({au for row in rows for au in row.truth.action_units or {}})
        data = columns(rows)
        parts = sums(data, aus)
        fold_S: NDArray[np.int64] = np.zeros(int(data.group_N.max()) + 1, dtype=np.int64)
        f1 = fold_f1(parts, fold_S, 1)
        return aus, f1, resampled(parts, fold_S, 1, draws, seed) if draws else f1, len(rows)

    def ranked(self, predictions: Sequence[TwoRulesPrediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return accuracy, macro F1 and the units' mean F1 by our rule, each where its truth is known."""
        answered = [(row.id, row.truth.expression if row.truth else None, row.labels.expression) for row in predictions]
        found = ranked_classes(CLASS, EXPRESSIONS, answered, seed, draws)
        if (measured := self._units(predictions, seed, draws)) is not None:
            _, f1, drawn, n = measured
            value = float(f1.mean_B[0])
            key = f"{UNITS}.f1_mean"
            found.append(RankedMetric(key, "AU F1, %", "high", True, value, value, drawn.mean_B, n, n))
        return found

    def paired(
        self, ours: Sequence[TwoRulesPrediction], theirs: Sequence[TwoRulesPrediction], seed: int, draws: int
    ) -> Paired:
        """Return what is compared of two runs: the units' mean F1, and who names the expression."""
        measures, both = [], [self._units(rows, seed, draws) for rows in (ours, theirs)]
        if both[0] is not None and both[1] is not None:
            (_, a, a_B, n), (_, b, b_B, _) = both[0], both[1]
            difference_B = a_B.mean_B - b_B.mean_B
            values = (float(a.mean_B[0]), float(b.mean_B[0]))
            measures.append(PairedMetric(UNITS, "f1_mean", n, n, *values, difference_B, SHARE))
        known = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.truth is not None and _expression(a)]
        right = [
            [row.labels.expression == (row.truth or row.labels).expression for row in rows]
            for rows in zip(*known, strict=True)
        ]
        named = Right("expression", *map(np.array, right)) if known else None
        return Paired(measures, named, "pictures")

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run cannot be held against the paper's numbers."""
        fewer = self.pictures is not None and len(records) != self.pictures
        notes = [f"{len(records):,} of its {self.pictures:,} questions"] if fewer else []
        reference = "descriptions are not scored: ROUGE-L against another model's words rewards its style"
        return [*notes, *unshown(records), reference]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: both rules side by side, overall and for each set, and each unit."""
        title, found, units = f"# {self.title}: {markdown(name)}", metrics[CLASS], metrics[UNITS]
        if found is None and units is None:
            return f"{title}\n\nNo record has a label: nothing to score.\n"
        theirs, bounds = metrics["theirs"], metrics["ci95"]
        accuracy = "–" if found is None else with_interval(found["accuracy"], bounds[CLASS]["accuracy"])
        f1 = "–" if units is None else with_interval(units["f1_mean"], bounds[UNITS]["f1_mean"])
        counts = [str(0 if found is None else found["n"]), str(0 if units is None else units["n"])]
        rows = [
            ["ours", accuracy, counts[0], f1, counts[1]],
            ["theirs", _shown(theirs["accuracy"]), str(theirs["n"]), _shown(theirs["f1_mean"]), counts[1]],
        ]
        of_sets = [
            [markdown(of), _shown(both["accuracy"]), _shown(both["theirs"]["accuracy"]), _shown(both["f1_mean"]),
             _shown(both["theirs"]["f1_mean"]), str(both["n"])]
            for of, both in metrics["by_set"].items()
        ]  # fmt: skip
        each = [
            [f"AU{au}", _shown(value), _shown(theirs["f1"].get(str(au)))]
            for au, value in (units or {"f1": {}})["f1"].items()
        ]
        lines = [
            title,
            "",
            markdown_table(["Rule", "Accuracy", "n", "AU F1", "n"], rows, "lr"),
            "",
            f"Theirs: {self.their_source}; it stops with an error at {theirs['stopped']} of these answers, which are "
            f"left out of its accuracy. The two read {len(metrics['differences'])} expressions differently "
            "(differences.csv).",
            "",
            markdown_table(["Set", "Accuracy", "Theirs", "AU F1", "Theirs", "n"], of_sets, "lr"),
            *(("", markdown_table(["Action unit", "F1, ours", "F1, theirs"], each, "lr")) if each else ()),
            "",
            *(f"- {markdown(note)}" for note in notes),
        ]
        return "\n".join(lines) + "\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print accuracy and F1 by both rules."""
        print(visible(title))
        for name, key in ((CLASS, "accuracy"), (UNITS, "f1_mean")):
            if metrics[name]:
                ours = with_interval(metrics[name][key], metrics["ci95"][name][key])
                print(f"  {key}: {ours}; by their rule {_shown(metrics['theirs'][key])}")

    def write(self, path: Path, metrics: Mapping[str, Any]) -> None:
        """Write differences.csv: every answer of which the two rules read different expressions."""
        rows = [["" if cell is None else str(cell) for cell in row] for row in metrics["differences"]]
        write_text(path / "differences.csv", csv_table(["id", "truth", "ours", "theirs"], rows))


def _published(record: ImageRecord) -> Mapping[str, Any]:
    told = record.attributes.get("published")
    return told if isinstance(told, Mapping) else {}


def _reading(told: Mapping[str, Any]) -> Reading:
    label, units = told.get("label"), told.get("units")
    return Reading(label=None if label is None else str(label), units=None if units is None else tuple(map(str, units)))


def _expression(row: TwoRulesPrediction) -> bool:
    return row.truth is not None and row.truth.expression is not None


def _units_of(row: TwoRulesPrediction) -> bool:
    return row.truth is not None and row.truth.action_units is not None


def _their_expression(row: TwoRulesPrediction) -> str | None:
    return row.theirs.label if row.theirs.label in EXPRESSIONS else None


def _face(row: TwoRulesPrediction) -> Prediction:
    """Return a row as FEAB's, its units alone."""
    return Prediction(
        **{name: getattr(row, name) for name in ("id", "source", "subject", "text", "judged", "status")},
        labels=Labels(action_units=row.labels.action_units),
        truth=Labels(action_units=row.truth.action_units if row.truth else None),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _shown(value: float | None) -> str:
    return "–" if value is None else with_interval(value, None)


def f1_of(truth: Sequence[bool], said: Sequence[bool]) -> float:
    """Return 2 TP / (true + said); 0 where nothing is true or said.

    >>> f1_of([True, False, True], [True, True, False])
    0.5
    """
    counts = Counter(zip(truth, said, strict=True))
    total = 2 * counts[True, True] + counts[True, False] + counts[False, True]
    return 2 * counts[True, True] / total if total else 0.0
