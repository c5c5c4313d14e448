"""FEA-20K (Facial-R1, AAAI 2026): the test side, faces of seven datasets with units, an emotion and a description.

    test.json or .jsonl   {"id", "dataset": "RAF-DB", "image": "path.jpg", "question": "...", "AUs": ["AU1", "AU4"],
                           "labels": ["sadness"], "description": "...", "meta_info": {...}}

The form of a row is that of RobitsG/Facial-R1 at 0b1be9b (README.md, src/eval/eval_qwen.py); which names the files
have on the Hub (QBiscuits/FEA-20K) was not seen, so that any whose name says "test" are read. A picture is looked for
where its row says, and then by its name below the folder of its dataset. `AUs` lists what is active: of a dataset in
which a unit occurs it is taken as absent where it is not listed, as their program does.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from seke.core.affect import ACTION_UNITS
from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.records import Labels, Split
from seke.sources.base.questions import Asked, QuestionSource, checked_path, entries_of

_UNIT: Final = re.compile(r"AU0*(\d{1,2})", re.IGNORECASE)
_REMEDY: Final = "take the file as it is published"


class Fea20k(QuestionSource):
    """One record for each annotated face.

    Args:
        root: the folder of the datasets' folders.
        annotations: a file, or the folder with the test files in it or below.
        question: where a row has none.
        form: what is said of the answer's form, after the question.
        sets: datasets (`dataset` of the rows); None: all.
        split: of all records.

    Raises:
        UserError: if there is no test file, or one is damaged.
    """

    name = "fea_20k"
    asked_by = "fea_20k"
    published: ClassVar[Mapping[str, int]] = {}
    download = "get QBiscuits/FEA-20K for the annotations, and put the datasets' folders below source.root"
    by_name = True

    def __init__(
        self,
        root: str | None,
        annotations: str | None,
        question: str,
        form: str,
        sets: Sequence[str] | None = None,
        split: Split = "test",
    ) -> None:
        self.folder("root", root)
        given = Path(annotations or "")
        named = sorted(given.rglob("*.json*")) if given.is_dir() else [given] if given.is_file() else []
        tests = [path for path in named if given.is_file() or "test" in path.name.lower()]
        self._files = [path for path in tests if path.suffix in (".json", ".jsonl")]
        if not self._files:
            problem = "no file of annotations, nor a folder with a .json or .jsonl whose name says test"
            raise UserError("source.annotations", annotations, problem, self.download)
        self.question, self.form = question.strip(), form.strip()
        super().__init__(root, sets, split)

    @property
    def inputs(self) -> Mapping[str, Sequence[Path]]:
        """The files of annotations."""
        return {"annotations": self._files}

    def asked(self) -> Iterator[Asked]:
        """Yield every annotated face, in the order of the files."""
        entries = [
            (file, number, entry)
            for file in self._files
            for number, entry in enumerate(entries_of(file, "source.annotations", _REMEDY), 1)
        ]
        occurring: dict[str, set[int]] = defaultdict(set)
        for _, _, entry in entries:
            occurring[str(entry.get("dataset"))].update(units_of(entry))
        for file, number, entry in entries:
            path = checked_path(entry.get("image"), file, number, "source.annotations", _REMEDY)
            of_set, active = str(entry.get("dataset") or path.partition("/")[0]), units_of(entry)
            words = _words(entry.get("labels"))
            units = {au: au in active for au in sorted(occurring[str(entry.get("dataset"))]) if au in ACTION_UNITS}
            question = str(entry.get("question") or self.question).replace("<image>", "").strip()
            told: dict[str, Any] = {"question": f"{question}\n\n{self.form}", "reference": entry.get("description")}
            told["published"] = {"label": words[0] if words else None, "units": list(entry.get("AUs") or [])}
            named = NAMES.get(words[0].lower()) if len(words) == 1 else None
            labels = Labels(expression=named, action_units=units or None)
            yield Asked(f"{of_set}/{entry.get('id') or path}", of_set, (path,), labels, told)


def units_of(entry: Mapping[str, Any]) -> set[int]:
    """Return the numbers of the units that a row lists as active.

    >>> units_of({"AUs": ["AU1", "AU04"]})
    {1, 4}
    """
    listed = entry.get("AUs")
    found = [_UNIT.fullmatch(str(name).strip()) for name in (listed if isinstance(listed, list) else [])]
    return {int(match[1]) for match in found if match}


def _words(labels: object) -> list[str]:
    given = labels if isinstance(labels, list) else [labels]
    return [word.strip() for word in given if isinstance(word, str) and word.strip()]
