"""FERBench (UniFER, arXiv 2511.00389): questions about the faces of four datasets, read as they are published.

    *_qa.json   [{"image_path": "/RAF-DB/aligned/test_3068_aligned.jpg", "true_label": "neutral", "prompt": "As an
                expert ...", "candidate_labels": ["surprise", ...]}, ...]

Their pictures are those of RAF-DB, FERPlus, AffectNet and SFEW 2.0, which everybody has to ask their owners for. A
picture is looked for where its question says, and then by its name below the folder of its dataset.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final

from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.sources.base.questions import Asked, QuestionSource, checked_path, entries_of

QUESTIONS: Final = "*_qa.json"
FIELDS: Final = ("image_path", "true_label", "prompt", "candidate_labels")
_REMEDY: Final = "take the file as it is published"


class FERBench(QuestionSource):
    """One record for each question whose picture is there.

    Args:
        root: the folder that the questions' paths begin in.
        questions: the folder with the files of questions in it or below.
        sets: the first folders of the paths to keep; None: all.
        split: of all records.

    Raises:
        UserError: if there is no file of questions, one is damaged, or a set is none.
    """

    name = "ferbench"
    asked_by = "ferbench"
    published: ClassVar[Mapping[str, int]] = {"RAF-DB": 3068, "FERPlus": 3573, "AffectNet": 4000, "SFEW-2.0": 431}
    download = (
        "clone https://github.com/zfkarl/UniFER for the questions, and put the pictures' folders below source.root"
    )
    by_name = True

    def __init__(
        self, root: str | None, questions: str | None, sets: Sequence[str] | None = None, split: Split = "test"
    ) -> None:
        self.folder("root", root)
        self._files = sorted(self.folder("questions", questions).rglob(QUESTIONS))
        if not self._files:
            raise UserError(
                "source.questions", questions, f"no {QUESTIONS} in it or below", "clone the repository whole"
            )
        super().__init__(root, sets, split)

    @property
    def inputs(self) -> Mapping[str, Sequence[Path]]:
        """The files of questions."""
        return {"questions": self._files}

    def asked(self) -> Iterator[Asked]:
        """Yield every question of the files."""
        for file in self._files:
            for number, entry in enumerate(entries_of(file, "source.questions", _REMEDY), 1):
                yield _asked(file, number, entry)


def _asked(file: Path, number: int, entry: Mapping[str, Any]) -> Asked:
    """Return a question.

    Raises:
        UserError: if it lacks something, or its label is none of the candidates or no expression.
    """
    if lacking := [name for name in FIELDS if not entry.get(name)]:
        problem = f"question {number} has no {', '.join(lacking)}"
        raise UserError("source.questions", file, problem, _REMEDY)
    label = str(entry["true_label"])
    if label not in entry["candidate_labels"] or label.lower() not in NAMES:
        problem = f"question {number}: {label} is none of its candidates, or no expression"
        raise UserError("source.questions", file, problem, _REMEDY)
    path = checked_path(entry["image_path"], file, number, "source.questions", _REMEDY)
    told = {"question": entry["prompt"], "candidates": list(entry["candidate_labels"]), "true_label": label}
    return Asked(path, PurePosixPath(path).parts[0], (path,), Labels(expression=NAMES[label.lower()]), told)
