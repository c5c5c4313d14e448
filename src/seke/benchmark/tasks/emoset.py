"""EmoSet's test split (Yang et al., ICCV 2023) with EmoVIT's question: which of eight emotions does a picture evoke?

The eight are Mikels' and no facial expressions, so nothing of FEAB's labels is used: a row has an emotion, a score is
accuracy. `answering=constrained` is EmoVIT's question, which lists the candidates and fixes the answer's form, and
what its 83.36 % stands for; `free` lets a model say it in its own words.

    B  bootstrap draws        C  the eight emotions        P  the eight, and unanswered
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from seke.benchmark.answer import SILENT, Answer, Judge
from seke.benchmark.protocol import GroupMetric, GroupMetrics, Paired, PairedMetric, RankedMetric, Right
from seke.benchmark.scoring.classes import CLASS_SCORES, class_metrics, measures
from seke.benchmark.scoring.ranked import ranked_classes
from seke.benchmark.scoring.tables import ABSENT, with_interval
from seke.benchmark.tasks.class_answers import named_class
from seke.core.errors import UserError
from seke.core.escape import markdown, visible
from seke.core.intervals import SHARE
from seke.core.records import AnswerStatus, ImageRecord
from seke.core.rules import EMOTIONS as EMOTIONS
from seke.core.small_data import few_images
from seke.core.text_tables import markdown_table
from seke.core.vlm import Image, Message, Request

WORDS: Final = {
    "amusement": "amusement amused amusing funny humorous hilarious playful fun",
    "anger": "anger angry furious rage outrage outraged irritation irritated annoyance annoyed",
    "awe": "awe awed awesome wonder wonderment astonishment astonished majestic breathtaking",
    "contentment": "contentment content contented calm calmness peaceful serenity serene relaxed tranquil tranquility",
    "disgust": "disgust disgusted disgusting revulsion repulsed repulsive gross",
    "excitement": "excitement excited exciting thrill thrilled thrilling exhilaration exhilarated",
    "fear": "fear fearful afraid scared scary frightened frightening terror terrified anxious anxiety dread",
    "sadness": "sadness sad sorrow sorrowful grief melancholy melancholic depressed lonely loneliness",
}
"""The words that stand for each emotion in free answers."""
UNANSWERED: Final = len(EMOTIONS)
DRAWS: Final = 1000
PAPER_ACCURACY: Final = 0.8336
"""EmoVIT's, on EmoSet's test split of 17,716 pictures."""
PAPER_PICTURES: Final = 17_716
SYNTHETIC: Final = "synthetic_scenes"
"""The source of drawn pictures."""
_EMOTION_OF: Final = {word: emotion for emotion, words in WORDS.items() for word in words.split()}
_FORM: Final = re.compile(r"predict(?:ed)? emotion\W*", re.IGNORECASE)


class EmotionPrediction(BaseModel):
    """One row of predictions.jsonl: what a model named, and what the picture's annotators felt."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(min_length=1)
    source: str
    subject: str | None
    text: str
    judged: str | None
    emotion: str | None
    """One of EMOTIONS; None: unanswered."""
    truth: str | None
    status: AnswerStatus


