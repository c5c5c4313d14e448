"""FABA-Bench (EmoLA, ECCV 2024): the test side of FABA-Instruct, faces of AffectNet with an emotion or action units.

    <root>/eval/eval_emotion_anno.json      [{"image": "FABAInstruct/eval/images/...", "id", "label": "Happiness" | 0,
                                              "conversations": [...], "gpt4": "what GPT-4V said", ...}, ...]
    <root>/eval/eval_au_anno.json           the same with "label": "1, 4, 15": the units that are active

The published test asks one question for each task, whatever the conversation has (emollava/eval/eval_FABA.py of
JackYFL/EmoLA at 0cd4a12). A unit that is not listed is inactive, as that program takes it. AU43 is scored there and is
none of ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from seke.core.affect import ACTION_UNITS
from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.file_tree import find
from seke.core.records import Labels, Split
from seke.sources.base.label_text import whole
from seke.sources.base.questions import Asked, QuestionSource, checked_path, entries_of

FILES: Final = {"emotion": "eval_emotion_anno.json", "au": "eval_au_anno.json"}
EMOTIONS: Final = ("happiness", "sadness", "surprise", "anger", "neutral", "disgust", "fear")
"""Their order, which a label that is a number counts in."""
UNITS: Final = (1, 2, 4, 5, 6, 10, 12, 17, 24, 25, 26, 43)
"""Those that are scored."""
_REMEDY: Final = "take the file as it is published: only eval_*_anno.json have `label`"


class Faba(QuestionSource):
    """One record for each annotated face of the test side: an emotion, or action units.

    Args:
        root: the folder FABAInstruct, with eval/ in it.
        questions: the question of each set, `emotion` and `au`.
        sets: one of them alone; None: both that are there.
        split: of all records.

    Raises:
        UserError: if there is no file of annotations, one is damaged, or a label is none.
    """

    name = "faba"
    asked_by = "faba"
    published: ClassVar[Mapping[str, int]] = {"emotion": 403, "au": 325}
    download = "unpack FABA-Instruct (https://github.com/JackYFL/EmoLA) there"
    prefixes = ("FABAInstruct/", "FABAInstruct/eval/")

    def __init__(
        self, root: str | None, questions: Mapping[str, str], sets: Sequence[str] | None = None, split: Split = "test"
    ) -> None:
        if set(questions) != set(FILES) or not all(questions.values()):
            raise UserError("source.questions", dict(questions), "not one question for each", f"set {', '.join(FILES)}")
        folder = self.folder("root", root)
        found = {name: find(folder, file, folder=False) for name, file in FILES.items()}
        self._files = {name: file for name, file in found.items() if file is not None}
        self.questions = questions
        if not self._files:
            raise UserError("source.root", root, f"no {' or '.join(FILES.values())} in it or below", self.download)
        super().__init__(root, sets, split)

    @property
    def inputs(self) -> Mapping[str, Path]:
        """The files of annotations."""
        return self._files

    def asked(self) -> Iterator[Asked]:
        """Yield every annotated face of the files."""
        for of_set, file in self._files.items():
            for number, entry in enumerate(entries_of(file, "source.root", _REMEDY), 1):
                path = checked_path(entry.get("image"), file, number, "source.root", _REMEDY)
                labels, told = _labels(of_set, file, number, entry.get("label"))
                asked = {"question": self.questions[of_set], "published": told, "reference": entry.get("gpt4")}
                yield Asked(f"{of_set}/{entry.get('id') or path}", of_set, (path,), labels, asked)


def _labels(of_set: str, file: Path, number: int, label: object) -> tuple[Labels, dict[str, Any]]:
    """Return a label in our words, and as their program takes it.

    Raises:
        UserError: if it is no label of the set.
    """
    said = str(label if label is not None else "").strip()
    if of_set == "emotion":
        place = whole(said)
        name = EMOTIONS[place] if place is not None and 0 <= place < len(EMOTIONS) else NAMES.get(said.lower())
        if name in EMOTIONS:
            return Labels(expression=name), {"label": name}
    else:
        units = [whole(word) for word in said.split(",")]
        if units and all(unit is not None and unit > 0 for unit in units):
            known = {unit: unit in units for unit in UNITS if unit in ACTION_UNITS}
            return Labels(action_units=known), {"units": sorted({unit for unit in units if unit is not None})}
    problem = f"question {number}: the label {said!r} is no {'emotion' if of_set == 'emotion' else 'list of units'}"
    raise UserError("source.root", file, problem, _REMEDY)
