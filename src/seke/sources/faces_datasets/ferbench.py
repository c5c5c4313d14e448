"""FERBench (UniFER, arXiv 2511.00389): questions about the faces of four datasets, read as they are published.

    *_qa.json   [{"image_path": "/RAF-DB/aligned/test_3068_aligned.jpg", "true_label": "neutral", "prompt": "As an
                expert ...", "candidate_labels": ["surprise", ...]}, ...]

Their pictures are those of RAF-DB, FERPlus, AffectNet and SFEW 2.0, which everybody has to ask their owners for. A
picture is looked for where its question says, and then by its name below the folder of its dataset.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from seke.core import file_tree
from seke.core.class_words import NAMES
from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection, Split
from seke.sources.base.source import Source

NAME: Final = "ferbench"
QUESTIONS: Final = "*_qa.json"
FIELDS: Final = ("image_path", "true_label", "prompt", "candidate_labels")
PUBLISHED: Final = {"RAF-DB": 3068, "FERPlus": 3573, "AffectNet": 4000, "SFEW-2.0": 431}
"""Questions of each set, by the first folder of its pictures."""


class FERBench(Source):
    """One record for each question whose picture is there.

    Args:
        root: the folder that the questions' paths begin in.
        questions: the folder with the files of questions in it or below.
        sets: the first folders of the paths to keep; None: all.
        split: of all records.

    Raises:
        UserError: if there is no file of questions, one is damaged, or a set is none.
    """

    def __init__(
        self, root: str | None, questions: str | None, sets: Sequence[str] | None = None, split: Split = "test"
    ) -> None:
        for name, folder in (("root", root), ("questions", questions)):
            if not folder or not Path(folder).is_dir():
                remedy = "clone https://github.com/zfkarl/UniFER for the questions, and put the pictures' folders below"
                raise UserError(f"source.{name}", folder, "no such folder (for ferbench)", f"{remedy} source.root")
        assert root is not None
        assert questions is not None
        self.root = Path(root).resolve()
        self._files = sorted(Path(questions).resolve().rglob(QUESTIONS))
        if not self._files:
            raise UserError(
                "source.questions", questions, f"no {QUESTIONS} in it or below", "clone the repository whole"
            )
        self._entries = [entry for file in self._files for entry in _entries(file)]
        there = sorted({_set(entry) for entry in self._entries})
        if unknown := set(sets or ()) - set(there):
            raise UserError("source.sets", min(unknown), "no set of these questions", f"there are {', '.join(there)}")
        if split not in ("train", "validation", "test"):
            raise UserError("source.split", split, "no such split", "set train, validation or test")
        self.sets, self.split = tuple(sets or there), split
        self._found: Counter[str] = Counter()

    @property
    def inputs(self) -> Mapping[str, Sequence[Path]]:
        """The files of questions."""
        return {"questions": self._files}

    def image_root(self, run_path: Path) -> str:
        """Return the folder that the paths begin in: pictures are never copied."""
        return str(self.root)

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield a record for each question, or where its picture was looked for in vain."""
        self._found.clear()
        names: dict[str, dict[str, list[Path]]] = {}
        for entry in self._entries:
            of_set, path = _set(entry), str(entry["image_path"]).lstrip("/")
            if of_set not in self.sets:
                continue
            picture = self.root / path
            if not picture.is_file():
                below = names.setdefault(of_set, _by_name(self.root / of_set))
                alike = below.get(PurePosixPath(path).name, [])
                if len(alike) != 1:
                    what = "no file of that name" if not alike else f"{len(alike)} files of that name"
                    detail = f"looked for {path} below {self.root}, and for its name below {of_set}: {what}"
                    yield Rejection(id=f"{NAME}/{path}", reason="no picture", detail=detail)
                    continue
                picture = alike[0]
            self._found[of_set] += 1
            yield ImageRecord(
                id=f"{NAME}/{path}",
                image=picture.relative_to(self.root).as_posix(),
                sha256=None,
                source=NAME,
                subject=None,
                split=self.split,
                labels=Labels(expression=NAMES[str(entry["true_label"]).lower()]),
                attributes={
                    "set": of_set,
                    "question": entry["prompt"],
                    "candidates": list(entry["candidate_labels"]),
                    "true_label": entry["true_label"],
                },
            )

    def understood(self) -> Sequence[str]:
        """Return how many questions of each set have their picture."""
        asked = Counter(_set(entry) for entry in self._entries if _set(entry) in self.sets)
        return [
            f"{name}: {self._found[name]:,} of {number:,} questions have their picture"
            + ("" if number == PUBLISHED.get(name, number) else f" (the published file has {PUBLISHED[name]:,})")
            for name, number in sorted(asked.items())
        ]


def _entries(file: Path) -> list[dict[str, Any]]:
    """Return a file's questions.

    Raises:
        UserError: if it is no list of them, or a label is none of the candidates or no expression.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        problem = f"{file.name} is no JSON ({error})"
        raise UserError("source.questions", file, problem, "download it anew") from None
    for number, entry in enumerate(found if isinstance(found, list) else [None], 1):
        lacking = [name for name in FIELDS if not isinstance(entry, dict) or not entry.get(name)]
        if lacking:
            problem = f"question {number} has no {', '.join(lacking)}"
            raise UserError("source.questions", file, problem, "take the file as it is published")
        label, path = str(entry["true_label"]), PurePosixPath(str(entry["image_path"]).lstrip("/"))
        if label not in entry["candidate_labels"] or label.lower() not in NAMES:
            problem = f"question {number}: {label} is none of its candidates, or no expression"
            raise UserError("source.questions", file, problem, "take the file as it is published")
        if ".." in path.parts or len(path.parts) < 2:
            problem = f"question {number}: {path} leads out of the folder of pictures"
            raise UserError("source.questions", file, problem, "take the file as it is published")
    return list(found)


def _set(entry: Mapping[str, Any]) -> str:
    return str(entry["image_path"]).lstrip("/").partition("/")[0]


def _by_name(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in file_tree.walk(folder, *file_tree.IMAGES) if folder.is_dir() else ():
        found.setdefault(path.name, []).append(path)
    return found
