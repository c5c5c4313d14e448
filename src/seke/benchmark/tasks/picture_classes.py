"""Which of several classes a picture is of, by any attribute of its record: the type of scene, not only the emotion.

EmoVIT's question about another attribute. The classes, their words and the question are settings. A row has a class, a
score is accuracy; records that lack the attribute are asked about and do not count.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from seke.benchmark.answer import SILENT, Answer, Judge
from seke.benchmark.protocol import RankedMetric
from seke.benchmark.scoring.classes import CLASS_SCORES, class_metrics
from seke.benchmark.scoring.ranked import ranked_classes
from seke.benchmark.scoring.tables import with_interval
from seke.benchmark.tasks.class_answers import named_class
from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.records import AnswerStatus, ImageRecord
from seke.core.text_tables import markdown_table
from seke.core.vlm import Image, Message, Request


class ClassPrediction(BaseModel):
    """One row of predictions.jsonl: what a model named, and what the picture is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    text: str
    judged: str | None
    named: str | None
    """One of the classes; None: unanswered."""
    truth: str | None
    status: AnswerStatus


@dataclass(frozen=True)
class PictureClasses:
    """The question, and how answers become predictions and scores.

    Raises:
        UserError: if there are fewer than two classes, one has no word of one lower-case word each, or two share one.
    """

    attribute: str
    """Of the records."""
    classes: Mapping[str, Sequence[str]]
    """Each with the words that stand for it in an answer."""
    question: str
    max_tokens: int = 64
    judge_template: str = "class"
    """Which of conf/prompts/judge.yaml rewrites answers here."""
    records_file: ClassVar[str] = "test.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("evaluate", "predictions.jsonl")
    headline: ClassVar[str] = "class.accuracy"
    row: ClassVar[type[BaseModel]] = ClassPrediction

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise UserError("benchmark.classes", list(self.classes), "fewer than two classes", "name them all")
        seen: dict[str, str] = {}
        for name, words in self.classes.items():
            if isinstance(words, str) or not words or not all(re.fullmatch("[a-z]+", word) for word in words):
                problem, remedy = "not a list of lower-case words", "set for example [beach, seaside]"
                raise UserError(f"benchmark.classes.{name}", words, problem, remedy)
            for word in words:
                if seen.setdefault(word, name) != name:
                    problem = f"{word} stands for {seen[word]}, too"
                    raise UserError(f"benchmark.classes.{name}", list(words), problem, "give a word to one class")

    def request(self, image: Image) -> Request:
        """Return the question about one picture; greedy, for a benchmark wants a model's one answer."""
        return Request((Message("user", (image, self.question.strip())),), temperature=0.0, max_tokens=self.max_tokens)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[Sequence[ClassPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered."""
        return [self._row(record, answers, judge) for record in records], sum(row.id not in answers for row in records)

    def _row(self, record: ImageRecord, answers: Mapping[str, Answer], judge: Judge) -> ClassPrediction:
        answer = answers.get(record.id) or Answer(id=record.id, status="unanswered", detail="no prediction")
        judged = judge(answer).judged
        named = None
        if answer.status not in SILENT:
            named = named_class(answer.text if judged is None else judged, *self._reading)
        truth = record.attributes.get(self.attribute)
        return ClassPrediction(
            id=record.id,
            source=record.source,
            subject=record.subject,
            text=answer.text,
            judged=judged,
            named=named,
            truth=truth if truth in self.classes else None,
            status="unanswered" if named is None and answer.status == "ok" else answer.status,
        )

    @cached_property
    def _reading(self) -> tuple[dict[str, str], re.Pattern[str]]:
        """The class of each word, and what stands before an answer proper."""
        class_of = {word: name for name, words in self.classes.items() for word in words}
        said = self.attribute.replace("_", " ")
        return class_of, re.compile(rf"predict(?:ed)? {re.escape(said)}\W*", re.IGNORECASE)

    @property
    def board(self) -> str:
        """Its name on a leaderboard."""
        return f"picture_classes.{re.sub('[^a-z0-9_]', '_', self.attribute.lower())}"

    def ranked(self, predictions: Sequence[ClassPrediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return accuracy and macro F1; the pictures have no subjects."""
        answered = [(row.id, row.truth, row.named) for row in predictions]
        return ranked_classes("class", list(self.classes), answered, seed, draws)

    def metrics(self, predictions: Sequence[ClassPrediction], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        pairs = [(row.truth, row.named) for row in predictions if row.truth is not None]
        found = class_metrics("class", list(self.classes), pairs, [row.status for row in predictions], seed)
        return {**found, "attribute": self.attribute}

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run's accuracy cannot be held against a paper's: EmoVIT has none of any other question."""
        return [f"asked for attributes.{self.attribute}, in another question than the paper's"]

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: accuracy, and each class's scores."""
        title = f"# {markdown(self.attribute)}: {markdown(name)}"
        found, bounds = metrics["class"], metrics["ci95"].get("class")
        if found is None or bounds is None:
            return f"{title}\n\nNo record has attributes.{markdown(self.attribute)}.\n"
        scores = [with_interval(found[key], bounds[key]) for key in ("accuracy", "f1_macro")]
        rows = [[markdown(name), *scores, str(found["n"]), str(metrics["unanswered"]["class"])]]
        classes = [
            [markdown(of_class), *(with_interval(row[key], None) for key in CLASS_SCORES), str(row["n"])]
            for of_class, row in found["classes"].items()
        ]
        overall = markdown_table(["Method", "Accuracy", "Macro F1", "n", "Unanswered"], rows, "lr")
        each = markdown_table(["Class", "Precision", "Recall", "F1", "n"], classes, "lr")
        return f"{title}\n\n{overall}\n\n{each}\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print accuracy and macro F1."""
        print(visible(title))
        for key in ("accuracy", "f1_macro") if metrics["class"] else ():
            print(f"  {key}: {with_interval(metrics['class'][key], metrics['ci95']['class'][key])}")
