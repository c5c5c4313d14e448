"""The best answer to FEAB's question that never looks at the picture, the same for all: the least a system must beat.

Of the training labels: the commonest expression, the medians of valence and arousal (which have the least mean absolute
error), and every action unit that any face shows. Always "active" has F1 = 2 p / (1 + p) where a share p of the faces
shows the unit, and always "inactive" has 0, so that "active" is the better constant wherever p > 0.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Final

from seke.answers.extract import describe
from seke.core import runs
from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, read_jsonl
from seke.core.vlm import Choice, Reply, Request

MODEL: Final = "constant"


def constant_answer(labels: Iterable[Labels]) -> Labels:
    """Return the labels that score best when they are said of every face; what no face carries is unknown.

    Of equally common expressions the first in `affect.EXPRESSIONS` is taken.

    >>> describe(constant_answer([Labels(valence=0.1), Labels(valence=0.5), Labels(valence=0.2)]))
    'Valence is 0.2.'
    """
    faces = list(labels)
    named = Counter(face.expression for face in faces if face.expression is not None)
    stated: dict[int, bool] = {}
    for face in faces:
        for au, active in (face.action_units or {}).items():
            stated[au] = stated.get(au, False) or active
    return Labels(
        expression=max(EXPRESSIONS, key=lambda expression: named[expression]) if named else None,
        valence=_median([face.valence for face in faces]),
        arousal=_median([face.arousal for face in faces]),
        action_units={au: stated[au] for au in ACTION_UNITS if au in stated} or None,
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


class Constant:
    """Answers every question with the labels that `train` teaches; a schema is not answered.

    Args:
        train: a prepared set, whose train.jsonl teaches, or a file of records; beside a test.jsonl lies train.jsonl.
            Of its records those of the split "train" count.
        outputs: where prepared sets are looked up by name.
    """

    def __init__(self, train: str | None, outputs: str) -> None:
        self._train, self._outputs = train, Path(outputs)

    @cached_property
    def _fitted(self) -> tuple[Labels, int]:
        """The answer and how many faces taught it, read when it is first needed."""
        if self._train is None:
            problem = "no labels to fit the constant answer to"
            raise UserError("backend.train", None, problem, "name a prepared set, for example backend.train=demo")
        path = runs.locate("backend.train", self._train, self._outputs, "prepare", "train.jsonl")
        if path.name == "test.jsonl":
            path = path.with_name("train.jsonl")
        if not path.is_file():
            raise UserError("backend.train", path, "there is no such file", "give the file of the training records")
        labels = [record.labels for record in read_jsonl(path, ImageRecord) if record.split == "train"]
        if all(face.empty for face in labels):
            problem = f"holds no labels of the split train ({len(labels)} records)"
            raise UserError("backend.train", path, problem, "name a prepared set whose training records are annotated")
        return constant_answer(labels), len(labels)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is answered, what taught it, and which descriptions nobody taught."""
        answer, faces = self._fitted
        silent = [name for name in ("expression", "valence", "arousal") if getattr(answer, name) is None]
        silent += ["action units"] * (answer.action_units is None)
        said = f'constant answer, no picture is looked at: "{describe(answer)}" (fitted on {faces} training records)'
        return said, *(f"no training record has labels of {name}: unanswered" for name in silent)

    def reply(self, requests: Iterable[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield the same answer to each request, in order."""
        for index, request in enumerate(requests):
            answer, _ = self._fitted
            choice = (
                Choice(describe(answer))
                if request.schema is None
                else Choice("the constant answer is free text, and a schema was asked", "invalid")
            )
            yield index, Reply((choice,) * request.n, MODEL, cost=0.0)
