"""FEAB's expressions for a model of scenes: EmoVIT's question about each face, its answer taken to an expression.

    answer -> one of Mikels' eight emotions (`emoset.emotion_in`) -> `classes` -> one of FEAB's eight expressions

Several emotions may mean one expression; expressions that none means (neutral, contempt) can never be right, and stay
in the score. Action units, valence and arousal are not asked for: only the column EXP of the table counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel

from seke.benchmark.answer import SILENT, Answer, Judge, Verdict
from seke.benchmark.protocol import Paired, RankedMetric
from seke.benchmark.scoring.ranked import ranked_faces
from seke.benchmark.scoring.significance import pair_faces
from seke.benchmark.tasks.emoset import emotion_in
from seke.benchmark.tasks.feab import Feab
from seke.core.affect import EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Prediction
from seke.core.rules import EMOTIONS


@dataclass(frozen=True)
class FeabMikels(Feab):
    """FEAB, its answers read as emotions.

    Raises:
        UserError: if `classes` is not from the eight emotions to expressions.
    """

    classes: Mapping[str, str] = field(default_factory=dict)
    """The expression that each emotion means."""
    judge_template: str = "emotion"
    """Which of conf/prompts/judge.yaml rewrites answers here."""
    row: ClassVar[type[BaseModel]] = Prediction

    def __post_init__(self) -> None:
        super().__post_init__()
        if set(self.classes) != set(EMOTIONS) or not set(self.classes.values()) <= set(EXPRESSIONS):
            problem, remedy = "not from each emotion to an expression", f"map all of {', '.join(EMOTIONS)}"
            raise UserError("benchmark.classes", dict(self.classes), problem, remedy)

    @property
    def board(self) -> str:
        """Its name on a leaderboard."""
        return "feab_mikels"

    def predictions(
        self, records: Sequence[ImageRecord], answers: Mapping[str, Answer], judge: Judge
    ) -> tuple[list[Prediction], int]:
        """Return one prediction per record, in their order, and how many records nobody answered."""
        return super().predictions(records, answers, lambda answer: self._read(answer, judge))

    def paired(self, ours: Sequence[Prediction], theirs: Sequence[Prediction], seed: int, draws: int) -> Paired:
        """Return what is compared of two runs: expressions, for nothing else was asked for."""
        return pair_faces(ours, theirs, seed, draws, tasks=("expression",))

    def ranked(self, predictions: Sequence[Prediction], seed: int, draws: int) -> list[RankedMetric]:
        """Return the accuracy of expressions, for nothing else was asked for."""
        return ranked_faces(predictions, seed, draws, tasks=("expression",))

    def _read(self, answer: Answer, judge: Judge) -> Verdict:
        _, judged, status = judge(answer)
        emotion = None if answer.status in SILENT else emotion_in(answer.text if judged is None else judged)
        if emotion is None:
            return Verdict(Labels(), judged, "unanswered" if status == "ok" else status)
        # A judge of faces finds no label in the name of an emotion.
        return Verdict(Labels(expression=self.classes[emotion]), judged, answer.status)
