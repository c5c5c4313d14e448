"""The base of benchmarks that publish questions about other datasets' pictures, which everybody has to ask for.

    entries of the published files -> Asked -> a picture where the entry says, or by its name below its set -> a record

A question whose picture is not there is rejected with the place that was looked at, and stays a question: `unshown`.
"""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final, Literal, NamedTuple

from seke.core import file_tree
from seke.core.errors import UserError
from seke.core.records import Clip, ImageRecord, Labels, Rejection, Split
from seke.sources.base.source import Source

SPLITS: Final = ("train", "validation", "test")


class Asked(NamedTuple):
    """One question as it is published."""

    key: str
    """What its record is called, behind the source's name."""
    of_set: str
    pictures: tuple[str, ...]
    """Paths below the root, in the order in which they are shown."""
    labels: Labels
    attributes: Mapping[str, Any]


class QuestionSource(Source):
    """One record for each question whose pictures are there.

    Args:
        root: the folder that the questions' paths begin in.
        sets: those whose questions are read; None: all.
        split: of all records.

    Raises:
        UserError: if there is no such folder, or `sets` has one that the questions have not; later, if not a single
            picture of a set is there.
    """

    name: ClassVar[str]
    """In conf/source/, in `source` and before every id."""
    published: ClassVar[Mapping[str, int]]
    """Questions of each set as they are published."""
    download: ClassVar[str]
    """What to do for a root, as a remedy says it."""
    prefixes: ClassVar[tuple[str, ...]] = ()
    """First folders of a published path that may be missing on disk, because the root lies deeper."""
    by_name: ClassVar[bool] = False
    """Whether a picture that is not where its question says is looked for by its name below the set's folder."""

    def __init__(self, root: str | None, sets: Sequence[str] | None = None, split: Split = "test") -> None:
        self.root = self.folder("root", root)
        if split not in SPLITS:
            raise UserError("source.split", split, "no such split", f"set {', '.join(SPLITS)}")
        self.split = split
        self._entries = list(self.asked())
        there = sorted({entry.of_set for entry in self._entries})
        if unknown := set(sets or ()) - set(there):
            raise UserError("source.sets", min(unknown), "no set of these questions", f"there are {', '.join(there)}")
        self.sets = tuple(sets or there)
        self._found: Counter[str] = Counter()
        self._unshown: list[ImageRecord] = []

    def folder(self, name: Literal["root", "questions"], path: str | None) -> Path:
        """Return a folder that a setting names.

        Raises:
            UserError: if there is none.
        """
        if not path or not Path(path).is_dir():
            raise UserError(f"source.{name}", path, f"no such folder (for {self.name})", self.download)
        return Path(path).resolve()

    @abstractmethod
    def asked(self) -> Iterator[Asked]:
        """Yield every published question; the files are checked first.

        Raises:
            UserError: if a file is missing, damaged, or not as it is published.
        """

    def image_root(self, run_path: Path) -> str:
        """Return the folder that the paths begin in: pictures are never copied."""
        return str(self.root)

    def read(self, run_path: Path) -> Iterator[ImageRecord | Rejection]:
        """Yield a record for each question, or where its pictures were looked for in vain.

        Raises:
            UserError: if not one picture of a set is there.
        """
        self._found.clear()
        self._unshown.clear()
        names: dict[str, Mapping[str, list[Path]]] = {}
        for entry in self._entries:
            if entry.of_set not in self.sets:
                continue
            places = [self._place(entry.of_set, path, names) for path in entry.pictures]
            problem = next((place for place in places if isinstance(place, str)), None)
            if problem is not None:
                self._unshown.append(self._record(entry, entry.pictures))
                yield Rejection(id=f"{self.name}/{entry.key}", reason="no picture", detail=problem)
                continue
            self._found[entry.of_set] += 1
            below = [place.relative_to(self.root).as_posix() for place in places if isinstance(place, Path)]
            yield self._record(entry, below)
        if absent := [name for name in self.sets if not self._found[name]]:
            number = self._asked_of()[absent[0]]
            problem = f"none of the {number:,} questions of {absent[0]} has its picture below {self.root}"
            remedy = f"put them there, or leave the set out: source.sets=[{', '.join(self._found) or '...'}]"
            raise UserError("source.sets", list(self.sets), problem, remedy)

    def unshown(self) -> Sequence[ImageRecord]:
        """Return the questions whose picture is missing."""
        return tuple(self._unshown)

    def understood(self) -> Sequence[str]:
        """Return how many questions of each set have their picture."""
        return [
            f"{name}: {self._found[name]:,} of {number:,} questions have their picture"
            + ("" if number == self.published.get(name, number) else f" (published are {self.published[name]:,})")
            for name, number in sorted(self._asked_of().items())
        ]

    def _asked_of(self) -> Counter[str]:
        return Counter(entry.of_set for entry in self._entries if entry.of_set in self.sets)

    def _record(self, entry: Asked, pictures: Sequence[str]) -> ImageRecord:
        several = Clip(video=entry.key, frames=tuple(pictures)) if len(pictures) > 1 else None
        return ImageRecord(
            id=f"{self.name}/{entry.key}",
            image=pictures[0],
            sha256=None,
            source=self.name,
            subject=None,
            split=self.split,
            labels=entry.labels,
            attributes={"set": entry.of_set, **entry.attributes},
            clip=several,
        )

    def _place(self, of_set: str, path: str, names: dict[str, Mapping[str, list[Path]]]) -> Path | str:
        """Return where a picture lies, or why it was not found; `names` keeps what lies below each set."""
        for prefix in ("", *self.prefixes):
            if path.startswith(prefix) and (self.root / path.removeprefix(prefix)).is_file():
                return self.root / path.removeprefix(prefix)
        if not self.by_name:
            return f"looked for {path} below {self.root}: no such file"
        if of_set not in names:
            names[of_set] = _by_name(self.root / of_set)
        alike = names[of_set].get(PurePosixPath(path).name, [])
        if len(alike) == 1:
            return alike[0]
        what = "no file of that name" if not alike else f"{len(alike)} files of that name"
        return f"looked for {path} below {self.root}, and for its name below {of_set}: {what}"


def entries_of(file: Path, argument: str, remedy: str) -> list[dict[str, Any]]:
    """Return the objects of a JSON list, or of JSON Lines.

    Raises:
        UserError: if it is neither, or an entry is no object.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip()]
        found = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in lines]
    except (ValueError, OSError) as error:
        raise UserError(argument, file, f"{file.name} is no JSON ({error})", "download it anew") from None
    for number, entry in enumerate(found, 1):
        if not isinstance(entry, dict):
            raise UserError(argument, file, f"question {number} is no object", remedy)
    return list(found)


def checked_path(path: object, file: Path, number: int | str, argument: str, remedy: str) -> str:
    """Return a picture's path below the root, without a first slash.

    Raises:
        UserError: if it is none, or leads out of the folder.
    """
    below = path.lstrip("/") if isinstance(path, str) else ""
    if not below or ".." in PurePosixPath(below).parts:
        problem = f"question {number}: {path} is no path, or leads out of the folder of pictures"
        raise UserError(argument, file, problem, remedy)
    return below


def _by_name(folder: Path) -> Mapping[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in file_tree.walk(folder, *file_tree.IMAGES) if folder.is_dir() else ():
        found.setdefault(path.name, []).append(path)
    return found
