"""FaceXBench (arXiv 2501.10360): its questions about expressions, of one face or several, read as they are published.

    benchmark/*.json    {"sub-category": "expression", "dataset": "affectnet", "prepend_text": "...", "postpend_text":
                         "...", "questions": {"1": {"image_paths": ["images/.../question_1.png", ...], "question_text",
                         "options": ["fear", ...], "correct_answer_option": "B", "answer": "sad"}, ...}}
    benchmark/images/   the pictures (of AffectNet and RAF-DB, under their owners' terms)

What is asked is put together as evaluate.py of Kartik-3004/facexbench does at 17713fb: the question, the form of the
answer, the options by letter; the description of the task before them only where it is wanted (their second setting).
The pictures of a question are the frames of its record.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.sources.base.questions import Asked, QuestionSource, checked_path

LETTERS: Final = "ABCD"
FIELDS: Final = ("image_paths", "question_text", "options", "correct_answer_option")
_REMEDY: Final = "take the file as it is published"


class FaceXBench(QuestionSource):
    """One record for each question whose pictures are there.

    Args:
        root: the folder benchmark/ of the repository.
        about: the sub-category, such as expression.
        task_description: whether the task is described before the question.
        sets: datasets and how many pictures a question shows, such as "affectnet single"; None: all.
        split: of all records.

    Raises:
        UserError: if there is no file about it, or one is damaged.
    """

    name = "facexbench"
    asked_by = "facexbench"
    published: ClassVar[Mapping[str, int]] = dict.fromkeys(
        ("affectnet single", "affectnet multiple", "rafdb single", "rafdb multiple"), 100
    )
    download = "clone https://github.com/Kartik-3004/facexbench, and give its folder benchmark"

    def __init__(
        self,
        root: str | None,
        about: str = "expression",
        task_description: bool = False,
        sets: Sequence[str] | None = None,
        split: Split = "test",
    ) -> None:
        files = {path: _content(path) for path in sorted(self.folder("root", root).glob("*.json"))}
        self._files = {path: content for path, content in files.items() if content.get("sub-category") == about}
        self.about, self.task_description = about, task_description
        if not self._files:
            there = ", ".join(sorted({str(content.get("sub-category")) for content in files.values()})) or "no file"
            raise UserError("source.root", root, f"no question about {about} in it ({there})", self.download)
        super().__init__(root, sets, split)

    @property
    def inputs(self) -> Mapping[str, Sequence[Path]]:
        """The files of questions."""
        return {"questions": list(self._files)}

    def asked(self) -> Iterator[Asked]:
        """Yield every question of the files about the sub-category."""
        for file, content in self._files.items():
            of_set = f"{content.get('dataset')} {content.get('num_images')}"
            for number, entry in content["questions"].items():
                yield self._asked(file, content, of_set, number, entry)

    def _asked(
        self, file: Path, content: Mapping[str, Any], of_set: str, number: str, entry: Mapping[str, Any]
    ) -> Asked:
        """Return a question.

        Raises:
            UserError: if it lacks something, or its answer is none of its options.
        """
        lacking = [name for name in FIELDS if not isinstance(entry, dict) or not entry.get(name)]
        options = [] if lacking else [str(option) for option in entry["options"]]
        right = None if lacking else LETTERS.find(str(entry["correct_answer_option"]))
        if lacking or right is None or not 0 <= right < len(options) <= len(LETTERS):
            what = f"has no {', '.join(lacking)}" if lacking else "has an answer that is none of its options"
            raise UserError("source.root", file, f"question {number} {what}", _REMEDY)
        pictures = [checked_path(path, file, number, "source.root", _REMEDY) for path in entry["image_paths"]]
        lines = [
            content.get("prepend_text") if self.task_description else None,
            entry["question_text"],
            content.get("postpend_text"),
            *(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False)),
        ]
        told = {
            "question": "\n".join(str(line) for line in lines if line),
            "kind": of_set,
            "options": options,
            "answer": LETTERS[right],
        }
        face = NAMES.get(options[right].lower()) if len(pictures) == 1 else None
        return Asked(f"{file.stem}/{number}", of_set, tuple(pictures), Labels(expression=face), told)


def _content(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError("source.root", file, f"{file.name} is no JSON ({error})", "clone the repository anew") from None
    if not isinstance(found, dict) or not isinstance(found.get("questions"), dict):
        raise UserError("source.root", file, "no file of questions", _REMEDY)
    return found
