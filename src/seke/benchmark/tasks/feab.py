"""FEAB (Sec. 4.1): one question about every test face, its answer scored against the manual labels alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from seke.benchmark.answer import Answer, Judge
from seke.benchmark.protocol import RankedMetric
from seke.benchmark.release import Release, read_release
from seke.benchmark.scoring.calibration import trust
from seke.benchmark.scoring.prevalence import checked_prevalence
from seke.benchmark.scoring.ranked import ranked_faces
from seke.benchmark.scoring.tables import calibration_table, summary_table, table2
from seke.core.escape import markdown
from seke.core.records import ImageRecord, Prediction
from seke.core.vlm import Image, Message, Request


@dataclass(frozen=True)
class Feab:
    """The benchmark's question, and how answers become predictions.

    Raises:
        UserError: if `release` is no list of images, or `prevalence` no shares of action units.
    """

    question: str
    max_tokens: int = 512
    release: str | None = None
    """The list of the released FEAB's images (`benchmark.release`); None: not at hand, so every draw is our own."""
    prevalence: Mapping[int, float] | None = None
    """The share of active images by action unit at which F1 is to be known, too."""
    records_file: ClassVar[str] = "test.jsonl"
    predictions_from: ClassVar[tuple[str, str]] = ("evaluate", "predictions.jsonl")
    """The command and the file that a name in `predictions=` stands for."""
    headline: ClassVar[str] = "expression.accuracy"

    def __post_init__(self) -> None:
        object.__setattr__(self, "prevalence", checked_prevalence("benchmark.prevalence", self.prevalence))
        _ = self.released  # read once before anybody is asked

    @property
    def board(self) -> str:
        """Its name on a leaderboard."""
        return "feab"

    @property
    def reads(self) -> Mapping[str, tuple[str | None, str, str]]:
        """What it reads beside the records: name -> (reference, command, file)."""
        return {"release": (self.release, "prepare", "release.txt")}

    @property
    def released(self) -> Release | None:
        """The images of the released FEAB."""
        return None if self.release is None else read_release(Path(self.release))

    def request(self, image: Image) -> Request:
        """Return the question about one face; greedy, for a benchmark wants a model's one answer."""
        parts = (image, self.question.strip())
        return Request((Message("user", parts),), temperature=0.0, max_tokens=self.max_tokens)

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[Prediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered.

        A record without an answer is scored as unanswered.
        """
        rows = []
        for record in records:
            answer = answers.get(record.id) or Answer(id=record.id, status="unanswered", detail="no prediction")
            labels, judged, status = judge(answer)
            rows.append(
                Prediction(
                    id=record.id,
                    source=record.source,
                    subject=record.subject,
                    text=answer.text,
                    judged=judged,
                    labels=labels,
                    truth=record.labels,
                    status=status,
                )
            )
        return rows, sum(record.id not in answers for record in records)

    def ranked(self, predictions: Sequence[Prediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return Table 2's four measures."""
        return ranked_faces(predictions, seed, draws)

    def trust(
        self, predictions: Sequence[Prediction], answers: Mapping[str, Answer], seed: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the calibration of the labels' confidences, and its intervals; nothing where no answer has any."""
        if not any(answer.confidence for answer in answers.values()):
            return {}, {}
        every = {row.id: answers.get(row.id) or Answer(id=row.id, status="unanswered") for row in predictions}
        return trust(predictions, every, seed)

    def table(self, name: str, metrics: Mapping[str, Any], notes: Sequence[str]) -> str:
        """Return table.md: the paper's Table 2 with this run's row under it, then every metric with its interval."""
        sure = f"\n{calibration_table(metrics)}" if metrics.get("calibration") else ""
        return f"# FEAB: {markdown(name)}\n\n{table2(name, metrics, notes)}\n{summary_table(metrics)}{sure}"