@dataclass(frozen=True)
class EmoSet:
    """The question, and how answers become predictions and scores.

    Raises:
        UserError: if `answering` names none of the questions.
    """

    questions: Mapping[str, str]
    answering: str = "constrained"
    max_tokens: int = 64
    judge_template: str = "emotion"
    """Which of conf/prompts/judge.yaml rewrites answers here."""
    attribute: ClassVar[str] = "emotion"
    records_file: ClassVar[str] = "test.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("evaluate", "predictions.jsonl")
    row: ClassVar[type[BaseModel]] = EmotionPrediction
    board: ClassVar[str] = "emoset"
    headline: ClassVar[str] = "emotion.accuracy"

    def __post_init__(self) -> None:
        if self.answering not in self.questions:
            raise UserError(
                "benchmark.answering", self.answering, "no such question", f"use {', '.join(self.questions)}"
            )

    def request(self, image: Image) -> Request:
        """Return the question about one picture; greedy, for a benchmark wants a model's one answer."""
        parts = (image, self.questions[self.answering].strip())
        return Request((Message("user", parts),), temperature=0.0, max_tokens=self.max_tokens)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[EmotionPrediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered."""
        rows = []
        for record in records:
            answer = answers.get(record.id) or Answer(id=record.id, status="unanswered", detail="no prediction")
            _, judged, status = judge(answer)
            emotion = None if answer.status in SILENT else emotion_in(answer.text if judged is None else judged)
            if emotion is not None and status in SILENT:
                status = answer.status  # a judge of faces finds no label in the name of an emotion
            elif emotion is None and status == "ok":
                status = "unanswered"
            truth = record.attributes.get(self.attribute)
            rows.append(
                EmotionPrediction(
                    id=record.id,
                    source=record.source,
                    subject=record.subject,
                    text=answer.text,
                    judged=judged,
                    emotion=emotion,
                    truth=truth if truth in EMOTIONS else None,
                    status=status,
                )
            )
        return rows, sum(record.id not in answers for record in records)

    def metrics(self, predictions: Sequence[EmotionPrediction], seed: int) -> dict[str, Any]:
        """Return the content of metrics.json; the tasks of faces are absent from it (None)."""
        return {**scores(predictions, seed), "answering": self.answering}

    def ranked(self, predictions: Sequence[EmotionPrediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return accuracy and macro F1; the pictures have no subjects."""
        answered = [(row.id, row.truth, row.emotion) for row in predictions]
        return ranked_classes("emotion", EMOTIONS, answered, seed, draws)

    def paired(
        self, ours: Sequence[EmotionPrediction], theirs: Sequence[EmotionPrediction], seed: int, draws: int
    ) -> Paired:
        """Return what is compared of two runs."""
        return paired(ours, theirs, seed, draws)

    def grouped(
        self, predictions: Sequence[EmotionPrediction], groups_N: NDArray[Any], seed: int, draws: int, fewest: int
    ) -> tuple[dict[str, GroupMetrics], dict[str, Any]]:
        """Return accuracy and macro F1 of each group, all of the same pictures drawn anew."""
        names, group_N = np.unique(groups_N, return_inverse=True)
        cells = [
            (group, EMOTIONS.index(row.truth), _place(row))
            for group, row in zip(group_N, predictions, strict=True)
            if row.truth is not None
        ]
        counts_GCP = np.zeros((len(names), len(EMOTIONS), len(EMOTIONS) + 1), dtype=np.int64)
        np.add.at(counts_GCP, tuple(np.array(cells, dtype=np.int64).reshape(-1, 3).T), 1)
        shares = counts_GCP.ravel() / max(len(cells), 1)
        drawn_BK = np.random.default_rng(seed).multinomial(len(cells), shares, size=draws)
        found_BGCP = np.concatenate([counts_GCP[None], drawn_BK.reshape(draws, *counts_GCP.shape)])
        parts: dict[str, GroupMetrics] = {}
        for place, name in enumerate(names.tolist()):
            accuracy, f1, _ = measures(found_BGCP[:, place])
            n = int(counts_GCP[place].sum())
            numbers = {"Emotion accuracy": accuracy, "Emotion macro F1": f1}
            parts[name] = {
                metric: GroupMetric(float(found[0]), found[1:], n, n, SHARE) for metric, found in numbers.items()
            }
        return parts, {}

    def what_differs(self, records_file: Path, records: Sequence[ImageRecord], models: Sequence[str]) -> list[str]:
        """Return why a run's accuracy cannot be held against the paper's."""
        notes = [] if self.answering == "constrained" else ["another question than EmoVIT's"]
        drawn = sum(record.source == SYNTHETIC for record in records)
        if drawn:
            of = f"{drawn:,} of {len(records):,}" if drawn < len(records) else f"{drawn:,}"
            notes.append(f"synthetic scenes ({of} pictures), not EmoSet's photographs")
        elif len(records) != PAPER_PICTURES or any(record.source != "emoset" for record in records):
            notes.append(f"other pictures than EmoSet's {PAPER_PICTURES:,} ({len(records):,} here)")
        return notes

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: accuracy beside the paper's, and each emotion's scores."""
        found, bounds = metrics["emotion"], metrics["ci95"].get("emotion")
        mark = " †" if notes else ""
        few = few_images(metrics["n"])
        rows = [] if few else [["EmoVIT (paper)", f"{PAPER_ACCURACY:.4f}", ABSENT, str(PAPER_PICTURES), ABSENT]]
        classes = []
        if found is not None and bounds is not None:
            scores = [with_interval(found[key], bounds[key]) for key in ("accuracy", "f1_macro")]
            rows.append([markdown(name) + mark, *scores, str(found["n"]), str(metrics["unanswered"]["emotion"])])
            classes = [
                [markdown(emotion), *(with_interval(row[key], None) for key in CLASS_SCORES), str(row["n"])]
                for emotion, row in found["classes"].items()
            ]
        lines = [
            f"# EmoSet: {markdown(name)}",
            "",
            markdown_table(["Method", "Accuracy", "Macro F1", "n", "Unanswered"], rows, "lr"),
            *(["", markdown_table(["Emotion", "Precision", "Recall", "F1", "n"], classes, "lr")] if classes else []),
        ]
        lines += [f"\n{few}."] if few else []
        lines += [f"\n† Not comparable with the paper: {markdown('; '.join(notes))}."] if notes else []
        return "\n".join(lines) + "\n"

    def show(self, metrics: Mapping[str, Any], title: str) -> None:
        """Print accuracy and macro F1."""
        print(visible(title))
        for key in ("accuracy", "f1_macro") if metrics["emotion"] else ():
            print(f"  {key}: {with_interval(metrics['emotion'][key], metrics['ci95']['emotion'][key])}")


def emotion_in(text: str) -> str | None:
    """Return the one emotion that a text names, or None if it names none or several.

    What follows the last "Predict emotion:" counts before all else.

    >>> emotion_in("Predict emotion: Awe."), emotion_in("It is not scary, it is funny."), emotion_in("fear, or anger")
    ('awe', 'amusement', None)
    """
    return named_class(text, _EMOTION_OF, _FORM)


def scores(predictions: Sequence[EmotionPrediction], seed: int = 0, draws: int = DRAWS) -> dict[str, Any]:
    """Return accuracy and macro F1 in [0, 1] with 95 % intervals, each emotion's scores, and the confusion matrix.

    Unanswered is wrong. The pictures have no subjects, so the bootstrap draws pictures, which is to draw the cells of
    the confusion matrix anew from a multinomial.
    """
    pairs = [(row.truth, row.emotion) for row in predictions if row.truth is not None]
    return class_metrics("emotion", EMOTIONS, pairs, [row.status for row in predictions], seed, draws)


def _place(row: EmotionPrediction) -> int:
    return UNANSWERED if row.emotion is None else EMOTIONS.index(row.emotion)


def paired(ours: Sequence[EmotionPrediction], theirs: Sequence[EmotionPrediction], seed: int, draws: int) -> Paired:
    """Return accuracy and macro F1 of two models that were asked about the same pictures, in the same order.

    A picture is drawn with both its answers, which is to draw the cells of truth x our answer x their answer anew from
    a multinomial. conf/report.yaml names this function, too.
    """
    known = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.truth is not None]
    if not known:
        return Paired((), None, "pictures")
    cells_N3 = np.array([(EMOTIONS.index(str(a.truth)), _place(a), _place(b)) for a, b in known])
    counts_CPP = np.zeros((len(EMOTIONS), len(EMOTIONS) + 1, len(EMOTIONS) + 1), dtype=np.int64)
    np.add.at(counts_CPP, tuple(cells_N3.T), 1)
    n = len(known)
    drawn_BK = np.random.default_rng(seed).multinomial(n, counts_CPP.ravel() / n, size=draws)
    found_BCPP = np.concatenate([counts_CPP[None], drawn_BK.reshape(draws, *counts_CPP.shape)])
    of_ours, of_theirs = (measures(found_BCPP.sum(other)) for other in (3, 2))
    metrics = zip(("accuracy", "f1_macro"), of_ours[:2], of_theirs[:2], strict=True)
    right = [np.array([row.emotion == row.truth for row in rows]) for rows in zip(*known, strict=True)]
    return Paired(
        [PairedMetric("emotion", name, n, n, float(a[0]), float(b[0]), a[1:] - b[1:]) for name, a, b in metrics],
        Right("emotion", *right),
        "pictures",
    )
